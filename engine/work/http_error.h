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

/* SSL_CERT_FILE, or NULL for the system's certificates. */
const char *mp_http_ca_file(void);

#endif
