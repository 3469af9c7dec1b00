/*
 * vector_index.h: the inside of an index, for the files vector*.c alone.
 *
 * FAISS and the scan count rows, from 0 on without gaps; callers have numbers.
 * Both are the same until vectors are deleted, for their rows are taken out
 * some time; from then on `numbers` says which is whose. It goes up, so a
 * number is found by halving.
 *
 * Threads: as in vector.c.
 */
#ifndef MP_VECTOR_INDEX_H
#define MP_VECTOR_INDEX_H

#include "line.h"
#include "scan.h"
#include "vector.h"
#include "vector_lib.h"

typedef enum mp_VectorWork {
    MP_VECTOR_ADD,
    MP_VECTOR_SEARCH,
    MP_VECTOR_DELETE,
    MP_VECTOR_ROWS,
    MP_VECTOR_READ
} mp_VectorWork;

typedef struct mp_VectorJob {
    mp_LineJob line;
    mp_VectorWork work;
    mp_Floats rows; /* to add, or the query */
    size_t k;
    bool limited;             /* `numbers` are the only ones allowed */
    mp_VectorNumbers numbers; /* ... or to be deleted, or to be given */
    /* What a search that is limited may have, in rows: see vector_filter.c. */
    uint8_t *bits;
    mp_VectorNumbers list;
    size_t most; /* as many it can find */
    /* Of a search that one hand does alone: see vector_alone.c. */
    bool alone;
    bool exact; /* what is near was not enough: all is looked at now */
    bool failed;
    mp_ScanHit *hits;
    size_t hit_count;
    const mp_VectorReader *reader;
    void *self;
    mp_VectorState state;
    mp_Buf payload; /* of the state */
} mp_VectorJob;

/* One of the pool's threads at a search: the turn itself is the first. */
typedef struct mp_VectorHand {
    mp_PoolTask task;
    mp_Vector *index;
    mp_ScanTop top;
    float *decoded; /* SQ: a block of rows */
    mp_Error err;   /* why that failed */
} mp_VectorHand;

struct mp_Vector {
    mp_Line line;
    const mp_VectorLib *lib;
    void *faiss;
    mp_FaissKind form; /* what `faiss` is: flat, until it is trained */
    mp_VectorShape shape;
    int metric;   /* FAISS's */
    size_t nlist; /* IVF: the shape's, or what training found right */
    size_t live;  /* of the line's lock; below it is the turn's alone */

    size_t count;      /* rows, also of deleted vectors */
    size_t next;       /* the number that is given next */
    size_t *numbers;   /* NULL: row i has number i */
    uint8_t *alive;    /* bit i % 8 of byte i / 8: row i; NULL: all are */
    size_t room;       /* rows that `numbers` and `alive` have room for */
    const float *lent; /* the rows while they are borrowed: FAISS has none */
    void (*release)(void *owner);
    void *owner;
    bool compacting;
    size_t from, to; /* of the compaction: rows read, rows kept */

    void *fresh; /* the index that an add makes by training; or NULL */
    struct mp_VectorTraining *training;
    const float *source; /* rows that the add copies first; or NULL */

    mp_VectorJob *batch; /* what the turn works on */
    mp_VectorJob *again; /* searches of it that need a second look */
    mp_LineJob *ended;   /* what it answers at its end */
    mp_LineJob **ended_last;
    size_t at; /* rows added, or jobs answered */
    const float *rows;
    mp_Scan scan;
    mp_VectorHand *hands;
    size_t hand_count;
    int64_t until_us;
    mp_VectorJob **alone; /* the searches that are, of the batch */
    size_t alone_count;
    atomic_size_t next_row;   /* that no hand has looked at */
    atomic_size_t next_alone; /* ... or begun */
    atomic_size_t at_work;    /* hands that have not left this slice */
};

/* The one behind it, in the line or the batch. */
static inline mp_VectorJob *mp_vector_next(const mp_VectorJob *job)
{
    return (mp_VectorJob *)job->line.next;
}

/* --- vector.c --- */

/* What FAISS's [code] means. */
mp_Status mp_vector_fail(mp_Error *err, int code, const char *message);

/* Decides how [job], which is in no list, ends; false if a cancel was faster.
 */
bool mp_vector_end_job(mp_Vector *index, mp_VectorJob *job,
                       mp_EventKind outcome);

/* Ends the jobs of the batch that are left. */
void mp_vector_end_batch(mp_Vector *index, mp_EventKind outcome);
void mp_vector_fail_batch(mp_Vector *index, const mp_Error *err);

/* Takes the only job of the batch out of it. */
mp_VectorJob *mp_vector_take_job(mp_Vector *index);

/* Answers what has ended; true if the turn must come again, else the index may
 * be gone. */
