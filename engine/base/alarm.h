/*
 * alarm.h: a clock that runs while one thread computes.
 *
 * It costs nothing between two alarms, and rings whatever the thread is doing:
 * compiled Lua loops too. A thread that sleeps or reads is not rung.
 *
 * Threads: the one that starts it.
 */
#ifndef MP_ALARM_H
#define MP_ALARM_H

#include <stdbool.h>
#include <stdint.h>

/* Calls [ring] on this thread each time it has computed for [period_us], in a
 * signal handler (SIGVTALRM). One for a process: false where there is one
 * already, where somebody else handles the signal, or the system has no timer
 * left. */
bool mp_alarm_start(int64_t period_us, void (*ring)(void));

/* Ends it; fine if there is none. */
void mp_alarm_stop(void);

/* Raises SIGALRM in [us], whatever the process is doing, and then each
 * MP_ALARM_AGAIN_US; 0 takes that back. Nothing where nobody handles the
 * signal: it would end the process. */
void mp_alarm_by(int64_t us);

#define MP_ALARM_AGAIN_US 5000000

#endif
