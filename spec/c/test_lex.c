/* test_lex.c: engine/pipe/lex. */
#include "lex.h"
#include "test.h"

#include <string.h>

/* The types of all tokens of [text], by name, one blank between. */
static const char *types(const char *text, size_t len)
{
    static char out[4096];
    mp_Lex lex;
    mp_Token token;
    static mp_Error err;

    out[0] = '\0';
    mp_lex_init(&lex, text, (uint32_t)len, "t.lua");
    do {
        const char *name;

        if (mp_lex_next(&lex, &token, &err) != MP_OK) return err.message;
        name = mp_lex_token_name(token.type);
        snprintf(out + strlen(out), sizeof out - strlen(out), "%s%s",
                 out[0] ? " " : "", name);
    } while (token.type != MP_TOKEN_EOF);
    return out;
}

static int has_types(const char *text, const char *expected)
{
    const char *got = types(text, strlen(text));

    if (strcmp(got, expected) == 0) return 1;
    fprintf(stderr, "%s\n  expected %s\n  got      %s\n", text, expected, got);
    return 0;
}

static void test_words(void)
{
    CHECK(has_types("", "<eof>"));
    CHECK(has_types(" \t\v\f\n", "<eof>"));
    CHECK(has_types("and break do else elseif end false for function goto if "
                    "in local nil not or repeat return then true until while",
                    "and break do else elseif end false for function goto if "
                    "in local nil not or repeat return then true until while "
                    "<eof>"));
    CHECK(has_types("ands _x x1 \xc3\xa9t\xc3\xa9 End",
                    "<name> <name> <name> <name> <name> <eof>"));
}

static void test_symbols(void)
{
    CHECK(has_types("+-*/%^#<> =(){}[];:,.",
                    "+ - * / % ^ # < > = ( ) { } [ ] ; : , . <eof>"));
    CHECK(has_types("== ~= <= >= :: .. ...", "== ~= <= >= :: .. ... <eof>"));
    CHECK(has_types("....", "... . <eof>"));
    CHECK(has_types("[[x]][a]", "<string> [ <name> ] <eof>"));
    CHECK(has_types("@ $ `", "<symbol> <symbol> <symbol> <eof>"));
}

/* None of these may ever be read as one of our operators. */
static void test_foreign_operators(void)
{
    CHECK(has_types("a|b", "<name> | <name> <eof>"));
    CHECK(has_types("a||b|=c", "<name> || <name> |= <name> <eof>"));
    CHECK(has_types("a|||b", "<name> || | <name> <eof>"));
    CHECK(has_types("~ & && << >> ~>> // != ! ?? ?.",
                    "~ & && << >> ~>> // != ! ?? ?. <eof>"));
}

static void test_numbers(void)
{
    CHECK(has_types("0 12 1.5 .5 5. 1e3 1E-3 1e+3 0x1F 0xA.8p-1 0b101 1LL "
                    "1ull 0x7fULL 2i 1_000",
                    "<number> <number> <number> <number> <number> <number> "
                    "<number> <number> <number> <number> <number> <number> "
                    "<number> <number> <number> <number> <eof>"));
    CHECK(has_types("0xe-1", "<number> - <number> <eof>"));
    CHECK(has_types("1-1", "<number> - <number> <eof>"));
    CHECK(has_types("3|x", "<number> | <name> <eof>"));
    CHECK(has_types("1..2", "<number> <eof>"));
    CHECK(has_types("x.5", "<name> <number> <eof>"));
}

static void test_strings(void)
{
    CHECK(has_types("'a|b' \"|\" [[|]] [==[ ]] | ]=] ]==]",
                    "<string> <string> <string> <string> <eof>"));
    CHECK(has_types("'\\'|' \"\\\\\" '\\x41\\u{7c}\\124'",
                    "<string> <string> <string> <eof>"));
    CHECK(has_types("'a\\\nb' 'a\\z \r\n  b' x",
                    "<string> <string> <name> <eof>"));
}

