/*
 * utf8.h: telling good UTF-8 from bad, one character at a time.
 *
 * Bad bytes are judged as WHATWG does it: the longest prefix of a character
 * that could have become good counts as one error, so that every reader of
 * the engine puts the same number of U+FFFD in its place. Overlong forms,
 * surrogates and what lies beyond U+10FFFF are bad.
 *
 * Threads: any; no state.
 */
#ifndef MP_UTF8_H
#define MP_UTF8_H

#include <stddef.h>

/* U+FFFD in UTF-8: what stands for each error. */
#define MP_UTF8_FFFD "\xef\xbf\xbd"

typedef enum mp_Utf8 {
    MP_UTF8_GOOD, /* a whole character */
    MP_UTF8_BAD,  /* never part of UTF-8, whatever follows */
    MP_UTF8_CUT   /* good so far, the text ends inside the character */
} mp_Utf8;

/* Judges the character at [text], of which [len] >= 1 bytes are there, and
 * writes to [used] how many bytes the verdict is about (1 to 4). */
mp_Utf8 mp_utf8_next(const char *text, size_t len, size_t *used);

/* Writes [code], at most 0x10ffff, to [out]; returns 1 to 4. */
size_t mp_utf8_put(unsigned code, char out[4]);

#endif
