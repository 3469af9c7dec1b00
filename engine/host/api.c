/*
 * api.c: moonpipe.h implemented.
 *
 * Everything that can be said in Lua is: api.c opens a VM, calls one function
 * of lua/moonpipe/tool/host.lua under lua_pcall, and keeps the error text.
 */
#include "moonpipe.h"

#include "alloc.h"
#include "bind.h"
#include "clock.h"
#include "engine.h"
#include "os.h"

#include <luajit.h>
#include <lualib.h>
#include <stdatomic.h>
#include <string.h>

#define ENGINE_KEY "moonpipe.host"

struct moonpipe_Engine {
    lua_State *L;
    mp_Engine *engine; /* borrowed from the VM: for moonpipe_interrupt */
    char *error;
    uintptr_t thread;        /* which opened it */
    atomic_bool running_lua; /* an interrupt may set the hook */
    atomic_llong deaf_until_us;
};

const char *moonpipe_version(void)
{
    return MOONPIPE_VERSION;
}

void moonpipe_config_init(moonpipe_Config *config)
{
    memset(config, 0, sizeof *config);
    config->size = sizeof *config;
    config->jit = 1;
}

static int open_vm(lua_State *L)
{
    const moonpipe_Config *config = lua_touserdata(L, 1);

    luaL_openlibs(L);
    if (config && !config->jit)
        luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    mp_bind_preload(L);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "moonpipe.native");
    lua_call(L, 1, 0);
    return 0;
}

moonpipe_Engine *moonpipe_open(const moonpipe_Config *config)
{
    moonpipe_Engine *engine = mp_alloc_zero(1, sizeof *engine);

    if (!engine) return NULL;
    engine->thread = mp_os_thread();
    engine->L = luaL_newstate();
    if (!engine->L ||
        lua_cpcall(engine->L, open_vm, (void *)(uintptr_t)config)) {
        moonpipe_close(engine);
        return NULL;
    }
    engine->engine = mp_bind_engine(engine->L);
    lua_pushlightuserdata(engine->L, engine);
    lua_setfield(engine->L, LUA_REGISTRYINDEX, ENGINE_KEY);
    return engine;
}

void moonpipe_close(moonpipe_Engine *engine)
{
    if (!engine) return;
    if (engine->L) lua_close(engine->L);
    mp_alloc_free(engine->error);
    mp_alloc_free(engine);
}

const char *moonpipe_error(const moonpipe_Engine *engine)
{
    return engine->error ? engine->error : "";
}

/* Keeps a copy of [text]; without memory, the text of that. */
static void keep_error(moonpipe_Engine *engine, const char *text)
{
    mp_alloc_free(engine->error);
    engine->error = text ? mp_alloc_copy(text, strlen(text)) : NULL;
}

/* One call into Lua: a function of moonpipe.tool.host by [name] with its
 * string arguments. It returns an exit code and, where that is not 0, a text.
 */
typedef struct Call {
    const char *name;
    const char *first; /* path, or name of the text; may be NULL */
    const char *text;
    size_t length;
    int argc;
    char *const *argv;
} Call;

static void push_arguments(lua_State *L, const Call *call)
{
    lua_createtable(L, call->argc, 0);
    for (int i = 0; i < call->argc; i++) {
        lua_pushstring(L, call->argv[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_pushstring(L, call->first);
    if (call->text)
        lua_pushlstring(L, call->text, call->length);
    else
        lua_pushnil(L);
}

/* [-1, +2] */
static int f_perform(lua_State *L)
{
    const Call *call = lua_touserdata(L, 1);

    lua_getglobal(L, "require");
    lua_pushliteral(L, "moonpipe.tool.host");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, call->name);
    push_arguments(L, call);
    lua_call(L, 3, 2);
    return 2;
}

/* Message handler: an error that is no string becomes its text. */
static int f_text_of(lua_State *L)
{
    if (!lua_isstring(L, 1) && !luaL_callmeta(L, 1, "__tostring"))
        lua_pushfstring(L, "error of type %s", luaL_typename(L, 1));
    return 1;
}

static int perform(moonpipe_Engine *engine, const Call *call)
{
    lua_State *L = engine->L;
    int code = MOONPIPE_FAILED;

    keep_error(engine, NULL);
    lua_settop(L, 0);
    lua_pushcfunction(L, f_text_of);
    lua_pushcfunction(L, f_perform);
    lua_pushlightuserdata(L, (void *)(uintptr_t)call);
    atomic_store(&engine->running_lua, true);
    if (lua_pcall(L, 1, 2, 1) == 0) code = (int)lua_tointeger(L, 2);
    atomic_store(&engine->running_lua, false);
    if (code != 0) keep_error(engine, lua_tostring(L, -1));
    lua_settop(L, 0);
    return code;
}

int moonpipe_run_file(moonpipe_Engine *engine, const char *path, int argc,
                      char *const argv[])
{
    Call call = {"run_file", path, NULL, 0, argc, argv};

    return perform(engine, &call);
}

int moonpipe_run_text(moonpipe_Engine *engine, const char *name,
                      const char *text, size_t length)
{
    Call call = {"run_text", name, text, length, 0, NULL};

    return perform(engine, &call);
}

int moonpipe_command(moonpipe_Engine *engine, int argc, char *const argv[])
{
    Call call = {"command", NULL, NULL, 0, argc, argv};

    return perform(engine, &call);
}

/* How long Lua has to notice an interrupt at its next await before the hook
 * breaks it: our own scheduler must not be hit in the middle of a turn. */
#define PATIENCE_US 100000
#define HOOK_COUNT  1000

static void break_deaf_lua(lua_State *L, lua_Debug *ar)
{
    moonpipe_Engine *engine;

    (void)ar;
    lua_getfield(L, LUA_REGISTRYINDEX, ENGINE_KEY);
    engine = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (!mp_engine_is_interrupted(engine->engine)) {
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
    atomic_store(&engine->deaf_until_us, mp_clock_us() + PATIENCE_US);
    mp_engine_interrupt(engine->engine);
    if (atomic_load(&engine->running_lua) && mp_os_thread() == engine->thread)
        lua_sethook(engine->L, break_deaf_lua, LUA_MASKCOUNT, HOOK_COUNT);
}
