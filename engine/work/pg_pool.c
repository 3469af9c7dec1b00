/*
 * pg_pool.c: see pg_pool.h.
 *
 * `pools` and `leaving` are guarded by `shared_lock`, a pool by its lock; what
 * a worker's connection is at is its thread's alone. A forked child has none of
 * the threads: it forgets the parent's pools, with all that is open in them,
 * and makes its own.
 */
#include "pg_pool.h"

#include "alloc.h"
#include "clock.h"
#include "os.h"
#include "secret.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

struct mp_PgWorker {
    mp_PgPool *pool;
    mp_PgWorker *next;
    pthread_t thread;
    int waker;
    bool started; /* the thread is to be joined; guarded, as the next two */
    bool works;   /* ... and has not decided to end */
    bool connected;
    mp_PgConn *conn;
};

struct mp_PgPool {
    mp_Secret *info;
    mp_PgLimits limits;
    mp_PgPool *next;
    unsigned references; /* guarded by shared_lock */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    mp_List line;
    mp_PgWorker *workers;
    unsigned count; /* of those that work */
    unsigned idle;  /* ... and have nothing to do */
    unsigned connecting;
    unsigned connected;
    atomic_bool stopping;
    atomic_uint running; /* threads that have not ended */
};

static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static mp_PgPool *pools;
static mp_PgPool *leaving;

/* --- the line --- */

static mp_PgTask *take_locked(mp_PgPool *pool)
{
    mp_PgTask *task = (mp_PgTask *)pool->line.first;

    if (!task) return NULL;
    mp_list_remove(&pool->line, &task->link);
    task->waits = false;
    return task;
}

bool mp_pg_pool_take_back(mp_PgPool *pool, mp_PgTask *task)
{
    bool waited;

    pthread_mutex_lock(&pool->lock);
    waited = task->waits;
    if (waited) {
        mp_list_remove(&pool->line, &task->link);
        task->waits = false;
    } else if (task->worker) {
        mp_os_wake(task->worker->waker);
    }
    pthread_mutex_unlock(&pool->lock);
    return waited;
}

/* --- the connections --- */

static bool is_stopping(void *userdata)
{
    mp_PgWorker *self = userdata;

    return atomic_load(&self->pool->stopping);
}

static void disconnect(mp_PgWorker *self)
{
    mp_pg_conn_close(self->conn);
    self->conn = NULL;
}

static mp_Status open_one(mp_PgWorker *self, mp_Error *err)
{
    const mp_PgPool *pool = self->pool;
    int64_t now = mp_clock_us(), span = pool->limits.connect_us;
    mp_PgWatch watch = {
        .cancelled = is_stopping,
        .userdata = self,
        .waker = self->waker,
        .until_us = span < MP_CLOCK_NEVER - now ? now + span : MP_CLOCK_NEVER,
        .late = MP_KIND_TIMEOUT_CONNECT,
    };
    size_t len;

    return mp_pg_conn_open(&self->conn, mp_secret_bytes(pool->info, &len),
                           &watch, err);
}

static void count_connected(mp_PgWorker *self, bool connected)
{
    if (self->connected == connected) return;
    self->connected = connected;
    self->pool->connected += connected ? 1 : -1u;
}

/* Takes the whole line where nobody is left to work it off. */
static mp_PgTask *give_up_locked(mp_PgPool *pool)
{
    mp_PgTask *taken = NULL, **link = &taken, *task;

    if (pool->connected > 0 || pool->connecting > 0) return NULL;
    while ((task = take_locked(pool))) {
        *link = task;
        link = (mp_PgTask **)&task->link.next;
    }
    *link = NULL;
    return taken;
}

static void fail_all(mp_PgTask *task, const mp_Error *err)
{
    while (task) {
        mp_PgTask *next = (mp_PgTask *)task->link.next;

        task->fail(task, err);
        task = next;
    }
}

/* With the lock, which is not held meanwhile: makes sure of a connection. False
 * if there is none to be had; then the worker ends, and what it leaves to fail
 * is in [failed]. */
static bool connect_locked(mp_PgWorker *self, mp_PgTask **failed, mp_Error *err)
{
    mp_PgPool *pool = self->pool;
    bool good;

    pool->connecting++;
    count_connected(self, false);
    pthread_mutex_unlock(&pool->lock);
    if (self->conn && !mp_pg_conn_lives(self->conn)) disconnect(self);
    good = self->conn || open_one(self, err) == MP_OK;
    pthread_mutex_lock(&pool->lock);
    pool->connecting--;
    count_connected(self, good);
    if (good) return true;
    self->works = false;
    pool->count--;
    *failed = give_up_locked(pool);
    pthread_cond_broadcast(&pool->wake); /* others may have it */
    return false;
}

