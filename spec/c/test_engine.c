/* test_engine.c: core/engine over the I/O thread, with timers as its jobs:
 * each job answers exactly once, whatever is cancelled, freed or forked. */
#include "alloc.h"
#include "clock.h"
#include "engine.h"
#include "os.h"
#include "test.h"
#include "timer.h"

#include "engine_case.h"
#include "fork_case.h"
#include "torture.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#define MANY     2000
#define LATER_US (3600 * 1000 * 1000LL) /* an hour: it never comes */

static uint64_t submit_timer(mp_Engine *engine, int64_t delay_us)
{
    uint64_t id = 0;
    mp_Job *job = mp_timer_new(mp_clock_us() + delay_us);

    CHECK(mp_engine_submit(engine, job, &id, NULL) == MP_OK);
    return id;
}

static void test_a_timer_is_done_and_never_early(void)
{
    mp_Engine *engine = new_engine();
    int64_t due = mp_clock_us() + 2000;
    uint64_t id = 0;
    mp_Event *event;

    CHECK(mp_engine_submit(engine, mp_timer_new(due), &id, NULL) == MP_OK);
    CHECK(id != 0 && mp_engine_live(engine) == 1);
    event = await_event(engine);
    CHECK(event->kind == MP_EVENT_DONE && event->id == id);
    CHECK(event->at_us >= due && mp_clock_us() >= due);
    CHECK(mp_engine_live(engine) == 0);
    mp_job_free_event(event);
    mp_engine_free(engine);
}

static void test_timers_come_in_the_order_of_their_times(void)
{
    static const int delays_ms[] = {9, 1, 5, 3, 7};
    static const int order[] = {1, 3, 2, 4, 0};
    mp_Engine *engine = new_engine();
    int64_t now = mp_clock_us();
    uint64_t ids[5], id;

    for (int i = 0; i < 5; i++)
        mp_engine_submit(engine, mp_timer_new(now + delays_ms[i] * 1000),
                         &ids[i], NULL);
    for (int i = 0; i < 5; i++) {
        CHECK(await_kind(engine, &id) == MP_EVENT_DONE);
        CHECK(id == ids[order[i]]);
    }
    mp_engine_free(engine);
}

static void test_cancel_answers_once(void)
{
    mp_Engine *engine = new_engine();
    uint64_t id = submit_timer(engine, LATER_US), answered;

    mp_engine_cancel(engine, id);
    mp_engine_cancel(engine, id);
    CHECK(await_kind(engine, &answered) == MP_EVENT_CANCELLED);
    CHECK(answered == id);
    mp_engine_cancel(engine, id); /* ended: nothing happens */
    mp_engine_cancel(engine, 12345);
    CHECK(!mp_engine_wait(engine, 5000));
    CHECK(mp_engine_next(engine) == NULL);
    mp_engine_free(engine);
}

/* Cancels while the timers fire: either end is right, two are not. */
static void test_cancel_races_with_the_end(void)
{
    mp_Engine *engine = new_engine();
    uint64_t first = 0, id;
    unsigned char *ends = mp_alloc_zero(MANY, 1);
    int twice = 0;

    for (int i = 0; i < MANY; i++) {
        id = submit_timer(engine, i % 7 * 100);
        if (i == 0) first = id;
    }
    for (int i = 0; i < MANY; i++)
        mp_engine_cancel(engine, first + (uint64_t)i);
    for (int i = 0; i < MANY; i++) {
        await_kind(engine, &id);
        twice += ends[id - first]++;
    }
    CHECK(twice == 0);
    CHECK(mp_engine_live(engine) == 0 && !mp_engine_next(engine));
    mp_alloc_free(ends);
    mp_engine_free(engine);
}

static void test_free_cancels_what_lives(void)
{
    int64_t before = mp_alloc_live();
    mp_Engine *engine = new_engine();
    int64_t start;

    for (int i = 0; i < 300; i++)
        submit_timer(engine, i % 2 ? LATER_US : 0);
    start = mp_clock_us();
    mp_engine_free(engine);
    CHECK(mp_clock_us() - start < LATER_US / 2);
    CHECK(mp_alloc_live() == before);
    mp_engine_free(NULL);
}

