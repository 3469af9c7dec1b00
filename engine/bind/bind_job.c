/*
 * bind_job.c: submit, cancel, drain, wait, seen from Lua.
 *
 * The engine of a lua_State is a userdata that all functions share as their
 * upvalue; its __gc is the sentinel that makes closing the VM safe at any
 * moment: it cancels, waits and joins.
 */
#include "bind.h"

#include "bind_floats.h"
#include "bind_inbox.h"
#include "bind_watch.h"
#include "clock.h"
#include "engine.h"
#include "job.h"
#include "timer.h"

#define ENGINE_KEY "moonpipe.engine"

typedef struct Holder {
    mp_Engine *engine;
} Holder;

static int f_gc(lua_State *L)
{
    Holder *holder = lua_touserdata(L, 1);

    mp_engine_free(holder->engine);
    holder->engine = NULL;
    return 0;
}

/* NULL in finalizers that run after the sentinel's, while the VM closes: what
 * asks then finds an engine without jobs, and closed() tells. */
static mp_Engine *engine_of(lua_State *L)
{
    Holder *holder = lua_touserdata(L, lua_upvalueindex(1));

    return holder->engine;
}

mp_Engine *mp_bind_engine(lua_State *L)
{
    Holder *holder;

    lua_getfield(L, LUA_REGISTRYINDEX, ENGINE_KEY);
    holder = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return holder ? holder->engine : NULL;
}

int mp_bind_submit(lua_State *L, mp_Job *job)
{
    mp_Engine *engine = mp_bind_engine(L);
    mp_Error err;
    uint64_t id;

    if (!engine) {
        if (job) job->cls->free(job);
        mp_err_set(&err, MP_KIND_CLOSED, "the engine is closed");
        return mp_bind_fail(L, &err);
    }
    if (mp_engine_submit(engine, job, &id, &err) != MP_OK)
        return mp_bind_fail(L, &err);
    lua_pushnumber(L, (lua_Number)id);
    return 1;
}

/* timer(seconds) -> id: done that many seconds from now */
static int f_timer(lua_State *L)
{
    return mp_bind_submit(L,
                          mp_timer_new(mp_clock_after(luaL_checknumber(L, 1))));
}

/* cancel(id): its terminal event still comes */
static int f_cancel(lua_State *L)
{
    mp_Engine *engine = engine_of(L);

    if (engine) mp_engine_cancel(engine, (uint64_t)luaL_checknumber(L, 1));
    return 0;
}

static void push_buf(lua_State *L, const mp_Buf *buf)
{
    if (buf->len > 0)
        lua_pushlstring(L, buf->data, buf->len);
    else
        lua_pushnil(L);
}

static void push_cargo(lua_State *L, mp_Event *event)
{
    if (event->floats.data)
        mp_bind_push_floats(L, &event->floats);
    else
        push_buf(L, &event->bytes);
}

/* Frees the event that the box in upvalue 2 holds: pushing a long string may
 * raise, and then the next call frees it. */
static void free_boxed(mp_Event **box)
{
    mp_job_free_event(*box);
    *box = NULL;
}

/* [-0, +7] Gives how many. */
static int push_terminal(lua_State *L, mp_Event *event)
{
    mp_bind_inbox_end(event->job);
    lua_pushnumber(L, (lua_Number)event->id);
    lua_pushinteger(L, event->kind);
    if (event->kind == MP_EVENT_FAILED) {
        lua_pushstring(L, event->job->err->message);
        lua_pushstring(L, mp_err_name(event->job->err->kind));
    } else {
        push_cargo(L, event);
        lua_pushnil(L);
    }
    push_buf(L, &event->head);
    if (event->job->waited_us == 0 && event->job->together == 0) return 5;
    lua_pushnumber(L, (lua_Number)event->job->waited_us / 1e6);
    lua_pushnumber(L, event->job->together);
    return 7;
}

