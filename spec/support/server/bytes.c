/* bytes.c: see bytes.h. */
#include "bytes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What an idle connection's buffer may keep. */
enum { KEPT = 4096 };

static const char DIGITS64[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void bytes_reserve(Bytes *bytes, size_t more)
{
    size_t cap = bytes->cap ? bytes->cap : 256;

    if (bytes->cap - bytes->len >= more) return;
    while (cap - bytes->len < more)
        cap *= 2;
    bytes->at = realloc(bytes->at, cap);
    if (!bytes->at) abort();
    bytes->cap = cap;
}

void bytes_add(Bytes *bytes, const void *data, size_t len)
{
    if (len == 0) return; /* data may be NULL then */
    bytes_reserve(bytes, len);
    memcpy(bytes->at + bytes->len, data, len);
    bytes->len += len;
}

void bytes_span(Bytes *bytes, Span span)
{
    bytes_add(bytes, span.at, span.len);
}

void bytes_text(Bytes *bytes, const char *text)
{
    bytes_add(bytes, text, strlen(text));
}

void bytes_fill(Bytes *bytes, char c, size_t count)
{
    bytes_reserve(bytes, count);
    memset(bytes->at + bytes->len, c, count);
    bytes->len += count;
}

void bytes_printf(Bytes *bytes, const char *format, ...)
{
    size_t need = 64;
    va_list args;
    int len;

    for (;;) {
        bytes_reserve(bytes, need);
        va_start(args, format);
        len = vsnprintf(bytes->at + bytes->len, need, format, args);
        va_end(args);
        if ((size_t)len < need) break;
        need = (size_t)len + 1;
    }
    bytes->len += (size_t)len;
}

void bytes_number(Bytes *bytes, int64_t number)
{
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    char text[24];
    int at = sizeof text;

    do {
        text[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (number < 0) text[--at] = '-';
    bytes_add(bytes, text + at, sizeof text - (size_t)at);
}

void bytes_hex(Bytes *bytes, uint64_t number, int digits)
{
    bytes_reserve(bytes, (size_t)digits);
    for (int i = digits - 1; i >= 0; i--)
        bytes->at[bytes->len++] = "0123456789abcdef"[number >> (4 * i) & 15];
}

void bytes_base64(Bytes *bytes, const void *data, size_t len)
{
    const unsigned char *in = data;
    char *out;

    bytes_reserve(bytes, len / 3 * 4 + 4);
    out = bytes->at + bytes->len;
    for (; len >= 3; len -= 3, in += 3) {
        *out++ = DIGITS64[in[0] >> 2];
        *out++ = DIGITS64[(in[0] & 3) << 4 | in[1] >> 4];
        *out++ = DIGITS64[(in[1] & 15) << 2 | in[2] >> 6];
        *out++ = DIGITS64[in[2] & 63];
    }
    if (len > 0) {
        unsigned second = len == 2 ? in[1] : 0;

        *out++ = DIGITS64[in[0] >> 2];
        *out++ = DIGITS64[(in[0] & 3) << 4 | second >> 4];
        *out++ = len == 2 ? DIGITS64[(second & 15) << 2] : '=';
        *out++ = '=';
    }
    bytes->len = (size_t)(out - bytes->at);
}

bool bytes_unbase64(Bytes *bytes, Span text)
{
    unsigned bits = 0;
    int count = 0;

    for (size_t i = 0; i < text.len && text.at[i] != '='; i++) {
        const char *digit = strchr(DIGITS64, text.at[i]);

        if (!digit || !*digit) return false;
        bits = bits << 6 | (unsigned)(digit - DIGITS64);
        count += 6;
        if (count < 8) continue;
        count -= 8;
        bytes_add(bytes, &(char){(char)(bits >> count)}, 1);
    }
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

void bytes_unpercent(Bytes *bytes, Span text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];

        if (c == '%' && i + 2 < text.len && hex_digit(text.at[i + 1]) >= 0 &&
            hex_digit(text.at[i + 2]) >= 0) {
            c = (char)(hex_digit(text.at[i + 1]) * 16 +
                       hex_digit(text.at[i + 2]));
            i += 2;
        }
        bytes_add(bytes, &c, 1);
    }
}

static void escape_one(Bytes *bytes, char c)
{
    switch (c) {
    case '"': TEXT(bytes, "\\\""); break;
    case '\\': TEXT(bytes, "\\\\"); break;
    case '\n': TEXT(bytes, "\\n"); break;
    case '\r': TEXT(bytes, "\\r"); break;
    case '\t': TEXT(bytes, "\\t"); break;
    default: TEXT(bytes, "\\u"); bytes_hex(bytes, (unsigned char)c, 4);
    }
}

void bytes_escape(Bytes *bytes, Span text)
{
    size_t from = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];

        if (c >= 32 && c != '"' && c != '\\') continue;
        bytes_add(bytes, text.at + from, i - from);
        escape_one(bytes, (char)c);
        from = i + 1;
    }
    bytes_add(bytes, text.at + from, text.len - from);
}

void bytes_member(Bytes *bytes, const char *name, Span text)
{
    TEXT(bytes, "\"");
    bytes_text(bytes, name);
    TEXT(bytes, "\":\"");
    bytes_escape(bytes, text);
    TEXT(bytes, "\"");
}

void bytes_shift(Bytes *bytes, size_t count)
{
    bytes->len -= count;
    if (bytes->len > 0) memmove(bytes->at, bytes->at + count, bytes->len);
}

void bytes_reset(Bytes *bytes)
{
    if (bytes->cap > KEPT) bytes_free(bytes);
    bytes->len = 0;
}

void bytes_free(Bytes *bytes)
{
    free(bytes->at);
    *bytes = (Bytes){0};
}

Span bytes_all(const Bytes *bytes)
{
    return (Span){bytes->at ? bytes->at : "", bytes->len};
}

bool span_is(Span span, const char *text)
{
    return strlen(text) == span.len && memcmp(span.at, text, span.len) == 0;
}

bool span_is_nocase(Span span, const char *text)
{
    return strlen(text) == span.len &&
           strncasecmp(span.at, text, span.len) == 0;
}

bool span_has_prefix(Span span, const char *text)
{
    size_t len = strlen(text);

    return span.len >= len && memcmp(span.at, text, len) == 0;
}

Span span_trim(Span span)
{
    while (span.len > 0 && (*span.at == ' ' || *span.at == '\t'))
        span.at++, span.len--;
    while (span.len > 0 && memchr(" \t\r", span.at[span.len - 1], 3))
        span.len--;
    return span;
}

Span span_split(Span *rest, char separator)
{
    const char *found =
        rest->len > 0 ? memchr(rest->at, separator, rest->len) : NULL;
    Span first = *rest;

    if (!found) {
        *rest = (Span){rest->at + rest->len, 0};
        return first;
    }
    first.len = (size_t)(found - first.at);
    rest->at = found + 1;
    rest->len -= first.len + 1;
    return first;
}

bool span_integer(Span span, int64_t *number)
{
    char text[24], *end;

    if (span.len == 0 || span.len >= sizeof text) return false;
    memcpy(text, span.at, span.len);
    text[span.len] = '\0';
    errno = 0;
    *number = strtoll(text, &end, 10);
    return errno == 0 && end == text + span.len;
}