static void test_comments(void)
{
    CHECK(has_types("a -- | b\n| c", "<name> | <name> <eof>"));
    CHECK(has_types("a --[[ | \n ]] b --[=[ ]] ]=] c",
                    "<name> <name> <name> <eof>"));
    CHECK(has_types("--[==x\na", "<name> <eof>"));
    CHECK(has_types("--", "<eof>"));
}

static void test_heads(void)
{
    CHECK(has_types("#!/usr/bin/env moonpipe | x\na", "<name> <eof>"));
    CHECK(has_types("\xef\xbb\xbf# x\na", "<name> <eof>"));
    CHECK(has_types("\xef\xbb\xbf"
                    "a",
                    "<name> <eof>"));
    CHECK(has_types("#", "<eof>"));
}

static uint32_t last_line(const char *text)
{
    mp_Lex lex;
    mp_Token token;

    mp_lex_init(&lex, text, (uint32_t)strlen(text), "t.lua");
    do {
        if (mp_lex_next(&lex, &token, NULL) != MP_OK) return 0;
    } while (token.type != MP_TOKEN_EOF);
    return token.line;
}

static void test_lines(void)
{
    CHECK(last_line("a") == 1);
    CHECK(last_line("a\nb\n") == 3);
    CHECK(last_line("a\r\nb\n\rc\rd\n\ne") == 6);
    CHECK(last_line("#!x\na") == 2);
    CHECK(last_line("[[\n\r\n]] --[[\n]] 'a\\\nb' '\\z\n\n'") == 7);
}

static void test_token_extent(void)
{
    mp_Lex lex;
    mp_Token token;

    mp_lex_init(&lex, "\n x [[a\nb]]", 11, "t.lua");
    CHECK(mp_lex_next(&lex, &token, NULL) == MP_OK);
    CHECK(token.at == 2 && token.len == 1 && token.line == 2);
    CHECK(mp_lex_next(&lex, &token, NULL) == MP_OK);
    CHECK(token.at == 4 && token.len == 7);
    CHECK(token.line == 2 && token.last_line == 3);
    CHECK(mp_lex_next(&lex, &token, NULL) == MP_OK);
    CHECK(token.type == MP_TOKEN_EOF && token.at == 11 && token.len == 0);
}

static void test_errors(void)
{
    CHECK(has_types("'ab", "t.lua:1: unfinished string near '<eof>'"));
    CHECK(has_types("'ab\\", "t.lua:1: unfinished string near '<eof>'"));
    CHECK(has_types("\n\"ab\nc", "t.lua:2: unfinished string near '\"ab'"));
    CHECK(has_types("[[\n", "t.lua:2: unfinished long string near '<eof>'"));
    CHECK(has_types("--[[", "t.lua:1: unfinished long comment near '<eof>'"));
    CHECK(has_types("[==x", "t.lua:1: invalid long string delimiter near "
                            "'[=='"));
    CHECK(has_types("[=", "t.lua:1: invalid long string delimiter near '[='"));
}

/* A long token is cut, between two characters. */
static void test_long_near(void)
{
    char text[200] = "'";
    const char *message;

    memset(text + 1, 'x', 58);
    strncat(text, "\xc3\xa9\xc3\xa9\xc3\xa9\n", 8);
    message = types(text, strlen(text));
    CHECK(strstr(message, "xxx...'"));
    CHECK(!strchr(message, '\xc3'));
}

static void test_binary_text(void)
{
    CHECK(strcmp(types("a\0b\x01", 4),
                 "<name> <symbol> <name> <symbol> <eof>") == 0);
}

/* Every beginning of a text ends in a token or an error, never behind it. */
static void test_every_prefix(void)
{
    static const char text[] = "#!x\nlocal a = 'q\\z\n' .. [=[ ]] ]=] --[[ c\n"
                               "]] | 0x1.8p-3 ~= b?.c // 1LL -- e";

    for (size_t len = 0; len < sizeof text; len++)
        CHECK(types(text, len) != NULL);
}

int main(void)
{
    test_words();
    test_symbols();
    test_foreign_operators();
    test_numbers();
    test_strings();
    test_comments();
    test_heads();
    test_lines();
    test_token_extent();
    test_errors();
    test_long_near();
    test_binary_text();
    test_every_prefix();
    return TEST_END();
}
