/*
 * vector_alone.c: searches that one hand does alone, see vector_index.h.
 *
 * What looks at a small part of an index only, a different one each time, gains
 * nothing from company: a walk through HNSW's graph, some of IVF's lists, and,
 * where the rows stand nowhere as floats, those of a filter's list.
 */
#include "alloc.h"
#include "vector_index.h"

#include <math.h>
#include <string.h>

/* A walk for so large a share of the rows sees them all anyway. */
#define WALKED 4

static size_t wanted(const mp_VectorJob *job)
{
    return job->k < job->most ? job->k : job->most;
}

bool mp_vector_is_alone(const mp_Vector *index, const mp_VectorJob *job)
{
    switch (index->form) {
    case MP_FAISS_FLAT: return false;
    case MP_FAISS_HNSW:
        return !job->exact && !job->list.data && job->k < job->most / WALKED;
    case MP_FAISS_IVF: return true;
    case MP_FAISS_SQ: return job->list.data != NULL;
    }
    return false;
}

/* --- HNSW --- */

/* What the filter leaves out is walked through all the same. */
static size_t candidates(const mp_Vector *index, const mp_VectorJob *job)
{
    size_t ef = index->shape.ef_search;

    if (ef < job->k) ef = job->k;
    return ef * index->count / job->most;
}

static mp_Status walk(const mp_Vector *index, mp_VectorJob *job, float *keys,
                      int64_t *ids, mp_Error *err)
{
    mp_ScanFilter filter = mp_vector_scan_filter(index, job);
    char message[MP_FAISS_TEXT];
    int code = index->lib->near(index->faiss, job->rows.data, job->k,
                                candidates(index, job), filter.bits, keys, ids,
                                message);

    if (code != MP_FAISS_OK) return mp_vector_fail(err, code, message);
    for (size_t i = 0; i < job->k && ids[i] >= 0; i++) {
        float key = index->metric == MP_FAISS_L2 ? keys[i] : -keys[i];

        job->hits[job->hit_count++] = (mp_ScanHit){key, ids[i]};
    }
    return MP_OK;
}

static mp_Status find_near(const mp_Vector *index, mp_VectorJob *job,
                           mp_Error *err)
{
    float *keys = mp_alloc(job->k * sizeof *keys);
    int64_t *ids = mp_alloc(job->k * sizeof *ids);
    mp_Status status = -MP_KIND_MEMORY;

    if (keys && ids)
        status = walk(index, job, keys, ids, err);
    else
        mp_err_memory(err);
    mp_alloc_free(keys);
    mp_alloc_free(ids);
    return status;
}

/* --- IVF --- */

static mp_Status look_at_list(const mp_Vector *index, const mp_Scan *scan,
                              mp_ScanTop *top, size_t list, mp_Error *err)
{
    char message[MP_FAISS_TEXT];
    const int64_t *ids;
    const float *rows;
    size_t count;
    int code =
        index->lib->list(index->faiss, list, &rows, &ids, &count, message);

    if (code != MP_FAISS_OK) return mp_vector_fail(err, code, message);
    mp_scan_some(scan, top, 0, rows, ids, count);
    return MP_OK;
}

/* The nearest lists, and then others while there are too few. [lists] is NULL
 * where some are too far to be measured: then it looks at all. */
static mp_Status look_at_lists(const mp_Vector *index, const mp_VectorJob *job,
                               const mp_Scan *scan, mp_ScanTop *top,
                               const mp_ScanHit *lists, mp_Error *err)
{
    for (size_t i = 0; i < index->nlist; i++) {
        size_t list = lists ? (size_t)lists[i].id : i;

        if (lists && i >= index->shape.nprobe && top->counts[0] >= wanted(job))
            break;
        if (look_at_list(index, scan, top, list, err) != MP_OK)
            return -(mp_Status)err->kind;
    }
    return MP_OK;
}

