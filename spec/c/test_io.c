/* test_io.c: the I/O thread's watches: a descriptor stays in the epoll while
 * nobody wants it, and one that has the number of another is never taken for
 * it. Each step is a job, so that the loop turns between them. */
#include "alloc.h"
#include "clock.h"
#include "engine.h"
#include "io.h"
#include "os.h"
#include "test.h"
#include "timer.h"

#include <sys/epoll.h>
#include <unistd.h>

typedef struct Step {
    mp_Job job;
    void (*fn)(void);
} Step;

static mp_Engine *engine;
static int fd;    /* a waker, watched */
static int other; /* another one */
static atomic_int told;

static void start_step(mp_Job *job)
{
    ((Step *)job)->fn();
    mp_job_end(job, MP_EVENT_DONE);
}

static void free_step(mp_Job *job)
{
    mp_alloc_free(job);
}

static const mp_JobClass step_class = {
    "step", start_step, mp_job_cancelled, NULL, free_step, NULL, NULL};

static void run(mp_Job *job)
{
    mp_Event *event;
    uint64_t id;

    CHECK(mp_engine_submit(engine, job, &id, NULL) == MP_OK);
    while (!(event = mp_engine_next(engine)))
        mp_engine_wait(engine, -1);
    mp_job_free_event(event);
}

static void on_io(void (*fn)(void))
{
    Step *step = mp_alloc_zero(1, sizeof *step);

    mp_job_init(&step->job, &step_class);
    step->fn = fn;
    run(&step->job);
}

/* Lets the loop look at its descriptors. */
static void turn(void)
{
    run(mp_timer_new(mp_clock_us() + 2000));
}

/* Runs whenever it likes: it must not CHECK. */
static void on_ready(mp_IoSource *source, int ready_fd, unsigned events)
{
    (void)source, (void)events;
    mp_os_calm(ready_fd);
    if (ready_fd == fd) atomic_fetch_add(&told, 1);
}

static mp_IoSource source = {.ready = on_ready};

static void make_source(void)
{
    CHECK(mp_io_source_add(&source) == MP_OK);
}

static void opened(void)
{
    CHECK(mp_io_opened(fd) == MP_OK);
}

static void opened_without_memory(void)
{
    mp_alloc_fail_at(1, true);
    CHECK(mp_io_opened(fd) == -MP_KIND_MEMORY);
    mp_alloc_fail_at(0, false);
}

static void watched(void)
{
    CHECK(mp_io_watch(&source, fd, EPOLLIN) == 0);
}

static void unwatched(void)
{
    mp_io_unwatch(fd);
}

/* [other] takes the number of [fd]. */
static void renumber(void)
{
    close(fd);
    CHECK(dup2(other, fd) == fd);
    close(other);
}

static void closed(void)
{
    mp_io_closing(fd);
    renumber();
}

static void begin(void)
{
    CHECK(mp_os_waker(&fd, NULL) == MP_OK);
    CHECK(mp_os_waker(&other, NULL) == MP_OK);
    CHECK(mp_engine_new(&engine, NULL) == MP_OK);
    atomic_store(&told, 0);
    on_io(make_source);
}

static void end(void)
{
    mp_engine_free(engine);
    close(fd);
}

static void check_told(int count)
{
    turn();
    CHECK(atomic_load(&told) == count);
}

static void test_who_is_idle_is_not_told_of(void)
{
    begin();
    on_io(opened);
    on_io(watched);
    mp_os_wake(fd);
    check_told(1);
    on_io(unwatched);
    mp_os_wake(fd);
    check_told(1);
    on_io(watched);
    check_told(2);
    on_io(unwatched);
    on_io(watched); /* without a word in between: it is still in the epoll */
    mp_os_wake(fd);
    check_told(3);
    close(other);
    end();
}

static void test_other_events_can_be_watched(void)
{
    begin();
    on_io(opened);
    CHECK(mp_alloc_live() > 0);
    on_io(watched);
    on_io(unwatched);
    on_io(opened); /* the old watch is gone */
    mp_os_wake(fd);
    check_told(0);
    on_io(watched);
    check_told(1);
    close(other);
    end();
}

/* However its predecessor ended. */
static void test_a_number_is_used_again(void (*ends)(void),
                                        void (*begins)(void))
{
    begin();
    on_io(opened);
    on_io(watched);
    on_io(unwatched);
    on_io(ends);
    if (begins) on_io(begins);
    on_io(watched);
    mp_os_wake(fd);
    check_told(1);
    end();
}

static void test_what_is_not_kept_is_watched_too(void (*begins)(void))
{
    begin();
    if (begins) on_io(begins);
    on_io(watched);
    on_io(watched);
    mp_os_wake(fd);
    check_told(1);
    on_io(unwatched);
    on_io(renumber);
    on_io(watched);
    mp_os_wake(fd);
    check_told(2);
    end();
}

int main(void)
{
    test_who_is_idle_is_not_told_of();
    test_other_events_can_be_watched();
    test_a_number_is_used_again(closed, opened);
    test_a_number_is_used_again(closed, NULL);
    test_a_number_is_used_again(renumber, opened);
    test_what_is_not_kept_is_watched_too(NULL);
    test_what_is_not_kept_is_watched_too(opened_without_memory);
    CHECK(mp_alloc_live() == 0);
    return TEST_END();
}
