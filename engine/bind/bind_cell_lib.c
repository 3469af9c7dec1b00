/*
 * bind_cell_lib.c: the native functions inside of a locked-in VM.
 *
 * Those of ours that compute on what they are given (JSON, the translator,
 * coroutines), patterns that can be stopped, and `guard`, which boot.lua puts
 * around every C function that may take long: it looks at the time after it,
 * and at the C stack before, which LuaJIT does not.
 */
#include "bind_cell.h"

#include "clock.h"
#include "pattern.h"

#include <string.h>
#include <unistd.h>

/* Of the C stack; hosts may run us on a thread with little. */
#define STACK_MAX ((uintptr_t)384 << 10)

/* --- guard --- */

static bool is_deep(const mp_Cell *cell)
{
    uintptr_t here = (uintptr_t)&cell;

    return cell->stack > here && cell->stack - here > STACK_MAX;
}

static int f_guarded(lua_State *L)
{
    int count = lua_gettop(L);

    if (is_deep(mp_cell_of(L))) return luaL_error(L, "C stack overflow");
    luaL_checkstack(L, 1, "call");
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, count, LUA_MULTRET);
    mp_cell_check(L);
    return lua_gettop(L);
}

/* guard(fn) -> fn that raises when the time is over */
static int f_guard(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_pushcclosure(L, f_guarded, 1);
    return 1;
}

/* --- patterns --- */

static bool go_on(void *userdata)
{
    return !mp_cell_is_over(userdata);
}

static void push_capture(lua_State *L, const mp_Pattern *m, int index)
{
    const mp_Capture *one = &m->captures[index];

    if (one->len == MP_PATTERN_OPEN) luaL_error(L, "unfinished capture");
    if (one->len == MP_PATTERN_POSITION)
        lua_pushinteger(L, one->at - m->text + 1);
    else
        lua_pushlstring(L, one->at, (size_t)one->len);
}

/* [-0, +n] */
static int push_match(lua_State *L, const mp_Pattern *m, const char *begin,
                      const char *end)
{
    luaL_checkstack(L, m->count + 2, "captures");
    lua_pushinteger(L, begin - m->text + 1);
    lua_pushinteger(L, end - m->text);
    for (int i = 0; i < m->count; i++)
        push_capture(L, m, i);
    return m->count + 2;
}

/* The place from which to search; behind the end counts as the end. */
static const char *start_of(const char *text, size_t len, lua_Number init)
{
    if (init < 0) init += (lua_Number)len + 1;
    if (!(init >= 1)) init = 1;
    return init > (lua_Number)len ? text + len : text + (size_t)init - 1;
}

/* pattern_find(text, pattern, init[, here]) -> nil | first, last, captures…
 * With [here] `^` is a letter, as in gmatch. */
static int f_pattern_find(lua_State *L)
{
    size_t len, pattern_len;
    const char *text = luaL_checklstring(L, 1, &len);
    const char *pattern = luaL_checklstring(L, 2, &pattern_len);
    const char *at = start_of(text, len, luaL_optnumber(L, 3, 1));
    const char *begin = at, *end = NULL;
    mp_Pattern m;

    mp_pattern_init(&m, text, len, pattern, pattern_len);
    m.go_on = go_on;
    m.userdata = mp_cell_of(L);
    m.literal = lua_toboolean(L, 4);
    end = mp_pattern_find(&m, at, &begin);
    mp_cell_check(L);
    if (m.problem) return luaL_error(L, "%s", m.problem);
    if (end) return push_match(L, &m, begin, end);
    lua_pushnil(L);
    return 1;
}

/* plain_find(text, wanted, init) -> nil | first, last */
static int f_plain_find(lua_State *L)
{
    size_t len, wanted_len;
    const char *text = luaL_checklstring(L, 1, &len);
    const char *wanted = luaL_checklstring(L, 2, &wanted_len);
    const char *at = start_of(text, len, luaL_optnumber(L, 3, 1));

    at = memmem(at, len - (size_t)(at - text), wanted, wanted_len);
    mp_cell_check(L);
    if (!at) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, at - text + 1);
    lua_pushinteger(L, at - text + (lua_Integer)wanted_len);
    return 2;
}

/* pattern_is_plain(pattern) -> boolean */
static int f_pattern_is_plain(lua_State *L)
{
    size_t len;
    const char *pattern = luaL_checklstring(L, 1, &len);

    lua_pushboolean(L, mp_pattern_is_plain(pattern, len));
    return 1;
}

/* --- the rest --- */

static int f_now(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)mp_clock_us() / 1e6);
    return 1;
}

static int f_wall(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)mp_clock_wall_us() / 1e6);
    return 1;
}

/* random(count) -> bytes, at most 256 */
static int f_random(lua_State *L)
{
    char bytes[256];
    size_t count = (size_t)luaL_checkinteger(L, 1) % (sizeof bytes + 1);

    if (getentropy(bytes, count) != 0) return luaL_error(L, "no random bytes");
    lua_pushlstring(L, bytes, count);
    return 1;
}

/* block_max() -> bytes that a text can have */
static int f_block_max(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)mp_cell_of(L)->block_max);
    return 1;
}

static const luaL_Reg functions[] = {
    {"guard", f_guard},
    {"pattern_find", f_pattern_find},
    {"plain_find", f_plain_find},
    {"pattern_is_plain", f_pattern_is_plain},
    {"now", f_now},
    {"wall", f_wall},
    {"random", f_random},
    {"block_max", f_block_max},
    {NULL, NULL},
};

int mp_cell_natives(lua_State *L)
{
    lua_newtable(L);
    mp_bind_text(L);
    mp_bind_task(L);
    mp_bind_json(L);
    mp_bind_load(L);
    luaL_register(L, NULL, functions);
    lua_pushliteral(L, MOONPIPE_VERSION);
    lua_setfield(L, -2, "version");
    return 1;
}
