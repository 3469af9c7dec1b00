/* http_curl.c: see http_curl.h. */
#include "http_curl.h"

#include "alloc.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#define LIBRARY "libcurl.so.4"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static mp_Curl table;
static mp_Error failure;

/* A function pointer is no void pointer in C: copied as bytes, as dlsym's own
 * manual does. */
static int find(void *library, const char *name, void *into)
{
    void *found = dlsym(library, name);

    if (!found) {
        mp_err_set(&failure, MP_KIND_UNSUPPORTED, "%s has no %s: too old",
                   LIBRARY, name);
        return 0;
    }
    memcpy(into, &found, sizeof found);
    return 1;
}

static void open_library(void)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

    if (!library) {
        mp_err_set(&failure, MP_KIND_UNSUPPORTED, "cannot open libcurl: %s",
                   dlerror());
        return;
    }
#define MP_CURL_FIND(name)                                                     \
    if (!find(library, "curl_" #name, &table.name)) return;
    MP_CURL_FUNCTIONS(MP_CURL_FIND)
#undef MP_CURL_FIND
    if (table.global_init(CURL_GLOBAL_ALL) != CURLE_OK)
        mp_err_set(&failure, MP_KIND_MEMORY, "libcurl cannot start");
}

const mp_Curl *mp_http_curl(mp_Error *err)
{
    pthread_once(&once, open_library);
    if (failure.kind == MP_KIND_NONE) return &table;
    if (err) *err = failure;
    return NULL;
}
