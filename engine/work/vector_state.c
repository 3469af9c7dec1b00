/* vector_state.c: the state of an index, for files; see vector.h. */
#include "alloc.h"
#include "vector_index.h"

#include <string.h>

/* --- the rows --- */

mp_Status mp_vector_borrow(const mp_Vector *index, const float **rows,
                           mp_Error *err)
{
    char message[MP_FAISS_TEXT];
    int code = MP_FAISS_OK;

    *rows = index->lent;
    if (!index->lent) code = index->lib->rows(index->faiss, rows, message);
    return code == MP_FAISS_OK ? MP_OK : mp_vector_fail(err, code, message);
}

mp_Status mp_vector_copy_row(const mp_Vector *index, size_t row, float *out,
                             mp_Error *err)
{
    size_t dim = index->shape.dim;
    char message[MP_FAISS_TEXT];
    int code = MP_FAISS_OK;

    if (index->lent)
        memcpy(out, index->lent + row * dim, dim * sizeof *out);
    else
        code = index->lib->get(index->faiss, row, 1, out, message);
    return code == MP_FAISS_OK ? MP_OK : mp_vector_fail(err, code, message);
}

void mp_vector_release(mp_Vector *index)
{
    if (index->lent && index->release) index->release(index->owner);
    index->lent = NULL;
}

/* --- reading --- */

static int put(void *self, const void *bytes, size_t len)
{
    return mp_buf_append(self, bytes, len) == MP_OK;
}

static mp_Status serialize(mp_Vector *index, mp_Error *err)
{
    mp_VectorJob *job = index->batch;
    char message[MP_FAISS_TEXT];
    int code;

    mp_buf_init(&job->payload, SIZE_MAX / 2);
    code = index->lib->write(index->faiss, put, &job->payload, message);
    job->state.payload = job->payload.data;
    job->state.payload_len = job->payload.len;
    return code == MP_FAISS_OK ? MP_OK : mp_vector_fail(err, code, message);
}

mp_Status mp_vector_begin_read(mp_Vector *index, mp_Error *err)
{
    mp_VectorState *state = &index->batch->state;

    state->shape = index->shape;
    state->next = index->next;
    state->count = index->count;
    state->numbers = index->numbers;
    state->alive = index->alive;
    if (index->form == MP_FAISS_FLAT)
        return mp_vector_borrow(index, &state->rows, err);
    state->shape.nlist = index->nlist;
    return serialize(index, err);
}

void mp_vector_read_slice(mp_Vector *index, int64_t until_us)
{
    mp_VectorJob *job = index->batch;
    mp_CpuStep step = MP_CPU_FAILED; /* if it was cancelled */

    if (!mp_job_is_cancelled(&job->line.cpu.job))
        step = job->reader->slice(job->self, &job->state, until_us,
                                  &job->line.cpu.err);
    if (step == MP_CPU_MORE) return;
    mp_vector_take_job(index);
    mp_vector_end_job(index, job,
                      step == MP_CPU_DONE ? MP_EVENT_DONE : MP_EVENT_FAILED);
}

/* --- making one --- */

static mp_Status check_state(const mp_VectorState *state, mp_Error *err)
{
    size_t last = state->count - 1;
    bool good = state->shape.dim > 0 && state->next >= state->count;

    if (good && state->count > 0)
        good = (state->rows || state->payload) &&
               (!state->numbers || state->numbers[last] < state->next);
    for (size_t i = 1; good && state->numbers && i < state->count; i++)
        good = state->numbers[i - 1] < state->numbers[i];
    if (good) return MP_OK;
    return mp_err_set(err, MP_KIND_INPUT,
                      "the parts of the index do not fit together");
}

static size_t count_bits(const uint8_t *bits, size_t count)
{
    size_t set = 0;

    for (size_t i = 0; i < count; i++)
        set += bits[i / 8] >> i % 8 & 1;
    return set;
}

static mp_Status copy_knowledge(mp_Vector *index, const mp_VectorState *state,
                                mp_Error *err)
{
    size_t count = state->count;

    index->room = count;
    if (state->numbers) {
        index->numbers = mp_alloc((count + 1) * sizeof *index->numbers);
        if (!index->numbers) return mp_err_memory(err);
        memcpy(index->numbers, state->numbers, count * sizeof *index->numbers);
    }
    if (state->alive) {
        index->alive = mp_alloc_zero(count / 8 + 1, 1);
        if (!index->alive) return mp_err_memory(err);
        memcpy(index->alive, state->alive, (count + 7) / 8);
    }
    index->count = count;
    index->next = state->next;
    index->live = count;
    if (index->alive) index->live = count_bits(index->alive, count);
    return MP_OK;
}

/* Puts what FAISS wrote in the place of what is empty. */
static mp_Status read_payload(mp_Vector *index, const mp_VectorState *state,
                              mp_Error *err)
{
    mp_FaissShape shape = mp_vector_faiss_shape(index, state->shape.kind);
    char message[MP_FAISS_TEXT];
    const float *centroids;
    size_t count = 0;
    void *read;
    int code = index->lib->read(&read, &shape, state->payload,
                                state->payload_len, message);

    if (code != MP_FAISS_OK) return mp_vector_fail(err, code, message);
    index->lib->drop(index->faiss, message);
    index->faiss = read;
    index->form = state->shape.kind;
    index->lib->count(read, &count, message);
    if (index->form == MP_FAISS_IVF)
        index->lib->centroids(read, &centroids, &index->nlist, message);
    if (count == state->count) return MP_OK;
    return mp_err_set(err, MP_KIND_INPUT,
                      "the index has %zu vectors instead of %zu", count,
                      state->count);
}

mp_Status mp_vector_open(mp_Vector **out, const mp_VectorState *state,
                         void (*release)(void *owner), void *owner,
                         mp_Error *err)
{
    mp_Status status = check_state(state, err);
    mp_Vector *index;

    if (status == MP_OK) status = mp_vector_new(&index, &state->shape, err);
    if (status != MP_OK) return status;
    status = copy_knowledge(index, state, err);
    if (status == MP_OK && state->payload)
        status = read_payload(index, state, err);
    if (status != MP_OK) {
        mp_vector_unref(index);
        return status;
    }
    index->lent = state->count > 0 && !state->payload ? state->rows : NULL;
    index->release = release;
    index->owner = owner;
    if (!index->lent && release) release(owner);
    *out = index;
    return MP_OK;
}