static void test_engines_share_the_thread(void)
{
    mp_Engine *a = new_engine(), *b = new_engine();
    uint64_t id_a = submit_timer(a, 0), id_b, id;

    CHECK(await_kind(a, &id) == MP_EVENT_DONE && id == id_a);
    mp_engine_free(a);
    id_b = submit_timer(b, 0);
    CHECK(await_kind(b, &id) == MP_EVENT_DONE && id == id_b);
    mp_engine_free(b);
    b = new_engine(); /* the thread ended with the last engine: a new one */
    submit_timer(b, 0);
    CHECK(await_kind(b, &id) == MP_EVENT_DONE);
    mp_engine_free(b);
}

/* CHECK counts without a lock, so a thread gives the number of its mistakes. */
static void *use_own_engine(void *arg)
{
    int *wrong = arg;
    mp_Engine *engine = NULL;
    uint64_t id;

    *wrong += mp_engine_new(&engine, NULL) != MP_OK;
    for (int i = 0; i < 200; i++) {
        mp_Job *job = mp_timer_new(mp_clock_us() + i % 5 * 50);

        *wrong += mp_engine_submit(engine, job, &id, NULL) != MP_OK;
    }
    for (int i = 0; i < 150; i++)
        *wrong += await_kind(engine, &id) != MP_EVENT_DONE;
    mp_engine_free(engine);
    return NULL;
}

static void test_engines_of_many_threads(void)
{
    int64_t before = mp_alloc_live();
    pthread_t threads[4];
    int wrong[4] = {0};

    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, use_own_engine, &wrong[i]);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        CHECK(wrong[i] == 0);
    }
    CHECK(mp_alloc_live() == before);
}

static void test_wait_times_out(void)
{
    mp_Engine *engine = new_engine();
    int64_t start = mp_clock_us();

    CHECK(!mp_engine_wait(engine, 3000));
    CHECK(mp_clock_us() - start >= 3000);
    mp_engine_free(engine);
}

static void *interrupt_soon(void *engine)
{
    usleep(2000);
    mp_engine_interrupt(engine);
    return NULL;
}

static void test_interrupt_wakes_a_wait(void)
{
    mp_Engine *engine = new_engine();
    pthread_t thread;

    pthread_create(&thread, NULL, interrupt_soon, engine);
    while (!mp_engine_is_interrupted(engine))
        CHECK(!mp_engine_wait(engine, -1));
    pthread_join(thread, NULL);
    CHECK(mp_engine_interrupted(engine));
    CHECK(!mp_engine_interrupted(engine));
    mp_engine_free(engine);
}

static void test_the_descriptor_is_readable_while_events_wait(void)
{
    mp_Engine *engine = new_engine();
    int fd = mp_engine_fd(engine);
    uint64_t id;

    CHECK(!mp_os_wait(fd, 0));
    for (int i = 0; i < 20; i++) {
        submit_timer(engine, 0);
        CHECK(mp_os_wait(fd, 10 * 1000 * 1000));
        CHECK(await_kind(engine, &id) == MP_EVENT_DONE);
        CHECK(mp_engine_next(engine) == NULL);
        CHECK(!mp_os_wait(fd, 0));
    }
    mp_engine_free(engine);
}

typedef struct Fork {
    mp_Engine *engine;
    uint64_t id;
} Fork;

static bool starts_anew(void *fork_)
{
    Fork *self = fork_;
    mp_Engine *engine = self->engine;
    mp_Event *event = mp_engine_next(engine);
    uint64_t id = 0, fresh = 0;
    bool right;

    right = event && event->id == self->id && event->kind == MP_EVENT_FAILED &&
            event->job->err->kind == MP_KIND_CLOSED;
    mp_job_free_event(event);
    if (mp_engine_submit(engine, mp_timer_new(0), &id, NULL) != MP_OK)
        return false;
    right &= await_kind(engine, &fresh) == MP_EVENT_DONE && fresh == id;
    mp_engine_free(engine);
    return right;
}

static void test_a_forked_child_starts_anew(void)
{
    mp_Engine *engine = new_engine();
    Fork self = {engine, submit_timer(engine, LATER_US)};
    uint64_t answered;

    CHECK(fork_finds(starts_anew, &self));
    mp_engine_cancel(engine, self.id); /* the parent's is untouched */
    CHECK(await_kind(engine, &answered) == MP_EVENT_CANCELLED);
    mp_engine_free(engine);
}

