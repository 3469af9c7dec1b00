/* test_base64.c: base/base64, against RFC 4648's vectors and an encoder of the
 * test's own. */
#include "base64.h"
#include "check_case.h"
#include "test.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Decodes a copy without a byte behind it, so that a look there is caught. */
static mp_Status decode(const char *text, size_t len, char *out, size_t *used,
                        mp_Error *err)
{
    char *copy = malloc(len ? len : 1);
    char *room = malloc(MP_BASE64_ROOM(len));
    mp_Status status;

    memcpy(copy, text, len);
    status = mp_base64_decode(copy, len, room, used, err);
    if (status == MP_OK) memcpy(out, room, *used);
    free(room);
    free(copy);
    return status;
}

static bool gives(const char *text, const char *expected)
{
    char out[64];
    size_t used;
    mp_Error err;

    return decode(text, strlen(text), out, &used, &err) == MP_OK &&
           used == strlen(expected) && memcmp(out, expected, used) == 0;
}

static bool refuses(const char *text, const char *message)
{
    char out[64];
    size_t used;
    mp_Error err;

    if (decode(text, strlen(text), out, &used, &err) != -MP_KIND_DECODE)
        return false;
    if (strcmp(err.message, message) == 0) return true;
    fprintf(stderr, "  %s\n", err.message);
    return false;
}

typedef struct Case {
    const char *text;
    const char *expected;
} Case;

static const Case good[] = {
    {"", ""},
    {"Zg==", "f"},
    {"Zm8=", "fo"},
    {"Zm9v", "foo"},
    {"Zm9vYg==", "foob"},
    {"Zm9vYmE=", "fooba"},
    {"Zm9vYmFy", "foobar"},
    {"Zg", "f"},
    {"Zm8", "fo"},
    {"Zm9vYg", "foob"},
    {"+/+/", "\xfb\xff\xbf"},
};

static const Case bad[] = {
    {"Z", "base64 ends inside a byte (offset 1)"},
    {"Zm9vY", "base64 ends inside a byte (offset 5)"},
    {"Zg=", "'=' is no base64 here (offset 2)"},
    {"Zm9v=", "'=' is no base64 here (offset 4)"},
    {"Zm9v====", "'=' is no base64 here (offset 4)"},
    {"=", "'=' is no base64 here (offset 0)"},
    {"====", "'=' is no base64 here (offset 0)"},
    {"Z===", "'=' is no base64 here (offset 1)"},
    {"Zg==Zg==", "'=' is no base64 here (offset 2)"},
    {"Zm9v Zm9v", "byte 0x20 is no base64 here (offset 4)"},
    {"Zm9v\n", "byte 0x0a is no base64 here (offset 4)"},
    {"\nZm9", "byte 0x0a is no base64 here (offset 0)"},
    {"Zm9-", "'-' is no base64 here (offset 3)"},
    {"Zm_v", "'_' is no base64 here (offset 2)"},
    {"Zm9vZm9{", "'{' is no base64 here (offset 7)"},
    {"Z\xc3\xa9v", "byte 0xc3 is no base64 here (offset 1)"},
    {"Zh==", "'h' is no base64 here (offset 1)"},
    {"Zh", "'h' is no base64 here (offset 1)"},
    {"Zm9=", "'9' is no base64 here (offset 2)"},
};

static void test_nul(void)
{
    char out[8];
    size_t used;
    mp_Error err;

    CHECK(decode("Zm9\0", 4, out, &used, &err) == -MP_KIND_DECODE);
    CHECK(strcmp(err.message, "byte 0x00 is no base64 here (offset 3)") == 0);
    CHECK(mp_base64_decode("Z", 1, out, &used, NULL) == -MP_KIND_DECODE);
}

/* The plainest encoder: one bit after the other. Returns the length without
 * padding. */
static size_t encode(const unsigned char *bytes, size_t len, char *out)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t count = (len * 8 + 5) / 6;

    for (size_t i = 0; i < count; i++) {
        unsigned value = 0;

        for (size_t bit = i * 6; bit < i * 6 + 6; bit++) {
            unsigned byte = bit / 8 < len ? bytes[bit / 8] : 0;

            value = value << 1 | (byte >> (7 - bit % 8) & 1);
        }
        out[i] = alphabet[value];
    }
    return count;
}

/* All 256 bytes at all places of a group, with and without padding. */
static void test_reads_what_was_written(void)
{
    unsigned char bytes[300];
    char text[404], out[300];
    size_t len, count, used;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 7 + i / 256);
    for (len = 0; len <= sizeof bytes; len++) {
        count = encode(bytes, len, text);
        CHECK(decode(text, count, out, &used, NULL) == MP_OK);
        CHECK(used == len && memcmp(out, bytes, len) == 0);
        while (count % 4 != 0)
            text[count++] = '=';
        memset(out, 0, sizeof out);
        CHECK(decode(text, count, out, &used, NULL) == MP_OK);
        CHECK(used == len && memcmp(out, bytes, len) == 0);
    }
}

int main(void)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK_CASE(good[i].text, gives(good[i].text, good[i].expected));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_CASE(bad[i].text, refuses(bad[i].text, bad[i].expected));
    test_nul();
    test_reads_what_was_written();
    return TEST_END();
}
