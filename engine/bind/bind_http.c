/*
 * bind_http.c: calls and gates, seen from Lua.
 *
 * A plan is made of one table, whose strings are borrowed while
 * mp_http_plan_new copies them; the table keeps them alive.
 */
#include "bind.h"

#include "bind_inbox.h"
#include "clock.h"
#include "gate.h"
#include "http.h"

#include <stdbool.h>
#include <string.h>

#define PLAN        "moonpipe.plan"
#define HEADERS_MAX 64
#define HEADER_LEN  8192 /* one header of a request, name and value */

/* [-0, +1] Pushes field [name] of the request at 1 and gives its text or NULL;
 * it stays on the stack, so that it stays alive. */
static const char *text_field(lua_State *L, const char *name, size_t *len)
{
    lua_getfield(L, 1, name);
    if (lua_isnil(L, -1)) return NULL;
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "request field '%s' is no string", name);
    return lua_tolstring(L, -1, len);
}

/* The same for a text that may be a secret. */
static const char *hidden_field(lua_State *L, const char *name)
{
    size_t len;

    lua_getfield(L, 1, name);
    if (lua_isuserdata(L, -1)) return mp_bind_secret(L, -1, &len);
    lua_pop(L, 1);
    return text_field(L, name, NULL);
}

static double number_field(lua_State *L, const char *name)
{
    double value;

    lua_getfield(L, 1, name);
    value = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return value;
}

