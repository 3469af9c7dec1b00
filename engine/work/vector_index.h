/*
 * vector_index.h: the inside of an index, for the files vector*.c alone.
 *
 * Threads: as in vector.c.
 */
#ifndef MP_VECTOR_INDEX_H
#define MP_VECTOR_INDEX_H

#include "cpu.h"
#include "vector.h"
#include "vector_lib.h"

#include <pthread.h>

typedef struct mp_VectorJob {
    mp_CpuJob cpu;
    mp_Vector *index;
    struct mp_VectorJob *next;
    mp_Floats rows; /* to add, or the query */
    size_t k;       /* 0: an add */
} mp_VectorJob;

/* The best of each query so far, and those of the block. */
typedef struct mp_VectorBest {
    float *distances;
    int64_t *ids;
} mp_VectorBest;

struct mp_Vector {
    const mp_VectorLib *lib;
    void *faiss;
    size_t dim;
    int metric;
    atomic_uint references;
    unsigned generation;
    pthread_mutex_t lock;
    mp_VectorJob *first;
    mp_VectorJob *last;
    bool active;
    size_t count;
    mp_PoolTask turn;
    mp_VectorJob *batch; /* what the turn works on */
    size_t queries;      /* in it */
    size_t k;
    size_t at; /* vectors searched, or rows added */
    float *x;
    mp_VectorBest best, block, spare;
};

/* What FAISS's [code] means. */
mp_Status mp_vector_fail(mp_Error *err, int code, const char *message);

/* Settles the jobs of the batch that are left, and frees what it needed. */
void mp_vector_end_batch(mp_Vector *index, mp_EventKind outcome);
void mp_vector_fail_batch(mp_Vector *index, const mp_Error *err);

/* Prepares for the searches of the batch. */
mp_Status mp_vector_begin_search(mp_Vector *index, mp_Error *err);

/* Searches on until about [until_us]; the batch is gone at the end. */
void mp_vector_search_slice(mp_Vector *index, int64_t until_us);

#endif
