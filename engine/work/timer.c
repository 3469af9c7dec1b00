/* timer.c: see timer.h. Threads: start, cancel and fire on the I/O thread. */
#include "timer.h"

#include "alloc.h"
#include "io.h"

#include <stddef.h>

typedef struct TimerJob {
    mp_Job job;
    mp_IoTimer timer;
    int64_t at_us;
} TimerJob;

static void fire(mp_IoTimer *timer)
{
    TimerJob *self = (TimerJob *)((char *)timer - offsetof(TimerJob, timer));

    mp_job_end(&self->job, MP_EVENT_DONE);
}

static void start(mp_Job *job)
{
    TimerJob *self = (TimerJob *)job;

    if (mp_io_timer_set(&self->timer, self->at_us) == MP_OK) return;
    job->err = &mp_err_no_memory;
    mp_job_end(job, MP_EVENT_FAILED);
}

static void cancel(mp_Job *job)
{
    mp_io_timer_clear(&((TimerJob *)job)->timer);
    mp_job_cancelled(job);
}

static void free_job(mp_Job *job)
{
    mp_alloc_free(job);
}

static const mp_JobClass timer_class = {"timer",  start, cancel, NULL,
                                        free_job, NULL,  NULL};

mp_Job *mp_timer_new(int64_t at_us)
{
    TimerJob *self = mp_alloc_zero(1, sizeof *self);

    if (!self) return NULL;
    mp_job_init(&self->job, &timer_class);
    self->at_us = at_us;
    self->timer.fire = fire;
    return &self->job;
}
