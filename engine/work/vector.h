/*
 * vector.h: an index of vectors, and the jobs that change it and search it.
 *
 * Vectors are numbered from 0 in the order in which they were added. A number
 * is never given twice and never changes, whatever is deleted: what is deleted
 * is passed over, and once that is the greater part its room is given back
 * (vector_delete.c). An index works off one line of jobs, oldest first, on the
 * pool: what an add has answered for is found by each search that is submitted
 * behind it, and an add or a delete is seen whole or not at all; the order of
 * jobs that are submitted at once is nobody's. FAISS keeps the vectors, scan.h
 * looks at them. Searches that stand in the line together go through the
 * vectors once: 64 of them cost a few single ones, each with the vectors that
 * it may have. What each is answered does not depend on the others.
 *
 *     search -+               +-> hand: scan -+-> answer
 *     search -+-> line -> turn ---> scan -----+-> answer    add -> line -> turn
 *     search -+               +-> hand: scan -+-> answer
 *
 * A turn works in slices of MP_CPU_SLICE_US: long searches go through the
 * vectors block by block, at several threads of the pool at once; long adds
 * likewise, at one; a cancelled add takes back what it added.
 *
 * Threads: an index may be used by many engines. Only its turn changes it, at
 * one pool thread at a time.
 */
#ifndef MP_VECTOR_H
#define MP_VECTOR_H

#include "cpu.h"
#include "faiss_shim.h"
#include "floats.h"

/* As many searches are answered together at most. */
#define MP_VECTOR_TOGETHER 64

typedef enum mp_VectorMetric {
    MP_VECTOR_L2 = MP_FAISS_L2,            /* squared distance, least first */
    MP_VECTOR_IP = MP_FAISS_INNER_PRODUCT, /* greatest first */
    MP_VECTOR_COSINE /* of vectors made 1 long; zeros have 0 with all */
} mp_VectorMetric;

/* What an index is. 0 stands for what is usual.
 *
 * MP_FAISS_FLAT looks at all vectors. MP_FAISS_HNSW follows a graph: a search
 * finds most of the nearest at a fraction of the price, an add takes long.
 * MP_FAISS_IVF looks at the lists whose centroids are nearest, MP_FAISS_SQ at
 * all vectors, of which it keeps 8 bits for each number. These two begin as
 * flat ones, with exact answers, and are trained once, in the first add after
 * which there are enough vectors: 39 for each of `nlist`, or 4,096 where it is
 * 0 and becomes their square root; 1,024 for SQ. Whatever the kind, as many
 * come back as there are and may come. */
typedef struct mp_VectorShape {
    mp_VectorMetric metric;
    size_t dim; /* >= 1 */
    mp_FaissKind kind;
    size_t m;               /* HNSW: links of a vector: 32 */
    size_t ef_construction; /* ... candidates while it is added: 40 */
    size_t ef_search;       /* ... and while it is searched for: 64 */
    size_t nlist;           /* IVF: lists */
    size_t nprobe;          /* ... and how many are looked at: 16 */
} mp_VectorShape;

/* A list of numbers of vectors, moved like mp_Floats. */
typedef struct mp_VectorNumbers {
    size_t *data; /* of mp_alloc; NULL only where count is 0 */
    size_t count;
} mp_VectorNumbers;

typedef struct mp_Vector mp_Vector;

/* Makes an empty index. `unsupported` without FAISS, `memory`. Owned; give it
 * back with mp_vector_unref. */
mp_Status mp_vector_new(mp_Vector **index, const mp_VectorShape *shape,
                        mp_Error *err);

/* Jobs hold references of their own. */
void mp_vector_unref(mp_Vector *index);

const mp_VectorShape *mp_vector_shape(const mp_Vector *index);

/* The number of vectors that are not deleted, without those of adds that have
 * not ended. */
size_t mp_vector_count(mp_Vector *index);

/* Whether [rows] fit: `input` for another dimension or a value that is not
 * finite, `closed` if another process of ours used the index while it forked
 * this one. */
mp_Status mp_vector_check(mp_Vector *index, const mp_Floats *rows,
                          mp_Error *err);

/* The same, and copies them to [out] on the way; or `memory`. On failure there
 * is nothing to free. */
mp_Status mp_vector_copy(mp_Vector *index, const mp_Floats *rows,
                         mp_Floats *out, mp_Error *err);

/* Returns a job, owned, that adds [rows], which were checked, and takes them.
 * Its cargo is the number of the first one as text. NULL without memory; then
 * [rows] stay. */
mp_Job *mp_vector_add(mp_Vector *index, mp_Floats *rows);

/* Returns a job, owned, that gives the [k] >= 1 best for [query], which was
 * checked and is taken: one row of distances in `floats`, and as many numbers
 * of vectors as text in `head`, with blanks between; both empty where there are
 * none. Only those in [allowed], which is taken, may be among them; NULL: all.
 * NULL without memory; then [query] and [allowed] stay. */
mp_Job *mp_vector_search(mp_Vector *index, mp_Floats *query, size_t k,
                         mp_VectorNumbers *allowed);

/* Returns a job, owned, that deletes those of [numbers] that are there, and
 * takes them. NULL without memory; then they stay. */
mp_Job *mp_vector_delete(mp_Vector *index, mp_VectorNumbers *numbers);

/* Returns a job, owned, that gives the vectors of [numbers], which it takes, in
 * `floats`, as the index has them: with MP_VECTOR_COSINE 1 long. `input` if one
 * is not there. NULL without memory; then [numbers] stay. */
mp_Job *mp_vector_rows(mp_Vector *index, mp_VectorNumbers *numbers);

/* Frees the numbers and leaves none. */
void mp_vector_numbers_term(mp_VectorNumbers *numbers);

/* --- for files ---
 *
 * Who saves an index reads its state, who loads one makes it of a state. No
 * byte of it is checked here beyond the lengths: it must be what was read,
 * which only a checksum can tell (FAISS believes what it is given). */

typedef struct mp_VectorState {
    mp_VectorShape shape;
    size_t next;           /* the number that is given next */
    size_t count;          /* rows, also of deleted vectors */
    const size_t *numbers; /* of each row, going up; NULL: row i has i */
    const uint8_t *alive;  /* bit i % 8 of byte i / 8: row i is not deleted; the
                            * rest of the last byte is 0; NULL: none is */
    const float *rows;     /* count * dim; NULL where there is a payload */
    const char *payload;   /* what FAISS wrote */
    size_t payload_len;
} mp_VectorState;

typedef struct mp_VectorReader {
    /* On the pool, until it says MP_CPU_DONE, or MP_CPU_FAILED with the reason
     * in [err]: works until about [until_us]. [state] is the same each time and
     * borrowed: the index waits. */
    mp_CpuStep (*slice)(void *self, const mp_VectorState *state,
                        int64_t until_us, mp_Error *err);
    /* On any thread, once, last of all. */
    void (*term)(void *self);
} mp_VectorReader;

/* Returns a job, owned, that gives the state of the index to [reader] and takes
 * [self]. NULL without memory; then [self] stays. */
mp_Job *mp_vector_read(mp_Vector *index, const mp_VectorReader *reader,
                       void *self);

/* Makes an index of [state]: copies all but `rows`, which are borrowed until
 * [release] is called with [owner], on any thread: at the first add, or when
 * the index goes. `unsupported`, `memory`, `input` where lengths and numbers do
 * not fit together; then nothing is borrowed. Owned, as with mp_vector_new. */
mp_Status mp_vector_open(mp_Vector **index, const mp_VectorState *state,
                         void (*release)(void *owner), void *owner,
                         mp_Error *err);

#endif
