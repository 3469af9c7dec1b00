/*
 * failing.c: makes allocations of the engine fail, from Lua.
 *
 * Linked with the whole engine into a module of the guest's name, so that
 *
 *     local failing = package.loadlib(path, "luaopen_failing")()
 *     failing.at(7, true)  -- the seventh from now fails, and all behind it
 *     failing.at(0)        -- none does
 *     failing.count()      -- those since failing.at
 *     failing.live()       -- blocks that are alive
 *
 * sets the hook of base/alloc.h in the very copy that `require "moonpipe"` has.
 */
#include "alloc.h"

#include <lauxlib.h>
#include <lua.h>

__attribute__((visibility("default"))) int luaopen_failing(lua_State *L);

static int f_at(lua_State *L)
{
    mp_alloc_fail_at((int64_t)luaL_checknumber(L, 1), lua_toboolean(L, 2));
    return 0;
}

static int f_count(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)mp_alloc_count());
    return 1;
}

static int f_live(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)mp_alloc_live());
    return 1;
}

int luaopen_failing(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"at", f_at}, {"count", f_count}, {"live", f_live}, {NULL, NULL}};

    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
