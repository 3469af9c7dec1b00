/*
 * test_sandbox.c: scripts that a host has not written, locked in.
 */
#include "host.h"

#include <pthread.h>

#define STACK ((size_t)1 << 20) /* of a thread: an eighth of the usual */

static const char GRANTS[] =
    "local mp = require 'moonpipe' "
    "return { models = { default = mp.FakeListChatModel { responses = { 'hi' } "
    "} }, steps = { shout = mp.host.shout } }";

static void shout(void *userdata, uint64_t answer, const char *input,
                  size_t length)
{
    (void)input;
    (void)length;
    moonpipe_complete(*(moonpipe_Engine **)userdata, answer, "LOUD", 4);
}

/* Whether scripts have processes of their own. */
static int isolate;

static moonpipe_Engine *open_with(const char *grants, double seconds)
{
    moonpipe_Config config;
    moonpipe_Sandbox sandbox;

    moonpipe_config_init(&config);
    moonpipe_sandbox_init(&sandbox);
    CHECK(config.sandbox == NULL && sandbox.size == sizeof sandbox);
    CHECK(sandbox.isolate == 0);
    sandbox.isolate = isolate;
    sandbox.grants = grants;
    sandbox.seconds = seconds;
    config.sandbox = &sandbox;
    return moonpipe_open(&config);
}

static Told run(moonpipe_Engine *engine, uint64_t chain)
{
    Told told = {0};
    moonpipe_Options options;

    moonpipe_options_init(&options);
    options.flags = MOONPIPE_TEXT;
    options.userdata = &told;
    options.on_done = on_done;
    options.on_error = on_error;
    CHECK(moonpipe_start(engine, chain, "x", 1, &options) != 0);
    CHECK(moonpipe_wait(engine, 0, 20000000) == 1);
    return told;
}

static void test_uses_what_is_granted(void)
{
    moonpipe_Engine *engine = open_with(GRANTS, 10); /* for slow machines */
    uint64_t chain;
    Told told;

    CHECK(moonpipe_register(engine, "shout", shout, &engine, MOONPIPE_TEXT) ==
          0);
    chain = load(engine, "local mp = require 'moonpipe' return { a = "
                         "mp.init_chat_model() | mp.StrOutputParser(), b = "
                         "mp.steps.shout }");
    CHECK(chain != 0);
    told = run(engine, chain);
    CHECK(strcmp(told.result, "{\"a\":\"hi\",\"b\":\"LOUD\"}") == 0);
    moonpipe_close(engine);
}

static void test_blocks_the_rest(void)
{
    moonpipe_Engine *engine = open_with(NULL, 10);
    const char *text = "return io.open('/etc/passwd')";

    CHECK(load(engine, text) == 0);
    CHECK(strstr(moonpipe_error_text(moonpipe_error(engine)), "'io'") != NULL);
    CHECK(load(engine, "return require('moonpipe').ChatOpenAI()") == 0);
    CHECK(moonpipe_run_text(engine, "mod", text, strlen(text)) ==
          MOONPIPE_FAILED);
    CHECK(moonpipe_run_text(engine, "mod", "return 1", 8) == 0);
    CHECK(moonpipe_run_file(engine, "/nonexistent/x.lua", 0, NULL) ==
          MOONPIPE_USAGE);
    moonpipe_close(engine);
}

static void test_stops_what_does_not_end(void)
{
    moonpipe_Engine *engine = open_with(NULL, 0.02);
    uint64_t chain = load(engine, "return function() while true do end end");
    Told told;

    CHECK(chain != 0);
    for (int i = 0; i < 2; i++) {
        told = run(engine, chain);
        CHECK(told.errors == 1 && told.kind == MOONPIPE_KIND_LIMIT);
    }
    moonpipe_close(engine);
}

static void *stop_on_a_thread(void *unused)
{
    (void)unused;
    test_stops_what_does_not_end();
    return NULL;
}

/* What ends a script fails everywhere in it, also in what describes errors. */
static void test_needs_little_stack(void)
{
    pthread_attr_t small;
    pthread_t thread;

    pthread_attr_init(&small);
    CHECK(pthread_attr_setstacksize(&small, STACK) == 0);
    CHECK(pthread_create(&thread, &small, stop_on_a_thread, NULL) == 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&small);
}

int main(void)
{
    for (isolate = 0; isolate < 2; isolate++) {
        test_uses_what_is_granted();
        test_blocks_the_rest();
        test_stops_what_does_not_end();
        test_needs_little_stack();
    }
    return TEST_END();
}
