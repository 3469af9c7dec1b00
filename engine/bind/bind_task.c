/*
 * bind_task.c: coroutines of our own.
 *
 * Hosts replace the coroutine library (nginx does, and so does our binary), so
 * tasks are made and resumed here, by the Lua API itself. Yielding stays in
 * Lua: C never yields.
 */
#include "bind.h"
#include "bind_watch.h"

/* OpenResty's LuaJIT alone has it. A thread inherits the request that nginx
 * notes in it, by which nginx takes its yields for that request's own. */
extern void lua_setexdata(lua_State *L, void *request) __attribute__((weak));

/* thread_new(fn) -> thread */
static int f_thread_new(lua_State *L)
{
    lua_State *co;

    luaL_checktype(L, 1, LUA_TFUNCTION);
    co = lua_newthread(L);
    if (lua_setexdata) lua_setexdata(co, NULL);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return 1;
}

/* thread_resume(thread, value) -> true, yielded or returned value
 *                               | false, error value */
static int f_thread_resume(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    int status;

    if (!co) return luaL_argerror(L, 1, "thread expected");
    lua_settop(L, 2);
    lua_xmove(L, co, 1);
    mp_bind_turn();
    status = lua_resume(co, 1);
    mp_bind_turn();
    lua_pushboolean(L, status == 0 || status == LUA_YIELD);
    if (lua_gettop(co) == 0) return 1;
    if (status == 0 || status == LUA_YIELD) lua_settop(co, 1);
    lua_xmove(co, L, 1);
    return 2;
}

/* thread_yieldable() -> the running thread where a yield of the caller can
 * work: on a coroutine with no C call in between; else nothing */
static int f_thread_yieldable(lua_State *L)
{
    if (!lua_isyieldable(L)) return 0;
    lua_pushthread(L);
    return 1;
}

static const luaL_Reg functions[] = {
    {"thread_new", f_thread_new},
    {"thread_resume", f_thread_resume},
    {"thread_yieldable", f_thread_yieldable},
    {NULL, NULL},
};

void mp_bind_task(lua_State *L)
{
    luaL_register(L, NULL, functions);
}
