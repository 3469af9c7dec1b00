/*
 * test_api.c: a host that sees moonpipe.h alone: chains, calls, streams,
 * cancelling, the loop, errors.
 */
#include "host.h"

#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SLEEPER                                                                \
    "local mp = require 'moonpipe'\n"                                          \
    "return mp.RunnableLambda(function(s) mp.sleep(s) return 'slept' end)"

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* --- values -----------------------------------------------------------------
 */

static void test_gives_json_for_json(moonpipe_Engine *engine)
{
    Told told;

    call_text(engine, "return { double = function(x) return 2 * x.n end }",
              "{\"n\": 21}", &told);
    CHECK(told.done == 1 && told.errors == 0);
    CHECK(strcmp(told.result, "{\"double\":42}") == 0);
    call_text(engine, "return function(x) return x end", "null", &told);
    CHECK(strcmp(told.result, "null") == 0);
    call_text(engine,
              "return function(x) return require('moonpipe').AIMessage(x) end",
              "\"hi\"", &told);
    CHECK(strcmp(told.result, "{\"content\":\"hi\"}") == 0);
}

static void test_gives_text_for_text(moonpipe_Engine *engine)
{
    Told told;
    moonpipe_Options options = telling(&told, MOONPIPE_TEXT);
    uint64_t chain = load(engine, "return function(x) return x .. '!' end");

    CHECK(start(engine, chain, "say \"hi\"", &options) != 0);
    CHECK(told.done == 0); /* it begins at the next update */
    CHECK(moonpipe_update(engine, -1) == 0);
    CHECK(told.done == 1 && strcmp(told.result, "say \"hi\"!") == 0);
    options = telling(&told, MOONPIPE_TEXT);
    CHECK(moonpipe_start(engine, chain, "a\0b", 3, &options) != 0);
    CHECK(moonpipe_wait(engine, 0, -1) == 1);
    CHECK(memcmp(told.result, "a\0b!", 4) == 0);
}

static void test_streams(moonpipe_Engine *engine)
{
    Told told;
    moonpipe_Options options = telling(&told, MOONPIPE_TEXT);
    uint64_t chain = load(
        engine, "local mp = require 'moonpipe'\n"
                "local model = mp.GenericFakeChatModel { messages = { 'one two "
                "three' } }\n"
                "return mp.PromptTemplate.from_template('{x}') | model");

    options.flags = MOONPIPE_TEXT_OUT;
    options.on_token = on_token;
    CHECK(start(engine, chain, "{\"x\": 1}", &options) != 0);
    CHECK(moonpipe_wait(engine, 0, -1) == 1);
    CHECK(told.tokens >= 3 && told.done == 1);
    CHECK(strcmp(told.text, "one two three") == 0);
    CHECK(strcmp(told.result, "one two three") == 0);
}

/* --- failing ----------------------------------------------------------------
 */

static void test_refuses_what_is_no_chain(moonpipe_Engine *engine)
{
    CHECK(load(engine, "return 'text'") == 0);
    CHECK(kind_of(engine) == MOONPIPE_KIND_LUA);
    CHECK(strstr(moonpipe_error_text(moonpipe_error(engine)),
                 "test: a string is not a step"));
    CHECK(load(engine, "local x = 1") == 0);
    CHECK(strstr(moonpipe_error_message(moonpipe_error(engine)),
                 "returns no step; end it with `return chain`"));
    CHECK(load(engine, "return |") == 0);
    CHECK(kind_of(engine) == MOONPIPE_KIND_LUA);
    CHECK(moonpipe_load_file(engine, "/nowhere/chain.lua") == 0);
    CHECK(kind_of(engine) == MOONPIPE_KIND_IO);
    CHECK(start(engine, 0, "1", NULL) == 0); /* nobody looked at the load */
    CHECK(kind_of(engine) == MOONPIPE_KIND_IO);
    CHECK(start(engine, 1u << 30, "1", NULL) == 0);
    CHECK(kind_of(engine) == MOONPIPE_KIND_CLOSED);
    moonpipe_drop(engine, 1u << 30);
    CHECK(kind_of(engine) == MOONPIPE_KIND_NONE);
}

static void test_tells_what_failed(moonpipe_Engine *engine)
{
    Told told;
    uint64_t chain;
    const moonpipe_Error *error = moonpipe_error(engine);

    call_text(engine, "return { a = function() error('broken', 0) end }", "1",
              &told);
    CHECK(told.errors == 1 && told.done == 0);
    CHECK(told.kind == MOONPIPE_KIND_LUA);
    CHECK(strstr(told.result, "broken (in map key 'a'"));
    call_text(engine, "return function() return print end", "1", &told);
    CHECK(told.kind == MOONPIPE_KIND_INPUT); /* a function is no JSON */
    chain = load(engine, "return function(x) return x end");
    CHECK(start(engine, chain, "{\"a\":", NULL) == 0);
    CHECK(moonpipe_error_kind(error) == MOONPIPE_KIND_DECODE);
    CHECK(strcmp(moonpipe_error_name(error), "decode") == 0);
    CHECK(strstr(moonpipe_error_json(error), "\"offset\":5"));
    CHECK(strcmp(moonpipe_error_path(error), "") == 0);
}