/* next_event() -> nil | id, kind, bytes, Floats or message, kind of error,
 * head, seconds in queues or nil, jobs that were done as one with it or nil
 * kind: 0 chunk, 1 done, 2 failed, 3 cancelled. Of chunks only the first that
 * its reader has not seen is told: the inbox has them. */
static int f_next_event(lua_State *L)
{
    mp_Event **box = lua_touserdata(L, lua_upvalueindex(2));
    mp_Engine *engine = engine_of(L);
    int count = 0;

    free_boxed(box);
    while (count == 0 && engine && (*box = mp_engine_next(engine))) {
        if ((*box)->job) {
            count = push_terminal(L, *box);
            free_boxed(box);
        } else if (mp_bind_inbox_keep(box)) {
            lua_pushnumber(L, (lua_Number)(*box)->id);
            lua_pushinteger(L, MP_EVENT_CHUNK);
            *box = NULL;
            count = 2;
        }
    }
    return count;
}

/* wait(seconds or nil) -> true if there is an event. Blocks. */
static int f_wait(lua_State *L)
{
    double seconds = luaL_optnumber(L, 1, -1);
    int64_t limit_us = seconds < 0 ? -1 : mp_clock_span(seconds);
    mp_Engine *engine = engine_of(L);

    mp_bind_turn();
    lua_pushboolean(L, engine && mp_engine_wait(engine, limit_us));
    return 1;
}

/* fd() -> a descriptor that is readable while there are events; -1: closed */
static int f_fd(lua_State *L)
{
    mp_Engine *engine = engine_of(L);

    lua_pushinteger(L, engine ? mp_engine_fd(engine) : -1);
    return 1;
}

/* wake(): the descriptor of fd() is readable until the next event is asked for;
 * nothing where nobody asked for it */
static int f_wake(lua_State *L)
{
    mp_Engine *engine = engine_of(L);

    if (engine) mp_engine_wake(engine);
    return 0;
}

/* live() -> jobs not answered yet */
static int f_live(lua_State *L)
{
    mp_Engine *engine = engine_of(L);

    lua_pushnumber(L, engine ? (lua_Number)mp_engine_live(engine) : 0);
    return 1;
}

/* interrupted() -> true once after Ctrl-C */
static int f_interrupted(lua_State *L)
{
    mp_Engine *engine = engine_of(L);

    lua_pushboolean(L, engine && mp_engine_interrupted(engine));
    return 1;
}

/* closed() -> true while the VM closes: nothing can be waited for any more */
static int f_closed(lua_State *L)
{
    lua_pushboolean(L, engine_of(L) == NULL);
    return 1;
}

static const luaL_Reg functions[] = {
    {"timer", f_timer},
    {"cancel", f_cancel},
    {"next_event", f_next_event},
    {"wait", f_wait},
    {"fd", f_fd},
    {"wake", f_wake},
    {"live", f_live},
    {"interrupted", f_interrupted},
    {"closed", f_closed},
    {NULL, NULL},
};

/* [-0, +1] Pushes the holder with its sentinel, kept in the registry too. */
static void push_holder(lua_State *L)
{
    Holder *holder = lua_newuserdata(L, sizeof *holder);
    mp_Error err;

    holder->engine = NULL;
    lua_newtable(L);
    lua_pushcfunction(L, f_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    if (mp_engine_new(&holder->engine, &err) != MP_OK)
        luaL_error(L, "%s", err.message);
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, ENGINE_KEY);
}

static int f_gc_box(lua_State *L)
{
    free_boxed(lua_touserdata(L, 1));
    return 0;
}

/* [-0, +1] Pushes the box in which an event rests while its cargo is pushed. */
static void push_box(lua_State *L)
{
    mp_Event **box = lua_newuserdata(L, sizeof *box);

    *box = NULL;
    lua_newtable(L);
    lua_pushcfunction(L, f_gc_box);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
}

void mp_bind_job(lua_State *L)
{
    push_holder(L);
    push_box(L);
    luaL_openlib(L, NULL, functions, 2);
}
