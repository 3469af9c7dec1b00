/*
 * vector_train.c: what IVF and SQ learn before they hold anything; see vector.h
 * on when that is.
 *
 * Both learn from a sample of all rows, evenly spread. IVF's centroids are
 * Lloyd's k-means: each row of the sample is assigned to its nearest centroid,
 * each centroid moves to the middle of its rows, ROUNDS times. FAISS's own
 * would be one long call, with threads of BLAS's; this one is as fast by the
 * kernels of scan.c, goes slice by slice and can be cancelled.
 */
#include "alloc.h"
#include "clock.h"
#include "vector_index.h"

#include <math.h>
#include <string.h>

enum {
    ROUNDS = 10,
    LIST_LEAST = 39, /* rows for each list, as FAISS wants them */
    LIST_SAMPLE = 64,
    IVF_LEAST = 4096,
    SQ_LEAST = 1024,
    SQ_NUMBERS = 16 << 20
};

typedef struct mp_VectorTraining {
    float *sample;
    size_t count;
    size_t at; /* rows of the sample copied, or assigned in this round */
    bool copied;
    size_t round;
    float *centroids; /* nlist */
    double *sums;     /* of the rows assigned to each */
    size_t *sizes;
} mp_VectorTraining;

bool mp_vector_is_ripe(const mp_Vector *index, size_t rows)
{
    size_t nlist = index->nlist;

    if (index->form == index->shape.kind) return false;
    if (index->shape.kind == MP_FAISS_SQ) return rows >= SQ_LEAST;
    return rows >= (nlist > 0 ? LIST_LEAST * nlist : (size_t)IVF_LEAST);
}

/* --- the sample --- */

static size_t all_rows(const mp_Vector *index)
{
    return index->count + index->batch->rows.rows;
}

static size_t sample_size(const mp_Vector *index)
{
    size_t most = index->shape.kind == MP_FAISS_SQ
                      ? SQ_NUMBERS / index->shape.dim + 1
                      : LIST_SAMPLE * index->nlist;

    return most < all_rows(index) ? most : all_rows(index);
}

/* As the index will have it: 1 long with cosine. */
static void copy_sample(mp_Vector *index, mp_VectorTraining *self)
{
    size_t dim = index->shape.dim;
    size_t row = (size_t)((double)self->at / (double)self->count *
                          (double)all_rows(index));
    float *out = self->sample + self->at * dim;

    if (row < index->count) {
        memcpy(out, index->source + row * dim, dim * sizeof *out);
        return;
    }
    memcpy(out, index->batch->rows.data + (row - index->count) * dim,
           dim * sizeof *out);
    if (index->shape.metric == MP_VECTOR_COSINE) mp_floats_unit(out, dim);
}

mp_Status mp_vector_begin_training(mp_Vector *index, mp_Error *err)
{
    mp_VectorTraining *self = mp_alloc_zero(1, sizeof *self);
    size_t dim = index->shape.dim, nlist;

    if (!self) return mp_err_memory(err);
    index->training = self;
    if (index->nlist == 0) index->nlist = (size_t)sqrt((double)all_rows(index));
    nlist = index->shape.kind == MP_FAISS_IVF ? index->nlist : 0;
    self->count = sample_size(index);
    self->sample = mp_alloc(self->count * dim * sizeof *self->sample);
    self->centroids = mp_alloc((nlist + 1) * dim * sizeof *self->centroids);
    self->sums = mp_alloc_zero((nlist + 1) * dim, sizeof *self->sums);
    self->sizes = mp_alloc_zero(nlist + 1, sizeof *self->sizes);
    if (self->sample && self->centroids && self->sums && self->sizes)
        return MP_OK;
    mp_vector_end_training(index);
    index->nlist = index->shape.nlist;
    return mp_err_memory(err);
}

void mp_vector_end_training(mp_Vector *index)
{
    mp_VectorTraining *self = index->training;

    if (!self) return;
    mp_alloc_free(self->sample);
    mp_alloc_free(self->centroids);
    mp_alloc_free(self->sums);
    mp_alloc_free(self->sizes);
    mp_alloc_free(self);
    index->training = NULL;
}

/* --- k-means --- */

