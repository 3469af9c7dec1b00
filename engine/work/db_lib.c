/* db_lib.c: see db_lib.h. */
#include "db_lib.h"

#if MP_HAVE_SQLITE

#include "os.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define LIBRARY "libsqlite3.so.0"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static void *library;
static unsigned generation; /* in which it was opened */
static bool stuck;          /* the parent's cannot be unloaded */
static mp_Sqlite table;

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
#define MP_SQLITE_FIND(name)                                                   \
    if (!find("sqlite3_" #name, &table.name, err)) return false;
    MP_SQLITE_FUNCTIONS(MP_SQLITE_FIND)
#undef MP_SQLITE_FIND
    return true;
}

/* False if somebody else in the process holds it too. */
static bool unload(void)
{
    void *still;

    dlclose(library);
    library = NULL;
    still = dlopen(LIBRARY, RTLD_NOW | RTLD_NOLOAD);
    if (still) dlclose(still);
    return !still;
}

static void load(mp_Error *err)
{
    library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        mp_err_set(err, MP_KIND_UNSUPPORTED, "cannot open SQLite: %s",
                   dlerror());
    if (!library || (find_all(err) && table.threadsafe())) return;
    if (table.threadsafe)
        mp_err_set(err, MP_KIND_UNSUPPORTED, "%s knows no threads", LIBRARY);
    dlclose(library);
    library = NULL;
}

const mp_Sqlite *mp_db_lib(mp_Error *err)
{
    const mp_Sqlite *found;

    pthread_once(&fork_once, watch_forks);
    pthread_mutex_lock(&lock);
    if (library && generation != mp_os_generation()) stuck = !unload();
    generation = mp_os_generation();
    if (stuck)
        mp_err_set(err, MP_KIND_CLOSED,
                   "SQLite was in use when the process forked, and cannot be "
                   "loaded anew in the child");
    else if (!library)
        load(err);
    found = library ? &table : NULL;
    pthread_mutex_unlock(&lock);
    return found;
}

#endif
