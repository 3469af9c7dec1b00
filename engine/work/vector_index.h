/*
 * vector_index.h: the inside of an index, for the files vector*.c alone.
 *
 * Threads: as in vector.c.
 */
#ifndef MP_VECTOR_INDEX_H
#define MP_VECTOR_INDEX_H

#include "line.h"
#include "scan.h"
#include "vector.h"
#include "vector_lib.h"

typedef struct mp_VectorJob {
    mp_LineJob line;
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
    mp_Line line;
    const mp_VectorLib *lib;
    void *faiss;
    size_t dim;
    int metric;
    size_t count;        /* of the line's lock; below it is the turn's alone */
    mp_VectorJob *batch; /* what the turn works on */
    mp_LineJob *ended;   /* what it answers at its end */
    mp_LineJob **ended_last;
    size_t at; /* rows added, or jobs answered */
    const float *rows;
    mp_Scan scan;
    mp_VectorHand *hands;
    size_t hand_count;
    int64_t until_us;
    atomic_size_t next;    /* vector that no hand has looked at */
    atomic_size_t at_work; /* hands that have not left this slice */
};

/* The one behind it, in the line or the batch. */
static inline mp_VectorJob *mp_vector_next(const mp_VectorJob *job)
{
    return (mp_VectorJob *)job->line.next;
}

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
