/* clock.c: see clock.h. */
#include "clock.h"

#include <time.h>

#define MICRO         1000000
#define HUNDRED_YEARS 3.2e9 /* seconds */

static int64_t read_us(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * MICRO + now.tv_nsec / 1000;
}

int64_t mp_clock_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t mp_clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

int64_t mp_clock_thread_us(void)
{
    return read_us(CLOCK_THREAD_CPUTIME_ID);
}

int64_t mp_clock_span(double seconds)
{
    if (!(seconds < HUNDRED_YEARS)) return MP_CLOCK_NEVER;
    if (seconds < 0) seconds = 0;
    return (int64_t)(seconds * MICRO + 0.5);
}

int64_t mp_clock_after(double seconds)
{
    int64_t span_us = mp_clock_span(seconds);

    return span_us == MP_CLOCK_NEVER ? span_us : mp_clock_us() + span_us;
}
