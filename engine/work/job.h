/*
 * job.h: what goes down to a worker and what comes up.
 *
 * A job is one native step: it is moved to a worker, answers with any number
 * of chunk events and then with itself, as its own terminal event. So the
 * answer needs no memory that could fail at the end, and every job answers
 * exactly once.
 *
 * The races between "it has ended", "cancel it" and "go on reading" are one
 * atomic word. Messages reach a worker in the order in which they were sent;
 * while one is on its way the job may not be answered, for the engine frees it
 * with its answer:
 *
 *     RUNNING  --worker: mp_job_end-->     ENDED       answered
 *     RUNNING  --engine: mp_job_resumes--> RESUMING    a message is on its way
 *     RESUMING --worker: mp_job_resumed--> RUNNING     it has come
 *     RUNNING, RESUMING --engine: mp_job_cancels--> CANCELLING
 *                                answered when the cancel message has come
 *
 * Threads: one owner at a time; only `state` is shared.
 */
#ifndef MP_JOB_H
#define MP_JOB_H

#include "buf.h"
#include "floats.h"
#include "queue.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* What a job may be ahead of its reader, unless told otherwise. */
#define MP_JOB_WINDOW ((size_t)1 << 20)

typedef enum mp_EventKind {
    MP_EVENT_CHUNK,
    MP_EVENT_DONE,
    MP_EVENT_FAILED,
    MP_EVENT_CANCELLED
} mp_EventKind;

typedef struct mp_Job mp_Job;

/* What comes up. `bytes` or `floats` is the cargo, `head` a preface to it (the
 * status and headers of an answer). */
typedef struct mp_Event {
    mp_Node node;
    mp_Job *job;  /* the job itself where this is its terminal event */
    mp_Job *from; /* the job, which outlives its chunks' way up */
    uint64_t id;
    mp_EventKind kind;
    int64_t at_us; /* when it happened: deadlines are judged by this */
    mp_Buf bytes;
    mp_Buf head;
    mp_Floats floats;
} mp_Event;

typedef struct mp_JobClass {
    const char *name;
    /* On the worker: begin. Must lead to mp_job_end some time. */
    void (*start)(mp_Job *job);
    /* On the worker: the cancel message came. Must let go of the worker and
     * end with mp_job_cancelled. */
    void (*cancel)(mp_Job *job);
    /* On the worker: the reader has room again. NULL where nothing pauses. */
    void (*resume)(mp_Job *job);
    /* On any thread: frees the job and all it holds. */
    void (*free)(mp_Job *job);
    /* On the engine's thread, for a job with a line of its own instead of a
     * message to the I/O thread or a place in the pool: begin; it cannot fail.
     * The job ends with mp_job_settle. Else NULL. */
    void (*send)(mp_Job *job);
    /* ... and the same: it is being cancelled. Ends with mp_job_cancelled what
     * still waits; what runs sees the flag. */
    void (*withdraw)(mp_Job *job);
} mp_JobClass;

/* A message in a worker's inbox; each job carries the two it may need. */
typedef struct mp_JobMessage {
    mp_Node node;
    mp_Job *job;
    void (*act)(mp_Job *job);
} mp_JobMessage;

struct mp_Job {
    mp_Event end;
    const mp_JobClass *cls;
    mp_Queue *answers;   /* borrowed from the engine, which outlives its jobs */
    mp_Job *bucket_next; /* the engine's table of live jobs */
    void *reader;        /* the binding's, on the engine's thread */
    struct mp_PoolTask *task; /* a job of the pool's: see cpu.h. Else NULL */
    mp_JobMessage start_message;
    mp_JobMessage cancel_message;
    mp_JobMessage resume_message;
    atomic_size_t unread; /* bytes of chunks on their way or not yet read */
    atomic_size_t window; /* ... and how many of them may be */
    atomic_bool full;     /* the worker pauses */
    bool deferred;        /* it ended while a message was on its way */
    atomic_int state;
    mp_EventKind outcome; /* what it ended as, until it is answered */
    unsigned generation;  /* of os.h: which process made it */
    unsigned together;    /* jobs that were done as one, itself counted, or 0 */
    int64_t waited_us;    /* in queues, before it began */
    /* Why it failed. What it points to is the class's, or static: of ten
     * thousand that are in flight few fail. */
    const mp_Error *err;
};

/* Fills the common part of a fresh job. */
void mp_job_init(mp_Job *job, const mp_JobClass *cls);

/* Whether a process made the job that has forked this one since. Its worker,
 * which is not here, may have stood in the middle of whatever the job holds:
 * that must be left alone. */
bool mp_job_is_inherited(const mp_Job *job);

/* On the engine's thread: true if the cancel message must now be sent; false
 * if the job has ended or is being cancelled. */
bool mp_job_cancels(mp_Job *job);

/* On the engine's thread: true if the resume message must now be sent. */
bool mp_job_resumes(mp_Job *job);

/* On the worker, at most once and last of all: the job is answered, or will be
 * when a message that is on its way has come. It may be gone on return. */
void mp_job_end(mp_Job *job, mp_EventKind outcome);

/* On the worker, in `resume`, first of all: false if the job has ended or is
 * being cancelled; it may be gone then. */
bool mp_job_resumed(mp_Job *job);

/* On the worker, last of all in `cancel`; or on the engine's thread for a job
 * that was taken back from the pool: answers. */
void mp_job_cancelled(mp_Job *job);

/* On the pool: whether a cancel came. */
bool mp_job_is_cancelled(mp_Job *job);

/* On the pool, at most once, for no messages come there: decides that the job
 * ends as [outcome], or as cancelled if that came first: then false. */
bool mp_job_decide(mp_Job *job, mp_EventKind outcome);

/* On the pool, last of all: answers as was decided. The job may be gone on
 * return. */
void mp_job_tell(mp_Job *job);

/* Both at once. */
bool mp_job_settle(mp_Job *job, mp_EventKind outcome);

/* On the worker: moves [bytes], and [head] (or NULL), up as a chunk; leaves
 * them empty. `memory`; then they stay. */
mp_Status mp_job_chunk(mp_Job *job, mp_Buf *bytes, mp_Buf *head);

/* On the worker, after a chunk: true if the reader is so far behind that the
 * job must pause now; then `resume` is called. */
bool mp_job_is_full(mp_Job *job);

/* On the engine's thread: [len] bytes of chunks were read. True if the job
 * pauses and has room again. */
bool mp_job_was_read(mp_Job *job, size_t len);

/* On the engine's thread: how far behind the reader may be, in bytes. True as
 * in mp_job_was_read. */
bool mp_job_set_window(mp_Job *job, size_t window);

/* On a worker that works in turns: from now on what it answers is kept back
 * until mp_job_flush, which hands it over in one go, with one ring. Other
 * threads hand over at once. */
void mp_job_hold_back(void);
void mp_job_flush(void);

/* Frees an event: with its job where it is the terminal one. */
void mp_job_free_event(mp_Event *event);

#endif