static void keep_places(void *userdata, uint64_t call,
                        const moonpipe_Error *error)
{
    char *places = userdata;

    CHECK(call != 0);
    add(places, 256, moonpipe_error_path(error),
        strlen(moonpipe_error_path(error)));
    add(places, 256, " @ ", 3);
    add(places, 256, moonpipe_error_where(error),
        strlen(moonpipe_error_where(error)));
}

static void test_tells_where(moonpipe_Engine *engine)
{
    char places[256] = "";
    moonpipe_Options options;
    uint64_t chain = load(engine, "local id = function(x) return x end\n"
                                  "return id\n"
                                  "  | function() error('no', 0) end");

    moonpipe_options_init(&options);
    options.userdata = places;
    options.on_error = keep_places;
    CHECK(start(engine, chain, "1", &options) != 0);
    CHECK(moonpipe_wait(engine, 0, -1) == 1);
    CHECK(strstr(places, "step 2 of 2"));
    CHECK(strstr(places, " @ test:3"));
}

/* --- the loop ---------------------------------------------------------------
 */

static void test_cancels(moonpipe_Engine *engine)
{
    Told told;
    moonpipe_Options options = telling(&told, 0);
    uint64_t chain = load(engine, SLEEPER);
    uint64_t call = start(engine, chain, "60", &options);
    int64_t begin = now_us();

    CHECK(moonpipe_wait(engine, call, 20000) == 0);
    CHECK(now_us() - begin >= 20000);
    CHECK(moonpipe_cancel(engine, call) == 1);
    CHECK(moonpipe_wait(engine, call, -1) == 1);
    CHECK(told.errors == 1 && told.kind == MOONPIPE_KIND_CANCELLED);
    CHECK(moonpipe_cancel(engine, call) == 0);
    CHECK(now_us() - begin < 10000000);
    options = telling(&told, 0); /* before it began */
    call = start(engine, chain, "60", &options);
    CHECK(moonpipe_cancel(engine, call) == 1);
    CHECK(moonpipe_wait(engine, call, -1) == 1);
    CHECK(told.errors == 1 && told.kind == MOONPIPE_KIND_CANCELLED);
    options = telling(&told, 0);
    options.timeout = 0.02;
    CHECK(moonpipe_wait(engine, start(engine, chain, "60", &options), -1) == 1);
    CHECK(told.kind == MOONPIPE_KIND_TIMEOUT_TOTAL);
}

static void test_interrupts(moonpipe_Engine *engine)
{
    Told told;
    moonpipe_Options options = telling(&told, 0);
    uint64_t chain = load(engine, SLEEPER);

    CHECK(start(engine, chain, "60", &options) != 0);
    CHECK(moonpipe_update(engine, -1) == 0);
    moonpipe_interrupt(engine);
    CHECK(moonpipe_wait(engine, 0, -1) == 1);
    CHECK(told.errors == 1 && told.kind == MOONPIPE_KIND_CANCELLED);
    options = telling(&told, 0); /* and the next call is not met by it */
    CHECK(start(engine, chain, "0", &options) != 0);
    CHECK(moonpipe_wait(engine, 0, -1) == 1);
    CHECK(told.done == 1);
}

static void test_keeps_a_budget(moonpipe_Engine *engine)
{
    Told told;
    moonpipe_Options options = telling(&told, 0);
    uint64_t chain = load(engine, "return function()\n"
                                  "  local stop = os.clock() + 0.005\n"
                                  "  while os.clock() < stop do end\n"
                                  "end");
    struct pollfd waiting = {.fd = moonpipe_fd(engine), .events = POLLIN};

    for (int i = 0; i < 10; i++)
        CHECK(start(engine, chain, "1", &options) != 0);
    CHECK(poll(&waiting, 1, 0) == 1); /* there is something to do */
    CHECK(moonpipe_update(engine, 0) == 9);
    CHECK(told.done == 1);
    CHECK(poll(&waiting, 1, 0) == 1);
    CHECK(moonpipe_update(engine, 11000) > 0);
    CHECK(told.done > 1 && told.done < 10);
    CHECK(moonpipe_update(engine, -1) == 0);
    CHECK(told.done == 10);
    moonpipe_update(engine, -1);
    CHECK(poll(&waiting, 1, 0) == 0);
}

