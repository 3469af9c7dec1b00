/* lexical.c: see lexical.h. Searches are in lexical_search.c, the terms of a
 * text in lexical_words.c. */
#include "lexical.h"

#include "alloc.h"
#include "lexical_index.h"

#include <string.h>

#define FIRST_SLOTS 256

/* Documents deleted that are worth going through all lists. */
#define GONE_LEAST 1024

/* Terms whose lists are tidied at once. */
#define TIDY_TERMS 256

void mp_lexical_init(mp_Lexical *self, double k1, double b)
{
    memset(self, 0, sizeof *self);
    self->k1 = k1;
    self->b = b;
    mp_buf_init(&self->names, SIZE_MAX / 2);
}

void mp_lexical_term(mp_Lexical *self)
{
    for (size_t i = 0; i < self->term_count; i++)
        if (self->terms[i].room > 0) mp_alloc_free(self->terms[i].places.list);
    mp_alloc_free(self->terms);
    mp_alloc_free(self->slots);
    mp_alloc_free(self->lengths);
    mp_alloc_free(self->scores);
    mp_buf_term(&self->names);
    mp_lexical_init(self, self->k1, self->b);
}

/* --- terms --- */

/* FNV-1a, then the finish of MurmurHash3: the slots are its lower bits. */
static uint32_t hash_of(const char *bytes, size_t len)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (uint8_t)bytes[i]) * 0x100000001b3u;
    hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
    return (uint32_t)(hash ^ (hash >> 33));
}

/* The slot of the term, or the free one where it belongs. */
static uint32_t *slot_of(const mp_Lexical *self, const char *name, size_t len,
                         uint32_t hash)
{
    size_t mask = self->slot_count - 1, at = hash & mask;

    for (; self->slots[at] != 0; at = (at + 1) & mask) {
        const mp_LexicalTerm *term = &self->terms[self->slots[at] - 1];

        if (term->hash == hash && term->len == len &&
            memcmp(self->names.data + term->name, name, len) == 0)
            break;
    }
    return &self->slots[at];
}

mp_LexicalTerm *mp_lexical_find(const mp_Lexical *self, const char *name,
                                size_t len)
{
    uint32_t number;

    if (self->slot_count == 0) return NULL;
    number = *slot_of(self, name, len, hash_of(name, len));
    return number == 0 ? NULL : &self->terms[number - 1];
}

static bool grow_slots(mp_Lexical *self)
{
    size_t count = self->slot_count ? self->slot_count * 2 : FIRST_SLOTS;
    uint32_t *slots = mp_alloc_zero(count, sizeof *slots);

    if (!slots) return false;
    for (size_t i = 0; i < self->term_count; i++) {
        size_t at = self->terms[i].hash & (count - 1);

        while (slots[at] != 0)
            at = (at + 1) & (count - 1);
        slots[at] = (uint32_t)i + 1;
    }
    mp_alloc_free(self->slots);
    self->slots = slots;
    self->slot_count = count;
    return true;
}

static bool grow_terms(mp_Lexical *self)
{
    size_t room = self->term_room ? self->term_room * 2 : FIRST_SLOTS / 2;
    mp_LexicalTerm *terms =
        mp_alloc_resize(self->terms, room * sizeof *self->terms);

    if (!terms) return false;
    self->terms = terms;
    self->term_room = room;
    return true;
}

/* A new term with an empty list; NULL without memory. */
static mp_LexicalTerm *add_term(mp_Lexical *self, const char *name, size_t len,
                                uint32_t hash)
{
    mp_LexicalTerm *term;

    if (self->term_count * 2 >= self->slot_count && !grow_slots(self))
        return NULL;
    if (self->term_count == self->term_room && !grow_terms(self)) return NULL;
    if (mp_buf_reserve(&self->names, len + 1) != MP_OK) {
        self->names.status = MP_OK; /* what is there stays good */
        return NULL;
    }
    term = &self->terms[self->term_count];
    *term = (mp_LexicalTerm){.name = self->names.len,
                             .len = (uint32_t)len,
                             .hash = hash,
                             .tidied = self->deletions};
    mp_buf_append(&self->names, name, len);
    *slot_of(self, name, len, hash) = (uint32_t)++self->term_count;
    return term;
}

/* --- places --- */

mp_LexicalPlace *mp_lexical_places(mp_LexicalTerm *term)
{
    return term->room > 0 ? term->places.list : &term->places.one;
}

/* From one place in the term itself to a list of four. */
static bool grow_places(mp_LexicalTerm *term)
{
    uint32_t room = term->room ? term->room * 2 : 4;
    mp_LexicalPlace *list = mp_alloc_resize(
        term->room ? term->places.list : NULL, room * sizeof *list);

    if (!list) return false;
    if (term->room == 0) list[0] = term->places.one;
    term->places.list = list;
    term->room = room;
    return true;
}

