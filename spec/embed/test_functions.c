/*
 * test_functions.c: functions of the host as steps, answered at once, later, or
 * never.
 */
#include "host.h"

enum { MANY = 50 };

typedef struct Host {
    moonpipe_Engine *engine;
    uint64_t answers[MANY];
    int asked;
    char input[256];
} Host;

static void shout(void *userdata, uint64_t answer, const char *input,
                  size_t length)
{
    Host *host = userdata;

    host->input[0] = '\0';
    add(host->input, sizeof host->input, input, length);
    CHECK(moonpipe_complete(host->engine, answer, "LOUD", 4) == 1);
    CHECK(moonpipe_complete(host->engine, answer, "again", 5) == 0);
}

static void sum(void *userdata, uint64_t answer, const char *input,
                size_t length)
{
    Host *host = userdata;

    CHECK(strcmp(input, "{\"a\":1,\"b\":[2,3]}") == 0);
    CHECK(length == strlen(input));
    moonpipe_complete(host->engine, answer, "{\"sum\": 6}", 10);
}

static void later(void *userdata, uint64_t answer, const char *input,
                  size_t length)
{
    Host *host = userdata;

    CHECK(input[length] == '\0');
    if (host->asked < MANY) host->answers[host->asked++] = answer;
}

static void fails(void *userdata, uint64_t answer, const char *input,
                  size_t length)
{
    Host *host = userdata;

    (void)input;
    CHECK(moonpipe_fail(host->engine, answer,
                        length > 3 ? MOONPIPE_KIND_QUOTA : 0, "no luck") == 1);
}

static void test_answers_at_once(Host *host)
{
    Told told;

    CHECK(
        !moonpipe_register(host->engine, "shout", shout, host, MOONPIPE_TEXT));
    CHECK(!moonpipe_register(host->engine, "sum", sum, host, 0));
    call_text(host->engine,
              "local mp = require 'moonpipe'\n"
              "return mp.host.shout | function(x) return x .. '!' end",
              "\"hello\"", &told);
    CHECK(strcmp(host->input, "hello") == 0);
    CHECK(strcmp(told.result, "\"LOUD!\"") == 0);
    call_text(host->engine,
              "local mp = require 'moonpipe'\n"
              "return { x = mp.host_step('sum') }",
              "{\"a\": 1, \"b\": [2, 3]}", &told);
    CHECK(strcmp(told.result, "{\"x\":{\"sum\":6}}") == 0);
}

static void test_answers_later(Host *host)
{
    Told told;
    moonpipe_Options options = telling(&told, 0);
    uint64_t chain;

    CHECK(!moonpipe_register(host->engine, "later", later, host, 0));
    chain = load(host->engine, "local step = require('moonpipe').host.later\n"
                               "return { a = step, b = step }");
    host->asked = 0;
    CHECK(start(host->engine, chain, "1", &options) != 0);
    CHECK(moonpipe_update(host->engine, -1) == 0);
    CHECK(host->asked == 2 && told.done == 0);
    CHECK(moonpipe_complete(host->engine, host->answers[1], "2", 1) == 1);
    CHECK(moonpipe_wait(host->engine, 0, 1000) == 0);
    CHECK(moonpipe_complete(host->engine, host->answers[0], "1", 1) == 1);
    CHECK(moonpipe_wait(host->engine, 0, -1) == 1);
    CHECK(strstr(told.result, "\"a\":") && strstr(told.result, "\"b\":"));
}

/* Nobody is there to answer: waiting for ever is an error, not a hang. */
static void test_is_never_answered(Host *host)
{
    Told told;
    moonpipe_Options options = telling(&told, 0);
    uint64_t call,
        chain = load(host->engine, "return require('moonpipe').host.later");

    host->asked = 0;
    call = start(host->engine, chain, "1", &options);
    CHECK(moonpipe_wait(host->engine, call, -1) == -1);
    CHECK(kind_of(host->engine) == MOONPIPE_KIND_INTERNAL);
    CHECK(moonpipe_cancel(host->engine, call) == 1);
    CHECK(moonpipe_wait(host->engine, call, -1) == 1);
    CHECK(told.kind == MOONPIPE_KIND_CANCELLED);
    CHECK(moonpipe_complete(host->engine, host->answers[0], "1", 1) == 0);
}

static void test_is_cancelled(Host *host)
{
    Told told;
    moonpipe_Options options = telling(&told, 0);
    uint64_t chain =
        load(host->engine, "return { a = require('moonpipe').host.later,\n"
                           "  b = function() error('b fails') end }");

    host->asked = 0;
    CHECK(start(host->engine, chain, "1", &options) != 0);
    CHECK(moonpipe_wait(host->engine, 0, -1) == 1);
    CHECK(told.errors == 1 && told.kind == MOONPIPE_KIND_LUA);
    CHECK(moonpipe_complete(host->engine, host->answers[0], "1", 1) == 0);
}

