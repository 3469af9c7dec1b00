/* vector_add.c: adding, see vector_index.h. */
#include "clock.h"
#include "vector_index.h"

/* Numbers that one call of FAISS copies. */
#define COPY ((size_t)4 << 20)

/* Takes back what the add did; cannot fail, for it only shrinks. */
static void take_back(mp_Vector *index)
{
    char message[MP_FAISS_TEXT];

    index->lib->cut(index->faiss, index->count, message);
}

/* Adds the next rows, as many as one call may. */
static mp_Status add_block(mp_Vector *index, mp_Floats *rows, mp_Error *err)
{
    size_t dim = index->shape.dim, count = rows->rows - index->at;
    float *from = rows->data + index->at * dim;
    char message[MP_FAISS_TEXT];
    int code;

    if (count > COPY / dim + 1) count = COPY / dim + 1;
    for (size_t i = 0; index->shape.metric == MP_VECTOR_COSINE && i < count;
         i++)
        mp_floats_unit(from + i * dim, dim);
    code = index->lib->add(index->faiss, from, count, message);
    index->at += count;
    return code == MP_FAISS_OK ? MP_OK : mp_vector_fail(err, code, message);
}

/* The add counts unless a cancel was faster. */
static void end_add(mp_Vector *index)
{
    mp_VectorJob *job = mp_vector_take_job(index);

    if (mp_vector_end_job(index, job, MP_EVENT_DONE))
        mp_vector_admit(index, index->count + job->rows.rows);
    else
        take_back(index);
}

void mp_vector_add_slice(mp_Vector *index, int64_t until_us)
{
    mp_VectorJob *job = index->batch;
    mp_Error err;

    while (index->at < job->rows.rows) {
        if (mp_job_is_cancelled(&job->line.cpu.job)) {
            take_back(index);
            mp_vector_end_batch(index, MP_EVENT_DONE);
            return;
        }
        if (add_block(index, &job->rows, &err) != MP_OK) {
            take_back(index);
            mp_vector_fail_batch(index, &err);
            return;
        }
        if (mp_clock_us() >= until_us && index->at < job->rows.rows) return;
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
