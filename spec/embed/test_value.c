/*
 * test_value.c: values without an engine: made, read, copied, as JSON; and what
 * is done wrong with them.
 */
#include "moonpipe.h"
#include "test.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const moonpipe_Value *value, const char *path)
{
    return moonpipe_get_text(value, path, NULL);
}

/* Whether [value], which it frees, is this JSON. */
static bool is_json(moonpipe_Value *value, const char *json)
{
    moonpipe_Value *text = moonpipe_to_json(value);
    bool same = strcmp(text_of(text, NULL), json) == 0;

    if (!same) fprintf(stderr, "  %s\n", text_of(text, NULL));
    moonpipe_free(text);
    moonpipe_free(value);
    return same;
}

static moonpipe_Value *sample(void)
{
    moonpipe_Value *value = moonpipe_new_object();
    moonpipe_Value *list = moonpipe_new_array();

    CHECK(moonpipe_set(value, "name", moonpipe_new_string("bear")) == 1);
    CHECK(moonpipe_add(list, moonpipe_new_integer(7)) == 1);
    CHECK(moonpipe_add(list, moonpipe_new_number(0.5)) == 1);
    CHECK(moonpipe_add(list, moonpipe_new_null()) == 1);
    CHECK(moonpipe_set(value, "list", list) == 1);
    CHECK(moonpipe_set(value, "a.b", moonpipe_new_boolean(1)) == 1);
    CHECK(moonpipe_set(value, "deep", moonpipe_new_object()) == 1);
    return value;
}

static void test_reads_what_it_was_given(void)
{
    moonpipe_Value *value = sample();
    size_t length = 99;

    CHECK(moonpipe_type(value) == MOONPIPE_TYPE_OBJECT);
    CHECK(moonpipe_length(value) == 4);
    CHECK(strcmp(moonpipe_key(value, 0), "a.b") == 0); /* sorted */
    CHECK(strcmp(moonpipe_key(value, 3), "name") == 0);
    CHECK(moonpipe_key(value, 4) == NULL && moonpipe_at(value, 4) == NULL);
    CHECK(strcmp(moonpipe_get_text(value, "name", &length), "bear") == 0);
    CHECK(length == 4);
    CHECK(moonpipe_get_boolean(value, "a.b") == 1);
    CHECK(moonpipe_get_integer(value, "list.0") == 7);
    CHECK(moonpipe_get_number(value, "list.0") == 7);
    CHECK(moonpipe_get_number(value, "list.1") == 0.5);
    CHECK(moonpipe_get_integer(value, "list.1") == 0);
    CHECK(moonpipe_type(moonpipe_get(value, "list.2")) == MOONPIPE_TYPE_NULL);
    CHECK(moonpipe_key(moonpipe_get(value, "list"), 0) == NULL);
    CHECK(moonpipe_get(value, NULL) == value);
    moonpipe_free(value);
}

/* Each path that leads nowhere, and each reader at what it does not read. */
static void test_reads_nothing_as_nothing(void)
{
    static const char *const nowhere[] = {"",
                                          ".",
                                          "nam",
                                          "name.x",
                                          "list.3",
                                          "list.-1",
                                          "list.x",
                                          "list.",
                                          "deep.",
                                          "list.00000000000000000000001",
                                          "list.18446744073709551616",
                                          "a",
                                          "deep.a"};
    moonpipe_Value *value = sample();
    size_t rows = 9, dim = 9, length = 9;

    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++)
        CHECK(moonpipe_get(value, nowhere[i]) == NULL);
    CHECK(moonpipe_type(NULL) == MOONPIPE_TYPE_NONE);
    CHECK(moonpipe_length(NULL) == 0 && moonpipe_at(NULL, 0) == NULL);
    CHECK(strcmp(moonpipe_get_text(value, "list", &length), "") == 0);
    CHECK(length == 0 && strcmp(text_of(NULL, "x"), "") == 0);
    CHECK(moonpipe_get_boolean(value, "name") == 0);
    CHECK(moonpipe_get_number(value, "name") == 0);
    CHECK(moonpipe_get_integer(value, "name") == 0);
    CHECK(moonpipe_get_integer(NULL, NULL) == 0);
    CHECK(moonpipe_get_floats(value, "list", &rows, &dim) == NULL);
    CHECK(rows == 0 && dim == 0);
    CHECK(moonpipe_copy(NULL) == NULL && moonpipe_to_json(NULL) == NULL);
    moonpipe_free(NULL);
    moonpipe_free(value);
}