static void test_fails(Host *host)
{
    Told told;

    CHECK(moonpipe_register(host->engine, "none", NULL, NULL, 0) ==
              MOONPIPE_FAILED &&
          kind_of(host->engine) == MOONPIPE_KIND_INPUT);
    CHECK(moonpipe_register_value(host->engine, NULL, NULL, NULL) ==
              MOONPIPE_FAILED &&
          kind_of(host->engine) == MOONPIPE_KIND_INPUT);
    CHECK(!moonpipe_register(host->engine, "fails", fails, host, 0));
    call_text(host->engine, "return require('moonpipe').host.fails", "1",
              &told);
    CHECK(told.kind == MOONPIPE_KIND_TOOL && strstr(told.result, "no luck"));
    call_text(host->engine, "return require('moonpipe').host.fails", "12345",
              &told);
    CHECK(told.kind == MOONPIPE_KIND_QUOTA);
    CHECK(load(host->engine, "return require('moonpipe').host.fail") == 0);
    CHECK(strstr(moonpipe_error_text(moonpipe_error(host->engine)),
                 "did you mean 'fails'?"));
}

static void answer_no_json(void *userdata, uint64_t answer, const char *input,
                           size_t length)
{
    Host *host = userdata;

    CHECK(length == strlen(input));
    CHECK(moonpipe_complete(host->engine, answer, "{]", 2) == 1);
}

static void test_answers_no_json(Host *host)
{
    Told told;
    uint64_t chain;

    CHECK(!moonpipe_register(host->engine, "json", sum, host, 0));
    chain = load(host->engine, "return require('moonpipe').host.json");
    CHECK(chain != 0); /* and gets the new function */
    CHECK(!moonpipe_register(host->engine, "json", answer_no_json, host, 0));
    call_text(host->engine, "return require('moonpipe').host.json", "1", &told);
    CHECK(told.kind == MOONPIPE_KIND_DECODE);
}

/* In a script that runs: also where the answer comes from a callback. */
static void test_in_a_script(Host *host)
{
    const char text[] = "local mp = require 'moonpipe'\n"
                        "local out = mp.RunnableParallel({\n"
                        "  a = mp.host.shout, b = mp.host.shout }):invoke 'x'\n"
                        "assert(out.a == 'LOUD' and out.b == 'LOUD')";

    CHECK(moonpipe_run_text(host->engine, "test", text, strlen(text)) == 0);
}

static void test_many_at_once(Host *host)
{
    Told told;
    moonpipe_Options options = telling(&told, 0);
    uint64_t chain =
        load(host->engine, "return require('moonpipe').host.later");

    host->asked = 0;
    for (int i = 0; i < MANY; i++)
        CHECK(start(host->engine, chain, "1", &options) != 0);
    while (moonpipe_update(host->engine, -1) > 0) /* a second long at most */
        continue;
    CHECK(host->asked == MANY);
    for (int i = MANY; i-- > 0;)
        moonpipe_complete(host->engine, host->answers[i], "[]", 2);
    CHECK(moonpipe_wait(host->engine, 0, -1) == 1);
    CHECK(told.done == MANY);
}

/* --- a log that closes --- */

typedef struct Closer {
    moonpipe_Engine *engine;
    bool armed;
    int closed;
} Closer;

static void close_at_log(void *closer_, int level, const char *text,
                         size_t length)
{
    Closer *closer = closer_;

    (void)level, (void)text, (void)length;
    if (!closer->armed) return;
    closer->closed++;
    moonpipe_close(closer->engine);
}

/* Each cycle of its collector, and there are many, finds something that logs.
 */
static const char logging_chain[] =
    "local log = require 'moonpipe.log'\n"
    "local function leave_one()\n"
    "  getmetatable(newproxy(true)).__gc = function()\n"
    "    leave_one()\n"
    "    log.sink(2, 'gone')\n"
    "  end\n"
    "end\n"
    "leave_one()\n"
    "collectgarbage('setpause', 1)\n"
    "collectgarbage('setstepmul', 10000)\n"
    "collectgarbage()\n"
    "return function(x) return x end";

static void test_a_log_closes_the_engine_while_a_call_starts(void)
{
    static char input[1 << 18];
    Closer closer = {.armed = false};
    moonpipe_Config config;
    uint64_t chain;

    moonpipe_config_init(&config);
    config.on_log = close_at_log;
    config.log_userdata = &closer;
    closer.engine = moonpipe_open(&config);
    chain = moonpipe_load_text(closer.engine, "test", logging_chain,
                               strlen(logging_chain));
    CHECK(chain != 0);
    memset(input, ',', sizeof input);
    for (size_t i = 1; i < sizeof input; i += 2)
        input[i] = '1';
    input[0] = '[';
    input[sizeof input - 1] = ']';
    input[sizeof input - 2] = ' ';
    input[sizeof input - 3] = '1';
    closer.armed = true;
    moonpipe_start(closer.engine, chain, input, sizeof input, NULL);
    CHECK(closer.closed > 0);
    if (!closer.closed) moonpipe_close(closer.engine);
}

int main(void)
{
    Host host = {.engine = moonpipe_open(NULL)};

    CHECK(host.engine != NULL);
    test_answers_at_once(&host);
    test_answers_later(&host);
    test_is_never_answered(&host);
    test_is_cancelled(&host);
    test_fails(&host);
    test_answers_no_json(&host);
    test_in_a_script(&host);
    test_many_at_once(&host);
    moonpipe_close(host.engine);
    test_a_log_closes_the_engine_while_a_call_starts();
    return TEST_END();
}
