/* timer.h: the job that only waits: sleeps, backoff, deadlines. */
#ifndef MP_TIMER_H
#define MP_TIMER_H

#include "job.h"

/* Returns a job, owned, that is done at [at_us], never earlier; NULL without
 * memory. Its class runs on the I/O thread. */
mp_Job *mp_timer_new(int64_t at_us);

#endif
