/*
 * api.c: engines: opening, running, updating, closing.
 *
 * Each function is one call into lua/moonpipe/tool/embed.lua under lua_pcall,
 * by mp_host_call; see call.c for chains and callbacks.
 *
 * The VM and the engine may end in either order: the VM holds a box with a
 * pointer to the engine, and whoever goes first clears the other's pointer.
 */
#include "host.h"

#include "alloc.h"
#include "bind.h"
#include "clock.h"
#include "os.h"
#include "secret.h"
#include "value.h"

#include <luajit.h>
#include <lualib.h>
#include <string.h>

#define BOX_KEY "moonpipe.host"
#define STACK   16 /* slots that a call needs at most */

/* --- opening ----------------------------------------------------------------
 */

const char *moonpipe_version(void)
{
    return MOONPIPE_VERSION;
}

static int f_gc_box(lua_State *L)
{
    moonpipe_Engine **box = lua_touserdata(L, 1);

    if (!*box) return 0;
    (*box)->L = NULL;
    (*box)->engine = NULL;
    *box = NULL;
    return 0;
}

moonpipe_Engine *mp_host_engine(lua_State *L)
{
    moonpipe_Engine **box;

    lua_getfield(L, LUA_REGISTRYINDEX, BOX_KEY);
    box = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return box ? *box : NULL;
}

/* [-0, +0] */
static void push_box(lua_State *L, moonpipe_Engine *engine)
{
    engine->box = lua_newuserdata(L, sizeof *engine->box);
    *engine->box = engine;
    lua_newtable(L);
    lua_pushcfunction(L, f_gc_box);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_setfield(L, LUA_REGISTRYINDEX, BOX_KEY);
}

static int f_open(lua_State *L)
{
    moonpipe_Engine *engine = lua_touserdata(L, 1);

    if (mp_host_engine(L)) return luaL_error(L, "one engine a VM");
    mp_bind_preload(L);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "moonpipe.native");
    lua_call(L, 1, 0);
    mp_error_prepare(L);
    mp_value_prepare(L);
    engine->engine = mp_bind_engine(L);
    push_box(L, engine);
    return 0;
}

/* What loads at first is kept for good: cycles meanwhile would find nothing to
 * free, so the first one waits until there is as much as this. A pause, in
 * percent of what is alive, counts from the end of a cycle. */
#define FIRST_CYCLE_KB 4096

static void put_off_collection(lua_State *L)
{
    int usual = lua_gc(L, LUA_GCSETPAUSE,
                       FIRST_CYCLE_KB * 100 / lua_gc(L, LUA_GCCOUNT, 0));

    lua_gc(L, LUA_GCCOLLECT, 0);
    lua_gc(L, LUA_GCSETPAUSE, usual);
}

static int f_open_libs(lua_State *L)
{
    luaL_openlibs(L);
    put_off_collection(L);
    return 0;
}

static moonpipe_Engine *new_engine(lua_State *L)
{
    moonpipe_Engine *engine = mp_alloc_zero(1, sizeof *engine);

    if (!engine) return NULL;
    mp_error_set(&engine->error, MOONPIPE_KIND_NONE, "");
    engine->thread = mp_os_thread();
    engine->L = L;
    if (lua_cpcall(L, f_open, engine) == 0) return engine;
    lua_pop(L, 1);
    if (engine->box) *engine->box = NULL;
    mp_alloc_free(engine);
    return NULL;
}

/* [engine], or NULL: then it was closed. */
static moonpipe_Engine *configured(moonpipe_Engine *engine,
                                   const moonpipe_Config *config)
{
    if (config->no_cores) mp_secret_forbid_cores();
    if (config->memory > 0 && !engine->guest)
        mp_vm_limit(engine->L, &engine->limit, config->memory);
    if (config->on_wake)
        mp_engine_tell(engine->engine, config->on_wake, config->wake_userdata);
    engine->on_log = config->on_log;
    engine->log_userdata = config->log_userdata;
    if ((!config->on_log || mp_host_set_log(engine)) &&
        (!config->sandbox || mp_host_set_sandbox(engine, config->sandbox)))
        return engine;
    moonpipe_close(engine);
    return NULL;
}

moonpipe_Engine *moonpipe_open(const moonpipe_Config *given)
{
    moonpipe_Config config;
    moonpipe_Engine *engine = NULL;
    lua_State *L = mp_vm_new();

    if (!L) return NULL;
    moonpipe_config_init(&config);
    mp_host_copy(&config, sizeof config, given);
    if (lua_cpcall(L, f_open_libs, NULL) == 0) {
        if (!config.jit || config.memory > 0)
            luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
        engine = new_engine(L);
    }
    if (!engine) lua_close(L);
    return engine ? configured(engine, &config) : NULL;
}

