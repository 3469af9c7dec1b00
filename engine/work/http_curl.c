/* http_curl.c: see http_curl.h. */
#include "http_curl.h"

#include "library.h"

static mp_Curl table;

#define MP_CURL_SYMBOL(name) {"curl_" #name, offsetof(mp_Curl, name)},
static const mp_LibrarySymbol symbols[] = {MP_CURL_FUNCTIONS(MP_CURL_SYMBOL)};
#undef MP_CURL_SYMBOL

static bool begin(mp_Error *err)
{
    if (table.global_init(CURL_GLOBAL_ALL) == CURLE_OK) return true;
    mp_err_set(err, MP_KIND_MEMORY, "libcurl cannot start");
    return false;
}

static mp_Library library = {
    .file = "libcurl.so.4",
    .name = "libcurl",
    .symbols = symbols,
    .count = sizeof symbols / sizeof *symbols,
    .table = &table,
    .is_good = begin,
};

const mp_Curl *mp_http_curl(mp_Error *err)
{
    if (library.handle) return &table; /* only this thread opens it */
    return mp_library_table(&library, err);
}