bool mp_vector_end_turn(mp_Vector *index);

void mp_vector_set_live(mp_Vector *index, size_t live);

/* --- vector_add.c --- */

/* What FAISS is to make of the index in [form]. */
mp_FaissShape mp_vector_faiss_shape(const mp_Vector *index, mp_FaissKind form);

/* Prepares for the add that is the batch. On failure nothing is held. */
mp_Status mp_vector_begin_add(mp_Vector *index, mp_Error *err);

/* Adds until about [until_us]; the batch is gone when all is done. */
void mp_vector_add_slice(mp_Vector *index, int64_t until_us);

/* --- vector_train.c --- */

/* Whether an index that is flat becomes what it is to be with [rows] rows. */
bool mp_vector_is_ripe(const mp_Vector *index, size_t rows);

/* Chooses what to learn from among the rows there are and those of the add that
 * is the batch. `memory`. */
mp_Status mp_vector_begin_training(mp_Vector *index, mp_Error *err);

/* Learns until about [until_us]; index->fresh is there when all is done. */
mp_Status mp_vector_train_slice(mp_Vector *index, int64_t until_us,
                                mp_Error *err);

void mp_vector_end_training(mp_Vector *index);

/* Finds the nearest of [count] centroids for each of [rows] <=
 * MP_VECTOR_TOGETHER rows. `memory`. */
mp_Status mp_vector_assign(const mp_Vector *index, const float *centroids,
                           size_t count, const float *x, size_t rows,
                           int64_t *lists, mp_Error *err);

/* --- vector_delete.c --- */

/* From now on rows can be without a bit, and move. `memory`. */
mp_Status mp_vector_allow_gaps(mp_Vector *index, mp_Error *err);

/* The row of vector [number], or SIZE_MAX if it is not there. */
size_t mp_vector_find(const mp_Vector *index, size_t number);

static inline size_t mp_vector_number(const mp_Vector *index, size_t row)
{
    return index->numbers ? index->numbers[row] : row;
}

/* Makes room for [rows] rows in what the index knows about each. `memory`. */
mp_Status mp_vector_reserve(mp_Vector *index, size_t rows, mp_Error *err);

/* The rows from index->count to [count] have come, and have numbers from
 * index->next on; there is room for them. Without [alive] as deleted ones. */
void mp_vector_admit(mp_Vector *index, size_t count, bool alive);

/* Does the delete, or gives the vectors, that is the batch. */
mp_Status mp_vector_do_delete(mp_Vector *index, mp_Error *err);
mp_Status mp_vector_give_rows(mp_Vector *index, mp_Error *err);

/* Goes on with the compaction until about [until_us]. */
void mp_vector_compact_slice(mp_Vector *index, int64_t until_us);

/* --- vector_filter.c --- */

/* Finds out which rows [job], a search, may have. `memory`. */
mp_Status mp_vector_filter(const mp_Vector *index, mp_VectorJob *job,
                           mp_Error *err);

/* ... and what the scan is to know of it. */
mp_ScanFilter mp_vector_scan_filter(const mp_Vector *index,
                                    const mp_VectorJob *job);

/* Frees what mp_vector_filter made. */
void mp_vector_filter_term(mp_VectorJob *job);

/* --- vector_state.c --- */

/* All rows, borrowed until they change; NULL where there are none. */
mp_Status mp_vector_borrow(const mp_Vector *index, const float **rows,
                           mp_Error *err);

/* Copies row [row] to [out]. */
mp_Status mp_vector_copy_row(const mp_Vector *index, size_t row, float *out,
                             mp_Error *err);

/* Gives back the rows that were lent, if any. */
void mp_vector_release(mp_Vector *index);

/* Prepares for the reading that is the batch. */
mp_Status mp_vector_begin_read(mp_Vector *index, mp_Error *err);

/* Reads until about [until_us]; the batch is gone when all is done. */
void mp_vector_read_slice(mp_Vector *index, int64_t until_us);

/* --- vector_alone.c --- */

/* Whether [job], whose filter is known, is a search for one hand. */
bool mp_vector_is_alone(const mp_Vector *index, const mp_VectorJob *job);

/* Does it, on any hand: job->hits, or job->failed. */
void mp_vector_find_alone(const mp_Vector *index, mp_VectorJob *job);

/* --- vector_search.c --- */

/* Prepares for the searches of the batch. On failure nothing is held. */
mp_Status mp_vector_begin_search(mp_Vector *index, mp_Error *err);

/* Searches until about [until_us]; the batch is gone when all is done. False
 * if another thread ends the turn: then the index may be gone. */
bool mp_vector_search_slice(mp_Vector *index, int64_t until_us);

#endif