moonpipe_Engine *moonpipe_attach(void *L, const moonpipe_Config *given)
{
    const mp_HostCall attach = {.name = "attach"};
    moonpipe_Config config;
    moonpipe_Engine *engine = new_engine(L);

    if (!engine) return NULL;
    moonpipe_config_init(&config);
    mp_host_copy(&config, sizeof config, given);
    engine->guest = true;
    if (mp_host_call(engine, &attach)) return configured(engine, &config);
    moonpipe_close(engine);
    return NULL;
}

bool mp_host_is_own(const moonpipe_Engine *engine)
{
    return engine && mp_os_thread() == engine->thread;
}

void *moonpipe_state(moonpipe_Engine *engine)
{
    return mp_host_is_own(engine) ? engine->L : NULL;
}

/* --- calling Lua ------------------------------------------------------------
 */

/* [-1, +0] The function to call and what it needs come as a mp_HostCall. */
static int f_call(lua_State *L)
{
    const mp_HostCall *call = lua_touserdata(L, 1);
    int count = 0;

    lua_getglobal(L, "require");
    lua_pushliteral(L, "moonpipe.tool.embed");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, call->name);
    if (call->push) count = call->push(L, call->arguments);
    lua_call(L, count, LUA_MULTRET);
    lua_remove(L, 2); /* the module, and what it was asked by */
    lua_remove(L, 1);
    if (call->take) call->take(L, call->results);
    return 0;
}

/* [-1, +1] Message handler: the list that mp_error_read reads. */
static int f_describe(lua_State *L)
{
    mp_vm_lift(&mp_host_engine(L)->limit, true); /* it may be what failed */
    lua_settop(L, 1);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "moonpipe.tool.embed");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "describe");
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

/* [-1, +0] */
static void take_error(moonpipe_Engine *engine, lua_State *L, int status)
{
    if (lua_istable(L, -1)) {
        mp_error_keep(L, engine);
        return;
    }
    lua_pop(L, 1);
    if (status == LUA_ERRMEM)
        mp_error_set(&engine->error, MOONPIPE_KIND_MEMORY, "not enough memory");
    else
        mp_error_set(&engine->error, MOONPIPE_KIND_INTERNAL,
                     "the error could not be described");
}

/* Whether a call cannot begin; then the error says why. */
static bool refuse(moonpipe_Engine *engine, const mp_HostCall *call)
{
    if (!engine->L)
        mp_error_set(&engine->error, MOONPIPE_KIND_CLOSED, "the VM was closed");
    else if (call->outermost && engine->depth > 0)
        mp_error_set(&engine->error, MOONPIPE_KIND_UNSUPPORTED,
                     "a callback may not run, load, update or wait");
    else
        return false;
    return true;
}

static void leave(moonpipe_Engine *engine)
{
    if (--engine->depth > 0) return;
    atomic_store(&engine->running_lua, false);
    if (engine->closing) moonpipe_close(engine);
}

typedef struct Frame {
    moonpipe_Engine *engine;
    const mp_HostCall *call;
    bool failed;
} Frame;

/* Whatever may need memory happens in here: where the VM has none, that is an
 * error and no panic, which would end the process. */
static int f_protected(lua_State *L)
{
    Frame *frame = lua_touserdata(L, 1);
    int status;

    luaL_checkstack(L, STACK, "call");
    mp_vm_collect(L, &frame->engine->limit);
    lua_pushcfunction(L, f_describe);
    lua_pushcfunction(L, f_call);
    lua_pushlightuserdata(L, (void *)(uintptr_t)frame->call);
    status = lua_pcall(L, 1, 0, 2);
    frame->failed = status != 0;
    mp_vm_lift(&frame->engine->limit, true); /* the error needs some, too */
    if (frame->failed) take_error(frame->engine, L, status);
    return 0;
}

bool mp_host_call(moonpipe_Engine *engine, const mp_HostCall *call)
{
    Frame frame = {.engine = engine, .call = call};
    lua_State *L;
    bool good, lifted;
    int status;

    if (!mp_host_is_own(engine)) return false;
    mp_error_set(&engine->error, MOONPIPE_KIND_NONE, "");
    if (refuse(engine, call)) return false;
    L = engine->L;
    engine->depth++;
    atomic_store(&engine->running_lua, true);
    lifted = mp_vm_lift(&engine->limit, true);
    status = lua_cpcall(L, f_protected, &frame);
    if (status != 0) take_error(engine, L, status);
    mp_vm_lift(&engine->limit, lifted);
    good = status == 0 && !frame.failed;
    if (good && call->wakes && engine->engine) mp_engine_wake(engine->engine);
    leave(engine);
    return good;
}

lua_State *mp_host_enter_callback(moonpipe_Engine *engine, lua_State *L)
{
    lua_State *before = engine->L;

    engine->depth++;
    engine->L = L;
    return before;
}

void mp_host_leave_callback(moonpipe_Engine *engine, lua_State *before)
{
    engine->L = before;
    leave(engine);
}

/* --- closing ----------------------------------------------------------------
 */

