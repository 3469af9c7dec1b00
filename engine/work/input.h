/*
 * input.h: jobs that read the process's standard input piece by piece.
 *
 * A pipe or a terminal may let its reader wait for ever: that must stop neither
 * the VM nor a thread of the pool, and it can be cancelled. One job at a time
 * reads; a second one fails as `limit`.
 *
 * Threads: mp_input_job any; the rest on the I/O thread.
 */
#ifndef MP_INPUT_H
#define MP_INPUT_H

#include "job.h"

/* Returns a job, owned, that gives up to [max] bytes as soon as there are some,
 * and none at the end. `io`, `memory`, `limit`. NULL without memory. */
mp_Job *mp_input_job(size_t max);

#endif