typedef struct Reader {
    mp_Engine *engine;
    mp_Job *job;
} Reader;

static bool resumes_nothing(void *reader_)
{
    Reader *self = reader_;
    bool ended;

    mp_engine_was_read(self->engine, self->job, 0);
    ended = self->job->deferred;
    mp_job_free_event(mp_engine_next(self->engine));
    mp_engine_free(self->engine);
    return ended;
}

/* The job pauses, so the child's first door is that of what was read. */
static void test_a_forked_child_resumes_no_job_of_the_parent(void)
{
    Reader self = {new_engine(), mp_timer_new(mp_clock_us() + LATER_US)};
    uint64_t id = submit_job(self.engine, self.job);

    atomic_store(&self.job->full, true);
    CHECK(fork_finds(resumes_nothing, &self));
    mp_engine_cancel(self.engine, id);
    CHECK(await_kind(self.engine, &id) == MP_EVENT_CANCELLED);
    mp_engine_free(self.engine);
}

static mp_Status submit_and_wait(void *userdata)
{
    mp_Engine *engine = NULL;
    mp_Status status = mp_engine_new(&engine, NULL);
    uint64_t id;
    mp_Event *event;

    (void)userdata;
    for (int i = 0; i < 200 && status == MP_OK; i++)
        status = mp_engine_submit(engine, mp_timer_new(0), &id, NULL);
    for (; engine && mp_engine_live(engine) > 0; mp_job_free_event(event)) {
        event = await_event(engine);
        if (event->kind == MP_EVENT_FAILED)
            status = -(mp_Status)event->job->err->kind;
    }
    mp_engine_free(engine);
    return status;
}

static void test_every_allocation_failing_in_turn(void)
{
    int64_t before = mp_alloc_live();
    int64_t count;

    mp_alloc_fail_at(0, false);
    CHECK(submit_and_wait(NULL) == MP_OK);
    count = mp_alloc_count();
    CHECK(count > 200);
    /* A table that cannot grow still works, so not every failure is one. */
    for (int64_t nth = 1; nth <= count; nth = torture_next(nth)) {
        mp_Status status;

        mp_alloc_fail_at(nth, false);
        status = submit_and_wait(NULL);
        mp_alloc_fail_at(0, false);
        CHECK(status == MP_OK || status == -MP_KIND_MEMORY);
        CHECK(mp_alloc_live() == before);
    }
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* With [spare] descriptors left, what fails says `fds` and closes nothing that
 * it did not open. */
static void try_with_descriptors(rlim_t spare)
{
    mp_Error err = {.kind = MP_KIND_NONE};
    mp_Engine *engine = NULL;
    uint64_t id;
    int next = dup(0);
    struct rlimit old, few;

    close(next);
    getrlimit(RLIMIT_NOFILE, &old);
    few = old;
    few.rlim_cur = (rlim_t)next + spare;
    setrlimit(RLIMIT_NOFILE, &few);
    if (mp_engine_new(&engine, &err) == MP_OK)
        mp_engine_submit(engine, mp_timer_new(0), &id, &err);
    CHECK(err.kind == MP_KIND_FDS);
    mp_engine_free(engine);
    setrlimit(RLIMIT_NOFILE, &old);
    CHECK(is_open(0) && is_open(1) && is_open(2));
}

static void test_no_descriptor_is_left(void)
{
    int64_t before = mp_alloc_live();

    try_with_descriptors(0);
    try_with_descriptors(1);
    CHECK(mp_alloc_live() == before);
}

int main(void)
{
    test_a_timer_is_done_and_never_early();
    test_timers_come_in_the_order_of_their_times();
    test_cancel_answers_once();
    test_cancel_races_with_the_end();
    test_free_cancels_what_lives();
    test_engines_share_the_thread();
    test_engines_of_many_threads();
    test_wait_times_out();
    test_interrupt_wakes_a_wait();
    test_the_descriptor_is_readable_while_events_wait();
    if (FORKS) test_a_forked_child_starts_anew();
    if (FORKS) test_a_forked_child_resumes_no_job_of_the_parent();
    test_every_allocation_failing_in_turn();
    test_no_descriptor_is_left();
    return TEST_END();
}