static void test_can_be_polled(moonpipe_Engine *engine)
{
    Told told;
    moonpipe_Options options = telling(&told, 0);
    struct pollfd waiting = {.fd = moonpipe_fd(engine), .events = POLLIN};

    CHECK(waiting.fd >= 0);
    for (int i = 0; i < 8; i++)
        CHECK(start(engine, load(engine, SLEEPER), "0.02", &options) != 0);
    while (told.done < 8) {
        CHECK(poll(&waiting, 1, 10000) == 1);
        CHECK(moonpipe_update(engine, 1000) >= 0);
    }
    CHECK(strcmp(told.result, "\"slept\"") == 0);
}

/* --- coming back in from callbacks ------------------------------------------
 */

typedef struct Chain {
    moonpipe_Engine *engine;
    uint64_t step;
    int left;
    Told told;
} Chain;

static void start_next(void *userdata, uint64_t call, const char *result,
                       size_t length)
{
    Chain *chain = userdata;
    moonpipe_Options options;

    CHECK(moonpipe_update(chain->engine, 0) == -1);
    CHECK(kind_of(chain->engine) == MOONPIPE_KIND_UNSUPPORTED);
    CHECK(moonpipe_cancel(chain->engine, call) == 0); /* it has ended */
    if (chain->left-- == 0) {
        moonpipe_close(chain->engine);
        return;
    }
    moonpipe_options_init(&options);
    options.userdata = chain;
    options.on_done = start_next;
    CHECK(moonpipe_start(chain->engine, chain->step, result, length,
                         &options) != 0);
}

static void test_starts_and_closes_in_callbacks(void)
{
    Chain chain = {.engine = moonpipe_open(NULL), .left = 20};
    moonpipe_Options options = telling(&chain.told, 0);

    chain.step =
        load(chain.engine, "return { x = function(t) return t.x + 1 end }");
    options.userdata = &chain.told;
    CHECK(start(chain.engine, load(chain.engine, SLEEPER), "60", &options));
    options.userdata = &chain;
    options.on_done = start_next;
    CHECK(start(chain.engine, chain.step, "{\"x\": 0}", &options));
    while (chain.left >= 0)
        CHECK(moonpipe_update(chain.engine, -1) >= 0);
    CHECK(chain.told.errors == 1); /* what slept was told, too */
    CHECK(chain.told.kind == MOONPIPE_KIND_CANCELLED);
}

static void cancel_itself(void *userdata, uint64_t call, const char *token,
                          size_t length)
{
    moonpipe_Engine **engine = userdata;

    CHECK(token[length] == '\0');
    moonpipe_cancel(*engine, call);
}

static int cancelled_calls;

static void count_cancelled(void *userdata, uint64_t call,
                            const moonpipe_Error *error)
{
    CHECK(userdata != NULL && call != 0);
    cancelled_calls += moonpipe_error_kind(error) == MOONPIPE_KIND_CANCELLED;
}

static void test_cancels_at_a_token(moonpipe_Engine *engine)
{
    moonpipe_Options options;
    uint64_t chain =
        load(engine, "local mp = require 'moonpipe'\n"
                     "return mp.RunnableGenerator(function(_, emit)\n"
                     "  for i = 1, 1000 do emit(i) mp.sleep(0.01) end\n"
                     "end)");

    moonpipe_options_init(&options);
    options.userdata = &engine;
    options.on_token = cancel_itself;
    options.on_error = count_cancelled;
    CHECK(start(engine, chain, "1", &options) != 0);
    CHECK(moonpipe_wait(engine, 0, 5000000) == 1);
    CHECK(cancelled_calls == 1);
}

/* --- the log ----------------------------------------------------------------
 */

typedef struct Log {
    int notices, warnings;
    char text[512];
    moonpipe_Engine *engine;
} Log;

static void on_log(void *userdata, int level, const char *text, size_t length)
{
    Log *log = userdata;

    log->notices += level == MOONPIPE_LOG_NOTICE;
    log->warnings += level == MOONPIPE_LOG_WARNING;
    CHECK(length == strlen(text) && !strchr(text, '\n'));
    add(log->text, sizeof log->text, text, length);
    add(log->text, sizeof log->text, "; ", 2);
    if (!log->engine) return; /* a callback like any other */
    CHECK(moonpipe_update(log->engine, 0) == -1);
    CHECK(kind_of(log->engine) == MOONPIPE_KIND_UNSUPPORTED);
}

static moonpipe_Engine *open_logging(Log *log)
{
    moonpipe_Config config;

    memset(log, 0, sizeof *log);
    moonpipe_config_init(&config);
    config.on_log = on_log;
    config.log_userdata = log;
    return moonpipe_open(&config);
}

