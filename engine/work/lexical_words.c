/*
 * lexical_words.c: the terms of a text, for lexical.h.
 *
 * Chinese, Japanese and Korean are written with no blanks, or with endings
 * grown onto the words: each of their characters is a term. The words of word.h
 * are cut where one stands, and at full-width punctuation.
 */
#include "lexical.h"

#include "lexical_index.h"
#include "utf8.h"

#include <string.h>

typedef enum Kind {
    LETTER, /* or no part of a word: word.h knows */
    ALONE,  /* a term of its own */
    MARK    /* no part of any */
} Kind;

/* U+FF00 to U+FFEF: the forms of ASCII that are as wide as ideographs. */
static Kind kind_of_form(const unsigned char *c)
{
    if (c[1] == 0xbc)
        return c[2] < 0x90 || (c[2] > 0x99 && c[2] < 0xa1) || c[2] > 0xba
                   ? MARK
                   : LETTER;
    if (c[1] == 0xbd) return c[2] > 0x9a && c[2] < 0xa6 ? MARK : LETTER;
    return LETTER;
}

/* The kind of the character of [len] bytes. */
static Kind kind_of(const char *text, size_t len)
{
    const unsigned char *c = (const unsigned char *)text;

    if (len == 4) return c[0] == 0xf0 && c[1] > 0x9f ? ALONE : LETTER;
    if (len != 3 || c[0] < 0xe3) return LETTER;
    switch (c[0]) {
    case 0xe3: /* U+3040 on: kana */ return c[1] > 0x80 ? ALONE : LETTER;
    case 0xea: /* U+AC00 to U+D7BF: hangul */
        return c[1] > 0xaf ? ALONE : LETTER;
    case 0xed: return c[1] < 0x9f ? ALONE : LETTER;
    case 0xef: /* U+F900 to U+FAFF: more ideographs */
        return c[1] > 0xa3 && c[1] < 0xac ? ALONE : kind_of_form(c);
    default: return c[0] < 0xee ? ALONE : LETTER;
    }
}

/* The bytes of the word before the first character that is no letter. Whatever
 * is not has no other case, so here and in the text it stands at one place. */
static size_t letters(const mp_Word *word)
{
    for (size_t i = 1; i + 1 < word->characters; i++) {
        size_t at = word->starts[i], len = (size_t)(word->starts[i + 1] - at);

        if (len > 2 && kind_of(word->bytes + at, len) != LETTER) return at - 1;
    }
    return word->len - 2;
}

/* Reads what begins at [at], if that is a term; moves behind it. */
static bool read_one(mp_LexicalText *text, mp_LexicalName *name)
{
    const char *begin = text->bytes + text->at;
    size_t left = text->len - text->at, used;
    bool good = mp_utf8_next(begin, left, &used) == MP_UTF8_GOOD;
    Kind kind = good ? kind_of(begin, used) : LETTER;

    if (kind == LETTER && mp_word_read(&name->word, begin, left) > 0) {
        name->bytes = name->word.bytes + 1;
        name->len = letters(&name->word);
        text->at += name->len;
        return true;
    }
    name->bytes = begin;
    name->len = used;
    text->at += good ? used : 1;
    return kind == ALONE;
}

/* What the caller cut: up to the next NUL. */
static bool next_cut(mp_LexicalText *text, size_t until, mp_LexicalName *name)
{
    while (text->at < until) {
        const char *begin = text->bytes + text->at;
        const char *end = memchr(begin, '\0', text->len - text->at);

        name->bytes = begin;
        name->len = end ? (size_t)(end - begin) : text->len - text->at;
        text->at += name->len + 1;
        if (name->len > 0) return true;
    }
    return false;
}

bool mp_lexical_next(mp_LexicalText *text, size_t until, mp_LexicalName *name)
{
    if (until > text->len) until = text->len;
    if (text->cut) return next_cut(text, until, name);
    while (text->at < until)
        if (read_one(text, name)) return true;
    return false;
}