/* Of what is too far from all, list 0 is as good as any. */
mp_Status mp_vector_assign(const mp_Vector *index, const float *centroids,
                           size_t count, const float *x, size_t rows,
                           int64_t *lists, mp_Error *err)
{
    static const mp_ScanFilter all = {NULL, NULL, 0};
    size_t dim = index->shape.dim;
    mp_ScanTop top;
    mp_Scan scan;
    mp_Status status = mp_scan_init(&scan, index->metric, dim, rows, err);

    if (status != MP_OK) return status;
    for (size_t q = 0; q < rows; q++)
        mp_scan_set(&scan, q, x + q * dim, 1, all);
    status = mp_scan_begin(&scan, count, err);
    if (status == MP_OK) status = mp_scan_top_init(&top, &scan, err);
    if (status == MP_OK) {
        mp_scan_rows(&scan, &top, centroids, 0, count);
        for (size_t q = 0; q < rows; q++)
            lists[q] = top.counts[q] ? top.hits[q].id : 0;
        mp_scan_top_term(&top);
    }
    mp_scan_term(&scan);
    return status;
}

/* With inner products, longer centroids would draw all rows to themselves. */
static void set_centroid(const mp_Vector *index, mp_VectorTraining *self,
                         size_t list)
{
    size_t dim = index->shape.dim, size = self->sizes[list];
    float *out = self->centroids + list * dim;

    for (size_t i = 0; size > 0 && i < dim; i++)
        out[i] = (float)(self->sums[list * dim + i] / (double)size);
    if (size == 0) /* a row that is not the beginning of another one */
        memcpy(out,
               self->sample + (list * 7919 + self->round) % self->count * dim,
               dim * sizeof *out);
    if (index->metric == MP_FAISS_INNER_PRODUCT) mp_floats_unit(out, dim);
}

/* Before the first round all sizes are 0: the centroids are rows. */
static void set_centroids(const mp_Vector *index, mp_VectorTraining *self)
{
    size_t nlist = index->nlist, dim = index->shape.dim;

    for (size_t list = 0; list < nlist; list++)
        set_centroid(index, self, list);
    memset(self->sums, 0, nlist * dim * sizeof *self->sums);
    memset(self->sizes, 0, nlist * sizeof *self->sizes);
    self->at = 0;
}

static mp_Status assign_some(const mp_Vector *index, mp_VectorTraining *self,
                             mp_Error *err)
{
    size_t dim = index->shape.dim, count = self->count - self->at;
    int64_t lists[MP_VECTOR_TOGETHER];
    const float *x = self->sample + self->at * dim;

    if (count > MP_VECTOR_TOGETHER) count = MP_VECTOR_TOGETHER;
    if (mp_vector_assign(index, self->centroids, index->nlist, x, count, lists,
                         err) != MP_OK)
        return -MP_KIND_MEMORY;
    for (size_t row = 0; row < count; row++) {
        double *sum = self->sums + (size_t)lists[row] * dim;

        self->sizes[lists[row]]++;
        for (size_t i = 0; i < dim; i++)
            sum[i] += x[row * dim + i];
    }
    self->at += count;
    return MP_OK;
}

/* --- the slices --- */

static mp_Status make_fresh(mp_Vector *index, mp_Error *err)
{
    mp_VectorTraining *self = index->training;
    mp_FaissShape shape = mp_vector_faiss_shape(index, index->shape.kind);
    bool lists = index->shape.kind == MP_FAISS_IVF;
    char message[MP_FAISS_TEXT];
    int code = index->lib->make(&index->fresh, &shape,
                                lists ? self->centroids : self->sample,
                                self->count, message);

    mp_vector_end_training(index);
    return code == MP_FAISS_OK ? MP_OK : mp_vector_fail(err, code, message);
}

/* One step: a row of the sample copied, some assigned, or a round ended. */
static mp_Status step(mp_Vector *index, mp_Error *err)
{
    mp_VectorTraining *self = index->training;

    if (!self->copied) {
        copy_sample(index, self);
        self->copied = ++self->at == self->count;
        if (self->copied && index->shape.kind == MP_FAISS_SQ)
            self->round = ROUNDS;
        else if (self->copied)
            set_centroids(index, self);
    } else if (self->at < self->count) {
        return assign_some(index, self, err);
    } else {
        self->round++;
        set_centroids(index, self);
    }
    return self->round == ROUNDS ? make_fresh(index, err) : MP_OK;
}

mp_Status mp_vector_train_slice(mp_Vector *index, int64_t until_us,
                                mp_Error *err)
{
    mp_Status status = MP_OK;

    while (status == MP_OK && index->training && mp_clock_us() < until_us)
        status = step(index, err);
    if (status != MP_OK) mp_vector_end_training(index);
    return status;
}
