/*
 * bind_secret.c: keys as opaque userdata.
 *
 * Lua can hold one, compare it, and print its mask; the bytes stay in C. Equal
 * keys are one userdata, so that what is made of a key can be looked up by it.
 * The weak table of all that live is what secret_redact goes through.
 */
#include "bind.h"

#include "clock.h"
#include "secret.h"
#include "secret_job.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_MT "moonpipe.secret"
#define PLACE_MT  "moonpipe.secret_place"

/* A shorter one would be found in the middle of words. */
#define REDACT_FROM 8

/* The upvalue of every function: id and prefix -> userdata, weak. */
#define LIVE lua_upvalueindex(1)

typedef struct Box {
    mp_Secret *secret;
} Box;

/* The box at [index], or NULL where there is anything else. */
static Box *box_at(lua_State *L, int index)
{
    Box *box = lua_touserdata(L, index);
    bool is_one;

    if (!box || !lua_getmetatable(L, index)) return NULL;
    luaL_getmetatable(L, SECRET_MT);
    is_one = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return is_one ? box : NULL;
}

static mp_Secret *check_secret(lua_State *L, int index)
{
    Box *box = box_at(L, index);

    if (!box) luaL_argerror(L, index, "a secret expected");
    if (!box->secret) luaL_error(L, "the secret is gone: the VM closes");
    return box->secret;
}

const char *mp_bind_secret(lua_State *L, int index, size_t *len)
{
    Box *box = box_at(L, index);

    return box && box->secret ? mp_secret_bytes(box->secret, len) : NULL;
}

/* --- making --- */

/* [-0, +1] The name in LIVE. Two keys of one id are one in 2^64. */
static void push_name(lua_State *L, const mp_Secret *secret)
{
    uint64_t id = mp_secret_id(secret);
    size_t whole, key;
    const char *bytes = mp_secret_bytes(secret, &whole);

    mp_secret_key(secret, &key);
    lua_pushlstring(L, (const char *)&id, sizeof id);
    lua_pushlstring(L, bytes, whole - key);
    lua_concat(L, 2);
}

/* [-1, +1] Turns the box at the top into the one of the same bytes that is
 * there already, or makes it known. */
static void intern(lua_State *L)
{
    const Box *known;

    push_name(L, ((Box *)lua_touserdata(L, -1))->secret);
    lua_pushvalue(L, -1);
    lua_rawget(L, LIVE);
    known = lua_touserdata(L, -1);
    if (known && known->secret) { /* none where it was finalized */
        lua_replace(L, -3);
        lua_pop(L, 1);
        return;
    }
    lua_pop(L, 1);
    lua_pushvalue(L, -2);
    lua_rawset(L, LIVE);
}

/* [-0, +1] An empty box; it owns what is then put into it. */
static Box *push_box(lua_State *L)
{
    Box *box = lua_newuserdata(L, sizeof *box);

    box->secret = NULL;
    luaL_getmetatable(L, SECRET_MT);
    lua_setmetatable(L, -2);
    return box;
}

/* [-0, +1 or 3] Gives the box at the top if [status] is MP_OK. */
static int give(lua_State *L, mp_Status status, const mp_Error *err)
{
    if (status != MP_OK) return mp_bind_fail(L, err);
    intern(L);
    return 1;
}

/* secret_new(text) -> secret | nil, message, kind */
static int f_secret_new(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    Box *box = push_box(L);
    mp_Error err;

    return give(L, mp_secret_new(&box->secret, "", text, len, &err), &err);
}

/* secret_env(name) -> secret | nil where it is not set or empty
 *                   | nil, message, kind */
static int f_secret_env(lua_State *L)
{
    const char *text = getenv(luaL_checkstring(L, 1));
    Box *box;
    mp_Error err;

    if (!text || !*text) return 0;
    box = push_box(L);
    return give(L, mp_secret_new(&box->secret, "", text, strlen(text), &err),
                &err);
}

/* secret_ask(prompt) -> secret | nil, message, kind. Blocks. */
static int f_secret_ask(lua_State *L)
{
    const char *prompt = luaL_checkstring(L, 1);
    Box *box = push_box(L);
    mp_Error err;

    return give(L, mp_secret_ask(&box->secret, prompt, &err), &err);
}

/* secret_file(path) -> secret | nil, message, kind */
static int f_secret_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    Box *box = push_box(L);
    mp_Error err;

    return give(L, mp_secret_file(&box->secret, path, &err), &err);
}

/* secret_command(command, seconds)
 *     -> id of a job, place of its key | nil, message, kind */
static int f_secret_command(lua_State *L)
{
    const char *command = luaL_checkstring(L, 1);
    int64_t limit_us = mp_clock_span(luaL_checknumber(L, 2));
    mp_SecretPlace **place = lua_newuserdata(L, sizeof *place);
    int pushed;

    *place = NULL;
    luaL_getmetatable(L, PLACE_MT);
    lua_setmetatable(L, -2);
    pushed = mp_bind_submit(L, mp_secret_job(command, limit_us, place));
    if (pushed != 1) return pushed;
    lua_insert(L, -2);
    return 2;
}

