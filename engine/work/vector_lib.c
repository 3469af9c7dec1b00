/* vector_lib.c: see vector_lib.h. */
#include "vector_lib.h"

#include "library.h"
#include "near.h"

#include <dlfcn.h>
#include <pthread.h>

#define LIBRARY "moonpipe_vector.so"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static mp_VectorLib table;
static mp_Error failure;

/* A library that is there but cannot be opened is worth its message. */
static void *open_near(void)
{
    char path[MP_NEAR_PATH];
    void *library;

    if (!mp_near_find(LIBRARY, path)) {
        mp_err_set(&failure, MP_KIND_UNSUPPORTED,
                   "vectors need FAISS: there is no " LIBRARY
                   " near '%s'; install libfaiss-dev and build anew",
                   path);
        return NULL;
    }
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        mp_err_set(&failure, MP_KIND_UNSUPPORTED, "cannot open FAISS: %s",
                   dlerror());
    return library;
}

#define MP_FAISS_SYMBOL(name, arguments)                                       \
    {"mp_faiss_" #name, offsetof(mp_VectorLib, name)},
static const mp_LibrarySymbol symbols[] = {MP_FAISS_FUNCTIONS(MP_FAISS_SYMBOL)};
#undef MP_FAISS_SYMBOL

static void open_library(void)
{
    void *library = open_near();

    if (!library) return;
    mp_library_fill(library, LIBRARY, symbols, sizeof symbols / sizeof *symbols,
                    &table, &failure);
}

const mp_VectorLib *mp_vector_lib(mp_Error *err)
{
    pthread_once(&once, open_library);
    if (failure.kind == MP_KIND_NONE) return &table;
    if (err) *err = failure;
    return NULL;
}
