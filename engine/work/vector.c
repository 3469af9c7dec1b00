/*
 * vector.c: see vector.h.
 *
 * The turn of its line is an index's own, for searches that wait together are
 * answered together. The line's lock guards `live`; what is below it in the
 * struct is the turn's alone (vector_index.h).
 */
#include "vector_index.h"

#include "alloc.h"
#include "clock.h"
#include "scan_kernel.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

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

mp_VectorJob *mp_vector_take_job(mp_Vector *index)
{
    mp_VectorJob *job = index->batch;

    index->batch = NULL;
    return job;
}

/* A compaction holds back the answer to the delete that led to it: who waits
 * for it keeps the pool. */
bool mp_vector_end_turn(mp_Vector *index)
{
    mp_LineJob *ended = index->ended;

    if (index->compacting) return true;
    index->ended = NULL;
    return mp_line_end_turn(&index->line, ended, index->batch != NULL);
}

void mp_vector_set_live(mp_Vector *index, size_t live)
{
    pthread_mutex_lock(&index->line.lock);
    index->live = live;
    pthread_mutex_unlock(&index->line.lock);
}

/* --- the turn --- */

static bool is_search(const mp_LineJob *job)
{
    return ((const mp_VectorJob *)job)->work == MP_VECTOR_SEARCH;
}

static mp_Status (*const beginnings[])(mp_Vector *index, mp_Error *err) = {
    [MP_VECTOR_ADD] = mp_vector_begin_add,
    [MP_VECTOR_SEARCH] = mp_vector_begin_search,
    [MP_VECTOR_DELETE] = mp_vector_do_delete,
    [MP_VECTOR_ROWS] = mp_vector_give_rows,
    [MP_VECTOR_READ] = mp_vector_begin_read,
};

static void begin(mp_Vector *index)
{
    mp_Error err;

    index->batch = (mp_VectorJob *)mp_line_take(&index->line, is_search,
                                                MP_VECTOR_TOGETHER);
    sift_batch(index);
    if (index->batch && beginnings[index->batch->work](index, &err) != MP_OK)
        mp_vector_fail_batch(index, &err);
}

static bool run_turn(mp_PoolTask *task)
{
    mp_Vector *index = (mp_Vector *)((char *)task - offsetof(mp_Line, turn));
    int64_t until_us = mp_clock_us() + MP_CPU_SLICE_US;

    if (index->compacting)
        mp_vector_compact_slice(index, until_us);
    else if (!index->batch)
        begin(index);
    if (index->batch && index->batch->work == MP_VECTOR_ADD)
        mp_vector_add_slice(index, until_us);
    else if (index->batch && index->batch->work == MP_VECTOR_READ)
        mp_vector_read_slice(index, until_us);
    else if (index->batch && !mp_vector_search_slice(index, until_us))
        return false;
    return mp_vector_end_turn(index);
}

/* --- the jobs --- */

void mp_vector_numbers_term(mp_VectorNumbers *numbers)
{
    mp_alloc_free(numbers->data);
    *numbers = (mp_VectorNumbers){NULL, 0};
}

static void term(mp_LineJob *job)
{
    mp_VectorJob *self = (mp_VectorJob *)job;

    mp_floats_term(&self->rows);
    mp_vector_numbers_term(&self->numbers);
    mp_vector_filter_term(self);
    mp_alloc_free(self->hits);
    mp_buf_term(&self->payload);
    if (self->reader) self->reader->term(self->self);
}

static const mp_LineJobClass vector_class = {NULL, NULL, term};

/* Takes both; NULL: none. */
static mp_VectorJob *new_job(mp_Vector *index, mp_VectorWork work,
                             mp_Floats *rows, mp_VectorNumbers *numbers)
{
    mp_VectorJob *self = mp_alloc_zero(1, sizeof *self);

    if (!self) return NULL;
    mp_line_job_init(&self->line, &index->line, &vector_class);
    self->work = work;
    if (rows) self->rows = mp_floats_take(rows);
    if (!numbers) return self;
    self->numbers = *numbers;
    *numbers = (mp_VectorNumbers){NULL, 0};
    return self;
}

static mp_Job *job_of(mp_VectorJob *self)
{
    return self ? &self->line.cpu.job : NULL;
}

mp_Job *mp_vector_add(mp_Vector *index, mp_Floats *rows)
{
    return job_of(new_job(index, MP_VECTOR_ADD, rows, NULL));
}

mp_Job *mp_vector_search(mp_Vector *index, mp_Floats *query, size_t k,
                         mp_VectorNumbers *allowed)
{
    bool limited = allowed != NULL;
    mp_VectorJob *self = new_job(index, MP_VECTOR_SEARCH, query, allowed);

    if (self) self->k = k;
    if (self) self->limited = limited;
    return job_of(self);
}

mp_Job *mp_vector_delete(mp_Vector *index, mp_VectorNumbers *numbers)
{
    return job_of(new_job(index, MP_VECTOR_DELETE, NULL, numbers));
}

mp_Job *mp_vector_rows(mp_Vector *index, mp_VectorNumbers *numbers)
{
    return job_of(new_job(index, MP_VECTOR_ROWS, NULL, numbers));
}

mp_Job *mp_vector_read(mp_Vector *index, const mp_VectorReader *reader,
                       void *self)
{
    mp_VectorJob *job = new_job(index, MP_VECTOR_READ, NULL, NULL);

    if (job) job->reader = reader;
    if (job) job->self = self;
    return job_of(job);
}