static bool flag_field(lua_State *L, const char *name)
{
    bool value;

    lua_getfield(L, 1, name);
    value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

/* 0: no limit. */
static int64_t time_field(lua_State *L, const char *name)
{
    int64_t span_us = mp_clock_span(number_field(L, name));

    return span_us == MP_CLOCK_NEVER ? 0 : span_us;
}

/* A value may be a secret: its bytes go into the header and nowhere else. */
static const char *header_value(lua_State *L, int index, size_t *len)
{
    if (lua_isuserdata(L, index)) return mp_bind_secret(L, index, len);
    return lua_tolstring(L, index, len);
}

/* Scratch for "Name: value", wiped after use. */
typedef struct Headers {
    const char *list[HEADERS_MAX + 1];
    mp_Buf text;
    size_t offsets[HEADERS_MAX];
    int count;
} Headers;

static mp_Status add_header(lua_State *L, Headers *headers)
{
    size_t name_len = 0, value_len = 0;
    const char *name, *value;

    lua_rawgeti(L, -1, 1);
    lua_rawgeti(L, -2, 2);
    name = lua_tolstring(L, -2, &name_len);
    value = header_value(L, -1, &value_len);
    headers->offsets[headers->count++] = headers->text.len;
    mp_buf_append(&headers->text, name ? name : "", name_len);
    mp_buf_append(&headers->text, ": ", 2);
    mp_buf_append(&headers->text, value ? value : "", value_len);
    lua_pop(L, 2);
    return mp_buf_append(&headers->text, "", 1);
}

/* [-0, +0] */
static size_t count_headers(lua_State *L)
{
    size_t count;

    lua_getfield(L, 1, "headers");
    count = lua_istable(L, -1) ? lua_objlen(L, -1) : 0;
    lua_pop(L, 1);
    return count;
}

/* [-0, +0] Reads headers = { { name, value }, ... }. Raises nothing: the text
 * is freed by the caller. */
static void read_headers(lua_State *L, Headers *headers)
{
    lua_getfield(L, 1, "headers");
    if (lua_istable(L, -1)) {
        for (int i = 1; i <= HEADERS_MAX; i++) {
            lua_rawgeti(L, -1, i);
            if (lua_istable(L, -1)) add_header(L, headers);
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
    for (int i = 0; i < headers->count && headers->text.data; i++)
        headers->list[i] = headers->text.data + headers->offsets[i];
}

static void wipe(Headers *headers)
{
    if (headers->text.data)
        explicit_bzero(headers->text.data, headers->text.cap);
    mp_buf_term(&headers->text);
}

/* [-0, +5] Fills all but the headers. */
static void read_spec(lua_State *L, mp_HttpSpec *spec)
{
    memset(spec, 0, sizeof *spec);
    spec->connect_us = time_field(L, "connect");
    spec->first_byte_us = time_field(L, "first_byte");
    spec->idle_us = time_field(L, "idle");
    spec->gate_slots = (unsigned)number_field(L, "slots");
    spec->body_max = (size_t)number_field(L, "max_body");
    spec->ip = (int)number_field(L, "ip");
    spec->insecure = flag_field(L, "insecure");
    spec->url = text_field(L, "url", NULL);
    spec->method = text_field(L, "method", NULL);
    spec->gate = text_field(L, "gate", NULL);
    spec->proxy = hidden_field(L, "proxy");
    spec->ca_file = text_field(L, "ca_file", NULL);
    if (!spec->url) luaL_error(L, "a request needs a url");
}

/* The plan of the request at 1; NULL with the reason in [err]. */
static mp_HttpPlan *make_plan(lua_State *L, mp_HttpSpec *spec, mp_Error *err)
{
    Headers headers = {.count = 0};
    mp_HttpPlan *plan = NULL;

    mp_buf_init(&headers.text, HEADERS_MAX * HEADER_LEN);
    read_headers(L, &headers);
    spec->headers = headers.list;
    if (headers.text.status == -MP_KIND_TOO_LARGE)
        mp_err_set(err, MP_KIND_TOO_LARGE,
                   "the headers of a request are more than %zu bytes",
                   headers.text.max);
    else if (headers.text.status != MP_OK || !(plan = mp_http_plan_new(spec)))
        mp_err_memory(err);
    wipe(&headers);
    return plan;
}

/* http_plan(request) -> plan | nil, message, kind */
static int f_http_plan(lua_State *L)
{
    mp_HttpPlan **box;
    mp_HttpSpec spec;
    mp_Error err;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_checkstack(L, 20, "http_plan");
    box = lua_newuserdata(L, sizeof *box); /* before the plan: it may raise */
    *box = NULL;
    luaL_getmetatable(L, PLAN);
    lua_setmetatable(L, -2);
    read_spec(L, &spec);
    if (count_headers(L) > HEADERS_MAX) {
        mp_err_set(&err, MP_KIND_TOO_LARGE,
                   "a request has at most %d headers, not %zu", HEADERS_MAX,
                   count_headers(L));
        return mp_bind_fail(L, &err);
    }
    *box = make_plan(L, &spec, &err);
    if (!*box) return mp_bind_fail(L, &err);
    lua_pushvalue(L, 2);
    return 1;
}

static int f_free_plan(lua_State *L)
{
    mp_HttpPlan **box = luaL_checkudata(L, 1, PLAN);

    mp_http_plan_free(*box);
    *box = NULL;
    return 0;
}

static mp_HttpFraming framing_at(lua_State *L, int index)
{
    static const char *const names[] = {"", "sse", "ndjson", NULL};

    if (lua_isnoneornil(L, index)) return MP_HTTP_WHOLE;
    return (mp_HttpFraming)luaL_checkoption(L, index, "", names);
}

/* What is left until [total_at], by the clock of now(); 0: no limit, negative:
 * it has gone by. */
static int64_t time_left(lua_State *L, int index)
{
    double total_at = luaL_optnumber(L, index, 0);
    int64_t at_us = mp_clock_span(total_at), left;

    if (total_at == 0 || at_us == MP_CLOCK_NEVER) return 0;
    left = at_us - mp_clock_us();
    return left > 0 ? left : -1;
}

/* http(plan, body or nil, framing or nil, total_at or nil, uncut or nil)
 *     -> id, inbox or nil | nil, message, kind */
static int f_http(lua_State *L)
{
    mp_HttpPlan **box = luaL_checkudata(L, 1, PLAN);
    size_t len = 0;
    const char *body = luaL_optlstring(L, 2, NULL, &len);
    mp_HttpFraming framing = framing_at(L, 3);
    int64_t left_us = time_left(L, 4);
    mp_Error err;
    mp_Job *job;

    if (!*box) { /* its finalizer ran: the VM closes */
        mp_err_set(&err, MP_KIND_CLOSED, "the engine is closed");
        return mp_bind_fail(L, &err);
    }
    if (left_us < 0) {
        mp_err_set(&err, MP_KIND_TIMEOUT_TOTAL,
                   "no time is left for another attempt");
        return mp_bind_fail(L, &err);
    }
    lua_settop(L, 5);
    if (framing != MP_HTTP_WHOLE) mp_bind_inbox_new(L);
    job = mp_http_new(*box, body, len, framing, left_us);
    if (job && lua_toboolean(L, 5)) mp_http_leave_uncut(job);
    if (mp_bind_submit(L, job) != 1) return 3;
    if (framing == MP_HTTP_WHOLE) return 1;
    mp_bind_inbox_attach(L, 6, job);
    lua_pushvalue(L, 6);
    return 2;
}

/* gate(name, slots or nil, seconds or nil) -> id */
static int f_gate(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    long slots = lua_isnoneornil(L, 2) ? -1 : (long)luaL_checkinteger(L, 2);
    double seconds = luaL_optnumber(L, 3, 0);

    return mp_bind_submit(
        L, mp_gate_job(name, slots, seconds > 0 ? mp_clock_after(seconds) : 0));
}

static const luaL_Reg functions[] = {
    {"http_plan", f_http_plan},
    {"http", f_http},
    {"gate", f_gate},
    {NULL, NULL},
};

void mp_bind_http(lua_State *L)
{
    mp_bind_inbox(L);
    luaL_newmetatable(L, PLAN);
    lua_pushcfunction(L, f_free_plan);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_register(L, NULL, functions);
}
