/* cpu.c: see cpu.h. */
#include "cpu.h"

#include "alloc.h"
#include "clock.h"

#include <stddef.h>

static bool run(mp_PoolTask *task)
{
    mp_CpuJob *self = (mp_CpuJob *)((char *)task - offsetof(mp_CpuJob, task));
    mp_CpuStep step = MP_CPU_DONE; /* of what was cancelled: does not matter */

    if (!mp_job_is_cancelled(&self->job))
        step = self->cls->slice(self, mp_clock_us() + MP_CPU_SLICE_US);
    if (step == MP_CPU_MORE) return true;
    if (step == MP_CPU_PARKED) return false;
    mp_job_settle(&self->job,
                  step == MP_CPU_DONE ? MP_EVENT_DONE : MP_EVENT_FAILED);
    return false;
}

static void free_job(mp_Job *job)
{
    mp_CpuJob *self = (mp_CpuJob *)job;

    if (!mp_job_is_inherited(job)) {
        self->cls->term(self);
        mp_buf_term(&job->end.bytes);
        mp_buf_term(&job->end.head);
        mp_floats_term(&job->end.floats);
    }
    mp_alloc_free(self);
}

static const mp_JobClass cpu_class = {"cpu",    NULL, NULL, NULL,
                                      free_job, NULL, NULL};

void mp_cpu_init(mp_CpuJob *self, const mp_CpuClass *cls)
{
    mp_job_init(&self->job, &cpu_class);
    self->job.err = &self->err;
    self->job.task = &self->task;
    self->task.run = run;
    self->cls = cls;
}
