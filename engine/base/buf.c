/* buf.c: see buf.h. */
#include "buf.h"

#include "alloc.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define FIRST_CAP 64

void mp_buf_init(mp_Buf *buf, size_t max)
{
    memset(buf, 0, sizeof *buf);
    buf->max = max ? max : MP_BUF_MAX;
}

void mp_buf_term(mp_Buf *buf)
{
    mp_alloc_free(buf->data);
    mp_buf_init(buf, buf->max);
}

static mp_Status grow(mp_Buf *buf, size_t need)
{
    size_t cap = buf->cap ? buf->cap : FIRST_CAP;
    char *data;

    while (cap < need)
        cap *= 2; /* need <= max + 1, far below SIZE_MAX / 2 */
    data = mp_alloc_resize(buf->data, cap);
    if (!data) return buf->status = -MP_KIND_MEMORY;
    buf->data = data;
    buf->cap = cap;
    return MP_OK;
}

mp_Status mp_buf_reserve(mp_Buf *buf, size_t len)
{
    if (buf->status != MP_OK) return buf->status;
    if (len > buf->max - buf->len) return buf->status = -MP_KIND_TOO_LARGE;
    if (buf->len + len + 1 > buf->cap) return grow(buf, buf->len + len + 1);
    return MP_OK;
}

mp_Status mp_buf_append(mp_Buf *buf, const void *bytes, size_t len)
{
    mp_Status status = mp_buf_reserve(buf, len);

    if (status != MP_OK) return status;
    if (len) memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
    return MP_OK;
}

mp_Status mp_buf_text(mp_Buf *buf, const char *text)
{
    return mp_buf_append(buf, text, strlen(text));
}

mp_Status mp_buf_char(mp_Buf *buf, char c)
{
    return mp_buf_append(buf, &c, 1);
}

mp_Status mp_buf_printf(mp_Buf *buf, const char *format, ...)
{
    va_list args;
    mp_Status status;
    int len;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    status = mp_buf_reserve(buf, (size_t)len);
    if (status != MP_OK) return status;
    va_start(args, format);
    vsnprintf(buf->data + buf->len, (size_t)len + 1, format, args);
    va_end(args);
    buf->len += (size_t)len;
    return MP_OK;
}

void mp_buf_clear(mp_Buf *buf)
{
    buf->len = 0;
    buf->status = MP_OK;
    if (buf->data) buf->data[0] = '\0';
}

char *mp_buf_take(mp_Buf *buf, size_t *len)
{
    char *data = buf->data;

    *len = buf->len;
    mp_buf_init(buf, buf->max);
    return data;
}

mp_Status mp_buf_check(const mp_Buf *buf, mp_Error *err)
{
    if (buf->status == MP_OK) return MP_OK;
    if (buf->status == -MP_KIND_MEMORY) return mp_err_memory(err);
    return mp_err_set(err, MP_KIND_TOO_LARGE, "more than %zu bytes", buf->max);
}
