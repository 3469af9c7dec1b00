/* test_pool.c: thread/pool: the line, its threads, its life. */
#include "alloc.h"
#include "pool.h"
#include "test.h"
#include "torture.h"

#include "pool_case.h"

#include <signal.h>
#include <string.h>

#define MANY 2000

/* Runs `left` times, then says so. */
typedef struct Count {
    mp_PoolTask task;
    atomic_int *ended;
    int left;
    int place; /* it was the how-manieth to end */
} Count;

static bool count_down(mp_PoolTask *task)
{
    Count *self = (Count *)task;

    if (--self->left > 0) return true;
    self->place = atomic_fetch_add(self->ended, 1);
    return false;
}

static mp_Pool *acquire(void)
{
    mp_Pool *pool = NULL;

    CHECK(mp_pool_acquire(&pool, NULL) == MP_OK);
    CHECK(mp_pool_width(pool) >= 1);
    return pool;
}

static void test_runs_all_tasks(void)
{
    static Count counts[MANY];
    mp_Pool *pool = acquire();
    atomic_int ended = 0;

    for (int i = 0; i < MANY; i++) {
        counts[i] =
            (Count){.task.run = count_down, .left = 1 + i % 3, .ended = &ended};
        mp_pool_send(pool, &counts[i].task);
    }
    await_count(&ended, MANY);
    mp_pool_release(pool);
    for (int i = 0; i < MANY; i++)
        CHECK(counts[i].left == 0);
}

/* Each waits until all are there: they must run at once. */
typedef struct Meeting {
    mp_PoolTask task;
    atomic_int *here;
    atomic_int *gone;
    int all;
} Meeting;

static bool meet(mp_PoolTask *task)
{
    Meeting *self = (Meeting *)task;

    atomic_fetch_add(self->here, 1);
    await_count(self->here, self->all);
    atomic_fetch_add(self->gone, 1);
    return false;
}

static void test_runs_as_many_at_once_as_there_are_cores(void)
{
    mp_Pool *pool = acquire();
    int width = (int)mp_pool_width(pool);
    Meeting *tasks = mp_alloc_zero((size_t)width, sizeof *tasks);
    atomic_int here = 0, gone = 0;

    for (int i = 0; i < width; i++) {
        tasks[i] = (Meeting){
            .task.run = meet, .here = &here, .gone = &gone, .all = width};
        mp_pool_send(pool, &tasks[i].task);
    }
    await_count(&gone, width);
    mp_pool_release(pool);
    mp_alloc_free(tasks);
}

static void test_the_line(void)
{
    mp_Pool *pool = acquire();
    atomic_int ended = 0;
    Count counts[4];
    Blocks blocks;

    blocks_begin(&blocks, pool);
    for (int i = 0; i < 4; i++) {
        counts[i] = (Count){
            .task.run = count_down, .left = 1, .ended = &ended, .place = -1};
        mp_pool_send(pool, &counts[i].task);
    }
    CHECK(!mp_pool_take_back(pool, &blocks.blocks[0].task)); /* it runs */
    CHECK(mp_pool_take_back(pool, &counts[0].task));
    CHECK(mp_pool_take_back(pool, &counts[2].task));
    CHECK(!mp_pool_take_back(pool, &counts[2].task));
    blocks_go(&blocks);
    await_count(&ended, 2);
    mp_pool_release(pool);
    CHECK(counts[0].place == -1 && counts[2].place == -1);
    CHECK(counts[1].place >= 0 && counts[3].place >= 0);
    blocks_term(&blocks);
}

static void test_all_share_one_pool(void)
{
    int64_t before = mp_alloc_live();
    mp_Pool *a = acquire(), *b = acquire();

    CHECK(a == b);
    mp_pool_release(a);
    CHECK(mp_alloc_live() == before + 1);
    mp_pool_release(b);
    CHECK(mp_alloc_live() == before);
}

static bool look_at_signals(mp_PoolTask *task)
{
    Count *self = (Count *)task;
    sigset_t blocked;

    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    self->left =
        sigismember(&blocked, SIGINT) && sigismember(&blocked, SIGCHLD) ? 1 : 0;
    atomic_fetch_add(self->ended, 1);
    return false;
}

static void test_blocks_signals(void)
{
    mp_Pool *pool = acquire();
    atomic_int ended = 0;
    Count count = {.task.run = look_at_signals, .ended = &ended};
    sigset_t blocked;

    mp_pool_send(pool, &count.task);
    await_count(&ended, 1);
    mp_pool_release(pool);
    CHECK(count.left == 1);
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    CHECK(!sigismember(&blocked, SIGINT)); /* ours are as they were */
}

/* --- want --- */

static void test_no_thread_to_be_had(void)
{
    int64_t before = mp_alloc_live();
    mp_Pool *pool = NULL;
    mp_Error err;

    starve(true);
    CHECK(mp_pool_acquire(&pool, &err) == -MP_KIND_MEMORY);
    starve(false);
    CHECK(pool == NULL &&
          strcmp(err.message, "cannot start a worker thread") == 0);
    CHECK(mp_alloc_live() == before);
}

static void test_one_thread_does_all(void)
{
    mp_Pool *pool = acquire();
    atomic_int ended = 0;
    Count counts[20];

    starve(true);
    for (int i = 0; i < 20; i++) {
        counts[i] = (Count){.task.run = count_down, .left = 2, .ended = &ended};
        mp_pool_send(pool, &counts[i].task);
    }
    starve(false);
    await_count(&ended, 20);
    mp_pool_release(pool);
    for (int i = 0; i < 20; i++)
        CHECK(counts[i].place == i); /* in the order in which they came */
}

static mp_Status hold_once(void *userdata)
{
    mp_Pool *pool;
    mp_Status status = mp_pool_acquire(&pool, NULL);

    (void)userdata;
    if (status == MP_OK) mp_pool_release(pool);
    return status;
}

int main(void)
{
    test_runs_all_tasks();
    test_runs_as_many_at_once_as_there_are_cores();
    test_the_line();
    test_all_share_one_pool();
    test_blocks_signals();
    test_no_thread_to_be_had();
    test_one_thread_does_all();
    CHECK(torture(hold_once, NULL) == 1);
    return TEST_END();
}
