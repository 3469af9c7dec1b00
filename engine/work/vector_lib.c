/* vector_lib.c: see vector_lib.h. */
#include "vector_lib.h"

#include "library.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
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

/* The program itself is known by argv[0] only, which may be anything. */
static bool is_program(const Dl_info *info)
{
    void *headers = (void *)getauxval(AT_PHDR);
    Dl_info program;

    return dladdr(headers, &program) && program.dli_fbase == info->dli_fbase;
}

/* The path of the file that holds this code, as it was opened: `require` finds
 * "./moonpipe.so" too. */
static const char *own_path(void)
{
    Dl_info info;

    if (!dladdr(&once, &info) || is_program(&info)) return "/proc/self/exe";
    return info.dli_fname;
}

/* Writes that path, absolute, up to its last slash. */
static bool own_folder(char out[PATH_MAX])
{
    char *slash = realpath(own_path(), out) ? strrchr(out, '/') : NULL;

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

#define MP_FAISS_SYMBOL(name, arguments)                                       \
    {"mp_faiss_" #name, offsetof(mp_VectorLib, name)},
static const mp_LibrarySymbol symbols[] = {MP_FAISS_FUNCTIONS(MP_FAISS_SYMBOL)};
#undef MP_FAISS_SYMBOL

static void open_library(void)
{
    char folder[PATH_MAX];
    void *library = NULL;

    if (own_folder(folder))
        library = open_near(folder);
    else
        mp_err_set(&failure, MP_KIND_UNSUPPORTED, "cannot find " LIBRARY);
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