/* secret_take(place) -> secret, once its job is done; nil where it is gone */
static int f_secret_take(lua_State *L)
{
    mp_SecretPlace **place = luaL_checkudata(L, 1, PLACE_MT);
    Box *box = push_box(L);

    if (*place) box->secret = mp_secret_take(*place);
    if (!box->secret) return 0;
    intern(L);
    return 1;
}

static int f_place_gc(lua_State *L)
{
    mp_SecretPlace **place = luaL_checkudata(L, 1, PLACE_MT);

    mp_secret_place_free(*place);
    *place = NULL;
    return 0;
}

/* secret_prefixed(secret, prefix) -> secret | nil, message, kind */
static int f_secret_prefixed(lua_State *L)
{
    const mp_Secret *of = check_secret(L, 1);
    const char *prefix = luaL_checkstring(L, 2);
    size_t len;
    const char *key = mp_secret_key(of, &len);
    Box *box = push_box(L);
    mp_Error err;

    return give(L, mp_secret_new(&box->secret, prefix, key, len, &err), &err);
}

/* --- what may be known --- */

/* secret_is(value) -> boolean */
static int f_secret_is(lua_State *L)
{
    lua_pushboolean(L, box_at(L, 1) != NULL);
    return 1;
}

/* secret_id(secret) -> 16 hexadecimal digits, of this process only */
static int f_secret_id(lua_State *L)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t id = mp_secret_id(check_secret(L, 1));
    char text[16];
    int i;

    for (i = 15; i >= 0; i--) {
        text[i] = digits[id & 15];
        id >>= 4;
    }
    lua_pushlstring(L, text, sizeof text);
    return 1;
}

static int f_tostring(lua_State *L)
{
    char mask[MP_SECRET_MASK];

    mp_secret_mask(check_secret(L, 1), mask);
    lua_pushstring(L, mask);
    return 1;
}

static int f_concat(lua_State *L)
{
    return luaL_error(L, "a secret cannot be made part of a text");
}

static int f_gc(lua_State *L)
{
    Box *box = lua_touserdata(L, 1);

    mp_secret_free(box->secret);
    box->secret = NULL;
    return 0;
}

/* [-0, +0] Replaces the key of [secret] in the text at index 1 by its mask. */
static void redact(lua_State *L, const mp_Secret *secret)
{
    char mask[MP_SECRET_MASK];
    size_t key_len, len;
    const char *key = mp_secret_key(secret, &key_len);
    const char *text = lua_tolstring(L, 1, &len), *end = text + len, *found;
    luaL_Buffer out;

    if (!memmem(text, len, key, key_len)) return;
    mp_secret_mask(secret, mask);
    luaL_buffinit(L, &out);
    while ((found = memmem(text, (size_t)(end - text), key, key_len))) {
        luaL_addlstring(&out, text, (size_t)(found - text));
        luaL_addstring(&out, mask);
        text = found + key_len;
    }
    luaL_addlstring(&out, text, (size_t)(end - text));
    luaL_pushresult(&out);
    lua_replace(L, 1);
}

/* The length of the longest key that lives and is shorter than [limit]. */
static size_t next_length(lua_State *L, size_t limit)
{
    size_t found = 0, len;

    for (lua_pushnil(L); lua_next(L, LIVE); lua_pop(L, 1)) {
        const Box *box = lua_touserdata(L, -1);

        if (!box->secret) continue;
        mp_secret_key(box->secret, &len);
        if (len > found && len < limit) found = len;
    }
    return found;
}

static void redact_all(lua_State *L, size_t of_len)
{
    size_t len;

    for (lua_pushnil(L); lua_next(L, LIVE); lua_pop(L, 1)) {
        const Box *box = lua_touserdata(L, -1);

        if (!box->secret) continue;
        mp_secret_key(box->secret, &len);
        if (len == of_len) redact(L, box->secret);
    }
}

/* secret_redact(text) -> the text with every key that lives replaced: the
 * longest first, of which others may be a part */
static int f_secret_redact(lua_State *L)
{
    size_t len = (size_t)-1;

    luaL_checkstring(L, 1);
    lua_settop(L, 1);
    while ((len = next_length(L, len)) >= REDACT_FROM)
        redact_all(L, len);
    return 1;
}

static const luaL_Reg functions[] = {
    {"secret_new", f_secret_new},
    {"secret_env", f_secret_env},
    {"secret_file", f_secret_file},
    {"secret_command", f_secret_command},
    {"secret_take", f_secret_take},
    {"secret_ask", f_secret_ask},
    {"secret_prefixed", f_secret_prefixed},
    {"secret_is", f_secret_is},
    {"secret_id", f_secret_id},
    {"secret_redact", f_secret_redact},
    {NULL, NULL},
};

/* [-0, +0] __metatable hides it from getmetatable. */
static void make_metatable(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"__gc", f_gc},
        {"__tostring", f_tostring},
        {"__concat", f_concat},
        {NULL, NULL},
    };

    luaL_newmetatable(L, SECRET_MT);
    luaL_register(L, NULL, methods);
    lua_pushliteral(L, "secret");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

/* [-0, +1] */
static void push_live(lua_State *L)
{
    lua_newtable(L);
    lua_newtable(L);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
}

void mp_bind_secrets(lua_State *L)
{
    make_metatable(L);
    luaL_newmetatable(L, PLACE_MT);
    lua_pushcfunction(L, f_place_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    push_live(L);
    luaL_openlib(L, NULL, functions, 1);
}