/* --- the threads --- */

static void start_more_locked(mp_PgPool *pool);

/* With the lock, counted as idle: the next task that has a connection, or NULL
 * to end. */
static mp_PgTask *next_locked(mp_PgWorker *self, mp_PgTask **failed,
                              mp_Error *err)
{
    mp_PgPool *pool = self->pool;

    for (;;) {
        while (!pool->line.first && !is_stopping(self))
            pthread_cond_wait(&pool->wake, &pool->lock);
        pool->idle--;
        if (is_stopping(self)) return NULL;
        if (!connect_locked(self, failed, err)) return NULL;
        if (pool->line.first) return take_locked(pool);
        pool->idle++;
    }
}

static void run_locked(mp_PgWorker *self, mp_PgTask *task)
{
    mp_PgPool *pool = self->pool;

    task->worker = self;
    mp_os_calm(self->waker);
    start_more_locked(pool);
    pthread_mutex_unlock(&pool->lock);
    task->run(task, self->conn, self->waker);
    if (mp_pg_conn_is_broken(self->conn)) disconnect(self);
    pthread_mutex_lock(&pool->lock);
    count_connected(self, self->conn != NULL);
    pool->idle++;
}

/* The pool stays while this runs: who frees it joins first. */
static void *work(void *arg)
{
    mp_PgWorker *self = arg;
    mp_PgPool *pool = self->pool;
    mp_PgTask *task, *failed = NULL;
    mp_Error err;

    pthread_setname_np(pthread_self(), "moonpipe-pg");
    pthread_mutex_lock(&pool->lock);
    while ((task = next_locked(self, &failed, &err)))
        run_locked(self, task);
    count_connected(self, false);
    pthread_mutex_unlock(&pool->lock);
    disconnect(self);
    fail_all(failed, &err);
    atomic_fetch_sub(&pool->running, 1);
    return NULL;
}

/* Every signal stays with the host's threads. */
static bool create_thread(mp_PgWorker *self)
{
    sigset_t all, old;
    int failed;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    failed = pthread_create(&self->thread, NULL, work, self);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return !failed;
}

static mp_PgWorker *new_worker(mp_PgPool *pool, mp_Error *err)
{
    mp_PgWorker *self = mp_alloc_zero(1, sizeof *self);

    if (!self) mp_err_memory(err);
    if (!self) return NULL;
    if (mp_os_waker(&self->waker, err) != MP_OK) {
        mp_alloc_free(self);
        return NULL;
    }
    self->pool = pool;
    self->next = pool->workers;
    pool->workers = self;
    return self;
}

/* One that ended may come again; that it has decided so, and counts no more,
 * is all but the end of its thread. */
static mp_PgWorker *find_worker_locked(mp_PgPool *pool, mp_Error *err)
{
    mp_PgWorker *self = pool->workers;

    while (self && self->works)
        self = self->next;
    return self ? self : new_worker(pool, err);
}

static mp_Status start_locked(mp_PgPool *pool, mp_Error *err)
{
    mp_PgWorker *self = find_worker_locked(pool, err);

    if (!self) return -(mp_Status)err->kind;
    if (self->started) pthread_join(self->thread, NULL);
    atomic_fetch_add(&pool->running, 1);
    self->started = self->works = create_thread(self);
    if (!self->started) {
        atomic_fetch_sub(&pool->running, 1);
        return mp_err_set(err, MP_KIND_MEMORY,
                          "cannot start a thread for PostgreSQL");
    }
    pool->count++;
    pool->idle++; /* it will be */
    return MP_OK;
}

/* Where more wait than are free. Without memory those that are there do it. */
static void start_more_locked(mp_PgPool *pool)
{
    mp_Error spare;

    if (!pool->line.first || pool->idle > 0 || pool->connecting > 0 ||
        pool->count >= pool->limits.connections)
        return;
    start_locked(pool, &spare);
}

mp_Status mp_pg_pool_start(mp_PgPool *pool, mp_Error *err)
{
    mp_Status status = MP_OK;

    pthread_mutex_lock(&pool->lock);
    if (pool->count == 0) status = start_locked(pool, err);
    pthread_mutex_unlock(&pool->lock);
    return status;
}

