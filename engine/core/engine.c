/*
 * engine.c: see engine.h.
 *
 * Live jobs stand in a hash table by id, chained through the jobs themselves,
 * so that cancel needs no pointer from Lua. A job leaves the table when its
 * terminal event is taken, on this thread; so a pointer found in the table is
 * always alive.
 */
#include "engine.h"

#include "alloc.h"
#include "clock.h"
#include "db.h"
#include "io.h"
#include "job.h"
#include "os.h"
#include "pg.h"
#include "pool.h"

#include <string.h>

#define FIRST_BUCKETS 64 /* a power of two, as all sizes */

struct mp_Engine {
    mp_Queue answers;
    mp_Node *batch; /* drained, not yet handed out */
    mp_Io *io;      /* NULL before its first job */
    mp_Pool *pool;  /* the same */
    mp_Job **buckets;
    size_t bucket_count;
    size_t live;
    uint64_t last_id;
    unsigned generation;
    atomic_bool interrupt;
};

/* --- the table of live jobs --- */

static mp_Job **bucket_of(mp_Engine *engine, uint64_t id)
{
    return &engine->buckets[id & (engine->bucket_count - 1)];
}

static void table_add(mp_Engine *engine, mp_Job *job)
{
    mp_Job **bucket = bucket_of(engine, job->end.id);

    job->bucket_next = *bucket;
    *bucket = job;
    engine->live++;
}

static void table_remove(mp_Engine *engine, mp_Job *job)
{
    mp_Job **link = bucket_of(engine, job->end.id);

    while (*link != job)
        link = &(*link)->bucket_next;
    *link = job->bucket_next;
    engine->live--;
}

static mp_Job *table_find(mp_Engine *engine, uint64_t id)
{
    mp_Job *job = engine->bucket_count ? *bucket_of(engine, id) : NULL;

    while (job && job->end.id != id)
        job = job->bucket_next;
    return job;
}

/* Takes every job out and returns them as a list through bucket_next. */
static mp_Job *table_empty(mp_Engine *engine)
{
    mp_Job *all = NULL;

    for (size_t i = 0; i < engine->bucket_count; i++) {
        while (engine->buckets[i]) {
            mp_Job *job = engine->buckets[i];

            engine->buckets[i] = job->bucket_next;
            job->bucket_next = all;
            all = job;
        }
    }
    engine->live = 0;
    return all;
}

static void table_fill(mp_Engine *engine, mp_Job *jobs)
{
    while (jobs) {
        mp_Job *job = jobs;

        jobs = job->bucket_next;
        table_add(engine, job);
    }
}

/* Keeps chains short. Only the first failure matters: a table that could not
 * grow still works. */
static mp_Status table_room(mp_Engine *engine)
{
    size_t count =
        engine->bucket_count ? engine->bucket_count * 2 : FIRST_BUCKETS;
    mp_Job **buckets;
    mp_Job *all;

    if (engine->live < engine->bucket_count) return MP_OK;
    buckets = mp_alloc_zero(count, sizeof *buckets);
    if (!buckets) return engine->buckets ? MP_OK : -MP_KIND_MEMORY;
    all = table_empty(engine);
    mp_alloc_free(engine->buckets);
    engine->buckets = buckets;
    engine->bucket_count = count;
    table_fill(engine, all);
    return MP_OK;
}

/* --- fork --- */

static const mp_Error forked = {
    MP_KIND_CLOSED, 0, "the process forked while the call was in flight"};

static void tell(mp_Engine *engine, mp_QueueBell bell)
{
    mp_queue_tell(&engine->answers, bell);
    if (bell.on_ring) mp_queue_keep_armed(&engine->answers);
}

/* In a forked child: the parent's thread is not here and will never answer.
 * Its inbox and waker are the parent's too, so both are made anew. Limit:
 * if no descriptor is left, the child's engine never wakes from a wait. */
static void start_anew(mp_Engine *engine)
{
    mp_QueueBell bell = engine->answers.bell;
    mp_Job *job = table_empty(engine);
    mp_Job *next;

    engine->generation = mp_os_generation();
    engine->io = NULL;
    engine->pool = NULL;
    mp_os_close(engine->answers.waker);
    mp_queue_init(&engine->answers, NULL);
    if (bell.on_ring) tell(engine, bell);
    engine->batch = NULL;
    for (; job; job = next) {
        next = job->bucket_next;
        table_add(engine, job);
        job->end.bytes.len = job->end.head.len = 0;
        job->err = &forked;
        atomic_store(&job->state, 0); /* no message is on its way here */
        mp_job_end(job, MP_EVENT_FAILED);
    }
}

static void notice_fork(mp_Engine *engine)
{
    if (engine->generation != mp_os_generation()) start_anew(engine);
}

/* --- the doors --- */

void mp_engine_tell(mp_Engine *engine, void (*on_wake)(void *userdata),
                    void *userdata)
{
    notice_fork(engine);
    tell(engine, (mp_QueueBell){on_wake, userdata});
}

