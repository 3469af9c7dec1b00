/*
 * line.h: jobs that share something, and so work on it one after the other.
 *
 * What they share has the line as its first member: the owner. A job's own
 * slice only puts it into the line; the line has a task of its own, the turn,
 * which works off what is there, oldest first, at one thread of the pool at a
 * time. A turn may be the owner's (vector.h), or mp_line_turn: one job after
 * the other, in slices of MP_CPU_SLICE_US, each of which takes effect at its
 * end, whole, or not at all:
 *
 *     job -> line -> turn: slice, slice, ... -> end(took = true)   answered
 *                          failed, or a cancel was faster
 *                                            -> end(took = false)  answered
 *
 * Threads: any number of engines may send jobs. Only the turn touches what they
 * share; who makes jobs sees of it only what the owner guards with `lock`.
 */
#ifndef MP_LINE_H
#define MP_LINE_H

#include "cpu.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef struct mp_Line mp_Line;
typedef struct mp_LineJob mp_LineJob;

typedef struct mp_LineJobClass {
    /* In mp_line_turn: works until about [until_us]; DONE, FAILED with the
     * reason in cpu.err, or MORE. */
    mp_CpuStep (*slice)(mp_LineJob *job, int64_t until_us);
    /* In mp_line_turn, once for a job that had a slice: keeps what it did, or
     * takes it back. Cannot fail. */
    void (*end)(mp_LineJob *job, bool took);
    /* On any thread: frees what the job holds besides its cargo. */
    void (*term)(mp_LineJob *job);
} mp_LineJobClass;

/* First member of such a job. */
struct mp_LineJob {
    mp_CpuJob cpu;
    const mp_LineJobClass *cls;
    mp_Line *line; /* holds a reference */
    mp_LineJob *next;
    bool begun;
};

/* First member of what the jobs share. */
struct mp_Line {
    void (*free)(mp_Line *line);
    atomic_uint references;
    unsigned generation;
    pthread_mutex_t lock; /* of the next four, and of the owner's */
    mp_LineJob *first;
    mp_LineJob *last;
    bool active;   /* the turn is in the pool, and holds a reference */
    mp_Pool *pool; /* while active: then there are jobs not answered */
    mp_PoolTask turn;
    mp_LineJob *job; /* the turn's */
};

/* Fills the common part, with one reference; [free] is called with the last.
 * [turn] is the task's: true to come again, false after mp_line_end_turn said
 * so, or if another thread ends the turn and sends the next. */
void mp_line_init(mp_Line *line, bool (*turn)(mp_PoolTask *task),
                  void (*free)(mp_Line *line));

bool mp_line_turn(mp_PoolTask *task);

void mp_line_unref(mp_Line *line);

/* Before the owner is used by who makes jobs: `closed` if another process of
 * ours used it while it forked this one. */
mp_Status mp_line_claim(mp_Line *line, mp_Error *err);

/* In a turn: the oldest job; where [together] holds of it, with all that follow
 * and of which it holds too, [most] at most. */
mp_LineJob *mp_line_take(mp_Line *line, bool (*together)(const mp_LineJob *job),
                         size_t most);

/* In a turn, at its end: tells what became of [ended], which were decided, and
 * says whether the turn must come again: [more], or there are jobs. If not, the
 * owner may be gone. */
bool mp_line_end_turn(mp_Line *line, mp_LineJob *ended, bool more);

/* Fills the common part of a fresh job, zeroed memory of mp_alloc, which is
 * freed with the job. */
void mp_line_job_init(mp_LineJob *job, mp_Line *line,
                      const mp_LineJobClass *cls);

#endif
