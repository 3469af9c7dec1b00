/*
 * vector.c: see vector.h.
 *
 * The turn of its line is an index's own, for searches that wait together are
 * answered together. The line's lock guards `count`; what is below it in the
 * struct is the turn's alone (vector_index.h).
 */
#include "vector_index.h"

#include "alloc.h"
#include "clock.h"

#include <math.h>
#include <stddef.h>

/* Numbers that one call of FAISS copies. */
#define COPY ((size_t)4 << 20)

mp_Status mp_vector_fail(mp_Error *err, int code, const char *message)
{
    if (code == MP_FAISS_MEMORY) return mp_err_memory(err);
    return mp_err_set(err, MP_KIND_INTERNAL, "FAISS: %s", message);
}

/* --- ending jobs --- */

bool mp_vector_end_job(mp_Vector *index, mp_VectorJob *job,
                       mp_EventKind outcome)
{
    if (!index->ended) index->ended_last = &index->ended;
    *index->ended_last = &job->line;
    index->ended_last = &job->line.next;
    job->line.next = NULL;
    return mp_job_decide(&job->line.cpu.job, outcome);
}

void mp_vector_end_batch(mp_Vector *index, mp_EventKind outcome)
{
    while (index->batch) {
        mp_VectorJob *job = index->batch;

        index->batch = mp_vector_next(job);
        mp_vector_end_job(index, job, outcome);
    }
}

void mp_vector_fail_batch(mp_Vector *index, const mp_Error *err)
{
    for (mp_VectorJob *job = index->batch; job; job = mp_vector_next(job))
        job->line.cpu.err = *err;
    mp_vector_end_batch(index, MP_EVENT_FAILED);
}

/* Ends what was cancelled while it waited. */
static void sift_batch(mp_Vector *index)
{
    mp_VectorJob *waiting = index->batch, *kept = NULL;

    index->batch = NULL;
    while (waiting) {
        mp_VectorJob *job = waiting;

        waiting = mp_vector_next(job);
        if (mp_job_is_cancelled(&job->line.cpu.job)) {
            mp_vector_end_job(index, job, MP_EVENT_DONE);
            continue;
        }
        job->line.next = NULL;
        if (kept)
            kept->line.next = &job->line;
        else
            index->batch = job;
        kept = job;
    }
}

bool mp_vector_end_turn(mp_Vector *index)
{
    mp_LineJob *ended = index->ended;

    index->ended = NULL;
    return mp_line_end_turn(&index->line, ended, index->batch != NULL);
}

/* --- adding --- */

static void set_count(mp_Vector *index, size_t count)
{
    pthread_mutex_lock(&index->line.lock);
    index->count = count;
    pthread_mutex_unlock(&index->line.lock);
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
        if (mp_job_is_cancelled(&job->line.cpu.job)) {
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
    mp_Buf *bytes = &index->batch->line.cpu.job.end.bytes;

    index->at = 0;
    mp_buf_printf(bytes, "%zu", index->count);
    return mp_buf_check(bytes, err);
}

/* --- the turn --- */

static bool is_search(const mp_LineJob *job)
{
    return ((const mp_VectorJob *)job)->k > 0;
}

static void begin(mp_Vector *index)
{
    mp_Status status;
    mp_Error err;

    index->batch = (mp_VectorJob *)mp_line_take(&index->line, is_search,
                                                MP_VECTOR_TOGETHER);
    sift_batch(index);
    if (!index->batch) return;
    status = index->batch->k > 0 ? mp_vector_begin_search(index, &err)
                                 : begin_add(index, &err);
    if (status != MP_OK) mp_vector_fail_batch(index, &err);
}

static bool run_turn(mp_PoolTask *task)
{
    mp_Vector *index = (mp_Vector *)((char *)task - offsetof(mp_Line, turn));
    int64_t until_us = mp_clock_us() + MP_CPU_SLICE_US;

    if (!index->batch) begin(index);
    if (index->batch && index->batch->k == 0)
        add_slice(index, until_us);
    else if (index->batch && !mp_vector_search_slice(index, until_us))
        return false;
    return mp_vector_end_turn(index);
}

/* --- the jobs --- */

static void term(mp_LineJob *job)
{
    mp_floats_term(&((mp_VectorJob *)job)->rows);
}

static const mp_LineJobClass vector_class = {NULL, NULL, term};

static mp_Job *new_job(mp_Vector *index, mp_Floats *rows, size_t k)
{
    mp_VectorJob *self = mp_alloc_zero(1, sizeof *self);

    if (!self) return NULL;
    mp_line_job_init(&self->line, &index->line, &vector_class);
    self->rows = mp_floats_take(rows);
    self->k = k;
    return &self->line.cpu.job;
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

static void free_index(mp_Line *line)
{
    mp_Vector *index = (mp_Vector *)line;
    char message[MP_FAISS_TEXT];

    index->lib->drop(index->faiss, message);
    mp_alloc_free(index);
}

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
    mp_line_init(&index->line, run_turn, free_index);
    *out = index;
    return MP_OK;
}

void mp_vector_unref(mp_Vector *index)
{
    mp_line_unref(&index->line);
}

size_t mp_vector_dim(const mp_Vector *index)
{
    return index->dim;
}

/* Of what was in use when the process forked, nobody is left who could change
 * it, or who could give its lock back. */
size_t mp_vector_count(mp_Vector *index)
{
    size_t count;

    if (mp_line_claim(&index->line, NULL) != MP_OK) return index->count;
    pthread_mutex_lock(&index->line.lock);
    count = index->count;
    pthread_mutex_unlock(&index->line.lock);
    return count;
}

mp_Status mp_vector_check(mp_Vector *index, const mp_Floats *rows,
                          mp_Error *err)
{
    size_t size = rows->rows * rows->dim;

    if (mp_line_claim(&index->line, err) != MP_OK) return -MP_KIND_CLOSED;
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