mp_Status mp_engine_new(mp_Engine **out, mp_Error *err)
{
    mp_Engine *engine = mp_alloc_zero(1, sizeof *engine);
    mp_Status status;

    if (!engine) return mp_err_memory(err);
    status = mp_queue_init(&engine->answers, err);
    if (status != MP_OK) {
        mp_alloc_free(engine);
        return status;
    }
    engine->generation = mp_os_generation();
    *out = engine;
    return MP_OK;
}

static mp_Status prepare(mp_Engine *engine, const mp_Job *job, mp_Error *err)
{
    notice_fork(engine);
    if (table_room(engine) != MP_OK) return mp_err_memory(err);
    if (job->cls->send) return MP_OK;
    if (job->task)
        return engine->pool ? MP_OK : mp_pool_acquire(&engine->pool, err);
    return engine->io ? MP_OK : mp_io_acquire(&engine->io, err);
}

mp_Status mp_engine_submit(mp_Engine *engine, mp_Job *job, uint64_t *id,
                           mp_Error *err)
{
    mp_Status status = job ? prepare(engine, job, err) : mp_err_memory(err);

    if (status != MP_OK) {
        if (job) job->cls->free(job);
        return status;
    }
    *id = job->end.id = ++engine->last_id;
    job->answers = &engine->answers;
    table_add(engine, job);
    if (job->cls->send)
        job->cls->send(job);
    else if (job->task)
        mp_pool_send(engine->pool, job->task);
    else
        mp_io_send(engine->io, &job->start_message);
    return MP_OK;
}

/* A job that still waits for the pool ends here; one that runs there sees the
 * flag. */
static void cancel(mp_Engine *engine, mp_Job *job)
{
    if (!mp_job_cancels(job)) return;
    if (job->cls->withdraw)
        job->cls->withdraw(job);
    else if (!job->task)
        mp_io_send(engine->io, &job->cancel_message);
    else if (mp_pool_take_back(engine->pool, job->task))
        mp_job_cancelled(job);
}

void mp_engine_cancel(mp_Engine *engine, uint64_t id)
{
    mp_Job *job;

    notice_fork(engine);
    job = table_find(engine, id);
    if (job) cancel(engine, job);
}

static void resume(mp_Engine *engine, mp_Job *job)
{
    if (mp_job_resumes(job)) mp_io_send(engine->io, &job->resume_message);
}

void mp_engine_was_read(mp_Engine *engine, mp_Job *job, size_t len)
{
    notice_fork(engine);
    if (mp_job_was_read(job, len)) resume(engine, job);
}

void mp_engine_set_window(mp_Engine *engine, mp_Job *job, size_t window)
{
    notice_fork(engine);
    if (mp_job_set_window(job, window)) resume(engine, job);
}

mp_Event *mp_engine_next(mp_Engine *engine)
{
    mp_Event *event;

    notice_fork(engine);
    if (!engine->batch) engine->batch = mp_queue_drain(&engine->answers);
    event = (mp_Event *)engine->batch;
    if (!event) return NULL;
    engine->batch = event->node.next;
    if (event->job) table_remove(engine, event->job);
    return event;
}

bool mp_engine_wait(mp_Engine *engine, int64_t timeout_us)
{
    notice_fork(engine);
    if (engine->batch || !mp_queue_arm(&engine->answers)) return true;
    if (atomic_load(&engine->interrupt)) return false;
    if (mp_os_wait(engine->answers.waker, timeout_us) &&
        !engine->answers.keep_armed)
        mp_os_calm(engine->answers.waker);
    return !mp_queue_arm(&engine->answers);
}

int mp_engine_fd(mp_Engine *engine)
{
    notice_fork(engine);
    mp_queue_keep_armed(&engine->answers);
    return engine->answers.waker;
}

void mp_engine_wake(mp_Engine *engine)
{
    if (engine->answers.keep_armed) mp_queue_ring(&engine->answers);
}

size_t mp_engine_live(const mp_Engine *engine)
{
    return engine->live;
}

void mp_engine_interrupt(mp_Engine *engine)
{
    atomic_store(&engine->interrupt, true);
    mp_os_wake(engine->answers.waker);
}

bool mp_engine_is_interrupted(mp_Engine *engine)
{
    return atomic_load(&engine->interrupt);
}

bool mp_engine_interrupted(mp_Engine *engine)
{
    return atomic_exchange(&engine->interrupt, false);
}

static void cancel_all(mp_Engine *engine)
{
    for (size_t i = 0; i < engine->bucket_count; i++)
        for (mp_Job *job = engine->buckets[i]; job; job = job->bucket_next)
            cancel(engine, job);
}

static void free_batch(mp_Engine *engine)
{
    mp_Event *event;

    while ((event = mp_engine_next(engine)))
        mp_job_free_event(event);
}

void mp_engine_free(mp_Engine *engine)
{
    if (!engine) return;
    notice_fork(engine);
    cancel_all(engine);
    free_batch(engine);
    while (engine->live > 0) {
        mp_engine_interrupted(engine); /* an interrupt must not spin us */
        mp_engine_wait(engine, -1);
        free_batch(engine);
    }
    if (engine->io) mp_io_release(engine->io);
    if (engine->pool) mp_pool_release(engine->pool);
    mp_db_join();
    mp_pg_join();
    mp_queue_term(&engine->answers);
    mp_alloc_free(engine->buckets);
    mp_alloc_free(engine);
}