static void test_logs(void)
{
    Log log;
    Told told;
    moonpipe_Engine *engine = open_logging(&log);

    CHECK(log.notices + log.warnings == 0);
    log.engine = engine;
    call_text(engine,
              "return require('moonpipe').init_chat_model('extractive')",
              "\"Bears eat honey.\\nQuestion: what do bears eat?\"", &told);
    CHECK(told.done == 1 && strstr(told.result, "Bears eat honey."));
    CHECK(log.notices == 2 && log.warnings == 0);
    CHECK(strstr(log.text, "model ExtractiveChatModel (named in the script); "
                           "ExtractiveChatModel is no language model"));
    moonpipe_close(engine);
}

static void test_logs_warnings(void)
{
    Log log;
    Told told;
    moonpipe_Engine *engine;

    setenv("MOONPIPE_CHECK", "1", 1);
    engine = open_logging(&log);
    call_text(engine,
              "local function write(x) x.deep.n = 2 end\n"
              "return { a = write, b = function() return 1 end }",
              "{\"deep\": {\"n\": 1}}", &told);
    unsetenv("MOONPIPE_CHECK");
    CHECK(told.done == 1 && log.notices == 0 && log.warnings == 1);
    CHECK(strstr(log.text, "wrote into the input that it shares, at 'deep.n'"));
    moonpipe_close(engine);
}

/* --- coming and going -------------------------------------------------------
 */

static void test_opens_and_closes_often(void)
{
    const int rounds = getenv("MOONPIPE_LONG") ? 1000 : 100;

    for (int i = 0; i < rounds; i++) {
        Told told;
        moonpipe_Options options = telling(&told, 0);
        moonpipe_Engine *engine = moonpipe_open(NULL);

        CHECK(engine != NULL);
        CHECK(start(engine, load(engine, SLEEPER), "60", &options) != 0);
        if (i % 2) CHECK(moonpipe_update(engine, -1) == 0);
        moonpipe_close(engine);
        CHECK(told.errors == 1 && told.kind == MOONPIPE_KIND_CANCELLED);
    }
    moonpipe_close(NULL);
}

/* A program that was compiled with an older, shorter struct, or with a younger
 * one whose new fields we do not know. */
static void test_takes_a_shorter_config(void)
{
    moonpipe_Config config;
    moonpipe_Engine *engine;

    moonpipe_config_init(&config);
    config.jit = 0;
    config.size = sizeof config.size; /* it knew no jit */
    engine = moonpipe_open(&config);
    CHECK(moonpipe_run_text(engine, "test", "assert(jit.status())", 20) == 0);
    moonpipe_close(engine);
    config.size = sizeof config;
    engine = moonpipe_open(&config);
    CHECK(moonpipe_run_text(engine, "test", "assert(jit.status())", 20) ==
          MOONPIPE_FAILED);
    CHECK(kind_of(engine) == MOONPIPE_KIND_LUA);
    moonpipe_close(engine);
}

static void test_takes_a_longer_config(void)
{
    struct {
        moonpipe_Config known;
        double unknown[4];
    } config;
    moonpipe_Engine *engine;

    memset(&config, 0xff, sizeof config);
    moonpipe_config_init(&config.known);
    config.known.size = sizeof config;
    config.known.jit = 0;
    engine = moonpipe_open(&config.known);
    CHECK(engine != NULL);
    CHECK(moonpipe_run_text(engine, "test", "assert(jit.status())", 20) ==
          MOONPIPE_FAILED);
    moonpipe_close(engine);
}

static void test_forgets_options_of_a_command_line(moonpipe_Engine *engine)
{
    char name[] = "moonpipe", limit[] = "--timeout=0.01", eval[] = "-e",
         code[] = "require('moonpipe').sleep(0.05)";
    char *limited[] = {name, limit, eval, code};
    char *plain[] = {name, eval, code};

    CHECK(moonpipe_command(engine, 4, limited) == 124);
    CHECK(moonpipe_command(engine, 3, plain) == 0);
}

int main(void)
{
    moonpipe_Engine *engine = moonpipe_open(NULL);

    CHECK(engine != NULL);
    CHECK(strcmp(moonpipe_error_text(moonpipe_error(engine)), "") == 0);
    test_gives_json_for_json(engine);
    test_gives_text_for_text(engine);
    test_streams(engine);
    test_refuses_what_is_no_chain(engine);
    test_tells_what_failed(engine);
    test_tells_where(engine);
    test_cancels(engine);
    test_interrupts(engine);
    test_keeps_a_budget(engine);
    test_can_be_polled(engine);
    test_cancels_at_a_token(engine);
    test_forgets_options_of_a_command_line(engine);
    moonpipe_close(engine);
    test_logs();
    test_logs_warnings();
    test_starts_and_closes_in_callbacks();
    test_opens_and_closes_often();
    test_takes_a_shorter_config();
    test_takes_a_longer_config();
    return TEST_END();
}
