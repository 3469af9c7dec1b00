/* library.c: see library.h. One lock serves all: opening is rare. */
#include "library.h"

#include "os.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

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
bool mp_library_fill(void *handle, const char *file,
                     const mp_LibrarySymbol *symbols, size_t count, void *table,
                     mp_Error *err)
{
    for (size_t i = 0; i < count; i++) {
        void *found = dlsym(handle, symbols[i].name);

        if (!found) {
            mp_err_set(err, MP_KIND_UNSUPPORTED, "%s has no %s: too old", file,
                       symbols[i].name);
            return false;
        }
        memcpy((char *)table + symbols[i].at, &found, sizeof found);
    }
    return true;
}

/* Without it where the child cannot have one of its own. */
static void unload(mp_Library *self)
{
    void *still;

    dlclose(self->handle);
    self->handle = NULL;
    still = dlopen(self->file, RTLD_NOW | RTLD_NOLOAD);
    if (still) dlclose(still);
    self->stuck = still != NULL;
}

static void load(mp_Library *self, mp_Error *err)
{
    self->handle = dlopen(self->file, RTLD_NOW | RTLD_LOCAL);
    if (!self->handle) {
        mp_err_set(err, MP_KIND_UNSUPPORTED, "cannot open %s: %s", self->name,
                   dlerror());
        return;
    }
    if (mp_library_fill(self->handle, self->file, self->symbols, self->count,
                        self->table, err) &&
        (!self->is_good || self->is_good(err)))
        return;
    dlclose(self->handle);
    self->handle = NULL;
}

const void *mp_library_table(mp_Library *self, mp_Error *err)
{
    const void *found;

    pthread_once(&fork_once, watch_forks);
    pthread_mutex_lock(&lock);
    if (self->anew && self->handle && self->generation != mp_os_generation())
        unload(self);
    self->generation = mp_os_generation();
    if (self->stuck)
        mp_err_set(err, MP_KIND_CLOSED,
                   "%s was in use when the process forked, and cannot be "
                   "loaded anew in the child",
                   self->name);
    else if (!self->handle)
        load(self, err);
    found = self->handle ? self->table : NULL;
    pthread_mutex_unlock(&lock);
    return found;
}
