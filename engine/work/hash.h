/*
 * hash.h: a vector made of a text alone, without a model: `hash-1024-v1`.
 *
 * Signed feature hashing of the words of word.h. The features are
 *
 *     w  each word             3  three characters in a row, 4  four of them,
 *     b  each two in a row        of the word with a blank on either side
 *
 * Each is hashed (FNV-1a with its letter in front, then mixed) to one of 1,024
 * places and a sign, and adds 1 + ln(times it occurs). The sum is scaled to
 * length 1; a text without words is all zeros. No weight for rarity: a vector
 * is a function of its text alone, so stores may keep it.
 *
 * The name covers all of this: whoever changes a vector changes the name.
 *
 * Threads: a state has one owner at a time.
 */
#ifndef MP_HASH_H
#define MP_HASH_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

#define MP_HASH_NAME "hash-1024-v1"
#define MP_HASH_DIM  1024

typedef struct mp_HashSlot {
    uint64_t feature; /* 0: free */
    uint32_t count;
} mp_HashSlot;

typedef struct mp_Hash {
    mp_HashSlot *slots; /* a power of two, half of them free at least */
    size_t size;
    size_t used;
    uint64_t previous; /* the hash of the word before; 0: none */
} mp_Hash;

/* Allocates nothing. */
void mp_hash_init(mp_Hash *hash);

void mp_hash_term(mp_Hash *hash);

/* Reads the words that begin in [text] at [*at] or behind and before [until],
 * and moves [*at] to where the next call goes on. `memory`. */
mp_Status mp_hash_read(mp_Hash *hash, const char *text, size_t len, size_t *at,
                       size_t until, mp_Error *err);

/* Writes the vector of what was read to [out], MP_HASH_DIM values, and forgets
 * it. */
void mp_hash_finish(mp_Hash *hash, float *out);

/* All of it at once. */
mp_Status mp_hash_text(const char *text, size_t len, float *out, mp_Error *err);

#endif
