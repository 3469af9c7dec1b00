/*
 * test_pattern.c: Lua's patterns by our matcher, and how it is stopped.
 * sandbox_limits_spec.lua holds it against LuaJIT's own.
 */
#include "pattern.h"
#include "test.h"

#include <string.h>

typedef struct Found {
    const char *begin, *end;
    mp_Pattern m;
} Found;

static Found find(const char *text, const char *pattern)
{
    Found found;

    mp_pattern_init(&found.m, text, strlen(text), pattern, strlen(pattern));
    found.end = mp_pattern_find(&found.m, text, &found.begin);
    return found;
}

static bool gives(const char *text, const char *pattern, const char *expected)
{
    Found found = find(text, pattern);
    size_t len = strlen(expected);

    return found.end && (size_t)(found.end - found.begin) == len &&
           memcmp(found.begin, expected, len) == 0;
}

static void test_items(void)
{
    CHECK(gives("hello world", "o w", "o w"));
    CHECK(gives("key = value", "%w+%s*=", "key ="));
    CHECK(gives("f(a(b)c)d", "%b()", "(a(b)c)"));
    CHECK(gives("THE (quick)", "%f[%a]%a+$", "") == false);
    CHECK(gives("x]y", "[]]", "]"));
    CHECK(gives("aXXb", "a.-b", "aXXb"));
    CHECK(gives("abab", "(ab)%1", "abab"));
    CHECK(gives("", "^$", ""));
    CHECK(find("abc", "^b").end == NULL);
}

static void test_captures(void)
{
    Found found = find("2026-11", "(%d+)()%-(%d)");

    CHECK(found.m.count == 3);
    CHECK(found.m.captures[0].len == 4);
    CHECK(found.m.captures[1].len == MP_PATTERN_POSITION);
    CHECK(*found.m.captures[2].at == '1');
}

static void test_problems(void)
{
    static const char *const wrong[] = {"%",  "[a", "[^", "%b(",
                                        "%f", "%1", ")",  "(a)%2"};

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        Found found = find("(a)", wrong[i]);

        CHECK(found.end == NULL && found.m.problem != NULL);
    }
}

static bool count_down(void *userdata)
{
    int *left = userdata;

    return --*left > 0;
}

static void test_is_stopped(void)
{
    char text[2000];
    const char *pattern = "a*a*a*a*a*a*b", *begin;
    int left = 10;
    mp_Pattern m;

    memset(text, 'a', sizeof text);
    mp_pattern_init(&m, text, sizeof text, pattern, strlen(pattern));
    m.go_on = count_down;
    m.userdata = &left;
    CHECK(mp_pattern_find(&m, text, &begin) == NULL);
    CHECK(m.stopped && left == 0 && !m.problem);
}

static void test_plain(void)
{
    CHECK(mp_pattern_is_plain("hello, world", 12));
    CHECK(!mp_pattern_is_plain("a.b", 3));
}

int main(void)
{
    test_items();
    test_captures();
    test_problems();
    test_is_stopped();
    test_plain();
    return TEST_END();
}
