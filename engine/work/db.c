/*
 * db.c: see db.h. The threads stand in db_file.c, what SQLite is told in
 * db_sql.c.
 *
 * A hold (mp_Db) says which file, and what it must be; holds share the file.
 * A job keeps its hold, so a hold may be closed while its jobs run.
 */
#include "db.h"

#include "alloc.h"
#include "db_file.h"
#include "os.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mp_Db {
    atomic_uint references;
    mp_DbFile *file;
    unsigned generation; /* the process whose `file` it is */
    unsigned epoch;      /* the file's thread's: the connection whose format was
                          * checked */
    char *path;
    bool normal;
    int64_t busy_us;
    size_t max_bytes;
    mp_DbFormat format;
    char *steps; /* format.steps, owned */
};

typedef struct DbJob {
    mp_Job job;
    mp_DbTask task;
    bool atomic;
    mp_Db *db;
    mp_Buf statements;
    mp_Error err; /* what job.err is */
} DbJob;

/* --- on the file's thread --- */

static bool is_cancelled(void *job)
{
    return mp_job_is_cancelled(&((DbJob *)job)->job);
}

static void sleep_us(void *job, int64_t us)
{
    mp_db_file_sleep(((DbJob *)job)->db->file, us, is_cancelled, job);
}

static void disconnect(mp_DbFile *file)
{
    mp_db_sql_close(file->sql);
    file->sql = NULL;
}

/* A connection whose file is as the hold wants it. */
static mp_Status connect(mp_DbFile *file, mp_Db *db, const mp_DbWatch *watch,
                         mp_Error *err)
{
    mp_Status status = MP_OK;

    if (file->sql) {
        status = mp_db_sql_check_place(file->sql, err);
    } else {
        status = mp_db_sql_open(&file->sql, file->path, watch, err);
        file->epoch++;
    }
    if (status == MP_OK && db->epoch != file->epoch) {
        status = mp_db_sql_format(file->sql, &db->format, watch, err);
        if (status == MP_OK) db->epoch = file->epoch;
    }
    return status;
}

static mp_Status perform(mp_DbFile *file, DbJob *job)
{
    mp_Db *db = job->db;
    mp_DbWatch watch = {is_cancelled, sleep_us, job, db->busy_us};
    mp_DbWork work = {job->statements.data, job->statements.len, job->atomic,
                      db->normal};
    mp_Error *err = &job->err;
    mp_Buf *out = &job->job.end.bytes;
    mp_Status status = connect(file, db, &watch, err);

    if (status == MP_OK)
        status = mp_db_sql_do(file->sql, &work, &watch, out, err);
    if (file->sql && mp_db_sql_is_broken(file->sql)) disconnect(file);
    return status;
}

/* A job that was cancelled meanwhile is settled as that, whatever it is told.
 */
static void run(mp_DbTask *task, mp_DbFile *file)
{
    DbJob *job = (DbJob *)((char *)task - offsetof(DbJob, task));
    mp_Status status = MP_OK;

    if (!is_cancelled(job)) status = perform(file, job);
    if (status != MP_OK) mp_buf_term(&job->job.end.bytes);
    mp_job_settle(&job->job, status == MP_OK ? MP_EVENT_DONE : MP_EVENT_FAILED);
}

/* --- holds --- */

/* The folder of [path] made canonical, the name behind it as it is. */
static bool canonical_folder(const char *path, char out[PATH_MAX])
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char folder[PATH_MAX] = ".";
    size_t len = slash ? (size_t)(slash - path) + 1 : 0;

    if (len >= PATH_MAX || !*name) return false;
    memcpy(folder, path, len);
    if (!realpath(folder, out)) return false;
    len = strlen(out);
    if (len + strlen(name) + 2 > PATH_MAX) return false;
    if (len > 1) out[len++] = '/';
    memcpy(out + len, name, strlen(name) + 1);
    return true;
}

/* Two names of one file must be one; it need not exist yet. */
static mp_Status canonical(const char *path, char out[PATH_MAX], mp_Error *err)
{
    char what[256];

    if (strcmp(path, MP_DB_MEMORY) == 0) {
        memcpy(out, path, sizeof MP_DB_MEMORY);
        return MP_OK;
    }
    if (realpath(path, out)) return MP_OK;
    if (errno == ENOENT && canonical_folder(path, out)) return MP_OK;
    snprintf(what, sizeof what, "cannot open '%s'", path);
    return mp_err_os(err, errno, what);
}

