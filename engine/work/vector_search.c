/* vector_search.c: the searches of a turn, see vector_index.h. */
#include "alloc.h"
#include "clock.h"
#include "vector_index.h"

#include <string.h>

/* Numbers that one call of FAISS compares or adds, so that it keeps within a
 * slice: one by one, as FAISS does below 20 queries, or by BLAS. */
#define SCAN      ((size_t)16 << 20)
#define BLAS      ((size_t)512 << 20)
#define BLAS_FROM 20

static mp_Status make_best(mp_VectorBest *best, size_t size, mp_Error *err)
{
    best->distances = mp_alloc_zero(size, sizeof *best->distances);
    best->ids = mp_alloc_zero(size, sizeof *best->ids);
    return best->distances && best->ids ? MP_OK : mp_err_memory(err);
}

mp_Status mp_vector_begin_search(mp_Vector *index, mp_Error *err)
{
    float *to;

    index->at = index->queries = index->k = 0;
    for (mp_VectorJob *job = index->batch; job; job = job->next) {
        if (job->k > index->k) index->k = job->k;
        index->queries++;
    }
    if (index->k > index->count) index->k = index->count;
    if (index->k == 0) return MP_OK;
    to = index->x =
        mp_alloc_zero(index->queries, index->dim * sizeof *index->x);
    if (!to ||
        make_best(&index->best, index->queries * index->k, err) != MP_OK ||
        make_best(&index->block, index->queries * index->k, err) != MP_OK ||
        make_best(&index->spare, index->k, err) != MP_OK)
        return mp_err_memory(err);
    for (mp_VectorJob *job = index->batch; job; job = job->next) {
        memcpy(to, job->rows.data, index->dim * sizeof *to);
        to += index->dim;
    }
    return MP_OK;
}

static bool is_better(const mp_Vector *index, float a, float b)
{
    return index->metric == MP_FAISS_L2 ? a < b : a > b;
}

/* Merges the block's [k] best for a query into those so far; of equals the
 * lower number stays in front, as in one call. */
static void merge(mp_Vector *index, size_t row, size_t offset)
{
    size_t k = index->k, old = 0, new = 0;
    float *distances = index->best.distances + row * k;
    int64_t *ids = index->best.ids + row * k;
    const float *more = index->block.distances + row * k;
    const int64_t *more_ids = index->block.ids + row * k;
    mp_VectorBest *out = &index->spare;

    for (size_t i = 0; i < k; i++) {
        bool take_new =
            new < k &&more_ids[new] >= 0 &&
            (ids[old] < 0 || is_better(index, more[new], distances[old]));

        out->distances[i] = take_new ? more[new] : distances[old];
        out->ids[i] = take_new ? more_ids[new] + (int64_t)offset : ids[old];
        new += take_new;
        old += !take_new;
    }
    memcpy(distances, out->distances, k * sizeof *distances);
    memcpy(ids, out->ids, k * sizeof *ids);
}

/* Searches the next [count] vectors. */
static mp_Status search_block(mp_Vector *index, size_t count, mp_Error *err)
{
    mp_VectorBest *into = index->at == 0 ? &index->best : &index->block;
    char message[MP_FAISS_TEXT];
    int code = index->lib->search(index->faiss, index->at, count, index->x,
                                  index->queries, index->k, into->distances,
                                  into->ids, message);

    if (code != MP_FAISS_OK) return mp_vector_fail(err, code, message);
    if (index->at > 0)
        for (size_t row = 0; row < index->queries; row++)
            merge(index, row, index->at);
    index->at += count;
    return MP_OK;
}

/* Puts row [row] of the answers into its job. */
static mp_Status answer(mp_Vector *index, mp_VectorJob *job, size_t row)
{
    mp_Event *end = &job->cpu.job.end;
    mp_Error *err = &job->cpu.job.err;
    size_t k = job->k < index->k ? job->k : index->k, found = 0;
    const int64_t *ids = index->best.ids + row * index->k;

    while (found < k && ids[found] >= 0)
        found++;
    if (found == 0) return MP_OK;
    if (mp_floats_init(&end->floats, 1, found, err) != MP_OK)
        return -MP_KIND_MEMORY;
    memcpy(end->floats.data, index->best.distances + row * index->k,
           found * sizeof(float));
    for (size_t i = 0; i < found; i++)
        mp_buf_printf(&end->head, i ? " %lld" : "%lld", (long long)ids[i]);
    return mp_buf_check(&end->head, err);
}

static void answer_all(mp_Vector *index)
{
    mp_VectorJob *job = index->batch;

    index->batch = NULL;
    for (size_t row = 0; job; row++) {
        mp_VectorJob *next = job->next;
        bool good = index->k == 0 || answer(index, job, row) == MP_OK;

        mp_job_settle(&job->cpu.job, good ? MP_EVENT_DONE : MP_EVENT_FAILED);
        job = next;
    }
    mp_vector_end_batch(index, MP_EVENT_DONE);
}

static bool is_wanted(mp_VectorJob *job)
{
    while (job && mp_job_is_cancelled(&job->cpu.job))
        job = job->next;
    return job != NULL;
}

void mp_vector_search_slice(mp_Vector *index, int64_t until_us)
{
    size_t budget = index->queries < BLAS_FROM ? SCAN : BLAS;
    size_t most = budget / (index->queries * index->dim) + 1;
    mp_Error err;

    while (index->k > 0 && index->at < index->count) {
        size_t count = index->count - index->at;

        if (!is_wanted(index->batch)) {
            mp_vector_end_batch(index, MP_EVENT_DONE);
            return;
        }
        if (search_block(index, count < most ? count : most, &err) != MP_OK) {
            mp_vector_fail_batch(index, &err);
            return;
        }
        if (mp_clock_us() >= until_us && index->at < index->count) return;
    }
    answer_all(index);
}
