/*
 * word.h: the words of a text, in lower case.
 *
 * A word is a run of letters and digits: ASCII letters and digits, `_` and
 * every character beyond ASCII that is no Latin-1, general or ideographic
 * punctuation. Lower case is that of ASCII, Latin-1, Greek and Cyrillic without
 * their accented capitals. A word longer than MP_WORD_MAX bytes is read as
 * several. Bytes that are no UTF-8 are characters of their own.
 *
 * hash.h makes vectors of these words and says that they never change: whoever
 * changes a word changes the name of the vectors.
 *
 * Threads: any; no state.
 */
#ifndef MP_WORD_H
#define MP_WORD_H

#include <stddef.h>
#include <stdint.h>

#define MP_WORD_MAX 64

/* A word with a blank on either side; `starts` are those of its characters, the
 * end included. A character takes no more bytes than before. */
typedef struct mp_Word {
    char bytes[MP_WORD_MAX + 8];
    uint8_t starts[MP_WORD_MAX + 8];
    size_t len; /* with the blanks */
    size_t characters;
} mp_Word;

/* Reads the word at [text]; returns how many bytes it took, 0 where there is
 * none. */
size_t mp_word_read(mp_Word *word, const char *text, size_t len);

/* Reads the first word that begins in [text] at [*at] or behind and before
 * [until], and moves [*at] behind it. Returns 1, or 0 where there is none;
 * then [*at] is where to go on. */
int mp_word_next(mp_Word *word, const char *text, size_t len, size_t *at,
                 size_t until);

#endif
