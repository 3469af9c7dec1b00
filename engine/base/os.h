/*
 * os.h: the few system calls of the engine, so that nothing else names them.
 *
 * Threads: any; mp_os_wake also from a signal handler.
 */
#ifndef MP_OS_H
#define MP_OS_H

#include "err.h"

#include <stdbool.h>
#include <stdint.h>

/* A descriptor that polls readable after mp_os_wake, until mp_os_calm. */
mp_Status mp_os_waker(int *fd, mp_Error *err);

/* Makes [fd] readable. Async-signal-safe; errno is kept. */
void mp_os_wake(int fd);

/* Makes [fd] silent again. */
void mp_os_calm(int fd);

/* Waits until [fd] is readable; false when [timeout_us] went by first.
 * Negative waits for ever. A signal that comes counts as readable. */
bool mp_os_wait(int fd, int64_t timeout_us);

void mp_os_close(int fd);

/* epoll_wait with microseconds; negative waits for ever. Interrupted or
 * failed: 0. */
struct epoll_event;
int mp_os_epoll_wait(int epoll, struct epoll_event *events, int max,
                     int64_t timeout_us);

/* Descriptors that the process may open, less [margin]; at least 1. */
unsigned mp_os_descriptors(unsigned margin);

/* Names the calling thread. Async-signal-safe. */
uintptr_t mp_os_thread(void);

/* Grows by one in every forked child: what an older count made (threads,
 * descriptors shared with the parent) is not ours. */
unsigned mp_os_generation(void);

#endif
