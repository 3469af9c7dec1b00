/*
 * child_job.h: what child.c (its life) and child_write.c (what it is told)
 * share.
 *
 * Handle and job know of one another while the job lives. All that they hold
 * belongs to the I/O thread; only the count of references and the number of the
 * process are shared.
 *
 * Threads: the I/O thread, but for mp_child_keep.
 */
#ifndef MP_CHILD_JOB_H
#define MP_CHILD_JOB_H

#include "child.h"
#include "io.h"
#include "sse.h"

typedef struct mp_ChildJob {
    mp_Job job;
    mp_Error err;
    mp_ProcessSpec spec;
    mp_Process process;
    mp_Child *child;
    struct mp_ChildJob *next; /* of those that run */
    mp_Sse lines;
    mp_Buf err_line;
    mp_IoTimer timer;
    int64_t let_go_at; /* 0: it runs */
    int signalled;     /* the last signal it was sent */
    bool cancelled;
    bool ended; /* mp_job_end was called */
    bool paused;
    bool raw; /* its output is not cut into lines */
} mp_ChildJob;

struct mp_Child {
    atomic_int references;
    unsigned generation;
    atomic_int pid;   /* 0 while it does not run */
    mp_ChildJob *job; /* NULL before it runs, and when it has ended */
    mp_Buf input;     /* what waits to be written */
    size_t at;        /* in it */
    bool watched;     /* for room in the pipe */
    bool ends;        /* no more input comes */
};

/* One more reference. */
mp_Child *mp_child_keep(mp_Child *child);

/* Writes what the program takes now; the rest when it takes more. */
void mp_child_write_input(mp_ChildJob *self);

#endif
