/* test_json_number.c: base/json_number. */
#include "json_number.h"
#include "test.h"

#include "check_case.h"

#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* --- reading --- */

typedef struct Case {
    const char *text;
    mp_JsonNumber found;
    size_t used;
    double value;
} Case;

#define D MP_JSON_NUMBER_DOUBLE
#define I MP_JSON_NUMBER_INTEGER
#define H MP_JSON_NUMBER_HUGE
#define C MP_JSON_NUMBER_CUT

static const Case cases[] = {
    {"0", D, 1, 0},
    {"7", D, 1, 7},
    {"-12", D, 3, -12},
    {"9007199254740992", D, 16, 9007199254740992.0},
    {"-9007199254740992", D, 17, -9007199254740992.0},
    {"9007199254740993", I, 16, 0},
    {"-9007199254740993", I, 17, 0},
    {"18446744073709551616", I, 20, 0}, /* 2^64 wraps to 0 */
    {"123456789012345678901234567890", I, 30, 0},
    {"0.1", D, 3, 0.1},
    {"1.5e3", D, 5, 1500},
    {"1E+2", D, 4, 100},
    {"25e-1", D, 5, 2.5},
    {"1e22", D, 4, 1e22},
    {"1e23", D, 4, 1e23},
    {"0.30000000000000004", D, 19, 0.30000000000000004},
    {"9007199254740993.0", D, 18, 9007199254740992.0},
    {"1.7976931348623157e308", D, 22, 1.7976931348623157e308},
    {"4.9e-324", D, 8, 4.9e-324},
    {"2.2250738585072011e-308", D, 23, 2.2250738585072011e-308},
    {"1e-400", D, 6, 0},
    {"0e999999999999", D, 14, 0},
    {"0.00000000000000000000000000001e29", D, 34, 1},
    {"100000000000000000000000000000e-29", D, 34, 1},
    {"1e400", H, 5, 0},
    {"-1e400", H, 6, 0},
    {"1e99999999999999999999", H, 22, 0},
    {"", C, 0, 0},
    {"-", C, 1, 0},
    {"1.", C, 2, 0},
    {"-.5", C, 1, 0},
    {"1e", C, 2, 0},
    {"1e+", C, 3, 0},
    {"1.e5", C, 2, 0},
    {"01", D, 1, 0}, /* the rest is not part of it */
    {"-00", D, 2, 0},
    {"1.5.2", D, 3, 1.5},
    {"1-2", D, 1, 1},
    {"0x10", D, 1, 0}, /* strtod would read 16 */
};

static void test_read(void)
{
    size_t i, used;
    double value;

    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        const Case *c = &cases[i];
        mp_JsonNumber found =
            mp_json_number_read(c->text, strlen(c->text), &used, &value);

        CHECK_CASE(c->text, found == c->found);
        CHECK_CASE(c->text, used == c->used);
        CHECK_CASE(c->text, found != D || value == c->value);
    }
}

static void test_read_keeps_the_sign_of_zero(void)
{
    size_t used;
    double value = 1;

    CHECK(mp_json_number_read("-0", 2, &used, &value) == D);
    CHECK(value == 0 && signbit(value));
}

/* A long run of zeros that an exponent takes back: no digit may be dropped
 * and no exponent cut short on the way. */
static void test_read_long_fraction(void)
{
    static char text[20100];
    size_t used;
    double value = 0;

    memset(text, '0', sizeof text);
    memcpy(text, "0.", 2);
    memcpy(text + 20000, "1e19999", 8);
    CHECK(mp_json_number_read(text, strlen(text), &used, &value) == D);
    CHECK(value == 1);
    memcpy(text + 20000, "1e99999", 8);
    CHECK(mp_json_number_read(text, strlen(text), &used, &value) == H);
}

/* --- writing --- */

static bool writes(double value, const char *text)
{
    char out[MP_JSON_NUMBER_SIZE];
    size_t len = mp_json_number_write(value, out);

    return len == strlen(text) && strcmp(out, text) == 0;
}

