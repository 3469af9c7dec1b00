/*
 * lexical_search.c: the searches of lexical.h.
 *
 * Term after term adds to the scores of the documents in its list; then a heap
 * gathers the best. Both in blocks, so that a search is done in slices.
 */
#include "alloc.h"
#include "lexical_index.h"

#include <math.h>
#include <string.h>

/* Places or documents that are looked at in a step: about 100 us. */
#define BLOCK ((size_t)32768)

mp_Status mp_lexical_begin(mp_Lexical *self, mp_LexicalSearch *search, size_t k,
                           mp_Error *err)
{
    if (self->docs > self->score_room) {
        double *scores = mp_alloc(self->doc_room * sizeof *scores);

        if (!scores) return mp_err_memory(err);
        mp_alloc_free(self->scores);
        self->scores = scores;
        self->score_room = self->doc_room;
    }
    search->room = k < self->live ? k : self->live;
    if (search->room > 0) {
        search->hits = mp_alloc_zero(search->room, sizeof *search->hits);
        if (!search->hits) return mp_err_memory(err);
        memset(self->scores, 0, self->docs * sizeof *self->scores);
    }
    search->doc = 0;
    return MP_OK;
}

void mp_lexical_end(mp_LexicalSearch *search)
{
    mp_alloc_free(search->hits);
    search->hits = NULL;
}

/* --- the scores --- */

static void begin_term(mp_Lexical *self, mp_LexicalSearch *search,
                       mp_LexicalTerm *term)
{
    double all = (double)self->live, own;

    mp_lexical_tidy_term(self, term);
    own = term->count;
    search->term = term;
    search->place = 0;
    search->weight = log(1 + (all - own + 0.5) / (own + 0.5)) * (self->k1 + 1);
}

static void score_block(mp_Lexical *self, mp_LexicalSearch *search)
{
    const mp_LexicalPlace *places = mp_lexical_places(search->term);
    size_t last = search->place + BLOCK;
    double fixed = self->k1 * (1 - self->b), weight = search->weight;
    double slope = self->words == 0 ? 0
                                    : self->k1 * self->b * (double)self->live /
                                          (double)self->words;

    if (last > search->term->count) last = search->term->count;
    for (size_t i = search->place; i < last; i++) {
        double times = places[i].times;
        double length = self->lengths[places[i].doc];

        self->scores[places[i].doc] +=
            weight * times / (times + fixed + slope * length);
    }
    search->place = last;
    if (last == search->term->count) search->term = NULL;
}

/* --- the best --- */

static bool is_worse(const mp_LexicalHit *a, const mp_LexicalHit *b)
{
    return a->score != b->score ? a->score < b->score : a->doc > b->doc;
}

static void sink(mp_LexicalHit *hits, size_t count, size_t at)
{
    mp_LexicalHit moved = hits[at];

    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && is_worse(&hits[child + 1], &hits[child]))
            child++;
        if (!is_worse(&hits[child], &moved)) break;
        hits[at] = hits[child];
        at = child;
    }
    hits[at] = moved;
}

static void rise(mp_LexicalHit *hits, size_t at)
{
    mp_LexicalHit moved = hits[at];

    while (at > 0 && is_worse(&moved, &hits[(at - 1) / 2])) {
        hits[at] = hits[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    hits[at] = moved;
}

/* Documents come in ascending order: an equal score does not oust. */
static void compare_block(mp_Lexical *self, mp_LexicalSearch *search)
{
    size_t last = search->doc + BLOCK;

    if (last > self->docs) last = self->docs;
    for (size_t doc = search->doc; doc < last; doc++) {
        double score = self->scores[doc];

        if (score <= 0) continue;
        if (search->count < search->room) {
            search->hits[search->count] = (mp_LexicalHit){score, (uint32_t)doc};
            rise(search->hits, search->count++);
        } else if (score > search->hits[0].score) {
            search->hits[0] = (mp_LexicalHit){score, (uint32_t)doc};
            sink(search->hits, search->count, 0);
        }
    }
    search->doc = last;
}

/* The worst goes to the end, and so on. */
static void sort(mp_LexicalSearch *search)
{
    for (size_t left = search->count; left > 1; left--) {
        mp_LexicalHit worst = search->hits[0];

        search->hits[0] = search->hits[left - 1];
        search->hits[left - 1] = worst;
        sink(search->hits, left - 1, 0);
    }
}

bool mp_lexical_step(mp_Lexical *self, mp_LexicalSearch *search)
{
    mp_LexicalText *query = &search->query;
    mp_LexicalName name;

    if (search->room == 0) return false;
    if (search->term) {
        score_block(self, search);
    } else if (query->at < query->len) {
        mp_LexicalTerm *term = NULL;

        if (mp_lexical_next(query, query->at + BLOCK, &name))
            term = mp_lexical_find(self, name.bytes, name.len);
        if (term) begin_term(self, search, term);
    } else if (search->doc < self->docs) {
        compare_block(self, search);
    } else {
        sort(search);
        return false;
    }
    return true;
}
