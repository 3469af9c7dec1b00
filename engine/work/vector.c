/*
 * vector.c: see vector.h.
 *
 * A job's own slice only puts it into the index's line; the index has a task of
 * its own, the turn, which is in the pool while `active` and holds a reference
 * meanwhile. The lock guards line, `active`, `count` and `pool`; what is below
 * `turn` in the struct is the turn's alone (vector_index.h).
 */
#include "vector_index.h"

#include "alloc.h"
#include "clock.h"
#include "os.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

/* Numbers that one call of FAISS copies. */
#define COPY ((size_t)4 << 20)

mp_Status mp_vector_fail(mp_Error *err, int code, const char *message)
{
    if (code == MP_FAISS_MEMORY) return mp_err_memory(err);
    return mp_err_set(err, MP_KIND_INTERNAL, "FAISS: %s", message);
}

/* --- the line --- */

static void append_locked(mp_Vector *index, mp_VectorJob *job)
{
    job->next = NULL;
    if (index->last)
        index->last->next = job;
    else
        index->first = job;
    index->last = job;
}

/* The oldest job; of searches all that follow one another. */
static mp_VectorJob *take_locked(mp_Vector *index)
{
    mp_VectorJob *batch = index->first, *last = batch;
    size_t count = 1;

    while (batch->k > 0 && last->next && last->next->k > 0 &&
           count < MP_VECTOR_TOGETHER) {
        last = last->next;
        count++;
    }
    index->first = last->next;
    if (!index->first) index->last = NULL;
    last->next = NULL;
    return batch;
}

/* --- ending jobs --- */

bool mp_vector_end_job(mp_Vector *index, mp_VectorJob *job,
                       mp_EventKind outcome)
{
    if (!index->ended) index->ended_last = &index->ended;
    *index->ended_last = job;
    index->ended_last = &job->next;
    job->next = NULL;
    return mp_job_decide(&job->cpu.job, outcome);
}

void mp_vector_end_batch(mp_Vector *index, mp_EventKind outcome)
{
    while (index->batch) {
        mp_VectorJob *job = index->batch;

        index->batch = job->next;
        mp_vector_end_job(index, job, outcome);
    }
}

void mp_vector_fail_batch(mp_Vector *index, const mp_Error *err)
{
    for (mp_VectorJob *job = index->batch; job; job = job->next)
        job->cpu.err = *err;
    mp_vector_end_batch(index, MP_EVENT_FAILED);
}

/* Ends what was cancelled while it waited. */
static void sift_batch(mp_Vector *index)
{
    mp_VectorJob **link = &index->batch;

    while (*link) {
        mp_VectorJob *job = *link;

        if (mp_job_is_cancelled(&job->cpu.job)) {
            *link = job->next;
            mp_vector_end_job(index, job, MP_EVENT_DONE);
        } else {
            link = &job->next;
        }
    }
}

static void tell_all(mp_VectorJob *job)
{
    while (job) {
        mp_VectorJob *next = job->next; /* the job is gone once told */

        mp_job_tell(&job->cpu.job);
        job = next;
    }
}

/* Who gets an answer may fork at once: by then all is as it will be found.
 * The jobs hold the index, so this reference is not the last. */
bool mp_vector_end_turn(mp_Vector *index)
{
    mp_VectorJob *ended = index->ended;
    bool more;

    index->ended = NULL;
    pthread_mutex_lock(&index->lock);
    more = index->batch || index->first;
    index->active = more;
    pthread_mutex_unlock(&index->lock);
    if (!more) mp_vector_unref(index);
    tell_all(ended);
    return more;
}

/* --- adding --- */

static void set_count(mp_Vector *index, size_t count)
{
    pthread_mutex_lock(&index->lock);
    index->count = count;
    pthread_mutex_unlock(&index->lock);
}

