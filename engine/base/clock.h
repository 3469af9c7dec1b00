/* clock.h: one clock, monotonic, in microseconds. Wall time is for people. */
#ifndef MP_CLOCK_H
#define MP_CLOCK_H

#include <stdint.h>

/* "Never": later than any time the engine computes. */
#define MP_CLOCK_NEVER INT64_MAX

/* Microseconds since some fixed point; does not count a suspended machine. */
int64_t mp_clock_us(void);

/* Microseconds since 1970, as the wall clock has them: for people and logs. */
int64_t mp_clock_wall_us(void);

/* Microseconds of CPU time that the calling thread has used. */
int64_t mp_clock_thread_us(void);

/* [seconds] in microseconds; negative counts as 0, NaN and anything over 100
 * years as MP_CLOCK_NEVER. */
int64_t mp_clock_span(double seconds);

/* The same from now on, as an absolute time. */
int64_t mp_clock_after(double seconds);

#endif
