/*
 * bind_sys.c: the clock, the environment of the process, a little of the
 * terminal.
 */
#include "bind.h"

#include "alarm.h"
#include "clock.h"

#include <sys/ioctl.h>
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

/* columns(fd) -> how many the terminal has, or nil where it is none or does not
 * tell */
static int f_columns(lua_State *L)
{
    struct winsize size;

    if (ioctl((int)luaL_checkinteger(L, 1), TIOCGWINSZ, &size) != 0 ||
        size.ws_col == 0)
        return 0;
    lua_pushinteger(L, size.ws_col);
    return 1;
}

/* alarm(seconds): tells the program then, which may be where Lua hears nothing;
 * 0 takes that back. A host that handles no SIGALRM is told nothing. */
static int f_alarm(lua_State *L)
{
    double seconds = luaL_checknumber(L, 1);

    mp_alarm_by(seconds < 1e9 ? (int64_t)(seconds * 1e6) : 0);
    return 0;
}

static const luaL_Reg functions[] = {
    {"alarm", f_alarm}, {"columns", f_columns},       {"isatty", f_isatty},
    {"now", f_now},     {"thread_cpu", f_thread_cpu}, {"wall", f_wall},
    {NULL, NULL},
};

void mp_bind_sys(lua_State *L)
{
    luaL_register(L, NULL, functions);
    lua_pushliteral(L, MOONPIPE_VERSION);
    lua_setfield(L, -2, "version");
}