void moonpipe_close(moonpipe_Engine *engine)
{
    const mp_HostCall close = {.name = "close"};

    if (!engine || !mp_host_is_own(engine)) return;
    if (engine->depth > 0) {
        engine->closing = !engine->dying;
        return;
    }
    engine->closing = false;
    engine->dying = true; /* callbacks may close again */
    if (engine->L) mp_host_call(engine, &close);
    if (engine->L) {
        if (engine->guest) mp_engine_tell(engine->engine, NULL, NULL);
        *engine->box = NULL;
        mp_vm_unlimit(engine->L, &engine->limit);
        if (!engine->guest) lua_close(engine->L);
    }
    mp_alloc_free(engine);
}

/* --- scripts ----------------------------------------------------------------
 */

typedef struct Script {
    const char *first; /* path, or name of the text; NULL: a command */
    const char *text;  /* NULL: there is none */
    size_t length;
    int argc;
    char *const *argv;
} Script;

typedef struct Outcome {
    moonpipe_Engine *engine;
    int code;
} Outcome;

static int push_script(lua_State *L, const void *arguments)
{
    const Script *script = arguments;

    if (script->first) lua_pushstring(L, script->first);
    if (script->text) {
        lua_pushlstring(L, script->text, script->length);
        return 2;
    }
    lua_createtable(L, script->argc, 0);
    for (int i = 0; i < script->argc; i++) {
        lua_pushstring(L, script->argv[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return script->first ? 2 : 1;
}

/* code[, error] */
static void take_outcome(lua_State *L, void *results)
{
    Outcome *outcome = results;

    outcome->code = (int)lua_tointeger(L, 1);
    if (lua_istable(L, 2)) mp_error_keep(L, outcome->engine);
}

static int run(moonpipe_Engine *engine, const char *name, const Script *script)
{
    Outcome outcome = {engine, MOONPIPE_FAILED};
    const mp_HostCall call = {.name = name,
                              .push = push_script,
                              .arguments = script,
                              .take = take_outcome,
                              .results = &outcome,
                              .outermost = true};

    return mp_host_call(engine, &call) ? outcome.code : MOONPIPE_FAILED;
}

int moonpipe_run_file(moonpipe_Engine *engine, const char *path, int argc,
                      char *const argv[])
{
    const Script script = {.first = path, .argc = argc, .argv = argv};

    return run(engine, "run_file", &script);
}

int moonpipe_run_text(moonpipe_Engine *engine, const char *name,
                      const char *text, size_t length)
{
    const Script script = {.first = name, .text = text, .length = length};

    return run(engine, "run_text", &script);
}

int moonpipe_command(moonpipe_Engine *engine, int argc, char *const argv[])
{
    const Script script = {.argc = argc, .argv = argv};

    return run(engine, "command", &script);
}

/* --- the loop ---------------------------------------------------------------
 */

static int push_seconds(lua_State *L, const void *arguments)
{
    const int64_t *span_us = arguments;

    lua_pushnumber(L, (lua_Number)*span_us / 1e6);
    return 1;
}

static void take_ready(lua_State *L, void *results)
{
    int64_t *ready = results;

    *ready = (int64_t)lua_tonumber(L, 1);
}

int64_t moonpipe_update(moonpipe_Engine *engine, int64_t budget_us)
{
    int64_t ready = -1;
    const mp_HostCall call = {.name = "update",
                              .push = push_seconds,
                              .arguments = &budget_us,
                              .take = take_ready,
                              .results = &ready,
                              .outermost = true};

    if (!mp_host_call(engine, &call)) return -1;
    return ready;
}

int moonpipe_fd(moonpipe_Engine *engine)
{
    if (!mp_host_is_own(engine) || !engine->engine) return -1;
    return mp_engine_fd(engine->engine);
}

/* How long Lua has to notice an interrupt at its next await before the hook
 * breaks it: our own scheduler must not be hit in the middle of a turn. */
#define PATIENCE_US 100000
#define HOOK_COUNT  1000

static void break_deaf_lua(lua_State *L, lua_Debug *ar)
{
    moonpipe_Engine *engine = mp_host_engine(L);

    (void)ar;
    if (!engine || !mp_engine_is_interrupted(engine->engine)) {
        lua_sethook(L, NULL, 0, 0);
        return;
    }
    if (mp_clock_us() < atomic_load(&engine->deaf_until_us)) return;
    lua_sethook(L, NULL, 0, 0);
    luaL_error(L, "interrupted");
}

/* lua_sethook is the one function of Lua that a signal handler may call, but
 * only on the thread that runs Lua: it changes what the interpreter and the
 * compiler are working on. The hook breaks a loop of interpreted Lua; a
 * compiled loop is deaf. */
void moonpipe_interrupt(moonpipe_Engine *engine)
{
    if (!engine || !engine->engine) return;
    atomic_store(&engine->deaf_until_us, mp_clock_us() + PATIENCE_US);
    mp_engine_interrupt(engine->engine);
    if (atomic_load(&engine->running_lua) && mp_os_thread() == engine->thread)
        lua_sethook(engine->L, break_deaf_lua, LUA_MASKCOUNT, HOOK_COUNT);
}
