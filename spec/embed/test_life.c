/*
 * test_life.c: a host that sees moonpipe.h alone: many engines at once, which
 * close in any order, on one thread and each on its own, and forks before and
 * after the first thread, with calls under way.
 */
#include "host.h"

#include "fork_case.h"

#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>

enum { ENGINES = 64, CALLS = 3 };

static const char sleeper[] =
    "return function(s) require('moonpipe').sleep(s) return s end";

/* --- many at once -----------------------------------------------------------
 */

typedef struct Life {
    moonpipe_Engine *engine;
    Told told[CALLS];
} Life;

static Life lives[ENGINES];

static void begin_life(Life *life)
{
    uint64_t chain;
    int64_t ready;

    life->engine = moonpipe_open(NULL);
    CHECK(life->engine != NULL);
    chain = load(life->engine, sleeper);
    for (int i = 0; i < CALLS; i++) {
        moonpipe_Options options = telling(&life->told[i], 0);

        CHECK(start(life->engine, chain, i ? "60" : "0.001", &options) != 0);
    }
    do
        ready = moonpipe_update(life->engine, -1); /* a second long at most */
    while (ready > 0);
    CHECK(ready == 0);
}

static void end_life(Life *life)
{
    while (life->told[0].done == 0)
        CHECK(moonpipe_wait(life->engine, 0, 10000) == 0);
    moonpipe_close(life->engine);
    CHECK(life->told[0].done == 1 && life->told[0].errors == 0);
    for (int i = 1; i < CALLS; i++)
        CHECK(life->told[i].errors == 1 &&
              life->told[i].kind == MOONPIPE_KIND_CANCELLED);
}

static void test_many_at_once(void)
{
    for (int i = 0; i < ENGINES; i++)
        begin_life(&lives[i]);
    for (int i = 0; i < ENGINES; i++)
        end_life(&lives[i * 37 % ENGINES]);
}

/* --- one on each of many threads --------------------------------------------
 */

static pthread_barrier_t all_call;

static void *live(void *life)
{
    begin_life(life);
    pthread_barrier_wait(&all_call);
    end_life(life);
    return NULL;
}

static void test_one_on_each_thread(void)
{
    pthread_t threads[ENGINES];

    CHECK(pthread_barrier_init(&all_call, NULL, ENGINES) == 0);
    for (int i = 0; i < ENGINES; i++)
        CHECK(pthread_create(&threads[i], NULL, live, &lives[i]) == 0);
    for (int i = 0; i < ENGINES; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    pthread_barrier_destroy(&all_call);
}

static int entries(const char *path)
{
    DIR *folder = opendir(path);
    int count = 0;

    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

/* The system may still show a thread that was joined just now. */
static void test_leaves_nothing_behind(void (*test)(void))
{
    int threads = entries("/proc/self/task"), files = entries("/proc/self/fd");

    test();
    for (int i = 0; i < 5000 && entries("/proc/self/task") > threads; i++)
        usleep(1000);
    CHECK(entries("/proc/self/task") == threads);
    CHECK(entries("/proc/self/fd") == files);
}

/* --- forks ------------------------------------------------------------------
 */

/* A new call, on an engine that was there before, is answered. */
static bool answers(moonpipe_Engine *engine)
{
    Told told;
    moonpipe_Options options = telling(&told, 0);
    uint64_t call = start(engine, load(engine, sleeper), "0.001", &options);

    return call != 0 && moonpipe_wait(engine, call, -1) == 1 &&
           told.done == 1 && strcmp(told.result, "0.001") == 0;
}

static bool answers_anew(void *engine)
{
    moonpipe_Engine *own = moonpipe_open(NULL);
    bool ok = answers(engine) && own && answers(own);

    moonpipe_close(own);
    moonpipe_close(engine);
    return ok;
}

static void test_forks_before_the_first_thread(void)
{
    moonpipe_Engine *engine = moonpipe_open(NULL);

    CHECK(fork_finds(answers_anew, engine));
    CHECK(answers(engine));
    moonpipe_close(engine);
}

/* What the parent had under way ends with `closed` in the child. */
static bool ends_what_was(void *userdata)
{
    Life *life = userdata;

    while (life->told[1].errors + life->told[2].errors < 2)
        if (moonpipe_wait(life->engine, 0, 1000) < 0) return false;
    return life->told[1].kind == MOONPIPE_KIND_CLOSED &&
           life->told[2].kind == MOONPIPE_KIND_CLOSED &&
           answers_anew(life->engine);
}

static bool closes_at_once(void *userdata)
{
    Life *life = userdata;

    moonpipe_close(life->engine);
    return life->told[1].errors == 1 && life->told[2].errors == 1;
}

static void test_forks_with_calls_under_way(void)
{
    Life *life = &lives[0];

    begin_life(life);
    CHECK(fork_finds(ends_what_was, life));
    CHECK(fork_finds(closes_at_once, life));
    CHECK(life->told[1].errors == 0 && answers(life->engine));
    end_life(life);
}

int main(void)
{
    const int rounds = getenv("MOONPIPE_LONG") ? 20 : 1;

    if (FORKS) test_forks_before_the_first_thread(); /* so it comes first */
    begin_life(&lives[0]); /* what a process has but once is there then */
    end_life(&lives[0]);
    for (int i = 0; i < rounds; i++) {
        test_leaves_nothing_behind(test_many_at_once);
        test_leaves_nothing_behind(test_one_on_each_thread);
    }
    if (FORKS_BUSY) test_forks_with_calls_under_way();
    return TEST_END();
}
