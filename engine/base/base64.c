/* base64.c: see base64.h. */
#include "base64.h"

#include <stdint.h>

/* The values of the characters from '+' to 'z'; -1 for what is none. */
#define FIRST '+'
#define LAST  'z'

static const int8_t values[LAST - FIRST + 1] = {
    62, -1, -1, -1, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, -1,
    -1, -1, -1, -1, -1, -1, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,
    10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
    -1, -1, -1, -1, -1, -1, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35,
    36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51,
};

static int value_of(char c)
{
    return c >= FIRST && c <= LAST ? values[c - FIRST] : -1;
}

static mp_Status refuse(const char *text, size_t at, mp_Error *err)
{
    unsigned char c = (unsigned char)text[at];

    if (c > 0x20 && c < 0x7f)
        return mp_err_set(err, MP_KIND_DECODE,
                          "'%c' is no base64 here (offset %zu)", c, at);
    return mp_err_set(err, MP_KIND_DECODE,
                      "byte 0x%02x is no base64 here (offset %zu)", c, at);
}

/* How many of the characters stand before the padding. */
static size_t without_padding(const char *text, size_t len)
{
    if (len == 0 || len % 4 != 0) return len;
    if (text[len - 1] == '=') len--;
    if (text[len - 1] == '=') len--;
    return len;
}

/* Decodes whole groups of four; returns where the rest begins, or where a
 * group is bad. */
static size_t decode_groups(const char *text, size_t len, unsigned char *out)
{
    size_t at;

    for (at = 0; len - at >= 4; at += 4) {
        int a = value_of(text[at]), b = value_of(text[at + 1]);
        int c = value_of(text[at + 2]), d = value_of(text[at + 3]);
        uint32_t bits;

        if ((a | b | c | d) < 0) break;
        bits = (uint32_t)a << 18 | (uint32_t)b << 12 | (uint32_t)c << 6 |
               (uint32_t)d;
        *out++ = (unsigned char)(bits >> 16);
        *out++ = (unsigned char)(bits >> 8);
        *out++ = (unsigned char)bits;
    }
    return at;
}

/* The two or three characters of the last, open group. */
static mp_Status decode_rest(const char *text, size_t at, size_t len,
                             unsigned char *out, mp_Error *err)
{
    uint32_t bits = 0;
    size_t left = len - at;

    for (size_t i = at; i < len; i++)
        bits = bits << 6 | (uint32_t)value_of(text[i]);
    if (bits & (left == 2 ? 0xfu : 0x3u)) return refuse(text, len - 1, err);
    if (left == 3) {
        out[0] = (unsigned char)(bits >> 10);
        out[1] = (unsigned char)(bits >> 2);
    } else {
        out[0] = (unsigned char)(bits >> 4);
    }
    return MP_OK;
}

mp_Status mp_base64_decode(const char *text, size_t len, void *out,
                           size_t *used, mp_Error *err)
{
    size_t stop = without_padding(text, len), at, i;
    unsigned char *bytes = out;

    at = decode_groups(text, stop, bytes);
    for (i = at; i < stop && i < at + 4; i++)
        if (value_of(text[i]) < 0) return refuse(text, i, err);
    bytes += at / 4 * 3;
    *used = at / 4 * 3;
    if (at == stop) return MP_OK;
    if (stop - at == 1)
        return mp_err_set(err, MP_KIND_DECODE,
                          "base64 ends inside a byte (offset %zu)", stop);
    *used += stop - at - 1;
    return decode_rest(text, at, stop, bytes, err);
}
