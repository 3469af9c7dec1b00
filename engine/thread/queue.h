/*
 * queue.h: the one hand-over between threads, an intrusive FIFO under a lock.
 *
 * Any thread pushes; one thread drains, always the whole list in one lock. A
 * wake-up across cores costs 26-34 us, so only a reader that sleeps is woken:
 * the reader arms the queue before it waits, and the first push disarms it
 * and rings the waker.
 *
 *     push: lock, append, armed? -> ring      drain: lock, take all, unlock
 *
 * Threads: any may push; only the owner arms and drains.
 */
#ifndef MP_QUEUE_H
#define MP_QUEUE_H

#include "err.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* First member of everything that travels. */
typedef struct mp_Node {
    struct mp_Node *next;
} mp_Node;

/* Who is told, beside the waker. */
typedef struct mp_QueueBell {
    void (*on_ring)(void *userdata); /* NULL: nobody */
    void *userdata;
} mp_QueueBell;

typedef struct mp_Queue {
    pthread_mutex_t lock;
    mp_Node *first;
    mp_Node *last;
    bool armed; /* the reader sleeps or is about to */
    bool
        keep_armed; /* somebody else polls the waker: ring at each first push */
    atomic_uint ringing; /* pushes that ring: they touch the queue once more */
    int waker;
    mp_QueueBell bell;
} mp_Queue;

mp_Status mp_queue_init(mp_Queue *queue, mp_Error *err);

/* The queue must be empty. */
void mp_queue_term(mp_Queue *queue);

/* Takes [node]. Rings the waker if the reader is armed. */
void mp_queue_push(mp_Queue *queue, mp_Node *node);

/* Takes a list of nodes that ends at [last], oldest first: one lock, at most
 * one ring. */
void mp_queue_push_list(mp_Queue *queue, mp_Node *first, mp_Node *last);

/* Returns all nodes, oldest first, or NULL. */
mp_Node *mp_queue_drain(mp_Queue *queue);

/* Whether there is nothing to drain; arms nothing. */
bool mp_queue_is_empty(mp_Queue *queue);

/* Says that the reader is going to poll `waker`. False if there is something
 * to drain already: then it should not. */
bool mp_queue_arm(mp_Queue *queue);

/* Tells [bell] too, on whatever thread rings, without a lock; the one before is
 * told no more when this returns. For the reader, not within a ring. */
void mp_queue_tell(mp_Queue *queue, mp_QueueBell bell);

/* Rings, as a push would. For the reader. */
void mp_queue_ring(mp_Queue *queue);

/* Rings the waker at every push into an empty queue from now on: for hosts
 * that poll the descriptor themselves. */
void mp_queue_keep_armed(mp_Queue *queue);

#endif
