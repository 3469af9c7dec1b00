/*
 * shared.h: what a process has once, as long as somebody holds it.
 *
 * The first acquire makes the thing, the release of the last reference hands it
 * back to be ended. A forked child has no thread of the parent: there every
 * thing is forgotten (its memory stays, nobody knows its state), and the next
 * acquire makes another; a holder that the child has from its parent is no
 * holder any more.
 *
 * Threads: any. `make` and `use` are called with the lock held.
 */
#ifndef MP_SHARED_H
#define MP_SHARED_H

#include "err.h"

#include <pthread.h>
#include <stdbool.h>

/* A static one; its members are shared.c's. */
typedef struct mp_Shared {
    pthread_mutex_t lock;
    void *thing; /* NULL: there is none */
    unsigned references;
    struct mp_Shared *next; /* of those that a forked child must forget */
    bool known;
} mp_Shared;

#define MP_SHARED                                                              \
    {                                                                          \
        .lock = PTHREAD_MUTEX_INITIALIZER                                      \
    }

typedef mp_Status (*mp_SharedMake)(void **thing, mp_Error *err);

/* Gives the thing, made by [make] if need be, with a reference more. */
mp_Status mp_shared_acquire(mp_Shared *shared, mp_SharedMake make, void **thing,
                            mp_Error *err);

/* Gives a reference to [thing] back. True: it was the last, and the caller ends
 * the thing, which nobody finds any more. False also for a parent's. */
bool mp_shared_release(mp_Shared *shared, const void *thing);

/* Calls [use] with the thing, which stays meanwhile; false if there is none. */
bool mp_shared_use(mp_Shared *shared, void (*use)(void *thing));

#endif