static int64_t integer_of(moonpipe_Value *value)
{
    int64_t integer = moonpipe_get_integer(value, NULL);

    moonpipe_free(value);
    return integer;
}

static void test_integers(void)
{
    CHECK(integer_of(moonpipe_new_integer(INT64_MIN)) == INT64_MIN);
    CHECK(integer_of(moonpipe_new_number(-2.9)) == -2);
    CHECK(integer_of(moonpipe_new_number(1e300)) == 0);
    CHECK(integer_of(moonpipe_new_number(NAN)) == 0);
    CHECK(integer_of(moonpipe_new_string("9223372036854775807")) == INT64_MAX);
    CHECK(integer_of(moonpipe_new_string("9223372036854775808")) == 0);
    CHECK(integer_of(moonpipe_new_string("12 bears")) == 0);
    CHECK(integer_of(moonpipe_new_string(" 12")) == 0);
    CHECK(integer_of(moonpipe_new_boolean(1)) == 0);
}

static void test_floats(void)
{
    static const float numbers[] = {0.5f, 1, -2, 4, 8, 16};
    moonpipe_Value *value = moonpipe_new_floats(numbers, 2, 3);
    moonpipe_Value *copy = moonpipe_copy(value);
    size_t rows, dim;
    const float *read = moonpipe_get_floats(copy, NULL, &rows, &dim);

    CHECK(rows == 2 && dim == 3 && moonpipe_length(value) == 6);
    CHECK(read != moonpipe_get_floats(value, NULL, NULL, NULL));
    CHECK(memcmp(read, numbers, sizeof numbers) == 0);
    CHECK(is_json(copy, "[[0.5,1,-2],[4,8,16]]"));
    moonpipe_free(value);
    CHECK(is_json(moonpipe_new_floats(numbers, 1, 2), "[0.5,1]"));
    CHECK(is_json(moonpipe_new_floats(NULL, 0, 0), "[]"));
    CHECK(is_json(moonpipe_new_floats(NULL, 1, 0), "[]"));
    CHECK(moonpipe_new_floats(numbers, SIZE_MAX / 2, 3) == NULL);
}

static void test_replaces_members(void)
{
    moonpipe_Value *value = sample();

    CHECK(moonpipe_set(value, "list", moonpipe_new_string("x")) == 1);
    CHECK(moonpipe_set(value, "b", moonpipe_new_text("a\0b", 3)) == 1);
    CHECK(is_json(value, "{\"a.b\":true,\"b\":\"a\\u0000b\",\"deep\":{},"
                         "\"list\":\"x\",\"name\":\"bear\"}"));
}

static void test_copies(void)
{
    moonpipe_Value *value = sample();
    moonpipe_Value *copy = moonpipe_copy(value);
    moonpipe_Value *part = moonpipe_copy(moonpipe_get(value, "list"));

    moonpipe_free(value);
    CHECK(moonpipe_set(copy, "part", part) == 1);
    CHECK(is_json(copy, "{\"a.b\":true,\"deep\":{},\"list\":[7,0.5,null],"
                        "\"name\":\"bear\",\"part\":[7,0.5,null]}"));
}

static bool is_broken(moonpipe_Value *value)
{
    moonpipe_Value *text = moonpipe_to_json(value);
    bool broken = text == NULL;

    moonpipe_free(text);
    return broken;
}

