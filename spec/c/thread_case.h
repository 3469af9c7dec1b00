/*
 * thread_case.h: waiting for threads, and having none. Include after test.h.
 */
#ifndef MP_THREAD_CASE_H
#define MP_THREAD_CASE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

/* Until other threads have counted so far. */
static inline void await_count(atomic_int *value, int wanted)
{
    while (atomic_load(value) < wanted)
        usleep(100);
}

/* A new thread's stack has no room anywhere from now on, or has again. */
static inline void starve(bool on)
{
    static pthread_attr_t usual;
    pthread_attr_t huge;

    if (on) {
        pthread_getattr_default_np(&usual);
        huge = usual;
        pthread_attr_setstacksize(&huge, (size_t)1 << 50);
        pthread_setattr_default_np(&huge);
    } else {
        pthread_setattr_default_np(&usual);
    }
}

#endif