static void test_write(void)
{
    CHECK(writes(0, "0"));
    CHECK(writes(-0.0, "-0"));
    CHECK(writes(1, "1"));
    CHECK(writes(-1000000, "-1000000"));
    CHECK(writes(123456789012345, "123456789012345"));
    CHECK(writes(9007199254740991, "9007199254740991"));
    CHECK(writes(-9007199254740991, "-9007199254740991"));
    CHECK(writes(9007199254740992, "9007199254740992"));
    CHECK(writes(9007199254740994, "9007199254740994.0"));
    CHECK(writes(-12345678901234568, "-12345678901234568.0"));
    CHECK(writes(1e16, "1e+16"));
    CHECK(writes(1e20, "1e+20"));
    CHECK(writes(0.1, "0.1"));
    CHECK(writes(-2.5, "-2.5"));
    CHECK(writes(1.0 / 3, "0.3333333333333333"));
    CHECK(writes(0.1 + 0.2, "0.30000000000000004"));
    CHECK(writes(1.7976931348623157e308, "1.7976931348623157e+308"));
    CHECK(writes(-4.9406564584124654e-324, "-4.94065645841247e-324"));
}

static void test_write_refuses_what_json_lacks(void)
{
    char out[MP_JSON_NUMBER_SIZE];

    CHECK(mp_json_number_write(NAN, out) == 0);
    CHECK(mp_json_number_write(INFINITY, out) == 0);
    CHECK(mp_json_number_write(-INFINITY, out) == 0);
}

static uint64_t random_bits(void)
{
    static uint64_t state = 88172645463325252u; /* xorshift64 */

    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static bool comes_back(double value)
{
    char out[MP_JSON_NUMBER_SIZE];
    size_t used, len = mp_json_number_write(value, out);
    double back = 0;

    return mp_json_number_read(out, len, &used, &back) == D && used == len &&
           back == value;
}

static void test_all_that_is_written_comes_back(void)
{
    int i, wrong = 0;
    uint64_t bits;
    double value;

    for (i = 0; i < 100000; i++) {
        bits = random_bits();
        memcpy(&value, &bits, sizeof value);
        if (isnan(value) || isinf(value)) continue;
        if (!comes_back(value)) wrong++;
        if (!comes_back((double)(int32_t)bits / 1000)) wrong++;
        if (!comes_back((double)(int64_t)(bits >> (bits % 32)))) wrong++;
    }
    CHECK(wrong == 0);
}

/* strtod is the oracle for short decimals, which take the fast path. */
static void test_fast_path_agrees_with_strtod(void)
{
    char text[64];
    size_t used;
    double value;
    int i, wrong = 0;

    for (i = 0; i < 100000; i++) {
        snprintf(text, sizeof text, "%llu.%ue%d",
                 (unsigned long long)(random_bits() >> (random_bits() % 60)),
                 (unsigned)(random_bits() % 1000),
                 (int)(random_bits() % 60) - 30);
        if (mp_json_number_read(text, strlen(text), &used, &value) != D ||
            value != strtod(text, NULL))
            wrong++;
    }
    CHECK(wrong == 0);
}

/* Both ways under a locale with a decimal comma, where one is installed. */
static void test_the_locale_does_not_matter(void)
{
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8",
                                        "ru_RU.UTF-8", "pt_BR.UTF-8"};
    size_t i;

    for (i = 0; i < sizeof names / sizeof *names; i++)
        if (setlocale(LC_ALL, names[i])) break;
    if (*localeconv()->decimal_point != ',')
        fprintf(stderr, "no locale with a decimal comma is installed\n");
    test_read();
    test_write();
    CHECK(comes_back(0.1 + 0.2));
    setlocale(LC_ALL, "C");
}

int main(void)
{
    test_read();
    test_read_keeps_the_sign_of_zero();
    test_read_long_fraction();
    test_write();
    test_write_refuses_what_json_lacks();
    test_all_that_is_written_comes_back();
    test_fast_path_agrees_with_strtod();
    test_the_locale_does_not_matter();
    return TEST_END();
}