/* What is put in the wrong place breaks all around it, and nothing leaks. */
static void test_breaks(void)
{
    moonpipe_Value *value = sample();
    moonpipe_Value *inner = moonpipe_new_object();
    moonpipe_Value *copy;

    CHECK(moonpipe_set(value, "inner", inner) == 1 && !is_broken(value));
    CHECK(moonpipe_add(inner, moonpipe_new_null()) == 0);
    CHECK(is_broken(inner) && is_broken(value));
    copy = moonpipe_copy(value);
    CHECK(is_broken(copy));
    moonpipe_free(copy);
    moonpipe_free(inner); /* a member: left alone */
    moonpipe_free(value);

    value = moonpipe_new_array();
    CHECK(moonpipe_add(value, NULL) == 0 && is_broken(value));
    moonpipe_free(value);
    CHECK(moonpipe_add(NULL, moonpipe_new_null()) == 0);
    CHECK(moonpipe_set(NULL, "x", moonpipe_new_null()) == 0);

    value = moonpipe_new_array();
    inner = moonpipe_new_array();
    CHECK(moonpipe_add(value, inner) == 1);
    CHECK(moonpipe_add(value, inner) == 0); /* twice */
    CHECK(moonpipe_length(value) == 1);
    moonpipe_free(value);

    value = moonpipe_new_array();
    inner = moonpipe_new_array();
    CHECK(moonpipe_add(value, inner) == 1);
    CHECK(moonpipe_add(inner, value) == 0); /* around itself */
    CHECK(moonpipe_add(value, value) == 0);
    moonpipe_free(value);

    inner = moonpipe_new_array();
    CHECK(moonpipe_set(inner, "x", moonpipe_new_null()) == 0);
    value = moonpipe_new_array();
    CHECK(moonpipe_add(value, inner) == 0); /* in it, and broken like it */
    CHECK(is_broken(value));
    moonpipe_free(value);
}

static void test_nests_deeper_than_a_stack(void)
{
    moonpipe_Value *value = moonpipe_new_array();

    for (int i = 0; i < 100000; i++) {
        moonpipe_Value *outer = moonpipe_new_array();

        moonpipe_add(outer, value);
        value = outer;
    }
    CHECK(moonpipe_length(value) == 1);
    CHECK(moonpipe_copy(value) == NULL && moonpipe_to_json(value) == NULL);
    moonpipe_free(value);
}

static bool round_trip(const char *json, const char *expected)
{
    return is_json(moonpipe_new_json(json, strlen(json)), expected);
}

static void test_reads_and_writes_json(void)
{
    CHECK(round_trip(" [1, -2.5e3, true, false, null, \"\\u00e9\"] ",
                     "[1,-2500,true,false,null,\"\xc3\xa9\"]"));
    CHECK(round_trip("{\"b\":{\"x\":[]},\"a\":{},\"b\":2}",
                     "{\"a\":{},\"b\":2}"));
    CHECK(round_trip("{\"a\":1,\"a\":[1,2],\"a\":{\"c\":3,\"b\":1}}",
                     "{\"a\":{\"b\":1,\"c\":3}}"));
    CHECK(round_trip("\"text\"", "\"text\""));
    CHECK(round_trip("123456789012345678", "\"123456789012345678\""));
    CHECK(round_trip("0.1", "0.1"));
    CHECK(moonpipe_new_json("{\"a\":[1,", 8) == NULL);
    CHECK(moonpipe_new_json("1 2", 3) == NULL);
    CHECK(moonpipe_new_json("", 0) == NULL);
    CHECK(moonpipe_new_json(NULL, 3) == NULL);
    CHECK(is_json(moonpipe_new_number(INFINITY), "null"));
}

/* In quadratic time this would be minutes. */
static void test_reads_many_keys(void)
{
    enum { KEYS = 50000 };
    char *json = malloc(KEYS * 16 + 2);
    size_t at = 0;
    moonpipe_Value *value;

    CHECK(json != NULL);
    if (!json) return;
    for (int i = KEYS; i-- > 0;)
        at += (size_t)sprintf(json + at, "%c\"k%06d\":%d",
                              i == KEYS - 1 ? '{' : ',', i, i % 10);
    json[at++] = '}';
    value = moonpipe_new_json(json, at);
    CHECK(moonpipe_length(value) == KEYS);
    CHECK(moonpipe_get_integer(value, "k023457") == 7);
    CHECK(strcmp(moonpipe_key(value, 0), "k000000") == 0);
    moonpipe_free(value);
    free(json);
}

int main(void)
{
    test_reads_what_it_was_given();
    test_reads_nothing_as_nothing();
    test_integers();
    test_floats();
    test_replaces_members();
    test_copies();
    test_breaks();
    test_nests_deeper_than_a_stack();
    test_reads_and_writes_json();
    test_reads_many_keys();
    return TEST_END();
}
