/*
 * job.h: what goes down to a worker and what comes up.
 *
 * A job is one native step: it is moved to a worker, answers with any number
 * of chunk events and then with itself, as its own terminal event. So the
 * answer needs no memory that could fail at the end, and every job answers
 * exactly once.
 *
 * The race between "it ended" and "cancel it" is one atomic word:
 *
 *     RUNNING --worker: mp_job_ends--> ENDED        (cancel comes too late)
 *     RUNNING --engine: mp_job_cancels--> CANCELLING (the worker must answer
 *                                         when it sees the cancel message)
 *
 * Threads: one owner at a time; only `state` is shared.
 */
#ifndef MP_JOB_H
#define MP_JOB_H

#include "buf.h"
#include "queue.h"

#include <stdatomic.h>
#include <stdint.h>

typedef enum mp_EventKind {
    MP_EVENT_CHUNK,
    MP_EVENT_DONE,
    MP_EVENT_FAILED,
    MP_EVENT_CANCELLED
} mp_EventKind;

typedef struct mp_Job mp_Job;

/* What comes up. `bytes` is the cargo, `err` points into the job. */
typedef struct mp_Event {
    mp_Node node;
    mp_Job *job; /* the job itself where this is its terminal event */
    uint64_t id;
    mp_EventKind kind;
    int64_t at_us; /* when it happened: deadlines are judged by this */
    mp_Buf bytes;
} mp_Event;

typedef struct mp_JobClass {
    const char *name;
    /* On the worker: begin. Must lead to mp_job_answer some time. */
    void (*start)(mp_Job *job);
    /* On the worker: the cancel message came. Must lead to mp_job_answer. */
    void (*cancel)(mp_Job *job);
    /* On any thread: frees the job and all it holds. */
    void (*free)(mp_Job *job);
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
    mp_JobMessage start_message;
    mp_JobMessage cancel_message;
    atomic_int state;
    mp_Error err;
};

/* Fills the common part of a fresh job. */
void mp_job_init(mp_Job *job, const mp_JobClass *cls);

/* On the engine's thread: true if the cancel message must now be sent; false
 * if the job has ended or is being cancelled. */
bool mp_job_cancels(mp_Job *job);

/* On the worker, once: claims the end. False if a cancel came first; then the
 * job must do nothing more until its `cancel` is called. */
bool mp_job_ends(mp_Job *job);

/* On the worker: moves the job up as its terminal event. */
void mp_job_answer(mp_Job *job, mp_EventKind kind);

/* Frees an event: with its job where it is the terminal one. */
void mp_job_free_event(mp_Event *event);

#endif
