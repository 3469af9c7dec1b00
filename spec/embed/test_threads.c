/*
 * test_threads.c: a host that sees moonpipe.h alone: engines on several threads
 * at once, interrupts from other threads, engines that come and go, calls from
 * threads that an engine does not belong to.
 */
#include "moonpipe.h"
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

enum { THREADS = 4, ROUNDS = 10 };

static int run(moonpipe_Engine *engine, const char *text)
{
    return moonpipe_run_text(engine, "test", text, strlen(text));
}

static void pause_ms(long ms)
{
    struct timespec span = {.tv_sec = ms / 1000,
                            .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&span, NULL);
}

static const char chain[] =
    "local mp = require 'moonpipe'\n"
    "local step = mp.RunnableLambda(function(x) mp.sleep(0.001) return x end)\n"
    "local map = mp.RunnableParallel { a = step, b = step:pipe(step) }\n"
    "for i = 1, 5 do\n"
    "  local out = map:invoke(i)\n"
    "  assert(out.a == i and out.b == i)\n"
    "end\n"
    /* left behind: they end with the script's error */
    "for i = 1, 20 do map:start(i) end\n"
    "mp.RunnableLambda(function() mp.sleep(60) end):start(1)\n"
    "error('the end', 0)";

static void *open_and_close(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        moonpipe_Engine *engine = moonpipe_open(NULL);

        if (!engine || run(engine, chain) != MOONPIPE_FAILED ||
            strcmp(moonpipe_error_text(moonpipe_error(engine)),
                   "moonpipe: the end") != 0)
            return arg; /* not NULL: failed */
        moonpipe_close(engine);
    }
    return NULL;
}

static void test_many_threads(void)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        CHECK(!pthread_create(&threads[i], NULL, open_and_close, threads));
    for (int i = 0; i < THREADS; i++) {
        void *failed;

        pthread_join(threads[i], &failed);
        CHECK(failed == NULL);
    }
}

static moonpipe_Engine *shared;
static atomic_int code;
static atomic_bool sent; /* the engine may be closed: no interrupt comes */

static void *run_shared(void *text)
{
    shared = moonpipe_open(NULL);
    atomic_store(&code, -1);
    atomic_store(&code, run(shared, text));
    if (run(shared, "return 1") != 0) atomic_store(&code, -2);
    while (!atomic_load(&sent))
        pause_ms(1);
    moonpipe_close(shared);
    return NULL;
}

/* What an interrupt from another thread makes of [text]. */
static int interrupted(const char *text)
{
    pthread_t thread;

    atomic_store(&code, -3);
    atomic_store(&sent, false);
    CHECK(!pthread_create(&thread, NULL, run_shared, (void *)(uintptr_t)text));
    while (atomic_load(&code) == -3)
        pause_ms(1);
    pause_ms(20);
    moonpipe_interrupt(shared);
    atomic_store(&sent, true);
    pthread_join(thread, NULL);
    return atomic_load(&code);
}

static void test_interrupts_what_waits(void)
{
    CHECK(interrupted("require('moonpipe').sleep(60)") == MOONPIPE_INTERRUPTED);
    CHECK(interrupted("local mp = require 'moonpipe'\n"
                      "local slow = function() mp.sleep(60) end\n"
                      "mp.RunnableParallel({ slow, slow }):invoke(1)") ==
          MOONPIPE_INTERRUPTED);
}

/* Another thread may not touch a VM that runs: a loop ends by itself. */
static void test_lets_a_loop_end(void)
{
    CHECK(interrupted("local stop = os.clock() + 3\n"
                      "while os.clock() < stop do end") ==
          MOONPIPE_INTERRUPTED);
}

/* One that comes before Lua runs is not lost. */
static void test_interrupts_what_begins(void)
{
    moonpipe_Config config;
    moonpipe_Engine *engine;

    moonpipe_config_init(&config);
    config.jit = 0;
    engine = moonpipe_open(&config);
    moonpipe_interrupt(engine);
    CHECK(run(engine, "while true do end") == MOONPIPE_INTERRUPTED);
    CHECK(run(engine, "return 1") == 0);
    moonpipe_close(engine);
}

