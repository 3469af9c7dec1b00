/* vector_add.c: adding, see vector_index.h. */
#include "clock.h"
#include "vector_index.h"

/* Numbers that one call of FAISS copies. */
#define COPY ((size_t)4 << 20)

/* Takes back what the add did; cannot fail, for it only shrinks. */
static void take_back(mp_Vector *index)
{
    char message[MP_FAISS_TEXT];

    index->lib->cut(index->faiss, index->lent ? 0 : index->count, message);
}

/* Where the next rows come from, and how many these are: first those that were
 * lent, from now on they are copied, then those of the job. */
static const float *next_rows(const mp_Vector *index, size_t *count)
{
    size_t dim = index->shape.dim, lent = index->lent ? index->count : 0;
    const mp_Floats *rows = &index->batch->rows;

    if (index->at < lent) {
        *count = lent - index->at;
        return index->lent + index->at * dim;
    }
    *count = lent + rows->rows - index->at;
    return rows->data + (index->at - lent) * dim;
}

/* Makes the job's next rows 1 long. */
static void make_unit(const mp_Vector *index, const float *rows, size_t count)
{
    mp_Floats *own = &index->batch->rows;
    size_t dim = index->shape.dim;

    if (index->shape.metric != MP_VECTOR_COSINE) return;
    if (index->lent && index->at < index->count) return;
    for (size_t i = 0; i < count; i++)
        mp_floats_unit(own->data + (size_t)(rows - own->data) + i * dim, dim);
}

/* Adds the next rows, as many as one call may. */
static mp_Status add_block(mp_Vector *index, mp_Error *err)
{
    size_t most = COPY / index->shape.dim + 1, count;
    const float *rows = next_rows(index, &count);
    char message[MP_FAISS_TEXT];
    int code;

    if (count > most) count = most;
    make_unit(index, rows, count);
    code = index->lib->add(index->faiss, rows, count, message);
    index->at += count;
    return code == MP_FAISS_OK ? MP_OK : mp_vector_fail(err, code, message);
}

/* The add counts unless a cancel was faster. */
static void end_add(mp_Vector *index)
{
    mp_VectorJob *job = mp_vector_take_job(index);

    if (!mp_vector_end_job(index, job, MP_EVENT_DONE)) {
        take_back(index);
        return;
    }
    mp_vector_release(index);
    mp_vector_admit(index, index->count + job->rows.rows);
}

void mp_vector_add_slice(mp_Vector *index, int64_t until_us)
{
    mp_VectorJob *job = index->batch;
    size_t all = job->rows.rows + (index->lent ? index->count : 0);
    mp_Error err;

    while (index->at < all) {
        if (mp_job_is_cancelled(&job->line.cpu.job)) {
            take_back(index);
            mp_vector_end_batch(index, MP_EVENT_DONE);
            return;
        }
        if (add_block(index, &err) != MP_OK) {
            take_back(index);
            mp_vector_fail_batch(index, &err);
            return;
        }
        if (mp_clock_us() >= until_us && index->at < all) return;
    }
    end_add(index);
}

mp_Status mp_vector_begin_add(mp_Vector *index, mp_Error *err)
{
    mp_Buf *bytes = &index->batch->line.cpu.job.end.bytes;
    size_t rows = index->batch->rows.rows;

    index->at = 0;
    mp_buf_printf(bytes, "%zu", index->next);
    if (mp_buf_check(bytes, err) != MP_OK) return -MP_KIND_MEMORY;
    return mp_vector_reserve(index, index->count + rows, err);
}
