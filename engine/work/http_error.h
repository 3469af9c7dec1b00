/* http_error.h: what a failed transfer is called, and small facts of URLs. */
#ifndef MP_HTTP_ERROR_H
#define MP_HTTP_ERROR_H

#include "err.h"
#include "http_curl.h"

#include <stdbool.h>
#include <stdint.h>

/* Fills [err] with kind and text of a transfer that ended with [result];
 * [text] is curl's error buffer. */
void mp_http_error(CURL *easy, CURLcode result, const char *text,
                   mp_Error *err);

/* A hash of scheme, host and port, never 0. */
uint64_t mp_http_origin(const char *url);

/* Whether the host of a URL must be looked up: no address, no localhost. */
bool mp_http_has_name(const char *url);

/* Whether the host is this machine, by its name or number. */
bool mp_http_is_loopback(const char *url);

/* The url parsed, owned, or NULL if it does not parse or without memory. */
CURLU *mp_http_address(const mp_Curl *curl, const char *url);

/* Whether the environment names a proxy for anything. */
bool mp_http_has_proxy(void);

/* SSL_CERT_FILE, or NULL for the system's certificates. */
const char *mp_http_ca_file(void);

#endif