/* --- calls from a wrong thread ----------------------------------------------
 */

static void never(void *called, uint64_t answer, const char *input,
                  size_t length)
{
    (void)answer, (void)input, (void)length;
    atomic_store((atomic_bool *)called, true);
}

static bool is_refused(moonpipe_Engine *engine)
{
    const moonpipe_Error *error = moonpipe_error(engine);

    if (!engine) return moonpipe_error_kind(error) == MOONPIPE_KIND_MEMORY;
    return moonpipe_error_kind(error) == MOONPIPE_KIND_UNSUPPORTED &&
           strstr(moonpipe_error_text(error), "another thread") &&
           strcmp(moonpipe_error_name(error), "unsupported") == 0 &&
           strcmp(moonpipe_error_json(error), "{}") == 0;
}

static bool refuses_calls(moonpipe_Engine *engine)
{
    return moonpipe_load_file(engine, "/dev/null") == 0 &&
           moonpipe_load_text(engine, "test", "return {}", 9) == 0 &&
           moonpipe_start(engine, 1, "1", 1, NULL) == 0 &&
           moonpipe_cancel(engine, 1) == 0 &&
           moonpipe_update(engine, -1) == -1 && moonpipe_fd(engine) == -1 &&
           moonpipe_wait(engine, 0, -1) == -1;
}

static bool refuses_all(moonpipe_Engine *engine)
{
    atomic_bool called = false;

    moonpipe_drop(engine, 1);
    moonpipe_close(engine);
    return is_refused(engine) && moonpipe_state(engine) == NULL &&
           run(engine, "while true do end") == MOONPIPE_FAILED &&
           moonpipe_run_file(engine, "/dev/null", 0, NULL) == MOONPIPE_FAILED &&
           moonpipe_command(engine, 0, NULL) == MOONPIPE_FAILED &&
           refuses_calls(engine) &&
           moonpipe_register(engine, "f", never, &called, 0) ==
               MOONPIPE_FAILED &&
           moonpipe_complete(engine, 1, "1", 1) == 0 &&
           moonpipe_fail(engine, 1, 0, "no") == 0 && is_refused(engine) &&
           !atomic_load(&called);
}

static void *call_all(void *engine)
{
    return refuses_all(engine) ? NULL : engine;
}

static void test_refuses_another_thread(void)
{
    moonpipe_Engine *engine = moonpipe_open(NULL);
    pthread_t thread;
    void *failed;

    CHECK(run(engine, "error('mine', 0)") == MOONPIPE_FAILED);
    CHECK(!pthread_create(&thread, NULL, call_all, engine));
    /* meanwhile it works here: nothing of it is touched there */
    CHECK(run(engine, "local mp = require 'moonpipe'\n"
                      "for i = 1, 20 do mp.sleep(0.001) end\n"
                      "error('mine', 0)") == MOONPIPE_FAILED);
    pthread_join(thread, &failed);
    CHECK(failed == NULL);
    CHECK(strcmp(moonpipe_error_text(moonpipe_error(engine)),
                 "moonpipe: mine") == 0);
    CHECK(run(engine, "return 1") == 0);
    moonpipe_close(engine);
}

/* What moonpipe_open may give. */
static void test_refuses_no_engine(void)
{
    moonpipe_interrupt(NULL);
    CHECK(refuses_all(NULL));
    CHECK(moonpipe_call(NULL, 1, moonpipe_new_string("x"), NULL) == NULL);
    CHECK(moonpipe_complete_value(NULL, 1, moonpipe_new_null()) == 0);
}

int main(void)
{
    test_many_threads();
    test_interrupts_what_waits();
    test_lets_a_loop_end();
    test_interrupts_what_begins();
    test_refuses_another_thread();
    test_refuses_no_engine();
    return TEST_END();
}
