/*
 * call.c: chains, calls of them, and functions of the host.
 *
 * Callbacks are C functions that Lua calls in the call's own task. While one
 * runs, calls of ours are made on that task's coroutine: the VM's main thread
 * is in the middle of resuming it.
 */
#include "host.h"

#include "err.h"

#include <string.h>

/* As in calls.lua. */
enum { TOKEN = 1, DONE = 2, FAILED = 3 };

/* Doubles of Lua hold ids up to 2^53. */
lua_Number mp_host_id(void)
{
    static atomic_ullong last;

    return (lua_Number)(atomic_fetch_add(&last, 1) + 1);
}

/* --- chains -----------------------------------------------------------------
 */

typedef struct Load {
    lua_Number id;
    const char *name; /* or path */
    const char *text; /* NULL: of a file */
    size_t length;
} Load;

static int push_load(lua_State *L, const void *arguments)
{
    const Load *load = arguments;

    lua_pushnumber(L, load->id);
    lua_pushstring(L, load->name);
    if (!load->text) return 2;
    lua_pushlstring(L, load->text, load->length);
    return 3;
}

static uint64_t load_chain(moonpipe_Engine *engine, const char *function,
                           const Load *load)
{
    const mp_HostCall call = {.name = function,
                              .push = push_load,
                              .arguments = load,
                              .outermost = true};

    return mp_host_call(engine, &call) ? (uint64_t)load->id : 0;
}

uint64_t moonpipe_load_file(moonpipe_Engine *engine, const char *path)
{
    const Load load = {.id = mp_host_id(), .name = path};

    return load_chain(engine, "load_file", &load);
}

uint64_t moonpipe_load_text(moonpipe_Engine *engine, const char *name,
                            const char *text, size_t length)
{
    const Load load = {
        .id = mp_host_id(), .name = name, .text = text, .length = length};

    return load_chain(engine, "load_text", &load);
}

static int push_id(lua_State *L, const void *arguments)
{
    const uint64_t *id = arguments;

    lua_pushnumber(L, (lua_Number)*id);
    return 1;
}

void moonpipe_drop(moonpipe_Engine *engine, uint64_t chain)
{
    const mp_HostCall call = {
        .name = "drop", .push = push_id, .arguments = &chain};

    mp_host_call(engine, &call);
}

/* --- calls ------------------------------------------------------------------
 */

void moonpipe_options_init(moonpipe_Options *options)
{
    memset(options, 0, sizeof *options);
    options->size = sizeof *options;
}

static void tell_error(lua_State *L, const moonpipe_Options *options,
                       uint64_t id)
{
    moonpipe_Error error;

    if (!options->on_error) return;
    luaL_checktype(L, 4, LUA_TTABLE);
    mp_error_read(L, 4, &error);
    options->on_error(options->userdata, id, &error);
}

static void tell(lua_State *L, const moonpipe_Options *options)
{
    uint64_t id = (uint64_t)lua_tonumber(L, 2);
    size_t length = 0;
    const char *text = lua_tolstring(L, 4, &length);

    switch (lua_tointeger(L, 3)) {
    case TOKEN:
        if (options->on_token)
            options->on_token(options->userdata, id, text, length);
        break;
    case DONE:
        if (options->on_done)
            options->on_done(options->userdata, id, text, length);
        break;
    default: tell_error(L, options, id);
    }
}

/* tell(options, id, what, text or list of the error) */
static int f_tell(lua_State *L)
{
    moonpipe_Engine *engine = mp_host_engine(L);
    lua_State *before;

    if (!engine) return 0;
    luaL_checkstack(L, LUA_MINSTACK, "callback");
    before = mp_host_enter_callback(engine, L);
    tell(L, lua_touserdata(L, 1));
    mp_host_leave_callback(engine, before);
    return 0;
}

typedef struct Start {
    lua_Number id;
    lua_Number chain;
    const char *input;
    size_t length;
    moonpipe_Options options;
} Start;