static mp_Status begin_one(const mp_Vector *index, const mp_VectorJob *job,
                           size_t k, mp_ScanFilter filter, mp_Scan *scan,
                           mp_ScanTop *top, mp_Error *err)
{
    if (mp_scan_init(scan, index->metric, index->shape.dim, 1, err) != MP_OK)
        return -MP_KIND_MEMORY;
    mp_scan_set(scan, 0, job->rows.data, k, filter);
    if (mp_scan_top_init(top, scan, err) == MP_OK) return MP_OK;
    mp_scan_term(scan);
    return -MP_KIND_MEMORY;
}

static void end_one(mp_Scan *scan, mp_ScanTop *top)
{
    mp_scan_top_term(top);
    mp_scan_term(scan);
}

static mp_Status find_in_lists(const mp_Vector *index, mp_VectorJob *job,
                               const mp_Scan *scan, mp_ScanTop *top,
                               mp_Error *err)
{
    static const mp_ScanFilter all = {NULL, NULL, 0};
    size_t nlist, found;
    char message[MP_FAISS_TEXT];
    const float *centroids;
    mp_ScanTop near;
    mp_Scan lists;
    mp_Status status;
    int code = index->lib->centroids(index->faiss, &centroids, &nlist, message);

    if (code != MP_FAISS_OK) return mp_vector_fail(err, code, message);
    status = begin_one(index, job, nlist, all, &lists, &near, err);
    if (status != MP_OK) return status;
    mp_scan_rows(&lists, &near, centroids, 0, nlist);
    found = mp_scan_sort(&lists, &near, 0);
    status = look_at_lists(index, job, scan, top,
                           found == nlist ? near.hits : NULL, err);
    end_one(&lists, &near);
    return status;
}

/* --- rows one by one --- */

static mp_Status find_listed(const mp_Vector *index, const mp_VectorJob *job,
                             const mp_Scan *scan, mp_ScanTop *top,
                             mp_Error *err)
{
    float *row = mp_alloc(index->shape.dim * sizeof *row);
    mp_Status status = row ? MP_OK : mp_err_memory(err);

    for (size_t i = 0; status == MP_OK && i < job->list.count; i++) {
        int64_t id = (int64_t)job->list.data[i];

        status = mp_vector_copy_row(index, (size_t)id, row, err);
        if (status == MP_OK) mp_scan_some(scan, top, 0, row, &id, 1);
    }
    mp_alloc_free(row);
    return status;
}

static mp_Status find_by_scan(const mp_Vector *index, mp_VectorJob *job,
                              mp_Error *err)
{
    mp_ScanFilter filter = mp_vector_scan_filter(index, job);
    mp_ScanTop top;
    mp_Scan scan;
    mp_Status status;

    filter.list = NULL; /* it is this that goes through it */
    status = begin_one(index, job, wanted(job), filter, &scan, &top, err);
    if (status != MP_OK) return status;
    if (job->list.data)
        status = find_listed(index, job, &scan, &top, err);
    else
        status = find_in_lists(index, job, &scan, &top, err);
    job->hit_count = mp_scan_sort(&scan, &top, 0);
    memcpy(job->hits, top.hits, job->hit_count * sizeof *job->hits);
    end_one(&scan, &top);
    return status;
}

void mp_vector_find_alone(const mp_Vector *index, mp_VectorJob *job)
{
    mp_Error *err = &job->line.cpu.err;
    mp_Status status;

    job->hit_count = 0;
    job->hits = mp_alloc((wanted(job) + 1) * sizeof *job->hits);
    if (!job->hits)
        status = mp_err_memory(err);
    else if (index->form == MP_FAISS_HNSW)
        status = find_near(index, job, err);
    else
        status = find_by_scan(index, job, err);
    job->failed = status != MP_OK;
    job->exact = !job->failed && index->form == MP_FAISS_HNSW &&
                 job->hit_count < wanted(job);
}
