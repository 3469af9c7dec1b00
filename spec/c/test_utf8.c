/* test_utf8.c: base/utf8. */
#include "test.h"

#include "check_case.h"
#include "utf8.h"

#include <string.h>

typedef struct Case {
    const char *text;
    mp_Utf8 verdict;
    size_t used;
} Case;

static const Case cases[] = {
    {"a", MP_UTF8_GOOD, 1},
    {"\xc3\xa9", MP_UTF8_GOOD, 2},
    {"\xe2\x82\xac", MP_UTF8_GOOD, 3},
    {"\xed\x9f\xbf", MP_UTF8_GOOD, 3},
    {"\xee\x80\x80", MP_UTF8_GOOD, 3},
    {"\xf0\x9f\x98\x80", MP_UTF8_GOOD, 4},
    {"\xf4\x8f\xbf\xbf", MP_UTF8_GOOD, 4},
    {"\x80", MP_UTF8_BAD, 1},             /* nothing leads it */
    {"\xc0\x80", MP_UTF8_BAD, 1},         /* overlong NUL */
    {"\xc1\xbf", MP_UTF8_BAD, 1},         /* overlong */
    {"\xe0\x9f\xbf", MP_UTF8_BAD, 1},     /* overlong */
    {"\xf0\x8f\xbf\xbf", MP_UTF8_BAD, 1}, /* overlong */
    {"\xed\xa0\x80", MP_UTF8_BAD, 1},     /* a surrogate */
    {"\xf4\x90\x80\x80", MP_UTF8_BAD, 1}, /* beyond U+10FFFF */
    {"\xf5", MP_UTF8_BAD, 1},
    {"\xff", MP_UTF8_BAD, 1},
    {"\xc3!", MP_UTF8_BAD, 1},
    {"\xe2\x82!", MP_UTF8_BAD, 2}, /* one error, not two */
    {"\xf0\x9f\x98!", MP_UTF8_BAD, 3},
    {"\xc3", MP_UTF8_CUT, 1},
    {"\xe2\x82", MP_UTF8_CUT, 2},
    {"\xf0\x9f\x98", MP_UTF8_CUT, 3},
};

static void test_next(void)
{
    size_t i, used;

    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        const Case *c = &cases[i];

        CHECK_CASE(c->text,
                   mp_utf8_next(c->text, strlen(c->text), &used) == c->verdict);
        CHECK_CASE(c->text, used == c->used);
    }
}

static void test_put_is_the_inverse_of_next(void)
{
    unsigned code;
    char bytes[4];
    size_t len, used, good = 0;

    for (code = 0; code <= 0x10ffff; code++) {
        len = mp_utf8_put(code, bytes);
        if (mp_utf8_next(bytes, len, &used) == MP_UTF8_GOOD && used == len)
            good++;
    }
    CHECK(good == 0x110000 - 0x800); /* all but the surrogates */
}

int main(void)
{
    test_next();
    test_put_is_the_inverse_of_next();
    return TEST_END();
}
