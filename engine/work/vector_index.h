/*
 * vector_index.h: the inside of an index, for the files vector*.c alone.
 *
 * Threads: as in vector.c.
 */
#ifndef MP_VECTOR_INDEX_H
#define MP_VECTOR_INDEX_H

#include "cpu.h"
#include "scan.h"
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

/* One of the pool's threads at a search: the turn itself is the first. */
typedef struct mp_VectorHand {
    mp_PoolTask task;
    mp_Vector *index;
    mp_ScanTop top;
} mp_VectorHand;

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
    mp_Pool *pool; /* while active: then it has jobs that are not answered */
    mp_PoolTask turn;
    mp_VectorJob *batch; /* what the turn works on */
    mp_VectorJob *ended; /* what it answers at its end */
    mp_VectorJob **ended_last;
    size_t at; /* rows added, or jobs answered */
    const float *rows;
    mp_Scan scan;
    mp_VectorHand *hands;
    size_t hand_count;
    int64_t until_us;
    atomic_size_t next;    /* vector that no hand has looked at */
    atomic_size_t at_work; /* hands that have not left this slice */
};

/* What FAISS's [code] means. */
mp_Status mp_vector_fail(mp_Error *err, int code, const char *message);

/* Decides how [job], which is in no list, ends; false if a cancel was faster.
 */
bool mp_vector_end_job(mp_Vector *index, mp_VectorJob *job,
                       mp_EventKind outcome);

/* Ends the jobs of the batch that are left. */
void mp_vector_end_batch(mp_Vector *index, mp_EventKind outcome);
void mp_vector_fail_batch(mp_Vector *index, const mp_Error *err);

/* Answers what has ended; true if the turn must come again, else the index may
 * be gone. */
bool mp_vector_end_turn(mp_Vector *index);

/* Prepares for the searches of the batch. On failure nothing is held. */
mp_Status mp_vector_begin_search(mp_Vector *index, mp_Error *err);

/* Searches until about [until_us]; the batch is gone when all is done. False
 * if another thread ends the turn: then the index may be gone. */
bool mp_vector_search_slice(mp_Vector *index, int64_t until_us);

#endif