/* Keeps the first [count] vectors; cannot fail, for it only shrinks. */
static void cut(mp_Vector *index, size_t count)
{
    char message[MP_FAISS_TEXT];

    index->lib->cut(index->faiss, count, message);
    set_count(index, count);
}

/* Adds the next rows, as many as one call may. */
static mp_Status add_block(mp_Vector *index, const mp_Floats *rows,
                           mp_Error *err)
{
    size_t count = rows->rows - index->at, most = COPY / index->dim + 1;
    char message[MP_FAISS_TEXT];
    int code;

    if (count > most) count = most;
    code = index->lib->add(index->faiss, rows->data + index->at * index->dim,
                           count, message);
    index->at += count;
    return code == MP_FAISS_OK ? MP_OK : mp_vector_fail(err, code, message);
}

/* The add counts unless a cancel was faster. */
static void end_add(mp_Vector *index)
{
    size_t before = index->count;
    mp_VectorJob *job = index->batch;

    index->batch = NULL;
    set_count(index, before + job->rows.rows);
    if (!mp_vector_end_job(index, job, MP_EVENT_DONE)) cut(index, before);
}

static void add_slice(mp_Vector *index, int64_t until_us)
{
    mp_VectorJob *job = index->batch;
    mp_Error err;

    while (index->at < job->rows.rows) {
        if (mp_job_is_cancelled(&job->cpu.job)) {
            cut(index, index->count);
            mp_vector_end_batch(index, MP_EVENT_DONE);
            return;
        }
        if (add_block(index, &job->rows, &err) != MP_OK) {
            cut(index, index->count);
            mp_vector_fail_batch(index, &err);
            return;
        }
        if (mp_clock_us() >= until_us && index->at < job->rows.rows) return;
    }
    end_add(index);
}

static mp_Status begin_add(mp_Vector *index, mp_Error *err)
{
    mp_Buf *bytes = &index->batch->cpu.job.end.bytes;

    index->at = 0;
    mp_buf_printf(bytes, "%zu", index->count);
    return mp_buf_check(bytes, err);
}

/* --- the turn --- */

static void begin(mp_Vector *index)
{
    mp_Status status;
    mp_Error err;

    pthread_mutex_lock(&index->lock);
    index->batch = take_locked(index);
    pthread_mutex_unlock(&index->lock);
    sift_batch(index);
    if (!index->batch) return;
    status = index->batch->k > 0 ? mp_vector_begin_search(index, &err)
                                 : begin_add(index, &err);
    if (status != MP_OK) mp_vector_fail_batch(index, &err);
}

static bool run_turn(mp_PoolTask *task)
{
    mp_Vector *index = (mp_Vector *)((char *)task - offsetof(mp_Vector, turn));
    int64_t until_us = mp_clock_us() + MP_CPU_SLICE_US;

    if (!index->batch) begin(index);
    if (index->batch && index->batch->k == 0)
        add_slice(index, until_us);
    else if (index->batch && !mp_vector_search_slice(index, until_us))
        return false;
    return mp_vector_end_turn(index);
}

/* --- the jobs --- */

/* On the pool: joins the line, and sends the turn if it is not on its way.
 * Until then nobody can settle the job, so its engine keeps the pool; a
 * reference held longer could be the last, and no pool thread can join itself.
 */
static mp_CpuStep join_line(mp_CpuJob *cpu, int64_t until_us)
{
    mp_VectorJob *self = (mp_VectorJob *)cpu;
    mp_Vector *index = self->index;
    mp_Pool *pool;
    bool sends;

    (void)until_us;
    if (mp_pool_acquire(&pool, &cpu->err) != MP_OK) return MP_CPU_FAILED;
    mp_pool_release(pool);
    pthread_mutex_lock(&index->lock);
    append_locked(index, self);
    sends = !index->active;
    index->active = true;
    if (sends) {
        index->pool = pool;
        atomic_fetch_add(&index->references, 1);
    }
    pthread_mutex_unlock(&index->lock);
    if (sends) mp_pool_send(pool, &index->turn);
    return MP_CPU_PARKED;
}

