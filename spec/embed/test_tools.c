/*
 * test_tools.c: functions of the host that are given values, as steps and as
 * tools that models call.
 */
#include "host.h"

#define MAX 16

typedef struct Host {
    moonpipe_Engine *engine;
    uint64_t answers[MAX];
    int asked, confirmed;
    char seen[256];
    moonpipe_Value *said; /* what confirm answers; NULL: it waits */
} Host;

static const char *text_of(const moonpipe_Value *value, const char *path)
{
    return moonpipe_get_text(value, path, NULL);
}

static moonpipe_Value *run(Host *host, const char *text, moonpipe_Value *input)
{
    char script[2048] = "local mp = require 'moonpipe' ";
    uint64_t chain;

    add(script, sizeof script, text, strlen(text));
    chain = load(host->engine, script);
    CHECK(chain != 0);
    return moonpipe_call(host->engine, chain, input, NULL);
}

/* --- steps --- */

static void twice(void *userdata, uint64_t answer, const moonpipe_Value *input)
{
    Host *host = userdata;
    moonpipe_Value *result = moonpipe_new_object();
    moonpipe_Value *more = moonpipe_new_integer(1);

    moonpipe_set(result, "n",
                 moonpipe_new_number(2 * moonpipe_get_number(input, "n")));
    moonpipe_set(result, "was", moonpipe_copy(input));
    CHECK(moonpipe_complete_value(host->engine, answer, result) == 1);
    CHECK(moonpipe_complete_value(host->engine, answer, more) == 0);
}

static void keep_answer(void *userdata, uint64_t answer,
                        const moonpipe_Value *input)
{
    Host *host = userdata;

    (void)input;
    if (host->asked < MAX) host->answers[host->asked++] = answer;
}

static moonpipe_Value *new_n(double n)
{
    moonpipe_Value *value = moonpipe_new_object();

    moonpipe_set(value, "n", moonpipe_new_number(n));
    return value;
}

static void test_steps_take_values(Host *host)
{
    moonpipe_Value *value;

    CHECK(!moonpipe_register_value(host->engine, "twice", twice, host));
    value = run(host, "return { a = mp.host.twice, b = mp.host_step 'twice' }",
                new_n(2));
    CHECK(moonpipe_get_number(value, "a.n") == 4);
    CHECK(moonpipe_get_number(value, "b.was.n") == 2);
    moonpipe_free(value);
}

static void test_steps_answer_later_with_either(Host *host)
{
    Told told;
    moonpipe_Options options = telling(&told, 0);
    uint64_t chain;

    CHECK(!moonpipe_register_value(host->engine, "later", keep_answer, host));
    chain = load(host->engine, "local step = require('moonpipe').host.later\n"
                               "return { a = step, b = step, c = step }");
    CHECK(start(host->engine, chain, "1", &options) != 0);
    CHECK(moonpipe_update(host->engine, -1) == 0);
    CHECK(host->asked == 3);
    CHECK(moonpipe_complete(host->engine, host->answers[0], "[1]", 3) == 1);
    CHECK(moonpipe_complete_value(host->engine, host->answers[1],
                                  moonpipe_new_boolean(0)) == 1);
    CHECK(moonpipe_complete_value(host->engine, host->answers[2],
                                  moonpipe_new_null()) == 1);
    CHECK(moonpipe_wait(host->engine, 0, -1) == 1);
    CHECK(strstr(told.result, "[1]") && strstr(told.result, "false"));
    host->asked = 0;
}

static void answer_nothing(void *userdata, uint64_t answer,
                           const moonpipe_Value *input)
{
    Host *host = userdata;
    moonpipe_Value *broken = moonpipe_copy(input);

    if (moonpipe_type(input) == MOONPIPE_TYPE_STRING) {
        moonpipe_add(broken, moonpipe_new_null());
    } else if (moonpipe_length(input) > 0) { /* a message */
        moonpipe_set(broken, "content", moonpipe_new_integer(1));
    } else {
        moonpipe_free(broken);
        broken = NULL;
    }
    CHECK(moonpipe_complete_value(host->engine, answer, broken) == 1);
}

