/*
 * timers.h: a heap of moments, each inside the thing that waits for it.
 *
 * Threads: one.
 */
#ifndef TIMERS_H
#define TIMERS_H

#include <stdint.h>

typedef struct Timer {
    int64_t at_us;
    int place; /* in the heap, from 1; 0 while it is not set */
} Timer;

/* Microseconds of the monotonic clock. */
int64_t timers_now(void);

/* Sets [timer], also one that is set already. */
void timers_set(Timer *timer, int64_t at_us);
void timers_clear(Timer *timer);

/* Takes the next timer that is due out of the heap, or NULL. */
Timer *timers_due(int64_t now_us);

/* Microseconds until the next one, -1 without any. */
int64_t timers_wait(int64_t now_us);

void timers_term(void);

#endif
