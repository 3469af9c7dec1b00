/*
 * pool.c: see pool.h.
 *
 * The process has one, by shared.h; all that is in it is guarded by its lock.
 */
#include "pool.h"

#include "alloc.h"
#include "shared.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

struct mp_Pool {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    mp_List line;     /* of tasks */
    unsigned waiting; /* as many */
    unsigned idle;    /* threads that sleep, woken ones included */
    unsigned started;
    unsigned width; /* the most there may be */
    bool stopping;
    pthread_t threads[]; /* `width` */
};

static mp_Shared shared = MP_SHARED;

/* --- the line --- */

static void append_locked(mp_Pool *pool, mp_PoolTask *task)
{
    mp_list_append(&pool->line, &task->link);
    task->waits = true;
    pool->waiting++;
}

static void remove_locked(mp_Pool *pool, mp_PoolTask *task)
{
    mp_list_remove(&pool->line, &task->link);
    task->waits = false;
    pool->waiting--;
}

/* --- the threads --- */

/* The oldest task, or NULL when the pool stops. */
static mp_PoolTask *next_locked(mp_Pool *pool)
{
    mp_PoolTask *task;

    while (!pool->line.first && !pool->stopping) {
        pool->idle++;
        pthread_cond_wait(&pool->wake, &pool->lock);
        pool->idle--;
    }
    task = (mp_PoolTask *)pool->line.first;
    if (task) remove_locked(pool, task);
    return task;
}

static void *work(void *arg)
{
    mp_Pool *pool = arg;
    mp_PoolTask *task;

    pthread_setname_np(pthread_self(), "moonpipe-cpu");
    pthread_mutex_lock(&pool->lock);
    while ((task = next_locked(pool))) {
        bool again;

        pthread_mutex_unlock(&pool->lock);
        again = task->run(task);
        pthread_mutex_lock(&pool->lock);
        /* wakes nobody: this thread itself is free for it */
        if (again) append_locked(pool, task);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Every signal stays with the host's threads. */
static bool start_thread_locked(mp_Pool *pool)
{
    sigset_t all, old;
    int failed;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    failed = pthread_create(&pool->threads[pool->started], NULL, work, pool);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!failed) pool->started++;
    return !failed;
}

/* --- its life --- */

/* The cores that this process may use. */
static unsigned count_cores(void)
{
    cpu_set_t set;
    long count;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return (unsigned)CPU_COUNT(&set);
    count = sysconf(_SC_NPROCESSORS_ONLN); /* more than a cpu_set_t holds */
    return count > 0 ? (unsigned)count : 1;
}

static void discard(mp_Pool *pool)
{
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    mp_alloc_free(pool);
}

static mp_Status make(void **out, mp_Error *err)
{
    unsigned width = count_cores();
    mp_Pool *pool =
        mp_alloc_zero(1, sizeof *pool + width * sizeof *pool->threads);
    bool started;

    if (!pool) return mp_err_memory(err);
    pool->width = width;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_mutex_lock(&pool->lock);
    started = start_thread_locked(pool);
    pthread_mutex_unlock(&pool->lock);
    if (!started) {
        discard(pool);
        return mp_err_set(err, MP_KIND_MEMORY, "cannot start a worker thread");
    }
    *out = pool;
    return MP_OK;
}

mp_Status mp_pool_acquire(mp_Pool **pool, mp_Error *err)
{
    void *thing = NULL;
    mp_Status status = mp_shared_acquire(&shared, make, &thing, err);

    *pool = thing;
    return status;
}

static void stop(mp_Pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->started; i++)
        pthread_join(pool->threads[i], NULL);
    discard(pool);
}

void mp_pool_release(mp_Pool *pool)
{
    if (mp_shared_release(&shared, pool)) stop(pool);
}

/* --- tasks --- */

void mp_pool_send(mp_Pool *pool, mp_PoolTask *task)
{
    bool wake;

    pthread_mutex_lock(&pool->lock);
    append_locked(pool, task);
    /* idle threads may be on their way to earlier tasks already; without a new
     * thread one of them, or of the busy ones, comes later */
    wake = pool->idle > 0;
    if (pool->waiting > pool->idle && pool->started < pool->width)
        start_thread_locked(pool);
    pthread_mutex_unlock(&pool->lock);
    if (wake) pthread_cond_signal(&pool->wake);
}

bool mp_pool_take_back(mp_Pool *pool, mp_PoolTask *task)
{
    bool waited;

    pthread_mutex_lock(&pool->lock);
    waited = task->waits;
    if (waited) remove_locked(pool, task);
    pthread_mutex_unlock(&pool->lock);
    return waited;
}

unsigned mp_pool_width(const mp_Pool *pool)
{
    return pool->width;
}
