/*
 * host.h: what the files of the public API share.
 *
 * Everything that can be said in Lua is: each function of moonpipe.h is one
 * call of lua/moonpipe/tool/embed.lua under lua_pcall.
 *
 * Threads: the engine's own, but for what moonpipe_interrupt touches.
 */
#ifndef MP_HOST_H
#define MP_HOST_H

#include "moonpipe.h"

#include "bind_vm.h"
#include "engine.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Strings are Lua's or literals. Whoever fills it keeps them alive. */
struct moonpipe_Error {
    int kind;
    const char *text, *name, *message, *path, *where, *json;
};

struct moonpipe_Engine {
    /* Where Lua is called: the VM's main thread, or in a callback the coroutine
     * that made it. NULL when the VM was closed. */
    lua_State *L;
    /* NULL: standard error */
    void (*on_log)(void *userdata, int level, const char *text, size_t length);
    void *log_userdata;
    mp_Engine *engine;       /* borrowed from the VM: for moonpipe_interrupt */
    moonpipe_Engine **box;   /* in the VM; tells when that closes */
    moonpipe_Error error;    /* its strings are in the registry */
    uintptr_t thread;        /* which opened it; never changes */
    atomic_bool running_lua; /* an interrupt may set the hook */
    atomic_llong deaf_until_us;
    mp_VmLimit limit;
    int depth;    /* calls into Lua that are on the stack */
    bool guest;   /* the VM is somebody else's */
    bool closing; /* close was called within a callback */
    bool dying;   /* close is at work */
};

/* One call into Lua: [name] is a function of embed.lua or calls.lua;
 * push(L, arguments) pushes its arguments and says how many; take(L, results)
 * reads its results, which begin at index 1. Either may be NULL. */
typedef struct mp_HostCall {
    const char *name;
    int (*push)(lua_State *L, const void *arguments);
    const void *arguments;
    void (*take)(lua_State *L, void *results);
    void *results;
    bool outermost; /* may not be made within a callback */
    bool wakes;     /* leaves work that only moonpipe_fd can tell of */
} mp_HostCall;

/* Makes the call. False: it failed, and moonpipe_error says why. The engine may
 * be gone after it, if a callback has closed it. */
bool mp_host_call(moonpipe_Engine *engine, const mp_HostCall *call);

/* A mp_HostCall.take of one that gives 1 or 0, to an int. */
void mp_host_take_flag(lua_State *L, void *results);

/* Whether [value], that the host gave, can go into Lua; else moonpipe_error
 * says why not. False on another thread than the engine's. */
bool mp_host_takes(moonpipe_Engine *engine, const moonpipe_Value *value);

/* Whether this is the engine's thread. Any may ask. */
bool mp_host_is_own(const moonpipe_Engine *engine);

/* Lets Lua log by engine->on_log. False as mp_host_call. */
bool mp_host_set_log(moonpipe_Engine *engine);

/* Locks scripts in. False as mp_host_call. */
bool mp_host_set_sandbox(moonpipe_Engine *engine,
                         const moonpipe_Sandbox *sandbox);

/* The engine of the VM of [L]; NULL when it was closed. */
moonpipe_Engine *mp_host_engine(lua_State *L);

/* Makes [error] that of the list at [index]: { text, kind, message, path,
 * where, json }, which must stay alive. */
void mp_error_read(lua_State *L, int index, moonpipe_Error *error);

/* Makes [error] one of literals. */
void mp_error_set(moonpipe_Error *error, int kind, const char *message);

/* [-0, +0] Makes room for the next one: may raise. */
void mp_error_prepare(lua_State *L);

/* [-1, +0] Keeps the list at the top for engine->error. */
void mp_error_keep(lua_State *L, moonpipe_Engine *engine);

/* Copies [size] bytes of [from] (NULL: none), a struct that begins with its
 * size and may be older or younger than ours, over the defaults in [to]. */
void mp_host_copy(void *to, size_t size, const void *from);

/* An id for a chain, a call or an answer: no other engine has it. */
lua_Number mp_host_id(void);

/* [-0, +0] Around a call of the host's code out of a function of [L]: calls of
 * ours in it run on [L]. Give what enter returned to leave. */
lua_State *mp_host_enter_callback(moonpipe_Engine *engine, lua_State *L);
void mp_host_leave_callback(moonpipe_Engine *engine, lua_State *before);

#endif
