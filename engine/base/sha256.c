/* sha256.c: see sha256.h. */
#include "sha256.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>
#endif

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
    0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
    0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* --- in plain C --- */

static inline uint32_t turn(uint32_t x, int by)
{
    return x >> by | x << (32 - by);
}

/* The 64 words that a block becomes. */
static void expand(uint32_t words[64], const uint8_t *block)
{
    for (int i = 0; i < 16; i++)
        words[i] = (uint32_t)block[4 * i] << 24 |
                   (uint32_t)block[4 * i + 1] << 16 |
                   (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = words[i - 15], b = words[i - 2];

        words[i] = words[i - 16] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) +
                   words[i - 7] + (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
    }
}

/* Round [i]; the letters wander through [s], so that nothing is moved. */
static inline void mix_round(uint32_t s[8], int i, uint32_t word)
{
    uint32_t a = s[(0 - i) & 7], b = s[(1 - i) & 7], c = s[(2 - i) & 7];
    uint32_t e = s[(4 - i) & 7], f = s[(5 - i) & 7], g = s[(6 - i) & 7];
    uint32_t *h = &s[(7 - i) & 7];

    *h += (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) +
          round_constants[i] + word;
    s[(3 - i) & 7] += *h;
    *h += (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) +
          ((a & b) ^ (a & c) ^ (b & c));
}

static void mix_one(uint32_t state[8], const uint8_t *block)
{
    uint32_t words[64], s[8];

    expand(words, block);
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i += 8)
        for (int j = 0; j < 8; j++)
            mix_round(s, i + j, words[i + j]);
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

static void mix_plain(uint32_t state[8], const uint8_t *blocks, size_t count)
{
    for (; count > 0; count--, blocks += 64)
        mix_one(state, blocks);
}

/* --- with the processor's instructions --- */

#if defined(__x86_64__)
#define SHA __attribute__((target("sha,sse4.1,ssse3")))

/* Four words of a block, most significant byte first. */
SHA static inline __m128i load(const uint8_t *bytes)
{
    const __m128i order =
        _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);

    return _mm_shuffle_epi8(
        _mm_loadu_si128((const __m128i *)(const void *)bytes), order);
}

/* The words i to i + 3 of those before them: w[0] are the oldest. */
SHA static inline __m128i next_words(const __m128i w[4])
{
    __m128i sum = _mm_sha256msg1_epu32(w[0], w[1]);

    sum = _mm_add_epi32(sum, _mm_alignr_epi8(w[3], w[2], 4));
    return _mm_sha256msg2_epu32(sum, w[3]);
}

/* The state as the instructions want it: lanes f e b a and h g d c. */
SHA static void mix_block(__m128i *abef, __m128i *cdgh, const uint8_t *block)
{
    __m128i a = *abef, c = *cdgh, w[4];

    for (int i = 0; i < 4; i++)
        w[i] = load(block + 16 * i);
    for (int i = 0; i < 16; i++) {
        __m128i sum = _mm_add_epi32(
            w[0], _mm_loadu_si128((
                      const __m128i *)(const void *)(round_constants + 4 * i)));
        __m128i next = next_words(w);

        c = _mm_sha256rnds2_epu32(c, a, sum);
        a = _mm_sha256rnds2_epu32(a, c, _mm_shuffle_epi32(sum, 0x0e));
        w[0] = w[1];
        w[1] = w[2];
        w[2] = w[3];
        w[3] = next;
    }
    *abef = _mm_add_epi32(*abef, a);
    *cdgh = _mm_add_epi32(*cdgh, c);
}

SHA static void mix_native(uint32_t s[8], const uint8_t *blocks, size_t count)
{
    __m128i abef = _mm_set_epi32((int)s[0], (int)s[1], (int)s[4], (int)s[5]);
    __m128i cdgh = _mm_set_epi32((int)s[2], (int)s[3], (int)s[6], (int)s[7]);
    uint32_t out[8];

    for (; count > 0; count--, blocks += 64)
        mix_block(&abef, &cdgh, blocks);
    _mm_storeu_si128((__m128i *)(void *)out, abef);
    _mm_storeu_si128((__m128i *)(void *)(out + 4), cdgh);
    s[0] = out[3], s[1] = out[2], s[4] = out[1], s[5] = out[0];
    s[2] = out[7], s[3] = out[6], s[6] = out[5], s[7] = out[4];
}

/* 0: not asked yet, 1: no, 2: yes. */
static atomic_int native;

static int ask_processor(void)
{
    unsigned a, b, c, d;

    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && b & bit_SHA) return 2;
    return 1;
}

static void mix(uint32_t state[8], const uint8_t *blocks, size_t count)
{
    if (atomic_load_explicit(&native, memory_order_relaxed) == 0)
        atomic_store_explicit(&native, ask_processor(), memory_order_relaxed);
    if (atomic_load_explicit(&native, memory_order_relaxed) == 2)
        mix_native(state, blocks, count);
    else
        mix_plain(state, blocks, count);
}

void mp_sha256_plain(int plain)
{
    atomic_store(&native, plain ? 1 : 0);
}
#else
#define mix mix_plain

void mp_sha256_plain(int plain)
{
    (void)plain;
}
#endif

/* --- the bytes --- */

void mp_sha256_init(mp_Sha256 *hash)
{
    static const uint32_t first[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372,
                                      0xa54ff53a, 0x510e527f, 0x9b05688c,
                                      0x1f83d9ab, 0x5be0cd19};

    memcpy(hash->state, first, sizeof first);
    hash->len = 0;
}

void mp_sha256_feed(mp_Sha256 *hash, const void *bytes, size_t len)
{
    const uint8_t *from = bytes;
    size_t used = (size_t)(hash->len % 64);

    hash->len += len;
    if (used > 0) {
        size_t part = len < 64 - used ? len : 64 - used;

        memcpy(hash->block + used, from, part);
        if (used + part < 64) return;
        mix(hash->state, hash->block, 1);
        from += part;
        len -= part;
    }
    mix(hash->state, from, len / 64);
    if (len % 64 > 0) memcpy(hash->block, from + len / 64 * 64, len % 64);
}

void mp_sha256_end(mp_Sha256 *hash, uint8_t sum[MP_SHA256_BYTES])
{
    uint8_t rest[72] = {0x80};
    uint64_t bits = hash->len * 8;
    size_t zeros = (size_t)((119 - hash->len % 64) % 64);

    for (int i = 0; i < 8; i++)
        rest[1 + zeros + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
    mp_sha256_feed(hash, rest, 9 + zeros);
    for (int i = 0; i < 32; i++)
        sum[i] = (uint8_t)(hash->state[i / 4] >> (24 - i % 4 * 8));
}

void mp_sha256_of(const void *bytes, size_t len, uint8_t sum[MP_SHA256_BYTES])
{
    mp_Sha256 hash;

    mp_sha256_init(&hash);
    mp_sha256_feed(&hash, bytes, len);
    mp_sha256_end(&hash, sum);
}
