/*
 * faiss_shim.h: FAISS as C functions, in a shared object of its own.
 *
 * moonpipe_vector.so is opened at first use (vector_lib.h), so that a chain
 * without vectors pays neither for BLAS nor for C++. No exception leaves it:
 * each function returns 0 or a MP_FAISS_ code, with a message for people in
 * [message], MP_FAISS_TEXT bytes.
 *
 * Nothing here starts threads. FAISS's own loops would end the process when
 * memory fails in them, for no exception may leave a parallel region; where
 * that can be, the shim has a loop of its own around FAISS's steps.
 *
 * Threads: an index may be read by many threads at once, or changed by one. Who
 * calls sees to that.
 */
#ifndef MP_FAISS_SHIM_H
#define MP_FAISS_SHIM_H

#include <stddef.h>
#include <stdint.h>

#define MP_FAISS_TEXT 256

enum { MP_FAISS_OK, MP_FAISS_MEMORY, MP_FAISS_INTERNAL };
enum { MP_FAISS_L2, MP_FAISS_INNER_PRODUCT };

typedef enum mp_FaissKind {
    MP_FAISS_FLAT,
    MP_FAISS_HNSW, /* a graph over flat rows */
    MP_FAISS_IVF,  /* flat rows in lists, each around a centroid */
    MP_FAISS_SQ    /* 8 bits for each number */
} mp_FaissKind;

typedef struct mp_FaissShape {
    mp_FaissKind kind;
    int metric;
    size_t dim;
    size_t m;               /* HNSW: links of a row, twice as many below */
    size_t ef_construction; /* HNSW: candidates while a row is linked */
    size_t nlist;           /* IVF */
    /* HNSW: the distance or product of two rows, as scan_kernel.h has it. */
    void (*compare)(const float *x, size_t step, const float *y, size_t dim,
                    float *out);
} mp_FaissShape;

/* Takes what FAISS writes; false stops it. */
typedef int (*mp_FaissPut)(void *self, const void *bytes, size_t len);

/* The functions, for vector_lib.h's table: name, arguments. */
#define MP_FAISS_FUNCTIONS(X)                                                  \
    /* x: IVF's nlist centroids; or count rows, from which SQ learns the range \
     * of each number */                                                       \
    X(make, (void **index, const mp_FaissShape *shape, const float *x,         \
             size_t count, char *message))                                     \
    X(drop, (void *index, char *message))                                      \
    /* x: count * dim floats; lists: IVF's list of each. Either all are added  \
     * or none; but HNSW keeps rows whose links failed: see `count` */         \
    X(add, (void *index, const float *x, const int64_t *lists, size_t count,   \
            char *message))                                                    \
    X(count, (const void *index, size_t *count, char *message))                \
    /* keeps the first [count]; not HNSW */                                    \
    X(cut, (void *index, size_t count, char *message))                         \
    /* writes row [from] over row [to] < [from]; after some, and before        \
     * anything else, comes a cut; not HNSW */                                 \
    X(move, (void *index, size_t from, size_t to, char *message))              \
    /* copies [count] rows from [first] on to [out] */                         \
    X(get, (const void *index, size_t first, size_t count, float *out,         \
            char *message))                                                    \
    /* all vectors, count * dim floats, borrowed until the next change; NULL   \
     * where there are none, and for IVF and SQ */                             \
    X(rows, (const void *index, const float **rows, char *message))            \
    /* IVF: the centroids, and a list: its rows and which these are */         \
    X(centroids,                                                               \
      (const void *index, const float **rows, size_t *count, char *message))   \
    X(list, (const void *index, size_t list, const float **rows,               \
             const int64_t **ids, size_t *count, char *message))               \
    /* HNSW: the k best of the rows whose bit is set (NULL: of all) that [ef]  \
     * candidates lead to; ids -1 where there are fewer */                     \
    X(near,                                                                    \
      (const void *index, const float *x, size_t k, size_t ef,                 \
       const uint8_t *bits, float *distances, int64_t *ids, char *message))    \
    /* the whole index as bytes, and back; of others' bytes FAISS makes        \
     * anything at all. [shape] as for make */                                 \
    X(write, (const void *index, mp_FaissPut put, void *self, char *message))  \
    X(read, (void **index, const mp_FaissShape *shape, const char *bytes,      \
             size_t len, char *message))                                       \
    /* FAISS's own search, which the tests hold ours against; OpenBLAS has     \
     * one thread from then on. x: nq * dim, distances and ids: nq * k, best   \
     * first, ids -1 where there are fewer; effort: HNSW's ef, IVF's nprobe */ \
    X(search, (const void *index, const float *x, size_t nq, size_t k,         \
               size_t effort, float *distances, int64_t *ids, char *message))  \
    /* Test hook: the [nth] step from now (1 is the next) that may throw does, \
     * what memory that fails does or what FAISS; 0: none. Gives how many      \
     * there were */                                                           \
    X(fail_at, (int64_t nth, int as_faiss, int64_t *since))

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
