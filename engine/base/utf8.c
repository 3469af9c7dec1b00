/* utf8.c: see utf8.h. */
#include "utf8.h"

/* How many bytes follow the lead byte [c], and between which bounds the first
 * of them lies; the others lie between 0x80 and 0xbf. 0 if [c] leads none. */
static size_t lead(unsigned char c, unsigned char *low, unsigned char *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (c < 0xc2 || c > 0xf4) return 0;
    if (c < 0xe0) return 1;
    if (c == 0xe0) *low = 0xa0;  /* below: overlong */
    if (c == 0xed) *high = 0x9f; /* above: surrogates */
    if (c < 0xf0) return 2;
    if (c == 0xf0) *low = 0x90;  /* below: overlong */
    if (c == 0xf4) *high = 0x8f; /* above: beyond U+10FFFF */
    return 3;
}

mp_Utf8 mp_utf8_next(const char *text, size_t len, size_t *used)
{
    const unsigned char *bytes = (const unsigned char *)text;
    unsigned char low, high;
    size_t i, follow;

    *used = 1;
    if (bytes[0] < 0x80) return MP_UTF8_GOOD;
    follow = lead(bytes[0], &low, &high);
    if (follow == 0) return MP_UTF8_BAD;
    for (i = 1; i <= follow; i++) {
        *used = i;
        if (i == len) return MP_UTF8_CUT;
        if (bytes[i] < low || bytes[i] > high) return MP_UTF8_BAD;
        low = 0x80;
        high = 0xbf;
    }
    *used = i;
    return MP_UTF8_GOOD;
}

size_t mp_utf8_put(unsigned code, char out[4])
{
    size_t i, len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char mark[] = {0, 0, 0xc0, 0xe0, 0xf0};

    for (i = len - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    out[0] = (char)(mark[len] | code);
    return len;
}