static int push_start(lua_State *L, const void *arguments)
{
    const Start *start = arguments;
    void *options;

    lua_pushnumber(L, start->id);
    lua_pushnumber(L, start->chain);
    lua_pushlstring(L, start->input ? start->input : "", start->length);
    lua_pushinteger(L, start->options.flags);
    lua_pushnumber(L, start->options.timeout);
    lua_pushboolean(L, start->options.on_token != NULL);
    options = lua_newuserdata(L, sizeof start->options);
    memcpy(options, &start->options, sizeof start->options);
    lua_pushcfunction(L, f_tell);
    return 8;
}

uint64_t moonpipe_start(moonpipe_Engine *engine, uint64_t chain,
                        const char *input, size_t length,
                        const moonpipe_Options *options)
{
    Start start = {.id = mp_host_id(),
                   .chain = (lua_Number)chain,
                   .input = input,
                   .length = length};
    const mp_HostCall call = {.name = "start",
                              .push = push_start,
                              .arguments = &start,
                              .wakes = true};

    moonpipe_options_init(&start.options);
    mp_host_copy(&start.options, sizeof start.options, options);
    return mp_host_call(engine, &call) ? (uint64_t)start.id : 0;
}

static void take_flag(lua_State *L, void *results)
{
    *(int *)results = (int)lua_tointeger(L, 1);
}

int moonpipe_cancel(moonpipe_Engine *engine, uint64_t id)
{
    int cancelled = 0;
    const mp_HostCall call = {.name = "cancel",
                              .push = push_id,
                              .arguments = &id,
                              .take = take_flag,
                              .results = &cancelled,
                              .wakes = true};

    return mp_host_call(engine, &call) ? cancelled : 0;
}

typedef struct Wait {
    uint64_t id;
    int64_t timeout_us;
} Wait;

static int push_wait(lua_State *L, const void *arguments)
{
    const Wait *wait = arguments;

    lua_pushnumber(L, (lua_Number)wait->id);
    lua_pushnumber(L, (lua_Number)wait->timeout_us / 1e6);
    return 2;
}

int moonpipe_wait(moonpipe_Engine *engine, uint64_t id, int64_t timeout_us)
{
    const Wait wait = {id, timeout_us};
    int ended = -1;
    const mp_HostCall call = {.name = "wait",
                              .push = push_wait,
                              .arguments = &wait,
                              .take = take_flag,
                              .results = &ended,
                              .outermost = true};

    return mp_host_call(engine, &call) ? ended : -1;
}

/* --- the log ----------------------------------------------------------------
 */

/* log(level, text) -> whether it was taken */
static int f_log(lua_State *L)
{
    moonpipe_Engine *engine = mp_host_engine(L);
    int level = (int)luaL_checkinteger(L, 1);
    size_t length;
    const char *text = luaL_checklstring(L, 2, &length);
    lua_State *before;

    lua_pushboolean(L, engine != NULL);
    if (!engine) return 1; /* the VM has outlived it */
    luaL_checkstack(L, LUA_MINSTACK, "callback");
    before = mp_host_enter_callback(engine, L);
    engine->on_log(engine->log_userdata, level, text, length);
    mp_host_leave_callback(engine, before);
    return 1;
}

static int push_log(lua_State *L, const void *arguments)
{
    (void)arguments;
    lua_pushcfunction(L, f_log);
    return 1;
}

bool mp_host_set_log(moonpipe_Engine *engine)
{
    const mp_HostCall call = {.name = "set_log", .push = push_log};

    return mp_host_call(engine, &call);
}

/* --- scripts that are locked in ---------------------------------------------
 */

void moonpipe_sandbox_init(moonpipe_Sandbox *sandbox)
{
    memset(sandbox, 0, sizeof *sandbox);
    sandbox->size = sizeof *sandbox;
}

static int push_sandbox(lua_State *L, const void *arguments)
{
    const moonpipe_Sandbox *sandbox = arguments;

    if (sandbox->grants)
        lua_pushstring(L, sandbox->grants);
    else
        lua_pushnil(L);
    lua_pushnumber(L, (lua_Number)sandbox->memory);
    lua_pushnumber(L, sandbox->seconds);
    lua_pushnumber(L, (lua_Number)sandbox->instructions);
    lua_pushboolean(L, sandbox->isolate);
    return 5;
}

