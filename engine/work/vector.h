/*
 * vector.h: an index of vectors, and the jobs that add to it and search it.
 *
 * Vectors are numbered from 0 in the order in which they were added. An index
 * works off one line of jobs, oldest first, on the pool: what was added before
 * a search was submitted is found by it, and an add is seen whole or not at
 * all. FAISS keeps the vectors, scan.h looks at them. Searches that stand in
 * the line together go through the vectors once: 64 of them cost a few single
 * ones. What each is answered does not depend on the others.
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

#include "faiss_shim.h"
#include "floats.h"
#include "job.h"

/* As many searches are answered together at most. */
#define MP_VECTOR_TOGETHER 64

typedef struct mp_Vector mp_Vector;

/* Makes an empty index of vectors of [dim] >= 1 numbers. [metric] is one of
 * MP_FAISS_L2 (squared distance, least first) and MP_FAISS_INNER_PRODUCT
 * (greatest first). `unsupported` without FAISS, `memory`. Owned; give it back
 * with mp_vector_unref. */
mp_Status mp_vector_new(mp_Vector **index, int metric, size_t dim,
                        mp_Error *err);

/* Jobs hold references of their own. */
void mp_vector_unref(mp_Vector *index);

size_t mp_vector_dim(const mp_Vector *index);

/* The number of vectors, without those of adds that have not ended. */
size_t mp_vector_count(mp_Vector *index);

/* Whether [rows] fit: `input` for another dimension or a value that is not
 * finite, `closed` if another process of ours used the index while it forked
 * this one. */
mp_Status mp_vector_check(mp_Vector *index, const mp_Floats *rows,
                          mp_Error *err);

/* Returns a job, owned, that adds [rows], which were checked, and takes them.
 * Its cargo is the number of the first one as text. NULL without memory; then
 * [rows] stay. */
mp_Job *mp_vector_add(mp_Vector *index, mp_Floats *rows);

/* Returns a job, owned, that gives the [k] >= 1 best for [query], which was
 * checked and is taken: one row of distances in `floats`, and as many numbers
 * of vectors as text in `head`, with blanks between; both empty where there are
 * none. NULL without memory; then [query] stays. */
mp_Job *mp_vector_search(mp_Vector *index, mp_Floats *query, size_t k);

#endif