static void term(mp_CpuJob *cpu)
{
    mp_VectorJob *self = (mp_VectorJob *)cpu;

    mp_floats_term(&self->rows);
    mp_vector_unref(self->index);
}

static const mp_CpuClass vector_class = {join_line, term};

static mp_Job *new_job(mp_Vector *index, mp_Floats *rows, size_t k)
{
    mp_VectorJob *self = mp_alloc_zero(1, sizeof *self);

    if (!self) return NULL;
    mp_cpu_init(&self->cpu, &vector_class);
    atomic_fetch_add(&index->references, 1);
    self->index = index;
    self->rows = mp_floats_take(rows);
    self->k = k;
    return &self->cpu.job;
}

mp_Job *mp_vector_add(mp_Vector *index, mp_Floats *rows)
{
    return new_job(index, rows, 0);
}

mp_Job *mp_vector_search(mp_Vector *index, mp_Floats *query, size_t k)
{
    return new_job(index, query, k);
}

/* --- the index --- */

mp_Status mp_vector_new(mp_Vector **out, int metric, size_t dim, mp_Error *err)
{
    const mp_VectorLib *lib = mp_vector_lib(err);
    char message[MP_FAISS_TEXT];
    mp_Vector *index;
    int code;

    if (!lib) return -MP_KIND_UNSUPPORTED;
    index = mp_alloc_zero(1, sizeof *index);
    if (!index) return mp_err_memory(err);
    code = lib->make(&index->faiss, metric, dim, message);
    if (code != MP_FAISS_OK) {
        mp_alloc_free(index);
        return mp_vector_fail(err, code, message);
    }
    index->lib = lib;
    index->dim = dim;
    index->metric = metric;
    index->turn.run = run_turn;
    index->generation = mp_os_generation();
    atomic_init(&index->references, 1);
    pthread_mutex_init(&index->lock, NULL);
    *out = index;
    return MP_OK;
}

void mp_vector_unref(mp_Vector *index)
{
    char message[MP_FAISS_TEXT];

    if (atomic_fetch_sub(&index->references, 1) != 1) return;
    index->lib->drop(index->faiss, message);
    pthread_mutex_destroy(&index->lock);
    mp_alloc_free(index);
}

size_t mp_vector_dim(const mp_Vector *index)
{
    return index->dim;
}

/* In a forked child: nobody works on the index, if nobody did before. */
static mp_Status claim(mp_Vector *index, mp_Error *err)
{
    pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;

    if (index->generation == mp_os_generation()) return MP_OK;
    if (index->active || index->first)
        return mp_err_set(err, MP_KIND_CLOSED,
                          "the index was in use when the process forked");
    index->lock = fresh;
    index->generation = mp_os_generation();
    return MP_OK;
}

/* Of what was in use when the process forked, nobody is left who could change
 * it, or who could give its lock back. */
size_t mp_vector_count(mp_Vector *index)
{
    size_t count;

    if (claim(index, NULL) != MP_OK) return index->count;
    pthread_mutex_lock(&index->lock);
    count = index->count;
    pthread_mutex_unlock(&index->lock);
    return count;
}

mp_Status mp_vector_check(mp_Vector *index, const mp_Floats *rows,
                          mp_Error *err)
{
    size_t size = rows->rows * rows->dim;

    if (claim(index, err) != MP_OK) return -MP_KIND_CLOSED;
    if (rows->rows > 0 && rows->dim != index->dim)
        return mp_err_set(err, MP_KIND_INPUT,
                          "the index holds vectors of %zu numbers, got %zu",
                          index->dim, rows->dim);
    for (size_t i = 0; i < size; i++)
        if (!isfinite(rows->data[i]))
            return mp_err_set(err, MP_KIND_INPUT,
                              "number %zu of vector %zu is not finite",
                              i % rows->dim + 1, i / rows->dim + 1);
    return MP_OK;
}
