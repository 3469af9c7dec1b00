/* vector_lib.c: see vector_lib.h. */
#include "vector_lib.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LIBRARY "moonpipe_vector.so"

/* From the folder of the binary, libmoonpipe.so or the Lua module: in a build,
 * then where `cmake --install` puts it. */
static const char *const places[] = {
    LIBRARY,
    "../" LIBRARY,
    "../" MOONPIPE_LIBDIR "/moonpipe/" LIBRARY,
    "moonpipe/" LIBRARY,
    "../../moonpipe/" LIBRARY,
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static mp_VectorLib table;
static mp_Error failure;

/* Writes the path of the file that holds this code, up to its last slash. */
static bool own_folder(char out[PATH_MAX])
{
    Dl_info info;
    ssize_t len = 0;
    char *slash;

    out[0] = '\0';
    /* the program itself is known by argv[0] only */
    if (dladdr(&once, &info) && info.dli_fname && info.dli_fname[0] == '/')
        len = snprintf(out, PATH_MAX, "%s", info.dli_fname);
    else
        len = readlink("/proc/self/exe", out, PATH_MAX - 1);
    if (len <= 0 || len >= PATH_MAX) return false;
    out[len] = '\0';
    slash = strrchr(out, '/');
    if (slash) slash[1] = '\0';
    return slash != NULL;
}

/* A library that is there but cannot be opened is worth its message. */
static void *open_near(const char *folder)
{
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char path[2 * PATH_MAX];
        void *library;

        snprintf(path, sizeof path, "%s%s", folder, places[i]);
        if (access(path, R_OK) != 0) continue;
        library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!library)
            mp_err_set(&failure, MP_KIND_UNSUPPORTED, "cannot open FAISS: %s",
                       dlerror());
        return library;
    }
    mp_err_set(&failure, MP_KIND_UNSUPPORTED,
               "vectors need FAISS: there is no " LIBRARY " near '%s'; install "
               "libfaiss-dev and build anew",
               folder);
    return NULL;
}

/* Copied as bytes: a function pointer is no void pointer in C. */
static bool find(void *library, const char *name, void *into)
{
    void *found = dlsym(library, name);

    if (found)
        memcpy(into, &found, sizeof found);
    else
        mp_err_set(&failure, MP_KIND_UNSUPPORTED,
                   LIBRARY " has no %s: of another version", name);
    return found != NULL;
}

static void open_library(void)
{
    char folder[PATH_MAX];
    void *library = NULL;

    if (own_folder(folder))
        library = open_near(folder);
    else
        mp_err_set(&failure, MP_KIND_UNSUPPORTED, "cannot find " LIBRARY);
    if (!library) return;
#define MP_FAISS_FIND(name, arguments)                                         \
    if (!find(library, "mp_faiss_" #name, &table.name)) return;
    MP_FAISS_FUNCTIONS(MP_FAISS_FIND)
#undef MP_FAISS_FIND
}

const mp_VectorLib *mp_vector_lib(mp_Error *err)
{
    pthread_once(&once, open_library);
    if (failure.kind == MP_KIND_NONE) return &table;
    if (err) *err = failure;
    return NULL;
}
