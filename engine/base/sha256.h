/*
 * sha256.h: SHA-256 (FIPS 180-4), fed piece by piece.
 *
 * Where the processor has instructions for it they are used, at 1 to 2 GB/s; in
 * plain C it is about 0.2.
 *
 * Threads: one owner at a time.
 */
#ifndef MP_SHA256_H
#define MP_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define MP_SHA256_BYTES 32

typedef struct mp_Sha256 {
    uint32_t state[8];
    uint64_t len; /* bytes so far */
    uint8_t block[64];
} mp_Sha256;

void mp_sha256_init(mp_Sha256 *hash);

void mp_sha256_feed(mp_Sha256 *hash, const void *bytes, size_t len);

/* Writes the sum; [hash] must be made anew after it. */
void mp_sha256_end(mp_Sha256 *hash, uint8_t sum[MP_SHA256_BYTES]);

/* All at once. */
void mp_sha256_of(const void *bytes, size_t len, uint8_t sum[MP_SHA256_BYTES]);

/* Test hook: plain C, also where the processor could do better. */
void mp_sha256_plain(int plain);

#endif
