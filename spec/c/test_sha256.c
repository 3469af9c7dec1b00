/* test_sha256.c: base/sha256, with the processor's instructions and without. */
#include "test.h"

#include "sha256.h"

#include <stdbool.h>
#include <string.h>

static bool sums(const void *bytes, size_t len, const char *expected)
{
    uint8_t sum[MP_SHA256_BYTES];
    char text[65];

    mp_sha256_of(bytes, len, sum);
    for (size_t i = 0; i < sizeof sum; i++)
        snprintf(text + 2 * i, 3, "%02x", sum[i]);
    return strcmp(text, expected) == 0;
}

/* The examples of FIPS 180-4, and of coreutils' sha256sum. */
static void test_known(void)
{
    static char million[1000000];
    const char *two =
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";

    memset(million, 'a', sizeof million);
    CHECK(sums("", 0,
               "e3b0c44298fc1c149afbf4c8996fb924"
               "27ae41e4649b934ca495991b7852b855"));
    CHECK(sums("abc", 3,
               "ba7816bf8f01cfea414140de5dae2223"
               "b00361a396177a9cb410ff61f20015ad"));
    CHECK(sums(two, strlen(two),
               "248d6a61d20638b8e5c026930c3e6039"
               "a33ce45964ff2167f6ecedd419db06c1"));
    CHECK(sums(million, sizeof million,
               "cdc76e5c9914fb9281a1c7e284d73e67"
               "f1809a48a497200e046d39ccc7112cd0"));
}

/* However the bytes are cut, at every length around the blocks. */
static void test_pieces(void)
{
    uint8_t bytes[200], whole[MP_SHA256_BYTES], sum[MP_SHA256_BYTES];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        mp_sha256_of(bytes, len, whole);
        for (size_t cut = 0; cut <= len; cut++) {
            mp_Sha256 hash;

            mp_sha256_init(&hash);
            mp_sha256_feed(&hash, bytes, cut);
            mp_sha256_feed(&hash, bytes + cut, len - cut);
            mp_sha256_end(&hash, sum);
            CHECK(memcmp(sum, whole, sizeof sum) == 0);
        }
    }
}

/* Both ways are one. */
static void test_ways(void)
{
    uint8_t bytes[1000], plain[MP_SHA256_BYTES], best[MP_SHA256_BYTES];
    unsigned seed = 1;

    for (size_t len = 0; len < sizeof bytes; len++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[len] = (uint8_t)(seed >> 24);
        mp_sha256_plain(1);
        mp_sha256_of(bytes, len, plain);
        mp_sha256_plain(0);
        mp_sha256_of(bytes, len, best);
        CHECK(memcmp(plain, best, sizeof best) == 0);
    }
}

int main(void)
{
    test_known();
    test_pieces();
    mp_sha256_plain(1);
    test_known();
    test_ways();
    return TEST_END();
}
