/* html_lib.c: see html_lib.h. */
#include "html_lib.h"

#if MP_HAVE_LIBXML

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define LIBRARY "libxml2.so.2"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *library;
static mp_Libxml table;

/* A function pointer is no void pointer in C: copied as bytes, as dlsym's own
 * manual does. */
static bool find(const char *name, void *into, mp_Error *err)
{
    void *found = dlsym(library, name);

    if (found)
        memcpy(into, &found, sizeof found);
    else
        mp_err_set(err, MP_KIND_UNSUPPORTED, "%s has no %s", LIBRARY, name);
    return found != NULL;
}

static bool find_all(mp_Error *err)
{
#define MP_LIBXML_FIND(name)                                                   \
    if (!find(#name, &table.name, err)) return false;
    MP_LIBXML_FUNCTIONS(MP_LIBXML_FIND)
#undef MP_LIBXML_FIND
    return true;
}

static void load(mp_Error *err)
{
    library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        mp_err_set(err, MP_KIND_UNSUPPORTED, "cannot open libxml2: %s",
                   dlerror());
        return;
    }
    if (find_all(err)) {
        table.xmlInitParser(); /* before more than one thread uses it */
        return;
    }
    dlclose(library);
    library = NULL;
}

const mp_Libxml *mp_html_lib(mp_Error *err)
{
    const mp_Libxml *found;

    pthread_mutex_lock(&lock);
    if (!library) load(err);
    found = library ? &table : NULL;
    pthread_mutex_unlock(&lock);
    return found;
}

#endif
