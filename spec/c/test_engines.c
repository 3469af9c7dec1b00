/*
 * test_engines.c: many engines on one I/O thread, which come and go on threads
 * of their own while signals and interrupts wake them at the wrong moment.
 *
 * Meant for ThreadSanitizer and AddressSanitizer: what an engine frees is
 * touched by nobody any more.
 */
#include "clock.h"
#include "engine.h"
#include "job.h"
#include "test.h"
#include "timer.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

enum { THREADS = 3, JOBS = 3 };

static int rounds;
static pthread_t owners[THREADS];
static atomic_int ended; /* owners that need no signal any more */

static bool live_briefly(int round)
{
    mp_Engine *engine;
    uint64_t id;
    bool ok = true;

    if (mp_engine_new(&engine, NULL) != MP_OK) return false;
    for (int i = 0; i < JOBS; i++) {
        int64_t at_us = mp_clock_us() + (round * 7 + i * 3) % 40;

        ok &= mp_engine_submit(engine, mp_timer_new(at_us), &id, NULL) == MP_OK;
    }
    if (round % 2) mp_engine_interrupt(engine);
    if (round % 3 == 0) {
        mp_engine_wait(engine, 1000);
        mp_job_free_event(mp_engine_next(engine));
    }
    mp_engine_free(engine);
    return ok;
}

static void *own(void *arg)
{
    bool ok = true;

    for (int i = 0; i < rounds; i++)
        ok &= live_briefly(i);
    atomic_fetch_add(&ended, 1);
    return ok ? NULL : arg;
}

static void on_signal(int number)
{
    (void)number;
}

static void pester(void)
{
    while (atomic_load(&ended) < THREADS) {
        for (int i = 0; i < THREADS; i++)
            pthread_kill(owners[i], SIGUSR1);
        sched_yield();
    }
}

/* An engine that stays keeps the I/O thread alive, so that the others are not
 * freed behind a join. */
static void test_engines_come_and_go(void)
{
    mp_Engine *stays;
    uint64_t id;

    CHECK(mp_engine_new(&stays, NULL) == MP_OK);
    CHECK(mp_engine_submit(stays, mp_timer_new(mp_clock_after(3600)), &id,
                           NULL) == MP_OK);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&owners[i], NULL, own, owners) == 0);
    pester();
    for (int i = 0; i < THREADS; i++) {
        void *failed;

        pthread_join(owners[i], &failed);
        CHECK(failed == NULL);
    }
    mp_engine_free(stays);
}

int main(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    rounds = getenv("MOONPIPE_LONG") ? 200000 : 2000;
    sigaction(SIGUSR1, &action, NULL);
    test_engines_come_and_go();
    return TEST_END();
}
