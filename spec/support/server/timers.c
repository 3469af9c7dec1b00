/* timers.c: see timers.h. */
#include "timers.h"

#include <stdlib.h>
#include <time.h>

static Timer **heap; /* heap[0] is unused */
static int count, cap;

int64_t timers_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void put(int place, Timer *timer)
{
    heap[place] = timer;
    timer->place = place;
}

static void rise(int place)
{
    Timer *timer = heap[place];

    for (; place > 1 && heap[place / 2]->at_us > timer->at_us; place /= 2)
        put(place, heap[place / 2]);
    put(place, timer);
}

static void sink(int place)
{
    Timer *timer = heap[place];

    for (;;) {
        int child = place * 2;

        if (child > count) break;
        if (child < count && heap[child + 1]->at_us < heap[child]->at_us)
            child++;
        if (timer->at_us <= heap[child]->at_us) break;
        put(place, heap[child]);
        place = child;
    }
    put(place, timer);
}

void timers_set(Timer *timer, int64_t at_us)
{
    timers_clear(timer);
    if (count + 1 >= cap) {
        cap = cap ? cap * 2 : 64;
        heap = realloc(heap, (size_t)cap * sizeof *heap);
        if (!heap) abort();
    }
    timer->at_us = at_us;
    put(++count, timer);
    rise(count);
}

void timers_clear(Timer *timer)
{
    int place = timer->place;
    Timer *last;

    if (place == 0) return;
    timer->place = 0;
    last = heap[count--];
    if (last == timer) return;
    put(place, last);
    rise(place);
    sink(last->place);
}

Timer *timers_due(int64_t now_us)
{
    Timer *first = count > 0 ? heap[1] : NULL;

    if (!first || first->at_us > now_us) return NULL;
    timers_clear(first);
    return first;
}

int64_t timers_wait(int64_t now_us)
{
    if (count == 0) return -1;
    return heap[1]->at_us > now_us ? heap[1]->at_us - now_us : 0;
}

void timers_term(void)
{
    free(heap);
    heap = NULL;
    count = cap = 0;
}
