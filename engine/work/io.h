/*
 * io.h: the one I/O thread of the process.
 *
 * All engines share it; each holds a reference, the first starts the thread
 * and the last joins it. It sleeps in one epoll over its inbox and the sockets
 * of its sources, and holds a heap of timers. Jobs reach it as messages; what
 * runs here runs on its thread alone and takes no lock.
 *
 * Threads: mp_io_acquire, mp_io_release, mp_io_send from any; the timer
 * functions only on the I/O thread.
 */
#ifndef MP_IO_H
#define MP_IO_H

#include "job.h"

typedef struct mp_Io mp_Io;

typedef struct mp_IoTimer {
    int64_t at_us;
    size_t place; /* 1 + index in the heap; 0 while it is not set */
    void (*fire)(struct mp_IoTimer *timer);
} mp_IoTimer;

/* Who wants to know of descriptors: a few per process, never removed. */
typedef struct mp_IoSource {
    void (*ready)(struct mp_IoSource *source, int fd, unsigned events);
    unsigned index; /* io.c's */
} mp_IoSource;

/* Gives the process's I/O thread and starts it if need be. `memory` or `fds`
 * where the system has no thread or descriptor left. */
mp_Status mp_io_acquire(mp_Io **io, mp_Error *err);

/* Gives the reference back; the last one joins the thread. */
void mp_io_release(mp_Io *io);

/* Moves [message] to the I/O thread, which calls its act. */
void mp_io_send(mp_Io *io, mp_JobMessage *message);

/* Sets [timer], which must not be set, to fire at [at_us]. `memory` if the
 * heap cannot grow. The timer must stay alive until it fires or is cleared. */
mp_Status mp_io_timer_set(mp_IoTimer *timer, int64_t at_us);

/* Clears [timer]; fine if it is not set. */
void mp_io_timer_clear(mp_IoTimer *timer);

/* Makes [source] known; it must stay alive until the thread ends. `limit` when
 * there are too many. */
mp_Status mp_io_source_add(mp_IoSource *source);

/* Watches [fd] for [events] (of epoll) in the name of [source], from now on or
 * anew. The errno of a failure, or 0. */
int mp_io_watch(mp_IoSource *source, int fd, unsigned events);

/* Stops watching; fine if the descriptor is closed already. */
void mp_io_unwatch(int fd);

/* Says that [fd] has been opened, and that mp_io_closing will be called before
 * it is closed. Such a descriptor stays in the epoll while nobody wants it: a
 * connection that serves one call after the other is added once. Fails where
 * memory does: then nothing is said, and the descriptor is the caller's. */
mp_Status mp_io_opened(int fd);

/* Says that [fd] is going to be closed; the caller closes it. */
void mp_io_closing(int fd);

/* Calls [fn] once, when the I/O thread ends, on that thread: the place to free
 * what its jobs shared. */
void mp_io_at_end(void (*fn)(void));

/* On the I/O thread: calls [fn] there, if there is still such a thread, when
 * the process exits: before what was given to atexit earlier. Once in a
 * process, however often it is given; a handful at most. */
void mp_io_at_exit(void (*fn)(void));

#endif
