/*
 * vector_add.c: adding, see vector_index.h.
 *
 * Where rows were lent, or where what is flat becomes what it is to be
 * (vector_train.c), the add copies first the rows that there are: then it adds
 * its own. A cancel or a failure takes all of that back; but HNSW cannot undo
 * links, so what it has of the add stays as if it had been deleted.
 *
 *     begin -- learn -- the old rows -- the new rows -- end: the index changes
 */
#include "clock.h"
#include "vector_index.h"

/* Numbers that one call of FAISS copies. */
#define COPY ((size_t)1 << 20)

/* Rows that one call links: each takes up to some milliseconds. */
#define LINKED 4

/* How many rows are copied first. */
static size_t copied_first(const mp_Vector *index)
{
    return index->source ? index->count : 0;
}

/* The index that the rows go to. */
static void *target(const mp_Vector *index)
{
    return index->fresh ? index->fresh : index->faiss;
}

static void take_back(mp_Vector *index)
{
    char message[MP_FAISS_TEXT];
    size_t count = index->count;

    mp_vector_end_training(index);
    if (index->form != index->shape.kind) index->nlist = index->shape.nlist;
    if (index->fresh) {
        index->lib->drop(index->fresh, message);
    } else if (index->form == MP_FAISS_HNSW) {
        index->lib->count(index->faiss, &count, message);
        mp_vector_admit(index, count, false);
    } else {
        index->lib->cut(index->faiss, index->lent ? 0 : count, message);
    }
    index->fresh = NULL;
    index->source = NULL;
}

/* --- blocks --- */

/* How many of [count] rows one call takes. */
static size_t block_of(const mp_Vector *index, size_t count)
{
    mp_FaissKind form = index->fresh ? index->shape.kind : index->form;
    size_t most = COPY / index->shape.dim + 1;

    if (form == MP_FAISS_HNSW) most = LINKED;
    if (form == MP_FAISS_IVF) most = MP_VECTOR_TOGETHER;
    return count < most ? count : most;
}

static mp_Status add_rows(mp_Vector *index, const float *rows, size_t count,
                          mp_Error *err)
{
    bool listed =
        (index->fresh ? index->shape.kind : index->form) == MP_FAISS_IVF;
    int64_t lists[MP_VECTOR_TOGETHER];
    char message[MP_FAISS_TEXT];
    const float *centroids;
    size_t nlist;
    int code = MP_FAISS_OK;

    if (listed)
        code =
            index->lib->centroids(target(index), &centroids, &nlist, message);
    if (listed && code == MP_FAISS_OK &&
        mp_vector_assign(index, centroids, nlist, rows, count, lists, err) !=
            MP_OK)
        return -MP_KIND_MEMORY;
    if (code == MP_FAISS_OK)
        code = index->lib->add(target(index), rows, lists, count, message);
    index->at += count;
    return code == MP_FAISS_OK ? MP_OK : mp_vector_fail(err, code, message);
}

/* Adds the next rows, as many as one call may. */
static mp_Status add_block(mp_Vector *index, mp_Error *err)
{
    size_t dim = index->shape.dim, first = copied_first(index), count;
    mp_Floats *own = &index->batch->rows;
    float *rows;

    if (index->at < first) {
        count = block_of(index, first - index->at);
        return add_rows(index, index->source + index->at * dim, count, err);
    }
    rows = own->data + (index->at - first) * dim;
    count = block_of(index, first + own->rows - index->at);
    if (index->shape.metric == MP_VECTOR_COSINE)
        for (size_t i = 0; i < count; i++)
            mp_floats_unit(rows + i * dim, dim);
    return add_rows(index, rows, count, err);
}

/* --- the add --- */

static void take_fresh(mp_Vector *index)
{
    char message[MP_FAISS_TEXT];

    if (!index->fresh) return;
    index->lib->drop(index->faiss, message);
    index->faiss = index->fresh;
    index->form = index->shape.kind;
    index->fresh = NULL;
}

/* The add counts unless a cancel was faster. */
static void end_add(mp_Vector *index)
{
    mp_VectorJob *job = mp_vector_take_job(index);

    if (!mp_vector_end_job(index, job, MP_EVENT_DONE)) {
        take_back(index);
        return;
    }
    take_fresh(index);
    mp_vector_release(index);
    index->source = NULL;
    mp_vector_admit(index, index->count + job->rows.rows, true);
}

void mp_vector_add_slice(mp_Vector *index, int64_t until_us)
{
    mp_VectorJob *job = index->batch;
    size_t all = copied_first(index) + job->rows.rows;
    mp_Status status = MP_OK;
    mp_Error err;

    while (index->training || index->at < all) {
        if (mp_job_is_cancelled(&job->line.cpu.job)) {
            take_back(index);
            mp_vector_end_batch(index, MP_EVENT_DONE);
            return;
        }
        if (index->training)
            status = mp_vector_train_slice(index, until_us, &err);
        else
            status = add_block(index, &err);
        if (status != MP_OK) {
            take_back(index);
            mp_vector_fail_batch(index, &err);
            return;
        }
        if (mp_clock_us() >= until_us) return;
    }
    end_add(index);
}

mp_Status mp_vector_begin_add(mp_Vector *index, mp_Error *err)
{
    mp_Buf *bytes = &index->batch->line.cpu.job.end.bytes;
    size_t count = index->count + index->batch->rows.rows;
    mp_Status status;

    index->at = 0;
    mp_buf_printf(bytes, "%zu", index->next);
    status = mp_buf_check(bytes, err);
    if (status == MP_OK) status = mp_vector_reserve(index, count, err);
    if (status == MP_OK && index->form == MP_FAISS_HNSW)
        status = mp_vector_allow_gaps(index, err);
    index->source = index->lent;
    if (status != MP_OK || !mp_vector_is_ripe(index, count)) return status;
    status = mp_vector_borrow(index, &index->source, err);
    if (status == MP_OK) status = mp_vector_begin_training(index, err);
    if (status != MP_OK) index->source = NULL;
    return status;
}
