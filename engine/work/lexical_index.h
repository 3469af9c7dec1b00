/*
 * lexical_index.h: the inside of an inverted index, for the files lexical*.c
 * alone.
 *
 * Threads: as in lexical.h.
 */
#ifndef MP_LEXICAL_INDEX_H
#define MP_LEXICAL_INDEX_H

#include "lexical.h"
#include "word.h"

/* A term as it was read: in the text, or in `word`. */
typedef struct mp_LexicalName {
    const char *bytes;
    size_t len;
    mp_Word word;
} mp_LexicalName;

/* Reads the next term that begins before [until]; false where there is none. */
bool mp_lexical_next(mp_LexicalText *text, size_t until, mp_LexicalName *name);

/* NULL where it is in no document yet. */
mp_LexicalTerm *mp_lexical_find(const mp_Lexical *self, const char *name,
                                size_t len);

mp_LexicalPlace *mp_lexical_places(mp_LexicalTerm *term);

/* Takes deleted documents out of its list. */
void mp_lexical_tidy_term(const mp_Lexical *self, mp_LexicalTerm *term);

#endif