/* A result that cannot go in fails the step: it does not wait for ever. */
static void test_steps_fail_with_broken_values(Host *host)
{
    moonpipe_Engine *engine = host->engine;
    moonpipe_Value *message;

    CHECK(!moonpipe_register_value(engine, "bad", answer_nothing, host));
    CHECK(!run(host, "return mp.host.bad", moonpipe_new_null()));
    CHECK(kind_of(engine) == MOONPIPE_KIND_MEMORY);
    CHECK(!run(host, "return mp.host.bad", moonpipe_new_string("x")));
    CHECK(kind_of(engine) == MOONPIPE_KIND_INPUT);
    message = run(host, "return function() return mp.AIMessage 'x' end",
                  moonpipe_new_null());
    CHECK(!run(host, "return mp.host.bad", message));
    CHECK(kind_of(engine) == MOONPIPE_KIND_LUA);
    CHECK(!run(host, "return mp.const(print) | mp.host.bad",
               moonpipe_new_null()));
    CHECK(kind_of(engine) == MOONPIPE_KIND_INPUT);
}

/* --- tools --- */

static const char SCHEMA[] =
    "{\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\", "
    "\"minLength\": 2}}, \"required\": [\"city\"]}";

static void weather(void *userdata, uint64_t answer,
                    const moonpipe_Value *arguments)
{
    Host *host = userdata;
    const char *city = text_of(arguments, "city");
    moonpipe_Value *result = moonpipe_new_object();

    host->asked++;
    add(host->seen, sizeof host->seen, city, strlen(city));
    if (strcmp(city, "Atlantis") == 0) {
        moonpipe_free(result);
        moonpipe_fail(host->engine, answer, 0, "no such city");
        return;
    }
    moonpipe_set(result, "rain", moonpipe_new_boolean(1));
    moonpipe_complete_value(host->engine, answer, result);
}

static void confirm(void *userdata, uint64_t answer,
                    const moonpipe_Value *arguments)
{
    Host *host = userdata;

    CHECK(moonpipe_length(arguments) == 1);
    host->confirmed++;
    if (!host->said)
        host->answers[0] = answer;
    else
        moonpipe_complete_value(host->engine, answer,
                                moonpipe_copy(host->said));
}

static moonpipe_Tool weather_tool(Host *host)
{
    moonpipe_Tool tool;

    moonpipe_tool_init(&tool);
    tool.name = "weather";
    tool.description = "The weather of a city.";
    tool.schema = SCHEMA;
    tool.on_call = weather;
    tool.userdata = host;
    host->asked = host->confirmed = 0;
    host->seen[0] = '\0';
    return tool;
}

/* A model that calls the tool for each of CITIES, then says "wet". */
#define AGENT(cities)                                                          \
    "local calls = {}\n"                                                       \
    "for i, city in ipairs { " cities " } do calls[i] = { name = 'weather', "  \
    "id = 'c' .. i, args = { city = city } } end\n"                            \
    "return mp.create_agent { tools = { mp.host.weather }, model = "           \
    "mp.GenericFakeChatModel { messages = {\n"                                 \
    "  mp.AIMessage { tool_calls = calls }, 'wet' } } }"

static void test_models_call_tools(Host *host)
{
    moonpipe_Tool tool = weather_tool(host);
    moonpipe_Value *value;

    CHECK(!moonpipe_register_tool(host->engine, &tool));
    value = run(host, AGENT("'Bergen', 'Atlantis', 'x'"),
                moonpipe_new_string("How is it?"));
    CHECK(strcmp(text_of(value, "output"), "wet") == 0);
    CHECK(strcmp(text_of(value, "messages.1.tool_calls.0.args.city"),
                 "Bergen") == 0);
    CHECK(strcmp(text_of(value, "messages.2"), "{\"rain\":true}") == 0);
    CHECK(strcmp(text_of(value, "messages.2.tool_call_id"), "c1") == 0);
    CHECK(strcmp(text_of(value, "messages.3"), "error: no such city") == 0);
    CHECK(strcmp(text_of(value, "messages.3.status"), "error") == 0);
    CHECK(strstr(text_of(value, "messages.4"), "city"));
    CHECK(strcmp(text_of(value, "messages.4.status"), "error") == 0);
    CHECK(host->asked == 2); /* what the schema refuses does not come here */
    moonpipe_free(value);
}