/* The last thread may have ended since mp_pg_pool_start. */
void mp_pg_pool_send(mp_PgPool *pool, mp_PgTask *task)
{
    mp_PgTask *failed = NULL;

    pthread_mutex_lock(&pool->lock);
    mp_list_append(&pool->line, &task->link);
    task->waits = true;
    task->worker = NULL;
    start_more_locked(pool);
    if (pool->count == 0) failed = give_up_locked(pool);
    pthread_cond_signal(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    fail_all(failed, &mp_err_no_memory);
}

/* --- their life --- */

static void forget_parent(void)
{
    pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;

    shared_lock = fresh;
    pools = leaving = NULL;
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_parent);
}

static void discard(mp_PgPool *pool)
{
    while (pool->workers) {
        mp_PgWorker *worker = pool->workers;

        pool->workers = worker->next;
        if (worker->started) pthread_join(worker->thread, NULL);
        mp_os_close(worker->waker);
        mp_alloc_free(worker);
    }
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    mp_secret_free(pool->info);
    mp_alloc_free(pool);
}

static mp_Status make(const char *info, size_t len, const mp_PgLimits *limits,
                      mp_PgPool **out, mp_Error *err)
{
    mp_PgPool *pool = mp_alloc_zero(1, sizeof *pool);
    mp_Status status;

    if (!pool) return mp_err_memory(err);
    status = mp_secret_new(&pool->info, "", info, len, err);
    if (status != MP_OK) {
        mp_alloc_free(pool);
        return status;
    }
    pool->limits = *limits;
    atomic_init(&pool->stopping, false);
    atomic_init(&pool->running, 0);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->next = pools;
    pools = *out = pool;
    return MP_OK;
}

static mp_PgPool *find_locked(const char *info, size_t len)
{
    mp_PgPool *pool = pools;

    for (; pool; pool = pool->next) {
        size_t known_len;
        const char *known = mp_secret_bytes(pool->info, &known_len);

        if (known_len == len && memcmp(known, info, len) == 0) break;
    }
    return pool;
}

/* Takes those out of `leaving` that have ended, or [all], and gives them. */
static mp_PgPool *take_leaving(bool all)
{
    mp_PgPool **link = &leaving, *taken = NULL;

    pthread_mutex_lock(&shared_lock);
    while (*link) {
        mp_PgPool *pool = *link;

        if (!all && atomic_load(&pool->running) > 0) {
            link = &pool->next;
            continue;
        }
        *link = pool->next;
        pool->next = taken;
        taken = pool;
    }
    pthread_mutex_unlock(&shared_lock);
    return taken;
}

static void join(bool all)
{
    mp_PgPool *pool = take_leaving(all);

    while (pool) {
        mp_PgPool *next = pool->next;

        discard(pool);
        pool = next;
    }
}

void mp_pg_pool_join(void)
{
    join(true);
}

mp_Status mp_pg_pool_acquire(const char *info, size_t len,
                             const mp_PgLimits *limits, mp_PgPool **out,
                             mp_Error *err)
{
    mp_PgPool *pool;
    mp_Status status = MP_OK;

    pthread_once(&fork_once, watch_forks);
    join(false);
    pthread_mutex_lock(&shared_lock);
    pool = find_locked(info, len);
    if (!pool) status = make(info, len, limits, &pool, err);
    if (status == MP_OK) pool->references++;
    pthread_mutex_unlock(&shared_lock);
    *out = pool;
    return status;
}

/* False if others hold it still. */
static bool drop_reference(mp_PgPool *pool)
{
    mp_PgPool **link = &pools;
    bool last;

    pthread_mutex_lock(&shared_lock);
    last = --pool->references == 0;
    while (last && *link != pool)
        link = &(*link)->next;
    if (last) *link = pool->next;
    pthread_mutex_unlock(&shared_lock);
    return last;
}

/* Whoever finds it in `leaving` may free it: that comes last. */
void mp_pg_pool_release(mp_PgPool *pool)
{
    if (!drop_reference(pool)) return;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->stopping, true);
    for (mp_PgWorker *worker = pool->workers; worker; worker = worker->next)
        mp_os_wake(worker->waker);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    pthread_mutex_lock(&shared_lock);
    pool->next = leaving;
    leaving = pool;
    pthread_mutex_unlock(&shared_lock);
}
