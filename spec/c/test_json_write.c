/* test_json_write.c: base/json_write. */
#include "alloc.h"
#include "json_write.h"
#include "test.h"
#include "torture.h"

#include "check_case.h"

#include <math.h>
#include <string.h>

typedef struct Case {
    const char *text;
    const char *json;
} Case;

static const Case cases[] = {
    {"", "\"\""},
    {"plain, long enough for whole words", NULL},
    {"say \"hi\"", "\"say \\\"hi\\\"\""},
    {"a\\b", "\"a\\\\b\""},
    {"a/b", "\"a/b\""},
    {"\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\""},
    {"\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\""},
    {"caf\xc3\xa9 \xf0\x9f\x98\x80", "\"caf\xc3\xa9 \xf0\x9f\x98\x80\""},
    {"a\xff!", "\"a\xef\xbf\xbd!\""},
    {"\xe2\x82", "\"\xef\xbf\xbd\""},
    {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
};

static void test_text(void)
{
    char plain[64];
    size_t i;
    mp_Buf out;

    mp_buf_init(&out, 0);
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *json = cases[i].json;

        snprintf(plain, sizeof plain, "\"%s\"", cases[i].text);
        mp_buf_clear(&out);
        CHECK(mp_json_write_text(&out, cases[i].text, strlen(cases[i].text)) ==
              MP_OK);
        CHECK_CASE(cases[i].text, strcmp(out.data, json ? json : plain) == 0);
    }
    mp_buf_term(&out);
}

static void test_text_keeps_nul(void)
{
    mp_Buf out;

    mp_buf_init(&out, 0);
    CHECK(mp_json_write_text(&out, "a\0b", 3) == MP_OK);
    CHECK(strcmp(out.data, "\"a\\u0000b\"") == 0);
    mp_buf_term(&out);
}

static void test_text_stops_at_the_limit(void)
{
    mp_Buf out;

    mp_buf_init(&out, 4);
    CHECK(mp_json_write_text(&out, "abc", 3) == -MP_KIND_TOO_LARGE);
    mp_buf_term(&out);
}

static void test_number(void)
{
    mp_Error err;
    mp_Buf out;

    mp_buf_init(&out, 0);
    CHECK(mp_json_write_number(&out, 0.5, &err) == MP_OK);
    CHECK(mp_json_write_number(&out, NAN, &err) == -MP_KIND_INPUT);
    CHECK(strcmp(err.message, "nan is not a number that JSON has") == 0);
    CHECK(mp_json_write_number(&out, -INFINITY, &err) == -MP_KIND_INPUT);
    CHECK(strcmp(err.message, "-inf is not a number that JSON has") == 0);
    CHECK(strcmp(out.data, "0.5") == 0);
    mp_buf_term(&out);
}

static mp_Status write_much(void *userdata)
{
    mp_Status status;
    mp_Buf out;
    int i;

    (void)userdata;
    mp_buf_init(&out, 0);
    for (i = 0; i < 100; i++) {
        mp_json_write_text(&out, "line\n\xff", 6);
        mp_json_write_number(&out, i / 3.0, NULL);
    }
    status = out.status;
    mp_buf_term(&out);
    return status;
}

int main(void)
{
    test_text();
    test_text_keeps_nul();
    test_text_stops_at_the_limit();
    test_number();
    CHECK(torture(write_much, NULL) > 2);
    return TEST_END();
}
