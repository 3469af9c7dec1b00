/*
 * call.c: chains and calls of them; the log and the sandbox.
 *
 * Callbacks are C functions that Lua calls in the call's own task. While one
 * runs, calls of ours are made on that task's coroutine: the VM's main thread
 * is in the middle of resuming it.
 */
#include "host.h"

#include "value.h"

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

static void tell_error(lua_State *L, const moonpipe_Options *options,
                       uint64_t id)
{
    moonpipe_Error error;

    if (!options->on_error) return;
    luaL_checktype(L, 4, LUA_TTABLE);
    mp_error_read(L, 4, &error);
    options->on_error(options->userdata, id, &error);
}

static void tell_done(lua_State *L, const moonpipe_Options *options,
                      uint64_t id)
{
    size_t length = 0;
    const char *text = lua_tolstring(L, 4, &length);

    if (options->on_value)
        options->on_value(options->userdata, id, mp_value_in(L, 4));
    else if (options->on_done)
        options->on_done(options->userdata, id, text, length);
}

static void tell(lua_State *L, const moonpipe_Options *options)
{
    uint64_t id = (uint64_t)lua_tonumber(L, 2);
    size_t length = 0;
    const char *text;

    switch (lua_tointeger(L, 3)) {
    case TOKEN:
        text = lua_tolstring(L, 4, &length);
        if (options->on_token)
            options->on_token(options->userdata, id, text, length);
        break;
    case DONE: tell_done(L, options, id); break;
    default: tell_error(L, options, id);
    }
}

/* What Lua keeps of a call's options. */
typedef struct Plan {
    moonpipe_Options options;
    bool kept; /* the result is moonpipe_call's */
} Plan;

/* tell(plan, id, what, text or list of the error or box of the result) */
static int f_tell(lua_State *L)
{
    moonpipe_Engine *engine = mp_host_engine(L);
    const Plan *plan = lua_touserdata(L, 1);
    lua_State *before;

    if (!engine) return 0;
    luaL_checkstack(L, LUA_MINSTACK, "callback");
    before = mp_host_enter_callback(engine, L);
    tell(L, &plan->options);
    if (lua_isuserdata(L, 4) && !plan->kept) moonpipe_free(mp_value_out(L, 4));
    mp_host_leave_callback(engine, before);
    return 0;
}

typedef struct Start {
    lua_Number id;
    lua_Number chain;
    const char *input;
    size_t length;
    const moonpipe_Value *value; /* NULL: [input] it is */
    Plan plan;
} Start;

/* For steps.lua, beside the flags of the header. */
#define VALUE_IN 4

/* [-0, +2] The input, and the flags that say how it is to be read. */
static void push_input(lua_State *L, const Start *start)
{
    int flags = start->plan.options.flags & MOONPIPE_TEXT;

    if (start->value) {
        mp_value_push(L, start->value);
        flags = (flags & ~MOONPIPE_TEXT_IN) | VALUE_IN;
    } else {
        lua_pushlstring(L, start->input ? start->input : "", start->length);
    }
    lua_pushinteger(L, flags);
}

static int push_start(lua_State *L, const void *arguments)
{
    const Start *start = arguments;
    const moonpipe_Options *options = &start->plan.options;
    Plan *plan;

    lua_pushnumber(L, start->id);
    lua_pushnumber(L, start->chain);
    push_input(L, start);
    lua_pushnumber(L, options->timeout);
    lua_pushboolean(L, options->on_token != NULL);
    plan = lua_newuserdata(L, sizeof *plan);
    *plan = start->plan;
    lua_pushcfunction(L, f_tell);
    if (!options->on_value && !plan->kept) return 8;
    lua_pushcfunction(L, mp_value_take);
    return 9;
}

static void init_start(Start *start, uint64_t chain,
                       const moonpipe_Options *options)
{
    *start = (Start){.id = mp_host_id(), .chain = (lua_Number)chain};
    moonpipe_options_init(&start->plan.options);
    mp_host_copy(&start->plan.options, sizeof start->plan.options, options);
}

static uint64_t start_call(moonpipe_Engine *engine, const Start *start)
{
    const mp_HostCall call = {
        .name = "start", .push = push_start, .arguments = start, .wakes = true};

    return mp_host_call(engine, &call) ? (uint64_t)start->id : 0;
}

uint64_t moonpipe_start(moonpipe_Engine *engine, uint64_t chain,
                        const char *input, size_t length,
                        const moonpipe_Options *options)
{
    Start start;

    init_start(&start, chain, options);
    start.input = input;
    start.length = length;
    return start_call(engine, &start);
}

uint64_t moonpipe_start_value(moonpipe_Engine *engine, uint64_t chain,
                              moonpipe_Value *input,
                              const moonpipe_Options *options)
{
    uint64_t id = 0;
    Start start;

    init_start(&start, chain, options);
    start.value = input;
    if (mp_host_takes(engine, input)) id = start_call(engine, &start);
    moonpipe_free(input);
    return id;
}

static void take_value(lua_State *L, void *results)
{
    *(moonpipe_Value **)results = mp_value_out(L, 1);
}

moonpipe_Value *moonpipe_call(moonpipe_Engine *engine, uint64_t chain,
                              moonpipe_Value *input,
                              const moonpipe_Options *options)
{
    Start start;
    moonpipe_Value *result = NULL;
    const mp_HostCall call = {.name = "call",
                              .push = push_start,
                              .arguments = &start,
                              .take = take_value,
                              .results = &result,
                              .outermost = true};

    init_start(&start, chain, options);
    start.value = input;
    start.plan.kept = true;
    start.plan.options.on_done = NULL;
    start.plan.options.on_error = NULL;
    start.plan.options.on_value = NULL;
    if (mp_host_takes(engine, input)) mp_host_call(engine, &call);
    moonpipe_free(input);
    return result;
}

void mp_host_take_flag(lua_State *L, void *results)
{
    *(int *)results = (int)lua_tointeger(L, 1);
}

int moonpipe_cancel(moonpipe_Engine *engine, uint64_t id)
{
    int cancelled = 0;
    const mp_HostCall call = {.name = "cancel",
                              .push = push_id,
                              .arguments = &id,
                              .take = mp_host_take_flag,
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
                              .take = mp_host_take_flag,
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
