/*
 * faiss_shim.h: FAISS as C functions, in a shared object of its own.
 *
 * moonpipe_vector.so is opened at first use (vector_lib.h), so that a chain
 * without vectors pays neither for BLAS nor for C++. No exception leaves it:
 * each function returns 0 or a MP_FAISS_ code, with a message for people in
 * [message], MP_FAISS_TEXT bytes.
 *
 * Threads: an index may be searched by many threads at once, or changed by
 * one. Who calls sees to that.
 */
#ifndef MP_FAISS_SHIM_H
#define MP_FAISS_SHIM_H

#include <stddef.h>
#include <stdint.h>

#define MP_FAISS_TEXT 256

enum { MP_FAISS_OK, MP_FAISS_MEMORY, MP_FAISS_INTERNAL };
enum { MP_FAISS_L2, MP_FAISS_INNER_PRODUCT };

/* The functions, for vector_lib.h's table: name, arguments. */
#define MP_FAISS_FUNCTIONS(X)                                                  \
    X(make, (void **index, int metric, size_t dim, char *message))             \
    X(drop, (void *index, char *message))                                      \
    /* x: count * dim floats; either all are added or none */                  \
    X(add, (void *index, const float *x, size_t count, char *message))         \
    /* keeps the first [count] */                                              \
    X(cut, (void *index, size_t count, char *message))                         \
    /* writes row [from] over row [to] */                                      \
    X(move, (void *index, size_t from, size_t to, char *message))              \
    /* copies [count] rows from [first] on to [out] */                         \
    X(get, (const void *index, size_t first, size_t count, float *out,         \
            char *message))                                                    \
    /* all vectors, count * dim floats, borrowed until the next add or cut;    \
     * NULL where there are none */                                            \
    X(rows, (const void *index, const float **rows, char *message))            \
    /* FAISS's own search, which the tests hold scan.c against; OpenBLAS has   \
     * one thread from then on. x: nq * dim, distances and ids: nq * k, best   \
     * first, ids -1 where there are fewer */                                  \
    X(search, (const void *index, const float *x, size_t nq, size_t k,         \
               float *distances, int64_t *ids, char *message))

#ifdef __cplusplus
extern "C" {
#endif

#define MP_FAISS_DECLARE(name, arguments)                                      \
    __attribute__((visibility("default"))) int mp_faiss_##name arguments;
MP_FAISS_FUNCTIONS(MP_FAISS_DECLARE)
#undef MP_FAISS_DECLARE

#ifdef __cplusplus
}
#endif

#endif