static size_t length_of_steps(const mp_DbOptions *options)
{
    const char *at = options->steps;

    for (size_t i = 0; i < options->step_count; i++)
        at += strlen(at) + 1;
    return (size_t)(at - options->steps);
}

static void free_hold(mp_Db *db)
{
    mp_alloc_free(db->path);
    mp_alloc_free(db->steps);
    mp_alloc_free(db);
}

static mp_Status new_hold(mp_Db **out, const char *path,
                          const mp_DbOptions *options, mp_Error *err)
{
    mp_Db *db = mp_alloc_zero(1, sizeof *db);

    if (!db) return mp_err_memory(err);
    atomic_init(&db->references, 1);
    db->path = mp_alloc_copy(path, strlen(path));
    if (options->step_count > 0)
        db->steps = mp_alloc_copy(options->steps, length_of_steps(options));
    if (!db->path || (options->step_count > 0 && !db->steps)) {
        free_hold(db);
        return mp_err_memory(err);
    }
    db->normal = options->normal;
    db->busy_us = options->busy_us;
    db->max_bytes = options->max_bytes;
    db->format =
        (mp_DbFormat){options->application_id, options->step_count, db->steps};
    *out = db;
    return MP_OK;
}

/* In a forked child the parent's file is left alone, with all it holds. */
static mp_Status find_file(mp_Db *db, mp_Error *err)
{
    mp_Status status;

    if (db->file && db->generation == mp_os_generation()) return MP_OK;
    db->file = NULL;
    status = mp_db_file_acquire(db->path, &db->file, err);
    db->generation = mp_os_generation();
    db->epoch = 0;
    return status;
}

mp_Status mp_db_open(mp_Db **out, const char *path, const mp_DbOptions *options,
                     mp_Error *err)
{
    char found[PATH_MAX];
    mp_Status status;
    mp_Error spare;
    mp_Db *db = NULL;

    err = err ? err : &spare;
    status = mp_db_sql_available(err);
    if (status == MP_OK) status = canonical(path, found, err);
    if (status == MP_OK) status = new_hold(&db, found, options, err);
    if (status != MP_OK) return status;
    status = find_file(db, err);
    if (status == MP_OK)
        *out = db;
    else
        free_hold(db);
    return status;
}

void mp_db_close(mp_Db *db)
{
    if (!db || atomic_fetch_sub(&db->references, 1) > 1) return;
    if (db->file && db->generation == mp_os_generation())
        mp_db_file_release(db->file);
    free_hold(db);
}

const char *mp_db_path(const mp_Db *db)
{
    return db->path;
}

/* --- jobs --- */

static void send(mp_Job *job)
{
    DbJob *self = (DbJob *)job;

    mp_db_file_send(self->db->file, &self->task);
}

/* One that runs sees the flag. */
static void withdraw(mp_Job *job)
{
    DbJob *self = (DbJob *)job;

    if (mp_db_file_take_back(self->db->file, &self->task))
        mp_job_cancelled(job);
}

static void free_job(mp_Job *job)
{
    DbJob *self = (DbJob *)job;

    if (!mp_job_is_inherited(job)) {
        mp_buf_term(&job->end.bytes);
        mp_buf_term(&self->statements);
    }
    mp_db_close(self->db);
    mp_alloc_free(self);
}

static const mp_JobClass db_class = {
    .name = "db", .free = free_job, .send = send, .withdraw = withdraw};

mp_Job *mp_db_job(mp_Db *db, mp_Buf *statements, bool atomic, mp_Error *err)
{
    DbJob *job;

    if (find_file(db, err) != MP_OK) return NULL;
    if (mp_db_file_start(db->file, err) != MP_OK) return NULL;
    job = mp_alloc_zero(1, sizeof *job);
    if (!job) {
        mp_err_memory(err);
        return NULL;
    }
    mp_job_init(&job->job, &db_class);
    job->job.err = &job->err;
    mp_buf_init(&job->job.end.bytes, db->max_bytes);
    job->task.run = run;
    job->atomic = atomic;
    job->db = db;
    atomic_fetch_add(&db->references, 1);
    job->statements = *statements;
    mp_buf_init(statements, statements->max);
    return &job->job;
}

void mp_db_join(void)
{
    mp_db_file_join();
}