static void test_tools_are_steps(Host *host)
{
    moonpipe_Tool tool = weather_tool(host);
    moonpipe_Value *value, *city = moonpipe_new_object();

    CHECK(!moonpipe_register_tool(host->engine, &tool));
    moonpipe_set(city, "city", moonpipe_new_string("Oslo"));
    value = run(host, "return mp.host.weather | function(w) return w.rain end",
                city);
    CHECK(moonpipe_get_boolean(value, NULL) == 1);
    CHECK(strcmp(host->seen, "Oslo") == 0);
    moonpipe_free(value);
    value = run(host,
                "return function() return { mp.host.weather.description, "
                "mp.host.weather.args_schema.required[1] } end",
                moonpipe_new_null());
    CHECK(strcmp(text_of(value, "0"), "The weather of a city.") == 0);
    CHECK(strcmp(text_of(value, "1"), "city") == 0);
    moonpipe_free(value);
}

static void test_tools_without_arguments(Host *host)
{
    moonpipe_Tool tool = weather_tool(host);
    moonpipe_Value *value;

    tool.schema = NULL;
    CHECK(!moonpipe_register_tool(host->engine, &tool));
    value = run(host, "return mp.host.weather", moonpipe_new_object());
    CHECK(moonpipe_get_boolean(value, "rain") == 1);
    moonpipe_free(value);
}

static moonpipe_Value *ask_with(Host *host, moonpipe_Value *said)
{
    moonpipe_Value *value;

    host->said = said;
    value = run(host, AGENT("'Bergen'"), moonpipe_new_string("?"));
    moonpipe_free(said);
    host->said = NULL;
    return value;
}

static void test_tools_ask_before(Host *host)
{
    moonpipe_Tool tool = weather_tool(host);
    moonpipe_Value *value;

    tool.on_confirm = confirm;
    CHECK(!moonpipe_register_tool(host->engine, &tool));
    value = ask_with(host, moonpipe_new_boolean(1));
    CHECK(strcmp(text_of(value, "messages.2"), "{\"rain\":true}") == 0);
    CHECK(host->asked == 1 && host->confirmed == 1);
    moonpipe_free(value);
    value = ask_with(host, moonpipe_new_boolean(0));
    CHECK(strstr(text_of(value, "messages.2"), "was not allowed"));
    moonpipe_free(value);
    value = ask_with(host, moonpipe_new_string("yes")); /* is no boolean */
    CHECK(strstr(text_of(value, "messages.2"), "was not allowed"));
    moonpipe_free(value);
    CHECK(host->asked == 1 && host->confirmed == 3);
}

/* Somebody decides in the meantime; the loop goes on. */
static void test_tools_are_confirmed_later(Host *host)
{
    moonpipe_Tool tool = weather_tool(host);
    Told told;
    moonpipe_Options options = telling(&told, 0);
    uint64_t chain;

    tool.on_confirm = confirm;
    CHECK(!moonpipe_register_tool(host->engine, &tool));
    chain = load(host->engine, "return require('moonpipe').host.weather");
    for (int round = 0; round < 2; round++) {
        CHECK(start(host->engine, chain, "{\"city\": \"Bern\"}", &options));
        CHECK(moonpipe_update(host->engine, -1) == 0);
        CHECK(host->confirmed == round + 1 && host->asked == 0);
        if (round == 0)
            CHECK(moonpipe_fail(host->engine, host->answers[0], 0, "not now"));
        else
            CHECK(moonpipe_complete(host->engine, host->answers[0], "true", 4));
        CHECK(moonpipe_wait(host->engine, 0, -1) == 1);
    }
    CHECK(told.errors == 1 && told.kind == MOONPIPE_KIND_TOOL);
    CHECK(told.done == 1 && host->asked == 1);
    CHECK(strcmp(told.result, "{\"rain\":true}") == 0);
}

