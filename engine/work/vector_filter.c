/*
 * vector_filter.c: which rows a search may have, see vector_index.h.
 *
 * A bitmap, to be looked at where a row is good enough to be kept; or, where
 * it leaves most rows out, a list of the others, so that the scan looks at
 * nothing else. Deleted vectors are in neither.
 */
#include "alloc.h"
#include "vector_index.h"

#include <string.h>

/* One row in so many: fewer are listed. A row that is looked at alone costs
 * about what two do that come one after the other; HNSW would look at fewer. */
enum { LISTED = 3, LISTED_HNSW = 10 };

static bool is_set(const uint8_t *bits, size_t row)
{
    return bits[row / 8] >> row % 8 & 1;
}

/* Sets the bits of those that are there and returns how many these are. */
static size_t mark(const mp_Vector *index, mp_VectorJob *job)
{
    size_t marked = 0;

    for (size_t i = 0; i < job->numbers.count; i++) {
        size_t row = mp_vector_find(index, job->numbers.data[i]);

        if (row == SIZE_MAX || is_set(job->bits, row)) continue;
        job->bits[row / 8] |= (uint8_t)(1u << row % 8);
        marked++;
    }
    return marked;
}

static mp_Status list(const mp_Vector *index, const uint8_t *bits,
                      mp_VectorJob *job, mp_Error *err)
{
    job->list.data = mp_alloc((job->most + 1) * sizeof *job->list.data);
    if (!job->list.data) return mp_err_memory(err);
    for (size_t byte = 0; byte < (index->count + 7) / 8; byte++)
        for (unsigned left = bits[byte]; left; left &= left - 1)
            job->list.data[job->list.count++] =
                byte * 8 + (size_t)__builtin_ctz(left);
    return MP_OK;
}

mp_Status mp_vector_filter(const mp_Vector *index, mp_VectorJob *job,
                           mp_Error *err)
{
    const uint8_t *bits = index->alive;
    size_t share = index->form == MP_FAISS_HNSW ? LISTED_HNSW : LISTED;

    mp_vector_filter_term(job); /* of a first try */
    job->most = index->live;
    if (job->limited) {
        bits = job->bits = mp_alloc_zero(index->count / 8 + 1, 1);
        if (!bits) return mp_err_memory(err);
        job->most = mark(index, job);
    }
    if (!bits || job->most > index->count / share) return MP_OK;
    return list(index, bits, job, err);
}

mp_ScanFilter mp_vector_scan_filter(const mp_Vector *index,
                                    const mp_VectorJob *job)
{
    if (job->list.data)
        return (mp_ScanFilter){NULL, job->list.data, job->list.count};
    return (mp_ScanFilter){job->limited ? job->bits : index->alive, NULL, 0};
}

void mp_vector_filter_term(mp_VectorJob *job)
{
    mp_alloc_free(job->bits);
    job->bits = NULL;
    mp_vector_numbers_term(&job->list);
}
