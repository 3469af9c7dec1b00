/* shared.c: see shared.h. */
#include "shared.h"

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static mp_Shared *list;

/* The child has one thread. Locks may be held by those that it has not. */
static void forget_parent(void)
{
    static const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;

    list_lock = fresh;
    for (mp_Shared *shared = list; shared; shared = shared->next) {
        shared->lock = fresh;
        shared->thing = NULL;
        shared->references = 0;
    }
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_parent);
}

static void note(mp_Shared *shared)
{
    pthread_once(&fork_once, watch_forks);
    pthread_mutex_lock(&list_lock);
    if (!shared->known) {
        shared->known = true;
        shared->next = list;
        list = shared;
    }
    pthread_mutex_unlock(&list_lock);
}

mp_Status mp_shared_acquire(mp_Shared *shared, mp_SharedMake make, void **thing,
                            mp_Error *err)
{
    mp_Status status = MP_OK;

    note(shared);
    pthread_mutex_lock(&shared->lock);
    if (!shared->thing) status = make(&shared->thing, err);
    if (status == MP_OK) {
        shared->references++;
        *thing = shared->thing;
    }
    pthread_mutex_unlock(&shared->lock);
    return status;
}

bool mp_shared_release(mp_Shared *shared, const void *thing)
{
    bool last = false;

    pthread_mutex_lock(&shared->lock);
    if (shared->thing == thing) last = --shared->references == 0;
    if (last) shared->thing = NULL;
    pthread_mutex_unlock(&shared->lock);
    return last;
}

bool mp_shared_use(mp_Shared *shared, void (*use)(void *thing))
{
    bool found;

    pthread_mutex_lock(&shared->lock);
    found = shared->thing != NULL;
    if (found) use(shared->thing);
    pthread_mutex_unlock(&shared->lock);
    return found;
}
