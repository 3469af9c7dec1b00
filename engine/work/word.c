/* word.c: see word.h. */
#include "word.h"

#include "utf8.h"

#include <stdbool.h>
#include <string.h>

/* Of a character of two bytes: what stands between Latin-1's letters. */
static bool is_latin_mark(unsigned char first, unsigned char second)
{
    return first == 0xc2 ? second != 0xaa && second != 0xb5 && second != 0xba
                         : first == 0xc3 && (second == 0x97 || second == 0xb7);
}

/* Whether the character of [len] bytes is part of a word. */
static bool is_word(const char *text, size_t len)
{
    const unsigned char *c = (const unsigned char *)text;

    if (c[0] < 0x80)
        return (c[0] >= '0' && c[0] <= '9') || c[0] == '_' ||
               ((c[0] | 32) >= 'a' && (c[0] | 32) <= 'z');
    if (len == 2) return !is_latin_mark(c[0], c[1]);
    if (len != 3) return true;
    if (c[0] == 0xe2) return c[1] > 0x81 || (c[1] == 0x81 && c[2] > 0xaf);
    return c[0] != 0xe3 || c[1] != 0x80; /* U+3000 to U+303F */
}

static unsigned lower(unsigned code)
{
    if (code >= 0xc0 && code <= 0xde) return code + 32;
    if (code >= 0x391 && code <= 0x3a9) return code + 32;
    if (code >= 0x410 && code <= 0x42f) return code + 32;
    if (code >= 0x400 && code <= 0x40f) return code + 80;
    return code;
}

static void append(mp_Word *word, const char *text, size_t len)
{
    char *out = word->bytes + word->len;

    word->starts[word->characters++] = (uint8_t)word->len;
    word->len += len;
    memcpy(out, text, len);
    if (len == 1 && *out >= 'A' && *out <= 'Z') *out = (char)(*out + 32);
    if (len == 2)
        mp_utf8_put(
            lower(((unsigned)text[0] & 31) << 6 | ((unsigned)text[1] & 63)),
            out);
}

/* The length of the character at [text]; a bad byte is one. */
static size_t character(const char *text, size_t len)
{
    size_t used;

    return mp_utf8_next(text, len, &used) == MP_UTF8_GOOD ? used : 1;
}

size_t mp_word_read(mp_Word *word, const char *text, size_t len)
{
    size_t at = 0;

    word->len = word->characters = 0;
    append(word, " ", 1);
    while (at < len) {
        size_t used = character(text + at, len - at);

        if (!is_word(text + at, used) || at + used > MP_WORD_MAX) break;
        append(word, text + at, used);
        at += used;
    }
    append(word, " ", 1);
    word->starts[word->characters] = (uint8_t)word->len;
    return at;
}

int mp_word_next(mp_Word *word, const char *text, size_t len, size_t *at,
                 size_t until)
{
    if (until > len) until = len;
    while (*at < until) {
        size_t used = mp_word_read(word, text + *at, len - *at);

        *at += used ? used : character(text + *at, len - *at);
        if (used) return 1;
    }
    return 0;
}