/* --- the index --- */

static void free_index(mp_Line *line)
{
    mp_Vector *index = (mp_Vector *)line;
    char message[MP_FAISS_TEXT];

    index->lib->drop(index->faiss, message);
    mp_vector_release(index);
    mp_alloc_free(index->numbers);
    mp_alloc_free(index->alive);
    mp_alloc_free(index);
}

mp_FaissShape mp_vector_faiss_shape(const mp_Vector *index, mp_FaissKind form)
{
    return (mp_FaissShape){
        .kind = form,
        .metric = index->metric,
        .dim = index->shape.dim,
        .m = index->shape.m,
        .ef_construction = index->shape.ef_construction,
        .nlist = index->nlist,
        .compare = mp_scan_kernel()->tiles[index->metric][MP_SCAN_ONE],
    };
}

static void or_usual(size_t *value, size_t usual)
{
    if (*value == 0) *value = usual;
}

static void set_shape(mp_Vector *index, const mp_VectorShape *shape)
{
    bool trained = shape->kind == MP_FAISS_IVF || shape->kind == MP_FAISS_SQ;

    index->shape = *shape;
    or_usual(&index->shape.m, 32);
    or_usual(&index->shape.ef_construction, 40);
    or_usual(&index->shape.ef_search, 64);
    or_usual(&index->shape.nprobe, 16);
    index->nlist = shape->nlist;
    index->metric =
        shape->metric == MP_VECTOR_L2 ? MP_FAISS_L2 : MP_FAISS_INNER_PRODUCT;
    index->form = trained ? MP_FAISS_FLAT : shape->kind;
}

mp_Status mp_vector_new(mp_Vector **out, const mp_VectorShape *shape,
                        mp_Error *err)
{
    const mp_VectorLib *lib = mp_vector_lib(err);
    char message[MP_FAISS_TEXT];
    mp_FaissShape made;
    mp_Vector *index;
    int code;

    if (!lib) return -MP_KIND_UNSUPPORTED;
    index = mp_alloc_zero(1, sizeof *index);
    if (!index) return mp_err_memory(err);
    set_shape(index, shape);
    made = mp_vector_faiss_shape(index, index->form);
    code = lib->make(&index->faiss, &made, NULL, 0, message);
    if (code != MP_FAISS_OK) {
        mp_alloc_free(index);
        return mp_vector_fail(err, code, message);
    }
    index->lib = lib;
    mp_line_init(&index->line, run_turn, free_index);
    *out = index;
    return MP_OK;
}

void mp_vector_unref(mp_Vector *index)
{
    mp_line_unref(&index->line);
}

const mp_VectorShape *mp_vector_shape(const mp_Vector *index)
{
    return &index->shape;
}

/* Of what was in use when the process forked, nobody is left who could change
 * it, or who could give its lock back. */
size_t mp_vector_count(mp_Vector *index)
{
    size_t count;

    if (mp_line_claim(&index->line, NULL) != MP_OK) return index->live;
    pthread_mutex_lock(&index->line.lock);
    count = index->live;
    pthread_mutex_unlock(&index->line.lock);
    return count;
}

/* The first of [count] numbers that is not finite, or [count]. */
static size_t find_infinite(const float *x, size_t count)
{
    size_t i = 0;

    while (i < count && isfinite(x[i]))
        i++;
    return i;
}

/* A squared length that is finite is one of finite numbers, and quick. */
static mp_Status check_row(const float *row, size_t dim, size_t nth,
                           mp_Error *err)
{
    size_t at;

    if (isfinite(mp_scan_kernel()->norm(row, dim))) return MP_OK;
    at = find_infinite(row, dim);
    if (at == dim) return MP_OK;
    return mp_err_set(err, MP_KIND_INPUT,
                      "number %zu of vector %zu is not finite", at + 1,
                      nth + 1);
}

static mp_Status check_fit(mp_Vector *index, const mp_Floats *rows,
                           mp_Error *err)
{
    if (mp_line_claim(&index->line, err) != MP_OK) return -MP_KIND_CLOSED;
    if (rows->rows == 0 || rows->dim == index->shape.dim) return MP_OK;
    return mp_err_set(err, MP_KIND_INPUT,
                      "the index holds vectors of %zu numbers, got %zu",
                      index->shape.dim, rows->dim);
}

mp_Status mp_vector_check(mp_Vector *index, const mp_Floats *rows,
                          mp_Error *err)
{
    mp_Status status = check_fit(index, rows, err);

    for (size_t i = 0; status == MP_OK && i < rows->rows; i++)
        status = check_row(rows->data + i * rows->dim, rows->dim, i, err);
    return status;
}

/* Row by row, so that what was checked is copied out of the cache. */
mp_Status mp_vector_copy(mp_Vector *index, const mp_Floats *rows,
                         mp_Floats *out, mp_Error *err)
{
    mp_Status status = check_fit(index, rows, err);
    size_t dim = rows->dim;

    if (status == MP_OK) status = mp_floats_init(out, rows->rows, dim, err);
    if (status != MP_OK) return status;
    for (size_t i = 0; status == MP_OK && i < rows->rows; i++) {
        status = check_row(rows->data + i * dim, dim, i, err);
        memcpy(out->data + i * dim, rows->data + i * dim, dim * sizeof(float));
    }
    if (status != MP_OK) mp_floats_term(out);
    return status;
}
