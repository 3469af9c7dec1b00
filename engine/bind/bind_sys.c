/*
 * bind_sys.c: the clock, the environment of the process, a little of the
 * terminal.
 */
#include "bind.h"

#include "clock.h"

#include <unistd.h>

/* now() -> seconds, monotonic */
static int f_now(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)mp_clock_us() / 1e6);
    return 1;
}

/* wall() -> seconds since 1970, for people and logs */
static int f_wall(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)mp_clock_wall_us() / 1e6);
    return 1;
}

/* thread_cpu() -> seconds of CPU time that this thread has used */
static int f_thread_cpu(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)mp_clock_thread_us() / 1e6);
    return 1;
}

/* isatty(fd) -> boolean */
static int f_isatty(lua_State *L)
{
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

static const luaL_Reg functions[] = {
    {"now", f_now},       {"wall", f_wall}, {"thread_cpu", f_thread_cpu},
    {"isatty", f_isatty}, {NULL, NULL},
};

void mp_bind_sys(lua_State *L)
{
    luaL_register(L, NULL, functions);
    lua_pushliteral(L, MOONPIPE_VERSION);
    lua_setfield(L, -2, "version");
}
