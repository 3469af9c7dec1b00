/*
 * pg.c: see pg.h. The threads stand in pg_pool.c, what PostgreSQL is told in
 * pg_conn.c.
 *
 * A job keeps its hold, so a hold may be closed while its jobs run.
 */
#include "pg.h"

#include "alloc.h"
#include "clock.h"
#include "os.h"
#include "secret.h"

#include <stddef.h>
#include <string.h>

struct mp_Pg {
    atomic_uint references;
    mp_PgPool *pool;
    unsigned generation; /* the process whose `pool` it is */
    mp_Secret *info;
    mp_PgOptions options;
};

typedef struct PgJob {
    mp_Job job;
    mp_PgTask task;
    bool atomic;
    mp_Pg *pg;
    mp_Buf statements;
    mp_Error err; /* what job.err is */
} PgJob;

static PgJob *job_of(mp_PgTask *task)
{
    return (PgJob *)((char *)task - offsetof(PgJob, task));
}

/* --- on a connection's thread --- */

static bool is_cancelled(void *job)
{
    return mp_job_is_cancelled(&((PgJob *)job)->job);
}

static mp_Status perform(PgJob *job, mp_PgConn *conn, int waker)
{
    int64_t now = mp_clock_us(), span = job->pg->options.timeout_us;
    mp_PgWatch watch = {
        .cancelled = is_cancelled,
        .userdata = job,
        .waker = waker,
        .until_us = span < MP_CLOCK_NEVER - now ? now + span : MP_CLOCK_NEVER,
        .late = MP_KIND_TIMEOUT_TOTAL,
    };
    mp_PgWork work = {job->statements.data, job->statements.len, job->atomic};

    return mp_pg_conn_do(conn, &work, &watch, &job->job.end.bytes, &job->err);
}

/* A job that was cancelled meanwhile is settled as that, whatever it is told.
 */
static void run(mp_PgTask *task, mp_PgConn *conn, int waker)
{
    PgJob *job = job_of(task);
    mp_Status status = perform(job, conn, waker);

    if (status != MP_OK) mp_buf_term(&job->job.end.bytes);
    mp_job_settle(&job->job, status == MP_OK ? MP_EVENT_DONE : MP_EVENT_FAILED);
}

static void fail(mp_PgTask *task, const mp_Error *err)
{
    PgJob *job = job_of(task);

    job->err = *err;
    mp_job_settle(&job->job, MP_EVENT_FAILED);
}

/* --- holds --- */

/* In a forked child the parent's pool is left alone, with all it holds. */
static mp_Status find_pool(mp_Pg *pg, mp_Error *err)
{
    size_t len;
    const char *info = mp_secret_bytes(pg->info, &len);

    if (pg->pool && pg->generation == mp_os_generation()) return MP_OK;
    pg->generation = mp_os_generation();
    return mp_pg_pool_acquire(info, len, &pg->options.limits, &pg->pool, err);
}

static mp_Status new_hold(mp_Pg **out, const char *info,
                          const mp_PgOptions *options, mp_Error *err)
{
    mp_Pg *pg = mp_alloc_zero(1, sizeof *pg);
    mp_Status status;

    if (!pg) return mp_err_memory(err);
    atomic_init(&pg->references, 1);
    pg->options = *options;
    status = mp_secret_new(&pg->info, "", info, strlen(info), err);
    if (status == MP_OK) status = find_pool(pg, err);
    if (status == MP_OK)
        *out = pg;
    else
        mp_pg_close(pg);
    return status;
}

mp_Status mp_pg_open(mp_Pg **out, const char *info, const mp_PgOptions *options,
                     mp_Error *err)
{
    mp_Error spare;
    mp_Status status;

    err = err ? err : &spare;
    status = mp_pg_conn_check(info, err);
    return status == MP_OK ? new_hold(out, info, options, err) : status;
}

void mp_pg_close(mp_Pg *pg)
{
    if (!pg || atomic_fetch_sub(&pg->references, 1) > 1) return;
    if (pg->pool && pg->generation == mp_os_generation())
        mp_pg_pool_release(pg->pool);
    mp_secret_free(pg->info);
    mp_alloc_free(pg);
}

/* --- jobs --- */

static void send(mp_Job *job)
{
    PgJob *self = (PgJob *)job;

    mp_pg_pool_send(self->pg->pool, &self->task);
}

/* One that runs sees the flag. */
static void withdraw(mp_Job *job)
{
    PgJob *self = (PgJob *)job;

    if (mp_pg_pool_take_back(self->pg->pool, &self->task))
        mp_job_cancelled(job);
}

static void free_job(mp_Job *job)
{
    PgJob *self = (PgJob *)job;

    if (!mp_job_is_inherited(job)) {
        mp_buf_term(&job->end.bytes);
        mp_buf_term(&self->statements);
    }
    mp_pg_close(self->pg);
    mp_alloc_free(self);
}

static const mp_JobClass pg_class = {
    .name = "pg", .free = free_job, .send = send, .withdraw = withdraw};

mp_Job *mp_pg_job(mp_Pg *pg, mp_Buf *statements, bool atomic, mp_Error *err)
{
    PgJob *job;

    if (find_pool(pg, err) != MP_OK) return NULL;
    if (mp_pg_pool_start(pg->pool, err) != MP_OK) return NULL;
    job = mp_alloc_zero(1, sizeof *job);
    if (!job) {
        mp_err_memory(err);
        return NULL;
    }
    mp_job_init(&job->job, &pg_class);
    job->job.err = &job->err;
    mp_buf_init(&job->job.end.bytes, pg->options.max_bytes);
    job->task.run = run;
    job->task.fail = fail;
    job->atomic = atomic;
    job->pg = pg;
    atomic_fetch_add(&pg->references, 1);
    job->statements = *statements;
    mp_buf_init(statements, statements->max);
    return &job->job;
}

void mp_pg_join(void)
{
    mp_pg_pool_join();
}
