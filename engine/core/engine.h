/*
 * engine.h: the two doors between the Lua thread and all the rest.
 *
 * submit moves a job down, next brings events up; cancel names a job by its
 * id. There is no third door and no second way to wait. Threads start at the
 * first job.
 *
 * Shutdown, in this order: cancel what lives, wait until each job has
 * answered, free the answers, give the I/O thread and the pool back (the last
 * engine of the process joins them), join the threads of files that nobody
 * holds any more. mp_engine_free returns only after that.
 *
 * After a fork the child's engine answers every job of the parent with kind
 * `closed` and starts anew at the next submit.
 *
 * Threads: all of one engine's functions on one thread, but for
 * mp_engine_interrupt, which is async-signal-safe.
 */
#ifndef MP_ENGINE_H
#define MP_ENGINE_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mp_Job mp_Job;
typedef struct mp_Event mp_Event;

typedef struct mp_Engine mp_Engine;

/* Returns an engine, owned, in [engine]. `memory` or `fds`. */
mp_Status mp_engine_new(mp_Engine **engine, mp_Error *err);

/* Cancels all, waits, frees. NULL is fine. */
void mp_engine_free(mp_Engine *engine);

/* Takes [job], also on failure; gives its id (never 0) in [id]. */
mp_Status mp_engine_submit(mp_Engine *engine, mp_Job *job, uint64_t *id,
                           mp_Error *err);

/* Asks the job to end; its terminal event still comes. An unknown id is one
 * that has ended: nothing happens. */
void mp_engine_cancel(mp_Engine *engine, uint64_t id);

/* Tells a live job that [len] bytes of its chunks were read: one that pauses
 * goes on when it has room again. */
void mp_engine_was_read(mp_Engine *engine, mp_Job *job, size_t len);

/* How many bytes a live job may be ahead of its reader. */
void mp_engine_set_window(mp_Engine *engine, mp_Job *job, size_t window);

/* Returns the oldest event, owned (free with mp_job_free_event), or NULL. */
mp_Event *mp_engine_next(mp_Engine *engine);

/* Waits until there is an event (true), or [timeout_us] went by, or an
 * interrupt came (false). Negative waits for ever. */
bool mp_engine_wait(mp_Engine *engine, int64_t timeout_us);

/* A descriptor that is readable while there are events; the host may poll it,
 * never read it. */
int mp_engine_fd(mp_Engine *engine);

/* Calls [on_wake] whenever the descriptor becomes readable, on any thread, but
 * not for an interrupt; survives a fork. NULL: nobody, and whoever it was is
 * called no more when this returns. */
void mp_engine_tell(mp_Engine *engine, void (*on_wake)(void *userdata),
                    void *userdata);

/* Makes the descriptor readable, if a host polls it, until events are taken
 * next: there is work that no event tells of. */
void mp_engine_wake(mp_Engine *engine);

/* Jobs that have not been answered. */
size_t mp_engine_live(const mp_Engine *engine);

/* Wakes mp_engine_wait and sets a flag. From any thread or signal handler. */
void mp_engine_interrupt(mp_Engine *engine);

/* Whether the flag is set. From any thread. */
bool mp_engine_is_interrupted(mp_Engine *engine);

/* Takes the flag: true once per interrupt. */
bool mp_engine_interrupted(mp_Engine *engine);

#endif
