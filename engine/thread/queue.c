/* queue.c: see queue.h. */
#include "queue.h"

#include "os.h"

#include <sched.h>
#include <string.h>

mp_Status mp_queue_init(mp_Queue *queue, mp_Error *err)
{
    memset(queue, 0, sizeof *queue);
    pthread_mutex_init(&queue->lock, NULL);
    return mp_os_waker(&queue->waker, err);
}

/* Who was drained may still be on its way to the waker. */
static void wait_for_rings(mp_Queue *queue)
{
    while (atomic_load(&queue->ringing) > 0)
        sched_yield();
}

void mp_queue_term(mp_Queue *queue)
{
    wait_for_rings(queue);
    mp_os_close(queue->waker);
    pthread_mutex_destroy(&queue->lock);
}

void mp_queue_tell(mp_Queue *queue, mp_QueueBell bell)
{
    pthread_mutex_lock(&queue->lock);
    queue->bell = bell;
    pthread_mutex_unlock(&queue->lock);
    wait_for_rings(queue);
}

static void ring_both(const mp_Queue *queue, mp_QueueBell bell)
{
    mp_os_wake(queue->waker);
    if (bell.on_ring) bell.on_ring(bell.userdata);
}

void mp_queue_ring(mp_Queue *queue)
{
    ring_both(queue, queue->bell);
}

void mp_queue_push_list(mp_Queue *queue, mp_Node *first, mp_Node *last)
{
    mp_QueueBell bell;
    bool ring;

    last->next = NULL;
    pthread_mutex_lock(&queue->lock);
    bell = queue->bell;
    ring = queue->armed;
    queue->armed = false;
    if (queue->last)
        queue->last->next = first;
    else
        queue->first = first;
    queue->last = last;
    if (ring) atomic_fetch_add(&queue->ringing, 1);
    pthread_mutex_unlock(&queue->lock);
    if (!ring) return; /* and the reader may have freed the queue */
    ring_both(queue, bell);
    atomic_fetch_sub(&queue->ringing, 1);
}

void mp_queue_push(mp_Queue *queue, mp_Node *node)
{
    mp_queue_push_list(queue, node, node);
}

mp_Node *mp_queue_drain(mp_Queue *queue)
{
    mp_Node *first;

    /* calm before the take: a ring that comes in between is a spurious one,
     * the other way round it would be lost */
    if (queue->keep_armed) mp_os_calm(queue->waker);
    pthread_mutex_lock(&queue->lock);
    first = queue->first;
    queue->first = queue->last = NULL;
    queue->armed = queue->keep_armed;
    pthread_mutex_unlock(&queue->lock);
    return first;
}

bool mp_queue_is_empty(mp_Queue *queue)
{
    bool empty;

    pthread_mutex_lock(&queue->lock);
    empty = queue->first == NULL;
    pthread_mutex_unlock(&queue->lock);
    return empty;
}

bool mp_queue_arm(mp_Queue *queue)
{
    bool empty;

    pthread_mutex_lock(&queue->lock);
    empty = queue->first == NULL;
    queue->armed = empty || queue->keep_armed;
    pthread_mutex_unlock(&queue->lock);
    return empty;
}

void mp_queue_keep_armed(mp_Queue *queue)
{
    bool ring;

    pthread_mutex_lock(&queue->lock);
    queue->keep_armed = queue->armed = true;
    ring = queue->first != NULL;
    pthread_mutex_unlock(&queue->lock);
    if (ring) mp_queue_ring(queue);
}
