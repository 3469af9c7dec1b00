/*
 * lexical.h: an inverted index, and the best documents for some words by BM25.
 *
 * Okapi BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework:
 * BM25 and Beyond", 2009), with the weight of a term that Lucene has, which is
 * never negative. For each term of the query, as often as it is there:
 *
 *     ln(1 + (N - n + 0.5) / (n + 0.5)) * f * (k1 + 1)
 *                              / (f + k1 * (1 - b + b * length / average))
 *
 * N documents, n of them with the term, f times in this one; lengths are terms.
 * Documents that have no term of the query are no answers. Equal scores are in
 * the order of the documents.
 *
 * A term is a word of word.h, but each Chinese, Japanese or Korean character is
 * one of its own; or what the caller cut himself: then NULs stand between the
 * terms of a text. The list of a term is an array of places; what
 * is deleted leaves it when it is next looked at, and all of them once half of
 * the documents have gone.
 *
 * Threads: one owner at a time; lexical_job.h has the line of those who want
 * it.
 */
#ifndef MP_LEXICAL_H
#define MP_LEXICAL_H

#include "buf.h"

#include <stdbool.h>
#include <stdint.h>

/* The length of a document that is not there. */
#define MP_LEXICAL_NONE UINT32_MAX

/* Documents are numbered below this. */
#define MP_LEXICAL_MOST ((size_t)UINT32_MAX)

typedef struct mp_LexicalPlace {
    uint32_t doc;
    uint32_t times;
} mp_LexicalPlace;

typedef struct mp_LexicalTerm {
    size_t name; /* where it stands in `names` */
    uint32_t len;
    uint32_t hash;
    uint32_t count;
    uint32_t room;   /* of `list`; 0: `one` */
    uint32_t tidied; /* the value of `deletions` when its list was last so */
    union {
        mp_LexicalPlace one; /* most terms are in one document */
        mp_LexicalPlace *list;
    } places;
} mp_LexicalTerm;

typedef struct mp_Lexical {
    double k1;
    double b;
    mp_Buf names;
    mp_LexicalTerm *terms;
    size_t term_count;
    size_t term_room;
    uint32_t *slots; /* number of a term + 1; a power of two, half of it free */
    size_t slot_count;
    uint32_t *lengths; /* of the documents */
    size_t docs;       /* numbers used, also of those that are not there */
    size_t doc_room;
    size_t live;        /* documents that are there */
    uint64_t words;     /* in them */
    uint32_t deletions; /* calls that deleted something */
    size_t gone;        /* documents deleted since all lists were tidied */
    size_t tidy_next;   /* term */
    double *scores;     /* by document, of the search that runs */
    size_t score_room;
} mp_Lexical;

/* A text that is read; the bytes are the caller's. */
typedef struct mp_LexicalText {
    const char *bytes;
    size_t len;
    size_t at;
    bool cut; /* by the caller, with NULs */
} mp_LexicalText;

typedef struct mp_LexicalHit {
    double score;
    uint32_t doc;
} mp_LexicalHit;

typedef struct mp_LexicalSearch {
    mp_LexicalText query;
    mp_LexicalTerm *term; /* the one whose places are looked at */
    size_t place;
    double weight;
    size_t doc;          /* the next one to compare */
    mp_LexicalHit *hits; /* a heap, the worst one first */
    size_t count;
    size_t room;
} mp_LexicalSearch;

/* Allocates nothing. */
void mp_lexical_init(mp_Lexical *self, double k1, double b);
void mp_lexical_term(mp_Lexical *self);

/* Makes room for [count] documents from number [first]; none of them is there
 * yet. `memory`. */
mp_Status mp_lexical_reserve(mp_Lexical *self, size_t first, size_t count,
                             mp_Error *err);

/* Reads the terms of [text] that begin before [until], for document [doc], for
 * which there is room. Documents are read one after the other. `memory`; then
 * the document must be dropped. */
mp_Status mp_lexical_read(mp_Lexical *self, size_t doc, mp_LexicalText *text,
                          size_t until, mp_Error *err);

/* Documents from [first] on, the last ones read, are there; or were not read.
 */
void mp_lexical_keep(mp_Lexical *self, size_t first, size_t count);
void mp_lexical_drop(mp_Lexical *self, size_t first, size_t count);

/* Deletes those of [docs] that are there. */
void mp_lexical_delete(mp_Lexical *self, const uint32_t *docs, size_t count);

/* Frees some of what deleted documents left; false if there is nothing that is
 * worth it. */
bool mp_lexical_tidy(mp_Lexical *self);

/* Begins a search of the [k] >= 1 best. `memory`. */
mp_Status mp_lexical_begin(mp_Lexical *self, mp_LexicalSearch *search, size_t k,
                           mp_Error *err);

/* Does a bit of it, well below a millisecond; false when all is done: then
 * `hits` are `count`, best first. */
bool mp_lexical_step(mp_Lexical *self, mp_LexicalSearch *search);

void mp_lexical_end(mp_LexicalSearch *search);

#endif
