/*
 * json_text.h: the inside of a JSON string, decoded from pieces of any size.
 *
 * Takes the bytes between the quotes and gives UTF-8: escapes resolved,
 * surrogate pairs joined, each lone surrogate and each piece of bad UTF-8
 * replaced by U+FFFD. What a piece leaves open (half an escape, the first
 * bytes of a character, a high surrogate that waits for its partner) is held
 * back until the next one, so `buf` is good text at every moment. With `raw`
 * it is not: bad bytes stay, and a lone surrogate becomes the three bytes that
 * UTF-8 would have for it, so that who joins strings may join halves.
 *
 * Threads: one owner at a time.
 */
#ifndef MP_JSON_TEXT_H
#define MP_JSON_TEXT_H

#include "buf.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum mp_JsonTextStep {
    MP_JSON_TEXT_MORE,   /* all bytes were taken, the string is still open */
    MP_JSON_TEXT_CLOSED, /* stopped at the closing quote */
    MP_JSON_TEXT_REFUSED /* stopped at a byte that is no JSON: see `expected` */
} mp_JsonTextStep;

typedef struct mp_JsonText {
    mp_Buf buf;           /* the text so far; its status tells of failures */
    bool lenient;         /* raw control characters are taken as they are */
    bool raw;             /* nothing is replaced: see the top */
    const char *expected; /* what had to stand where a byte was refused */
    uint8_t step;         /* outside, behind a backslash, in \uXXXX */
    uint8_t hex_left;     /* digits of \uXXXX still to come */
    uint8_t held_len;
    char held[4];  /* the first bytes of a character */
    unsigned code; /* of \uXXXX so far */
    unsigned high; /* a high surrogate without its partner, or 0 */
} mp_JsonText;

/* Allocates nothing. [max] as in mp_buf_init. */
void mp_json_text_init(mp_JsonText *text, bool lenient, size_t max);

void mp_json_text_term(mp_JsonText *text);

/* Starts a new string; keeps the memory of the last one. */
void mp_json_text_begin(mp_JsonText *text);

/* Takes bytes from [*at] to [end] at most and moves [*at] behind the last one
 * taken. After MP_JSON_TEXT_CLOSED or REFUSED, [*at] is the quote or the byte
 * refused. */
mp_JsonTextStep mp_json_text_feed(mp_JsonText *text, const char **at,
                                  const char *end);

/* Returns the end of the run of bytes at [at] that stand for themselves: good
 * UTF-8 without quotes, backslashes and control characters. */
const char *mp_json_text_clean(const char *at, const char *end);

/* The same for printable ASCII (and DEL) only. */
const char *mp_json_text_plain(const char *at, const char *end);

#endif