static void test_new_functions_of_a_name(Host *host)
{
    moonpipe_Tool tool = weather_tool(host);
    uint64_t chain;
    moonpipe_Value *city = moonpipe_new_object();

    tool.on_confirm = confirm;
    CHECK(!moonpipe_register_tool(host->engine, &tool));
    chain = load(host->engine, "return require('moonpipe').host.weather");
    tool.on_confirm = NULL; /* nobody asks any more */
    CHECK(!moonpipe_register_tool(host->engine, &tool));
    moonpipe_set(city, "city", moonpipe_new_string("Bern"));
    moonpipe_free(moonpipe_call(host->engine, chain, city, NULL));
    CHECK(host->confirmed == 0 && host->asked == 1);
}

static void refused(Host *host, const moonpipe_Tool *tool, int kind,
                    const char *message)
{
    const moonpipe_Error *error = moonpipe_error(host->engine);

    CHECK(moonpipe_register_tool(host->engine, tool) == MOONPIPE_FAILED);
    CHECK(moonpipe_error_kind(error) == kind);
    CHECK(strstr(moonpipe_error_message(error), message));
}

static void test_refuses_what_is_no_tool(Host *host)
{
    const moonpipe_Tool good = weather_tool(host);
    moonpipe_Tool tool = good;

    tool.name = "two words";
    refused(host, &tool, MOONPIPE_KIND_LUA, "two words");
    tool.name = NULL;
    refused(host, &tool, MOONPIPE_KIND_LUA, "takes a name");
    tool = good;
    tool.description = NULL;
    refused(host, &tool, MOONPIPE_KIND_LUA, "takes a description");
    tool = good;
    tool.schema = "{\"type\":";
    refused(host, &tool, MOONPIPE_KIND_DECODE, "the schema of a tool");
    tool.schema = "{\"type\": \"string\"}";
    refused(host, &tool, MOONPIPE_KIND_LUA, "schema of an object");
    tool.schema = "[]";
    refused(host, &tool, MOONPIPE_KIND_LUA, "schema of an object");
    tool = good;
    tool.on_call = NULL;
    refused(host, &tool, MOONPIPE_KIND_INPUT, "on_call");
    refused(host, NULL, MOONPIPE_KIND_INPUT, "on_call");
}

/* What a sandbox grants, its scripts call. */
static void test_is_granted(void)
{
    static const char text[] =
        "local mp = require 'moonpipe' "
        "return function(city) local said = mp.tools.weather:invoke { city = "
        "city } return said.rain end";
    Host host = {0};
    moonpipe_Tool tool = weather_tool(&host);
    moonpipe_Config config;
    moonpipe_Sandbox sandbox;
    moonpipe_Value *value;

    moonpipe_config_init(&config);
    moonpipe_sandbox_init(&sandbox);
    sandbox.seconds = 10; /* for slow machines */
    sandbox.grants = "return { tools = { require('moonpipe').host.weather } }";
    config.sandbox = &sandbox;
    host.engine = moonpipe_open(&config);
    CHECK(!moonpipe_register_tool(host.engine, &tool));
    value = moonpipe_call(host.engine, load(host.engine, text),
                          moonpipe_new_string("Rome"), NULL);
    CHECK(moonpipe_get_boolean(value, NULL) == 1 && host.asked == 1);
    moonpipe_free(value);
    moonpipe_close(host.engine);
}

int main(void)
{
    Host host = {.engine = moonpipe_open(NULL)};

    CHECK(host.engine != NULL);
    test_steps_take_values(&host);
    test_steps_answer_later_with_either(&host);
    test_steps_fail_with_broken_values(&host);
    test_models_call_tools(&host);
    test_tools_are_steps(&host);
    test_tools_without_arguments(&host);
    test_tools_ask_before(&host);
    test_tools_are_confirmed_later(&host);
    test_new_functions_of_a_name(&host);
    test_refuses_what_is_no_tool(&host);
    moonpipe_close(host.engine);
    test_is_granted();
    return TEST_END();
}