static bool add_place(mp_LexicalTerm *term, uint32_t doc)
{
    mp_LexicalPlace *places = mp_lexical_places(term);

    if (term->count > 0 && places[term->count - 1].doc == doc) {
        places[term->count - 1].times++;
        return true;
    }
    if (term->count >= (term->room ? term->room : 1) && !grow_places(term))
        return false;
    mp_lexical_places(term)[term->count++] = (mp_LexicalPlace){doc, 1};
    return true;
}

/* --- documents --- */

mp_Status mp_lexical_reserve(mp_Lexical *self, size_t first, size_t count,
                             mp_Error *err)
{
    size_t docs = first + count;

    if (docs > self->doc_room) {
        size_t room = docs + docs / 2 + 16;
        uint32_t *lengths =
            mp_alloc_resize(self->lengths, room * sizeof *lengths);

        if (!lengths) return mp_err_memory(err);
        self->lengths = lengths;
        self->doc_room = room;
    }
    for (; self->docs < docs; self->docs++)
        self->lengths[self->docs] = MP_LEXICAL_NONE;
    return MP_OK;
}

static mp_LexicalTerm *intern(mp_Lexical *self, const mp_LexicalName *name)
{
    uint32_t hash = hash_of(name->bytes, name->len), number = 0;

    if (self->slot_count > 0)
        number = *slot_of(self, name->bytes, name->len, hash);
    if (number > 0) return &self->terms[number - 1];
    return add_term(self, name->bytes, name->len, hash);
}

mp_Status mp_lexical_read(mp_Lexical *self, size_t doc, mp_LexicalText *text,
                          size_t until, mp_Error *err)
{
    uint32_t *length = &self->lengths[doc];
    mp_LexicalName name;

    if (*length == MP_LEXICAL_NONE) *length = 0;
    while (mp_lexical_next(text, until, &name)) {
        mp_LexicalTerm *term = intern(self, &name);

        if (!term || !add_place(term, (uint32_t)doc)) return mp_err_memory(err);
        if (*length < MP_LEXICAL_NONE - 1) ++*length;
    }
    return MP_OK;
}

void mp_lexical_keep(mp_Lexical *self, size_t first, size_t count)
{
    self->live += count;
    for (size_t doc = first; doc < first + count; doc++)
        self->words += self->lengths[doc];
}

/* They are the last ones of each list. */
void mp_lexical_drop(mp_Lexical *self, size_t first, size_t count)
{
    for (size_t i = 0; i < self->term_count; i++) {
        mp_LexicalTerm *term = &self->terms[i];
        const mp_LexicalPlace *places = mp_lexical_places(term);

        while (term->count > 0 && places[term->count - 1].doc >= first &&
               places[term->count - 1].doc - first < count)
            term->count--;
    }
    for (size_t doc = first; doc < first + count && doc < self->docs; doc++)
        self->lengths[doc] = MP_LEXICAL_NONE;
}

/* --- deleting --- */

void mp_lexical_delete(mp_Lexical *self, const uint32_t *docs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t doc = docs[i];

        if (doc >= self->docs || self->lengths[doc] == MP_LEXICAL_NONE)
            continue;
        self->live--;
        self->words -= self->lengths[doc];
        self->lengths[doc] = MP_LEXICAL_NONE;
        self->gone++;
    }
    self->deletions++;
    self->tidy_next = 0;
}

/* Gives back half of a list that is a quarter full; in vain without memory. */
static void shrink(mp_LexicalTerm *term)
{
    uint32_t room = term->room / 2;
    mp_LexicalPlace *list;

    if (room < 8 || term->count > room / 2) return;
    list = mp_alloc_resize(term->places.list, room * sizeof *list);
    if (!list) return;
    term->places.list = list;
    term->room = room;
}

void mp_lexical_tidy_term(const mp_Lexical *self, mp_LexicalTerm *term)
{
    mp_LexicalPlace *places = mp_lexical_places(term);
    uint32_t kept = 0;

    if (term->tidied == self->deletions) return;
    for (uint32_t i = 0; i < term->count; i++)
        if (self->lengths[places[i].doc] != MP_LEXICAL_NONE)
            places[kept++] = places[i];
    term->count = kept;
    term->tidied = self->deletions;
    shrink(term);
}

bool mp_lexical_tidy(mp_Lexical *self)
{
    if (self->gone < GONE_LEAST || self->gone < self->live) return false;
    for (int i = 0; i < TIDY_TERMS && self->tidy_next < self->term_count; i++)
        mp_lexical_tidy_term(self, &self->terms[self->tidy_next++]);
    if (self->tidy_next == self->term_count) self->gone = 0;
    return true;
}
