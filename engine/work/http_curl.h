/*
 * http_curl.h: libcurl, opened at first use.
 *
 * Loading libcurl and what it needs costs 7 ms, more than a whole chain without
 * a network. So its functions are reached through a table, which is filled by
 * one dlopen when the first HTTP job starts, on the I/O thread.
 *
 * Threads: the I/O thread.
 */
#ifndef MP_HTTP_CURL_H
#define MP_HTTP_CURL_H

#include "err.h"

#include <curl/curl.h>

#define MP_CURL_FUNCTIONS(X)                                                   \
    X(easy_cleanup)                                                            \
    X(easy_getinfo)                                                            \
    X(easy_init)                                                               \
    X(easy_pause)                                                              \
    X(easy_setopt)                                                             \
    X(easy_strerror)                                                           \
    X(global_init)                                                             \
    X(multi_add_handle)                                                        \
    X(multi_cleanup)                                                           \
    X(multi_info_read)                                                         \
    X(multi_init)                                                              \
    X(multi_remove_handle)                                                     \
    X(multi_setopt)                                                            \
    X(multi_socket_action)                                                     \
    X(share_cleanup)                                                           \
    X(share_init)                                                              \
    X(share_setopt)                                                            \
    X(url)                                                                     \
    X(url_cleanup)                                                             \
    X(url_set)

typedef struct mp_Curl {
#define MP_CURL_MEMBER(name) __typeof__(curl_##name) *name;
    MP_CURL_FUNCTIONS(MP_CURL_MEMBER)
#undef MP_CURL_MEMBER
} mp_Curl;

/* The functions of libcurl, or NULL with kind `unsupported`: the library is
 * not installed or too old. */
const mp_Curl *mp_http_curl(mp_Error *err);

#endif
