/* job.c: see job.h. */
#include "job.h"

#include "alloc.h"
#include "clock.h"
#include "os.h"

#include <string.h>

enum { RUNNING, RESUMING, ENDED, CANCELLING };

void mp_job_init(mp_Job *job, const mp_JobClass *cls)
{
    memset(job, 0, sizeof *job);
    job->cls = cls;
    job->end.job = job->end.from = job;
    job->start_message.job = job;
    job->start_message.act = cls->start;
    job->cancel_message.job = job;
    job->cancel_message.act = cls->cancel;
    job->resume_message.job = job;
    job->resume_message.act = cls->resume;
    mp_buf_init(&job->end.bytes, 0);
    mp_buf_init(&job->end.head, 0);
    job->generation = mp_os_generation();
    atomic_init(&job->window, MP_JOB_WINDOW);
    atomic_init(&job->state, RUNNING);
}

bool mp_job_is_inherited(const mp_Job *job)
{
    return job->generation != mp_os_generation();
}

static bool change(mp_Job *job, int from, int to)
{
    return atomic_compare_exchange_strong(&job->state, &from, to);
}

bool mp_job_cancels(mp_Job *job)
{
    return change(job, RUNNING, CANCELLING) ||
           change(job, RESUMING, CANCELLING);
}

bool mp_job_resumes(mp_Job *job)
{
    return change(job, RUNNING, RESUMING);
}

/* Answers kept back: all of one engine; another's flush them first. */
static _Thread_local struct {
    bool on;
    mp_Queue *queue;
    mp_Node *first;
    mp_Node *last;
} kept;

void mp_job_hold_back(void)
{
    kept.on = true;
}

void mp_job_flush(void)
{
    if (!kept.first) return;
    mp_queue_push_list(kept.queue, kept.first, kept.last);
    kept.first = kept.last = NULL;
}

static void hand_over(mp_Queue *queue, mp_Node *node)
{
    if (!kept.on) {
        mp_queue_push(queue, node);
        return;
    }
    if (kept.queue != queue) mp_job_flush();
    kept.queue = queue;
    node->next = NULL;
    if (kept.last)
        kept.last->next = node;
    else
        kept.first = node;
    kept.last = node;
}

static void answer(mp_Job *job, mp_EventKind kind)
{
    job->end.kind = kind;
    job->end.at_us = mp_clock_us();
    hand_over(job->answers, &job->end.node);
}

void mp_job_end(mp_Job *job, mp_EventKind outcome)
{
    job->outcome = outcome;
    job->deferred = true; /* before the change: then the job may be gone */
    if (change(job, RUNNING, ENDED)) answer(job, outcome);
}

bool mp_job_resumed(mp_Job *job)
{
    if (!change(job, RESUMING, RUNNING)) return false;
    if (!job->deferred) return true;
    mp_job_end(job, job->outcome);
    return false;
}

void mp_job_cancelled(mp_Job *job)
{
    answer(job, MP_EVENT_CANCELLED);
}

bool mp_job_is_cancelled(mp_Job *job)
{
    return atomic_load(&job->state) == CANCELLING;
}

bool mp_job_decide(mp_Job *job, mp_EventKind outcome)
{
    bool in_time = change(job, RUNNING, ENDED);

    job->outcome = in_time ? outcome : MP_EVENT_CANCELLED;
    return in_time;
}

void mp_job_tell(mp_Job *job)
{
    answer(job, job->outcome);
}

bool mp_job_settle(mp_Job *job, mp_EventKind outcome)
{
    bool in_time = mp_job_decide(job, outcome);

    mp_job_tell(job);
    return in_time;
}

mp_Status mp_job_chunk(mp_Job *job, mp_Buf *bytes, mp_Buf *head)
{
    mp_Event *event = mp_alloc_zero(1, sizeof *event);

    if (!event) return -MP_KIND_MEMORY;
    event->from = job;
    event->id = job->end.id;
    event->kind = MP_EVENT_CHUNK;
    event->at_us = mp_clock_us();
    event->bytes = *bytes;
    mp_buf_init(bytes, bytes->max);
    if (head) {
        event->head = *head;
        mp_buf_init(head, head->max);
    }
    atomic_fetch_add(&job->unread, event->bytes.len);
    hand_over(job->answers, &event->node);
    return MP_OK;
}

static bool is_behind(mp_Job *job)
{
    return atomic_load(&job->unread) > atomic_load(&job->window);
}

/* The reader may catch up between the two looks: it does not see `full` then,
 * so this side must. */
bool mp_job_is_full(mp_Job *job)
{
    if (!is_behind(job)) return false;
    atomic_store(&job->full, true);
    if (is_behind(job)) return true;
    atomic_store(&job->full, false);
    return false;
}

static bool has_room(mp_Job *job)
{
    return atomic_load(&job->unread) <= atomic_load(&job->window) / 2 &&
           atomic_exchange(&job->full, false);
}

bool mp_job_was_read(mp_Job *job, size_t len)
{
    atomic_fetch_sub(&job->unread, len);
    return has_room(job);
}

bool mp_job_set_window(mp_Job *job, size_t window)
{
    atomic_store(&job->window, window);
    return has_room(job);
}

void mp_job_free_event(mp_Event *event)
{
    if (!event) return;
    if (event->job) {
        event->job->cls->free(event->job);
        return;
    }
    mp_buf_term(&event->bytes);
    mp_buf_term(&event->head);
    mp_alloc_free(event);
}