bool mp_host_set_sandbox(moonpipe_Engine *engine,
                         const moonpipe_Sandbox *sandbox)
{
    moonpipe_Sandbox known;
    const mp_HostCall call = {
        .name = "set_sandbox", .push = push_sandbox, .arguments = &known};

    moonpipe_sandbox_init(&known);
    mp_host_copy(&known, sizeof known, sandbox);
    return mp_host_call(engine, &call);
}

/* --- functions of the host --------------------------------------------------
 */

typedef struct Function {
    const char *name;
    moonpipe_Function call;
    void *userdata;
    int flags;
} Function;

/* next_id() -> id */
static int f_next_id(lua_State *L)
{
    lua_pushnumber(L, mp_host_id());
    return 1;
}

/* invoke(function, id, text) */
static int f_invoke(lua_State *L)
{
    const Function *function = lua_touserdata(L, 1);
    uint64_t id = (uint64_t)lua_tonumber(L, 2);
    moonpipe_Engine *engine = mp_host_engine(L);
    lua_State *before;
    size_t length;
    const char *text = luaL_checklstring(L, 3, &length);

    if (!engine) return luaL_error(L, "the host's engine was closed");
    luaL_checkstack(L, LUA_MINSTACK, "callback");
    before = mp_host_enter_callback(engine, L);
    function->call(function->userdata, id, text, length);
    mp_host_leave_callback(engine, before);
    return 0;
}

static int push_function(lua_State *L, const void *arguments)
{
    const Function *function = arguments;
    Function *copy;

    lua_pushstring(L, function->name);
    lua_pushinteger(L, function->flags);
    copy = lua_newuserdata(L, sizeof *copy);
    *copy = *function;
    copy->name = NULL; /* borrowed, and not needed any more */
    lua_pushcfunction(L, f_invoke);
    lua_pushcfunction(L, f_next_id);
    return 5;
}

int moonpipe_register(moonpipe_Engine *engine, const char *name,
                      moonpipe_Function function, void *userdata, int flags)
{
    const Function all = {name, function, userdata, flags};
    const mp_HostCall call = {
        .name = "register", .push = push_function, .arguments = &all};

    return mp_host_call(engine, &call) ? 0 : MOONPIPE_FAILED;
}

typedef struct Answer {
    uint64_t id;
    int kind; /* NONE: a result */
    const char *text;
    size_t length;
} Answer;

static int push_answer(lua_State *L, const void *arguments)
{
    const Answer *answer = arguments;

    lua_pushnumber(L, (lua_Number)answer->id);
    if (answer->kind != MOONPIPE_KIND_NONE)
        lua_pushstring(L, mp_err_name((mp_Kind)answer->kind));
    lua_pushlstring(L, answer->text ? answer->text : "", answer->length);
    return answer->kind == MOONPIPE_KIND_NONE ? 2 : 3;
}

static int answer_by(moonpipe_Engine *engine, const char *name,
                     const Answer *answer)
{
    int taken = 0;
    const mp_HostCall call = {.name = name,
                              .push = push_answer,
                              .arguments = answer,
                              .take = take_flag,
                              .results = &taken,
                              .wakes = true};

    return mp_host_call(engine, &call) ? taken : 0;
}

int moonpipe_complete(moonpipe_Engine *engine, uint64_t id, const char *result,
                      size_t length)
{
    const Answer answer = {id, MOONPIPE_KIND_NONE, result, length};

    return answer_by(engine, "complete", &answer);
}

int moonpipe_fail(moonpipe_Engine *engine, uint64_t id, int kind,
                  const char *message)
{
    const Answer answer = {id, kind ? kind : MOONPIPE_KIND_TOOL, message,
                           message ? strlen(message) : 0};

    return answer_by(engine, "fail", &answer);
}
