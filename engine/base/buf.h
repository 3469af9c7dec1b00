/*
 * buf.h: a growing byte buffer that cannot grow without limit.
 *
 * The maximum is set at init (curl's dynbuf). A failed append is remembered in
 * `status` and makes all later appends do nothing, so that a writer of many
 * pieces asks once, at the end. Always one NUL stands behind the bytes once
 * something was written.
 *
 * Threads: one owner at a time.
 */
#ifndef MP_BUF_H
#define MP_BUF_H

#include "err.h"

#include <stddef.h>

/* 64 MiB: the largest answer that the engine takes unless told otherwise. */
#define MP_BUF_MAX ((size_t)64 << 20)

typedef struct mp_Buf {
    char *data; /* NULL while nothing was written */
    size_t len;
    size_t cap;
    size_t max;
    mp_Status status; /* the first failure, sticky */
} mp_Buf;

/* Starts empty; allocates nothing. [max] 0 means MP_BUF_MAX. */
void mp_buf_init(mp_Buf *buf, size_t max);

/* Frees the bytes and leaves an empty buffer that can be used again. */
void mp_buf_term(mp_Buf *buf);

/* Copies [len] bytes behind the last one. `memory` or `too_large`. */
mp_Status mp_buf_append(mp_Buf *buf, const void *bytes, size_t len);

/* Copies a C string without its NUL. */
mp_Status mp_buf_text(mp_Buf *buf, const char *text);

mp_Status mp_buf_char(mp_Buf *buf, char c);

/* Appends formatted text of any length. */
mp_Status mp_buf_printf(mp_Buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Makes room for [len] more bytes at data + len, which the caller then fills
 * and adds to `len` itself. */
mp_Status mp_buf_reserve(mp_Buf *buf, size_t len);

/* Forgets the bytes and the failure, keeps the memory. */
void mp_buf_clear(mp_Buf *buf);

/* Returns the bytes owned (free with mp_alloc_free; NULL if nothing was
 * written) with their count in [len], and leaves the buffer empty. */
char *mp_buf_take(mp_Buf *buf, size_t *len);

/* The sticky status as an error with text: MP_OK, or fills [err]. */
mp_Status mp_buf_check(const mp_Buf *buf, mp_Error *err);

#endif
