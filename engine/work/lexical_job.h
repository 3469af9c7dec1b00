/*
 * lexical_job.h: inverted indexes that many may use, and their jobs.
 *
 * The jobs of an index stand in a line (line.h): an add or a delete is seen
 * whole or not at all, and what had ended before a search was submitted is seen
 * by it.
 *
 * Threads: any number of engines; the numbers are given out under the line's
 * lock, all else is the turn's.
 */
#ifndef MP_LEXICAL_JOB_H
#define MP_LEXICAL_JOB_H

#include "job.h"
#include "lexical.h"

typedef struct mp_LexicalIndex mp_LexicalIndex;

/* Makes an empty index; [k1] >= 0, [b] between 0 and 1. `memory`. Owned; give
 * it back with mp_lexical_index_unref. */
mp_Status mp_lexical_index_new(mp_LexicalIndex **index, double k1, double b,
                               mp_Error *err);

/* Jobs hold references of their own. */
void mp_lexical_index_unref(mp_LexicalIndex *index);

/* `closed` if another process of ours used the index while it forked this one:
 * to be asked before a job is made. */
mp_Status mp_lexical_index_check(mp_LexicalIndex *index, mp_Error *err);

/* Gives numbers for [count] documents, from [first] on: nobody else gets them,
 * also if they are never added. `limit` where there are none left. */
mp_Status mp_lexical_index_number(mp_LexicalIndex *index, size_t count,
                                  size_t *first, mp_Error *err);

/* The number of documents. */
size_t mp_lexical_index_count(mp_LexicalIndex *index);

/* Returns a job, owned, that adds the texts in [texts], of which number i ends
 * at [ends][i], as the documents from [first] on. [cut]: see lexical.h. Takes
 * both, [ends] an allocation of mp_alloc, and leaves [texts] empty. NULL
 * without memory; then both stay. */
mp_Job *mp_lexical_add_job(mp_LexicalIndex *index, size_t first, mp_Buf *texts,
                           size_t *ends, size_t count, bool cut);

/* Returns a job, owned, that deletes those of [docs] that are there; takes
 * them, an allocation of mp_alloc. NULL without memory; then they stay. */
mp_Job *mp_lexical_delete_job(mp_LexicalIndex *index, uint32_t *docs,
                              size_t count);

/* Returns a job, owned, that gives the [k] >= 1 best for [query], which it
 * takes: one row of scores in `floats`, and as many numbers of documents as
 * text in `head`, with blanks between; both empty where there are none. NULL
 * without memory; then [query] stays. */
mp_Job *mp_lexical_search_job(mp_LexicalIndex *index, mp_Buf *query, bool cut,
                              size_t k);

#endif
