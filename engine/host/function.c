/*
 * function.c: functions of the host, as steps and as tools.
 *
 * C is called with an id and the input, and answers by that id: steps.lua waits
 * for it. A function that is given values gets a box, which is emptied when it
 * returns.
 */
#include "host.h"

#include "err.h"
#include "value.h"

#include <string.h>

/* --- asking -----------------------------------------------------------------
 */

/* What Lua keeps of a function: one of the two is set. */
typedef struct Function {
    moonpipe_Function text;
    moonpipe_ValueFunction value;
    void *userdata;
} Function;

/* next_id() -> id */
static int f_next_id(lua_State *L)
{
    lua_pushnumber(L, mp_host_id());
    return 1;
}

static void ask(lua_State *L, const Function *function, uint64_t id)
{
    size_t length;
    const char *text;

    if (function->value) {
        function->value(function->userdata, id, mp_value_in(L, 3));
        moonpipe_free(mp_value_out(L, 3));
    } else {
        text = luaL_checklstring(L, 3, &length);
        function->text(function->userdata, id, text, length);
    }
}

/* invoke(function, id, text or box) */
static int f_invoke(lua_State *L)
{
    const Function *function = lua_touserdata(L, 1);
    moonpipe_Engine *engine = mp_host_engine(L);
    lua_State *before;

    if (!engine) return luaL_error(L, "the host's engine was closed");
    luaL_checkstack(L, LUA_MINSTACK, "callback");
    before = mp_host_enter_callback(engine, L);
    ask(L, function, (uint64_t)lua_tonumber(L, 2));
    mp_host_leave_callback(engine, before);
    return 0;
}

/* --- registering ------------------------------------------------------------
 */

/* [-0, +1] nil where there is none. */
static void push_data(lua_State *L, const Function *function)
{
    Function *copy;

    if (!function->text && !function->value) {
        lua_pushnil(L);
        return;
    }
    copy = lua_newuserdata(L, sizeof *copy);
    *copy = *function;
}

/* [-0, +1] nil where it takes texts. */
static void push_take(lua_State *L, const Function *function)
{
    if (function->value)
        lua_pushcfunction(L, mp_value_take);
    else
        lua_pushnil(L);
}

typedef struct Step {
    const char *name;
    Function function;
    int flags;
} Step;

static int push_step(lua_State *L, const void *arguments)
{
    const Step *step = arguments;

    lua_pushstring(L, step->name);
    lua_pushinteger(L, step->flags);
    push_data(L, &step->function);
    lua_pushcfunction(L, f_invoke);
    lua_pushcfunction(L, f_next_id);
    push_take(L, &step->function);
    return 6;
}

static int register_step(moonpipe_Engine *engine, const Step *step)
{
    const mp_HostCall call = {
        .name = "register", .push = push_step, .arguments = step};

    return mp_host_call(engine, &call) ? 0 : MOONPIPE_FAILED;
}

int moonpipe_register(moonpipe_Engine *engine, const char *name,
                      moonpipe_Function function, void *userdata, int flags)
{
    const Step step = {.name = name,
                       .function = {.text = function, .userdata = userdata},
                       .flags = flags};

    return register_step(engine, &step);
}

int moonpipe_register_value(moonpipe_Engine *engine, const char *name,
                            moonpipe_ValueFunction function, void *userdata)
{
    const Step step = {.name = name,
                       .function = {.value = function, .userdata = userdata}};

    return register_step(engine, &step);
}

/* [-0, +1] nil for NULL */
static void push_string(lua_State *L, const char *text)
{
    if (text)
        lua_pushstring(L, text);
    else
        lua_pushnil(L);
}

static int push_tool(lua_State *L, const void *arguments)
{
    const moonpipe_Tool *tool = arguments;
    const Function call = {.value = tool->on_call, .userdata = tool->userdata};
    const Function confirm = {.value = tool->on_confirm,
                              .userdata = tool->userdata};

    push_string(L, tool->name);
    push_string(L, tool->description);
    push_string(L, tool->schema);
    push_data(L, &call);
    lua_pushcfunction(L, f_invoke);
    lua_pushcfunction(L, f_next_id);
    push_take(L, &call);
    if (!tool->on_confirm) return 7;
    push_data(L, &confirm);
    return 8;
}

int moonpipe_register_tool(moonpipe_Engine *engine, const moonpipe_Tool *tool)
{
    moonpipe_Tool known;
    const mp_HostCall call = {
        .name = "register_tool", .push = push_tool, .arguments = &known};

    moonpipe_tool_init(&known);
    mp_host_copy(&known, sizeof known, tool);
    return mp_host_call(engine, &call) ? 0 : MOONPIPE_FAILED;
}

/* --- answering --------------------------------------------------------------
 */

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

typedef struct ValueAnswer {
    uint64_t id;
    const moonpipe_Value *value;
} ValueAnswer;

static int answer_by(moonpipe_Engine *engine, const char *name,
                     const Answer *answer)
{
    int taken = 0;
    const mp_HostCall call = {.name = name,
                              .push = push_answer,
                              .arguments = answer,
                              .take = mp_host_take_flag,
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

static int push_value_answer(lua_State *L, const void *arguments)
{
    const ValueAnswer *answer = arguments;

    lua_pushnumber(L, (lua_Number)answer->id);
    mp_value_push(L, answer->value);
    return 2;
}

/* What cannot go into Lua fails the step: else it would wait for ever. */
static int answer_value(moonpipe_Engine *engine, const ValueAnswer *answer)
{
    int taken = 0;
    const mp_HostCall call = {.name = "complete_value",
                              .push = push_value_answer,
                              .arguments = answer,
                              .take = mp_host_take_flag,
                              .results = &taken,
                              .wakes = true};

    if (mp_host_takes(engine, answer->value) && mp_host_call(engine, &call))
        return taken;
    return moonpipe_fail(engine, answer->id, engine->error.kind,
                         engine->error.message);
}

int moonpipe_complete_value(moonpipe_Engine *engine, uint64_t id,
                            moonpipe_Value *result)
{
    const ValueAnswer answer = {id, result};
    lua_State *before;
    int taken = 0;

    if (mp_host_is_own(engine)) {
        before = mp_host_enter_callback(engine, engine->L); /* it stays */
        taken = answer_value(engine, &answer);
        mp_host_leave_callback(engine, before);
    }
    moonpipe_free(result);
    return taken;
}

int moonpipe_fail(moonpipe_Engine *engine, uint64_t id, int kind,
                  const char *message)
{
    const Answer answer = {id, kind ? kind : MOONPIPE_KIND_TOOL, message,
                           message ? strlen(message) : 0};

    return answer_by(engine, "fail", &answer);
}
