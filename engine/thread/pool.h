/*
 * pool.h: the process's threads for work that computes.
 *
 * A first-in first-out line of tasks, served by as many threads as there are
 * cores. All engines share it; each holds a reference, the first starts one
 * thread, tasks that find nobody idle start more, and the last reference joins
 * them all. A task is part of what it works on, so sending one cannot fail.
 *
 * What a task means is its own business; long ones run in slices, so that the
 * line moves:
 *
 *     send -> [ task | task | task ] -> run -> true: to the end of the line
 *                       ^ take_back          -> false: never touched again
 *
 * Threads: any. `run` is called on a pool thread, with all signals blocked.
 */
#ifndef MP_POOL_H
#define MP_POOL_H

#include "err.h"
#include "list.h"

#include <stdbool.h>

typedef struct mp_Pool mp_Pool;

typedef struct mp_PoolTask {
    mp_Link link; /* the pool's, as `waits` */
    bool waits;
    /* Does a slice of the work; true: once more. On false the task may be
     * gone on return. */
    bool (*run)(struct mp_PoolTask *task);
} mp_PoolTask;

/* Gives the process's pool and starts it if need be. `memory` where the system
 * has not even one thread left; fewer than there are cores are no error. */
mp_Status mp_pool_acquire(mp_Pool **pool, mp_Error *err);

/* Gives the reference back; the last one joins the threads. The holder's tasks
 * must have ended. In a forked child the parent's pool is forgotten. */
void mp_pool_release(mp_Pool *pool);

/* Moves [task], of which only `run` need be set, to the end of the line. */
void mp_pool_send(mp_Pool *pool, mp_PoolTask *task);

/* True if [task] still waited: it never runs again, and is the caller's.
 * False: it runs now, or has ended. */
bool mp_pool_take_back(mp_Pool *pool, mp_PoolTask *task);

/* How many tasks may run at once. */
unsigned mp_pool_width(const mp_Pool *pool);

#endif
