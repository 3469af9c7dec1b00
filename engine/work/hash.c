/* hash.c: see hash.h. */
#include "hash.h"

#include "alloc.h"
#include "word.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define FNV_BASIS  0xcbf29ce484222325u
#define FNV_PRIME  0x100000001b3u
#define FIRST_SIZE 256

/* --- features --- */

static uint64_t fnv(uint64_t hash, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (uint8_t)bytes[i]) * FNV_PRIME;
    return hash;
}

/* FNV's upper bits hardly know the last bytes: the finish of MurmurHash3. */
static uint64_t mix(uint64_t hash)
{
    hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
    hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53u;
    hash ^= hash >> 33;
    return hash ? hash : 1;
}

static uint64_t feature_of(char kind, const char *bytes, size_t len)
{
    return mix(fnv(fnv(FNV_BASIS, &kind, 1), bytes, len));
}

static mp_HashSlot *slot_of(mp_HashSlot *slots, size_t size, uint64_t feature)
{
    size_t at = (size_t)feature & (size - 1);

    while (slots[at].feature != 0 && slots[at].feature != feature)
        at = (at + 1) & (size - 1);
    return &slots[at];
}

static bool grow(mp_Hash *hash)
{
    size_t size = hash->size ? hash->size * 2 : FIRST_SIZE;
    mp_HashSlot *slots = mp_alloc_zero(size, sizeof *slots);

    if (!slots) return false;
    for (size_t i = 0; i < hash->size; i++)
        if (hash->slots[i].feature != 0)
            *slot_of(slots, size, hash->slots[i].feature) = hash->slots[i];
    mp_alloc_free(hash->slots);
    hash->slots = slots;
    hash->size = size;
    return true;
}

static bool add(mp_Hash *hash, uint64_t feature)
{
    mp_HashSlot *slot;

    if (hash->used * 2 >= hash->size && !grow(hash)) return false;
    slot = slot_of(hash->slots, hash->size, feature);
    if (slot->feature == 0) hash->used++;
    slot->feature = feature;
    if (slot->count < UINT32_MAX) slot->count++;
    return true;
}

/* --- words --- */

static bool add_grams(mp_Hash *hash, const mp_Word *word, size_t count)
{
    for (size_t i = 0; i + count <= word->characters; i++) {
        size_t from = word->starts[i], to = word->starts[i + count];

        if (!add(hash, feature_of((char)('0' + count), word->bytes + from,
                                  to - from)))
            return false;
    }
    return true;
}

static bool add_word(mp_Hash *hash, const mp_Word *word)
{
    uint64_t own = feature_of('w', word->bytes + 1, word->len - 2);
    uint64_t before = hash->previous;

    hash->previous = own;
    if (!add(hash, own)) return false;
    /* one byte of the sum after the other, as on every machine */
    if (before != 0) {
        char both[16];

        for (int i = 0; i < 8; i++) {
            both[i] = (char)(before >> (8 * i) & 255);
            both[i + 8] = (char)(own >> (8 * i) & 255);
        }
        if (!add(hash, feature_of('b', both, sizeof both))) return false;
    }
    return add_grams(hash, word, 3) && add_grams(hash, word, 4);
}

/* --- a text --- */

void mp_hash_init(mp_Hash *hash)
{
    memset(hash, 0, sizeof *hash);
}

void mp_hash_term(mp_Hash *hash)
{
    mp_alloc_free(hash->slots);
    mp_hash_init(hash);
}

mp_Status mp_hash_read(mp_Hash *hash, const char *text, size_t len, size_t *at,
                       size_t until, mp_Error *err)
{
    mp_Word word;

    while (mp_word_next(&word, text, len, at, until))
        if (!add_word(hash, &word)) return mp_err_memory(err);
    return MP_OK;
}

static void scale(const double *sum, float *out)
{
    double square = 0, factor;

    for (size_t i = 0; i < MP_HASH_DIM; i++)
        square += sum[i] * sum[i];
    factor = square > 0 ? 1 / sqrt(square) : 0;
    for (size_t i = 0; i < MP_HASH_DIM; i++)
        out[i] = (float)(sum[i] * factor);
}

void mp_hash_finish(mp_Hash *hash, float *out)
{
    double sum[MP_HASH_DIM] = {0};

    for (size_t i = 0; i < hash->size; i++) {
        const mp_HashSlot *slot = &hash->slots[i];
        double weight;

        if (slot->feature == 0) continue;
        weight = 1 + log(slot->count);
        sum[slot->feature >> 32 & (MP_HASH_DIM - 1)] +=
            slot->feature >> 63 ? -weight : weight;
    }
    scale(sum, out);
    mp_hash_term(hash);
}

mp_Status mp_hash_text(const char *text, size_t len, float *out, mp_Error *err)
{
    mp_Status status;
    mp_Hash hash;
    size_t at = 0;

    mp_hash_init(&hash);
    status = mp_hash_read(&hash, text, len, &at, len, err);
    if (status == MP_OK) mp_hash_finish(&hash, out);
    mp_hash_term(&hash);
    return status;
}
