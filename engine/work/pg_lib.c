/* pg_lib.c: see pg_lib.h. */
#include "pg_lib.h"

#if MP_HAVE_LIBPQ

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define LIBRARY "libpq.so.5"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static void *library;
static mp_Libpq table;

static void forget_parent(void)
{
    pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;

    lock = fresh;
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_parent);
}

/* A function pointer is no void pointer in C: copied as bytes, as dlsym's own
 * manual does. */
static bool find(const char *name, void *into, mp_Error *err)
{
    void *found = dlsym(library, name);

    if (found)
        memcpy(into, &found, sizeof found);
    else
        mp_err_set(err, MP_KIND_UNSUPPORTED, "%s has no %s: too old", LIBRARY,
                   name);
    return found != NULL;
}

static bool find_all(mp_Error *err)
{
#define MP_LIBPQ_FIND(name)                                                    \
    if (!find("PQ" #name, &table.name, err)) return false;
    MP_LIBPQ_FUNCTIONS(MP_LIBPQ_FIND)
#undef MP_LIBPQ_FIND
    return true;
}

static void load(mp_Error *err)
{
    library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        mp_err_set(err, MP_KIND_UNSUPPORTED, "cannot open libpq: %s",
                   dlerror());
    if (!library || (find_all(err) && table.isthreadsafe())) return;
    if (table.isthreadsafe)
        mp_err_set(err, MP_KIND_UNSUPPORTED, "%s knows no threads", LIBRARY);
    dlclose(library);
    library = NULL;
}

const mp_Libpq *mp_pg_lib(mp_Error *err)
{
    const mp_Libpq *found;

    pthread_once(&fork_once, watch_forks);
    pthread_mutex_lock(&lock);
    if (!library) load(err);
    found = library ? &table : NULL;
    pthread_mutex_unlock(&lock);
    return found;
}

#endif
