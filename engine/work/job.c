/* job.c: see job.h. */
#include "job.h"

#include "alloc.h"
#include "clock.h"

#include <string.h>

enum { RUNNING, ENDED, CANCELLING };

void mp_job_init(mp_Job *job, const mp_JobClass *cls)
{
    memset(job, 0, sizeof *job);
    job->cls = cls;
    job->end.job = job;
    job->start_message.job = job;
    job->start_message.act = cls->start;
    job->cancel_message.job = job;
    job->cancel_message.act = cls->cancel;
    mp_buf_init(&job->end.bytes, 0);
    atomic_init(&job->state, RUNNING);
}

static bool leave_running(mp_Job *job, int state)
{
    int expected = RUNNING;

    return atomic_compare_exchange_strong(&job->state, &expected, state);
}

bool mp_job_cancels(mp_Job *job)
{
    return leave_running(job, CANCELLING);
}

bool mp_job_ends(mp_Job *job)
{
    return leave_running(job, ENDED);
}

void mp_job_answer(mp_Job *job, mp_EventKind kind)
{
    job->end.kind = kind;
    job->end.at_us = mp_clock_us();
    mp_queue_push(job->answers, &job->end.node);
}

void mp_job_free_event(mp_Event *event)
{
    if (!event) return;
    if (event->job) {
        event->job->cls->free(event->job);
        return;
    }
    mp_buf_term(&event->bytes);
    mp_alloc_free(event);
}
