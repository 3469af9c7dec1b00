/* test_pipe.c: engine/pipe: golden pairs, messages, limits, memory. */
#include "alloc.h"
#include "check_case.h"
#include "pipe.h"
#include "test.h"
#include "torture.h"

#include <string.h>

#define HEAD "local P = ... return function(...) "
#define TAIL "\nend"

typedef struct Pair {
    const char *in;
    const char *out;
} Pair;

static mp_Status run(mp_Pipe *pipe, const char *text, mp_Error *err)
{
    return mp_pipe_translate(pipe, text, strlen(text), "rag.lua", err);
}

/* What [text] becomes, without the wrapping; "=" if it needs no translation;
 * else the message. Valid until the next call. */
static const char *translated(const char *text)
{
    static char out[8192];
    mp_Error err;
    mp_Pipe pipe;
    size_t head = strlen(HEAD), tail = strlen(TAIL);

    if (run(&pipe, text, &err) != MP_OK) {
        snprintf(out, sizeof out, "%s: %s", mp_err_name(err.kind), err.message);
        return out;
    }
    snprintf(out, sizeof out, "=");
    if (pipe.changed && memcmp(pipe.text.data, HEAD, head) == 0)
        snprintf(out, sizeof out, "%.*s", (int)(pipe.text.len - head - tail),
                 pipe.text.data + head);
    else if (pipe.changed)
        snprintf(out, sizeof out, "%s", pipe.text.data);
    mp_pipe_term(&pipe);
    return out;
}

static int becomes(const char *in, const char *out)
{
    const char *got = translated(in);

    if (strcmp(got, out) == 0) return 1;
    fprintf(stderr, "%s\n  expected %s\n  got      %s\n", in, out, got);
    return 0;
}

static void check_pairs(const Pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        CHECK_CASE(pairs[i].in, becomes(pairs[i].in, pairs[i].out));
}

#define CHECK_PAIRS(pairs) check_pairs(pairs, sizeof pairs / sizeof *pairs)

static const Pair operators[] = {
    {"x = a | b", "x = (P(a , b, 1))"},
    {"x=a|b", "x=(P(a,b, 1))"},
    {"x = a | b | c", "x = (P(P(a , b, 1) , c, 2))"},
    {"x = a | (b | c)", "x = (P(a , ((P(b , c, 1))), 2))"},
    {"x = a .. b | c .. d", "x = (P(a .. b , c .. d, 1))"},
    {"x = a == b | c", "x = a == (P(b , c, 1))"},
    {"x = a | b < c | d", "x = (P(a , b, 1)) < (P(c , d, 2))"},
    {"x = a and b | c or d", "x = a and (P(b , c, 1)) or d"},
    {"x = not a | -b", "x = (P(not a , -b, 1))"},
    {"x = a + b * c ^ d | e", "x = (P(a + b * c ^ d , e, 1))"},
    {"x = 2 ^ - 3 | 4", "x = (P(2 ^ - 3 , 4, 1))"},
    {"x = a & b | c ~ d", "x = (P(a & b , c ~ d, 1))"},
    {"x = a << 1 | b // 2", "x = (P(a << 1 , b // 2, 1))"},
    {"x = a | b || c", "x = (P(a , b, 1)) || c"},
    {"x = a ?? b | c", "x = a ?? (P(b , c, 1))"},
    {"x = #t | 1", "x = (P(#t , 1, 1))"},
};

static const Pair operands[] = {
    {"x = f(a, b | c)", "x = f(a, (P(b , c, 1)))"},
    {"x = a.b:c{d}|e(f)[g|h]'s'", "x = (P(a.b:c{d},e(f)[(P(g,h, 1))]'s', 2))"},
    {"x = f() | ...", "x = (P(f() , ..., 1))"},
    {"x = a?.b | c?.[1]", "x = (P(a?.b , c?.[1], 1))"},
    {"x = function() return a | b end | c",
     "x = (P(function() return (P(a , b, 1)) end , c, 2))"},
    {"x = [[ | ]] | '|' -- |", "x = (P([[ | ]] , '|', 1)) -- |"},
    {"x = goto | goto", "x = (P(goto , goto, 1))"},
    {"x = 1LL | 0x10ULL | 2i", "x = (P(P(1LL , 0x10ULL, 1) , 2i, 2))"},
    {"x = nil | true | false", "x = (P(P(nil , true, 1) , false, 2))"},
};

static const Pair maps[] = {
    {"x = {a = b} | c", "x = (P(P.map({a = b}, 1) , c, 2))"},
    {"x = c | {a = b}", "x = (P(c , P.map({a = b}, 1), 2))"},
    {"x = ({a}) | (({}))", "x = (P((P.map({a}, 1)) , ((P.map({}, 2))), 3))"},
    {"x = {a = {b = {c}}, d = (({}))} | e",
     "x = (P(P.map({a = P.map({b = P.map({c}, 3)}, 2), d = "
     "((P.map({}, 4)))}, 1) , e, 5))"},
    {"x = {a = {} .. b, f{c}, g = ({}).h} | e",
     "x = (P(P.map({a = {} .. b, f{c}, g = ({}).h}, 1) , e, 2))"},
    {"x = {a = b | c} | d", "x = (P(P.map({a = (P(b , c, 1))}, 2) , d, 3))"},
    {"x = {a = b | c}", "x = {a = (P(b , c, 1))}"},
    {"x = {} .. {} | c", "x = (P({} .. {} , c, 1))"},
    {"x = ({a}).a | ({b})()", "x = (P(({a}).a , ({b})(), 1))"},
    {"x = f{a} | f{b}", "x = (P(f{a} , f{b}, 1))"},
};

static const Pair statements[] = {
    {"return a | b", "return (P(a , b, 1))"},
    {"return a | b;", "return (P(a , b, 1));"},
    {"local a, b = c | d, e", "local a, b = (P(c , d, 1)), e"},
    {"a.b, c[d | e] = 1, 2", "a.b, c[(P(d , e, 1))] = 1, 2"},
    {"f(a | b)", "f((P(a , b, 1)))"},
    {"f'x':g(a | b).h = 1", "f'x':g((P(a , b, 1))).h = 1"},
    {"if a | b then elseif c | d then else e(f | g) end",
     "if (P(a , b, 1)) then elseif (P(c , d, 2)) then else e((P(f , g, 3))) "
     "end"},
    {"while a | b do break end", "while (P(a , b, 1)) do break end"},
    {"repeat local x = a until x | b",
     "repeat local x = a until (P(x , b, 1))"},
    {"for i = a | 1, b | 2, c | 3 do end",
     "for i = (P(a , 1, 1)), (P(b , 2, 2)), (P(c , 3, 3)) do end"},
    {"for k, v in a | b, c do end", "for k, v in (P(a , b, 1)), c do end"},
    {"for k in pairs(a | b) do end", "for k in pairs((P(a , b, 1))) do end"},
    {"do local function f(a, ...) return a | ... end end",
     "do local function f(a, ...) return (P(a , ..., 1)) end end"},
    {"function a.b.c:d() return self | 1 end",
     "function a.b.c:d() return (P(self , 1, 1)) end"},
    {"goto x ::x:: goto = a | b", "goto x ::x:: goto = (P(a , b, 1))"},
    {"; ; local goto = a | b ;", "; ; local goto = (P(a , b, 1)) ;"},
    {"x |= a | b", "x |= (P(a , b, 1))"},
};

/* Blanks, comments and line ends stay where they are. */
static const Pair layout[] = {
    {"x =\n  a\n  | b -- c\n  | d\n\n",
     "x =\n  (P(P(a\n  , b, 1) -- c\n  , d, 2))\n\n"},
    {"x = a --[[ 1\n2 ]] | --\n b", "x = (P(a --[[ 1\n2 ]] , --\n b, 1))"},
    {"x = a\r\n| b\r\n", "x = (P(a\r\n, b, 1))\r\n"},
    {"#!/usr/bin/moonpipe\nreturn a | b", "\nreturn (P(a , b, 1))"},
    {"\xef\xbb\xbfreturn a | b", "return (P(a , b, 1))"},
    {"\xef\xbb\xbf# x\nreturn a | b", "\nreturn (P(a , b, 1))"},
};

/* More operators than may be nested: a row of calls, each `(` on the line of
 * the `)` before it. */
static const Pair rows[] = {
    {"x = a|b|c|d|e|f|g|h|i",
     "x = (P(P(P(P(P(P(P(P(a,b, 1),c, 2),d, 3),e, 4),f, 5),g, 6),h, 7),i, 8))"},
    {"x = a|b|c|d|e|f|g|h|i|j",
     "x = (P.chain(a,b, 1)( c, 2)( d, 3)( e, 4)( f, 5)( g, 6)( h, 7)( i, 8)( "
     "j, 9)())"},
    {"x = a\n|b\n|c\n|d\n|e\n|f\n|g\n|h\n|i\n|j",
     "x = (P.chain(a\n,b, 1)(\n c, 2)(\n d, 3)(\n e, 4)(\n f, 5)(\n g, 6)(\n "
     "h, 7)(\n i, 8)(\n j, 9)())"},
};

static const Pair untouched[] = {
    {"", "="},
    {"x = 1", "="},
    {"this is not Lua", "="},
    {"x = 'a|b' -- |", "="},
    {"x = a || b", "="},
    {"\033LJ | bytecode", "="},
    {"# x\n\033LJ | bytecode", "="},
};

static const Pair names[] = {
    {"P = a | b",
     "local P1 = ... return function(...) P = (P1(a , b, 1))" TAIL},
    {"x = P7.y | P2",
     "local P8 = ... return function(...) x = (P8(P7.y , P2, 1))" TAIL},
    {"x = 'P' | Pa | P1a -- P", "x = (P(P('P' , Pa, 1) , P1a, 2)) -- P"},
    {"x = P12345678 | y", "local P12345679 = ... return function(...) x = "
                          "(P12345679(P12345678 , y, 1))" TAIL},
};

static const Pair errors[] = {
    {"x = a |", "lua: rag.lua:1: unexpected symbol near '<eof>'"},
    {"x = (a | b", "lua: rag.lua:1: ')' expected near '<eof>'"},
    {"x = (\na | b", "lua: rag.lua:2: ')' expected (to close '(' at line 1) "
                     "near '<eof>'"},
    {"x = {\na | b\n", "lua: rag.lua:3: '}' expected (to close '{' at line 1) "
                       "near '<eof>'"},
    {"x = {a|b c}", "lua: rag.lua:1: '}' expected near 'c'"},
    {"if a | b", "lua: rag.lua:1: 'then' expected near '<eof>'"},
    {"if a | b then\n", "lua: rag.lua:2: 'end' expected (to close 'if' at line "
                        "1) near '<eof>'"},
    {"while a | b do", "lua: rag.lua:1: 'end' expected near '<eof>'"},
    {"while a | b x", "lua: rag.lua:1: 'do' expected near 'x'"},
    {"repeat\nx = a | b", "lua: rag.lua:2: 'until' expected (to close 'repeat' "
                          "at line 1) near '<eof>'"},
    {"x = a | b end", "lua: rag.lua:1: '<eof>' expected near 'end'"},
    {"x = a | b else", "lua: rag.lua:1: '<eof>' expected near 'else'"},
    {"a | b", "lua: rag.lua:1: '=' expected near '|'"},
    {"f() | b", "lua: rag.lua:1: unexpected symbol near '|'"},
    {"(f | g) = 1", "lua: rag.lua:1: syntax error near '='"},
    {"x, f() = a | b", "lua: rag.lua:1: syntax error near '='"},
    {"f\n(a | b)", "lua: rag.lua:2: ambiguous syntax (function call x new "
                   "statement) near '('"},
    {"a.b:c = 1 | 2", "lua: rag.lua:1: function arguments expected near '='"},
    {"x = a | }", "lua: rag.lua:1: unexpected symbol near '}'"},
    {"x = a | | b", "lua: rag.lua:1: unexpected symbol near '|'"},
    {"x = | a", "lua: rag.lua:1: unexpected symbol near '|'"},
    {"x = a | @", "lua: rag.lua:1: unexpected symbol near '@'"},
    {"x = a | \x01", "lua: rag.lua:1: unexpected symbol near 'char(1)'"},
    {"x = a | 'b", "lua: rag.lua:1: unfinished string near '<eof>'"},
    {"x = a |\n'b\n'", "lua: rag.lua:2: unfinished string near ''b'"},
    {"x = a | [[b", "lua: rag.lua:1: unfinished long string near '<eof>'"},
    {"for 1 = a | b", "lua: rag.lua:1: '<name>' expected near '1'"},
    {"for x y = a | b", "lua: rag.lua:1: '=' or 'in' expected near 'y'"},
    {"for x = a | b do", "lua: rag.lua:1: ',' expected near 'do'"},
    {"for x, y = a | b do", "lua: rag.lua:1: 'in' expected near '='"},
    {"function f(a,) return a | b end",
     "lua: rag.lua:1: <name> or '...' expected near ')'"},
    {"function f(..., a) return a | b end",
     "lua: rag.lua:1: ')' expected near ','"},
    {"function f.1() return a | b end",
     "lua: rag.lua:1: '(' expected near '.1'"},
    {"local 1 = a | b", "lua: rag.lua:1: '<name>' expected near '1'"},
    {"local function 1() return a | b end",
     "lua: rag.lua:1: '<name>' expected near '1'"},
    {"x = a. | b", "lua: rag.lua:1: '<name>' expected near '|'"},
    {"x = a[b | c", "lua: rag.lua:1: ']' expected near '<eof>'"},
    {"x = {[a | b] c}", "lua: rag.lua:1: '=' expected near 'c'"},
    {"return a | b, x = 1", "lua: rag.lua:1: '<eof>' expected near '='"},
    {"::a | b", "lua: rag.lua:1: '::' expected near '|'"},
    {"goto | b", "lua: rag.lua:1: '=' expected near '|'"},
    {"f(a | b c)", "lua: rag.lua:1: ')' expected near 'c'"},
};

static const Pair twice[] = {
    {"x = {\n  a = 1,\n  b = 2,\n  a = 3,\n} | y",
     "lua: rag.lua:4: map key 'a' is written twice, at line 2 and at line 4"},
    {"x = y | {a = 1, ['a'] = 2}",
     "lua: rag.lua:1: map key 'a' is written twice, at line 1 and at line 1"},
    {"x = y | {a,\n[1] = 2}",
     "lua: rag.lua:2: map key 1 is written twice, at line 1 and at line 2"},
    {"x = y | {[7] = a, [7] = b}",
     "lua: rag.lua:1: map key 7 is written twice, at line 1 and at line 1"},
    {"x = y | {a = {b = 1, b = 2}}",
     "lua: rag.lua:1: map key 'b' is written twice, at line 1 and at line 1"},
    {"x = {a = 1, a = 2}, b | c", "x = {a = 1, a = 2}, (P(b , c, 1))"},
    {"x = y | f{a = 1, a = 2}", "x = (P(y , f{a = 1, a = 2}, 1))"},
    {"x = y | {a = 1, A = 2, ['1'] = 3, [1] = 4, [a] = 5, [a] = 6}",
     "x = (P(y , P.map({a = 1, A = 2, ['1'] = 3, [1] = 4, [a] = 5, [a] = 6}, "
     "1), 2))"},
};

/* --- limits --- */

/* Returns owned: [before], [count] times [unit], [after]. */
static char *repeated(const char *before, const char *unit, int count,
                      const char *after)
{
    mp_Buf buf;
    size_t len;

    mp_buf_init(&buf, 0);
    mp_buf_text(&buf, before);
    for (int i = 0; i < count; i++)
        mp_buf_text(&buf, unit);
    mp_buf_text(&buf, after);
    return mp_buf_take(&buf, &len);
}

static int fails_with(char *text, const char *expected)
{
    int same = strcmp(translated(text), expected) == 0;

    if (!same) fprintf(stderr, "got %s\n", translated(text));
    mp_alloc_free(text);
    return same;
}

#define LEVELS "more than 180 syntax levels in a text that pipes near "

static void test_levels(void)
{
    CHECK(fails_with(repeated("x = a | ", "(", 5000, "a"),
                     "lua: rag.lua:1: " LEVELS "'('"));
    CHECK(fails_with(repeated("x = a | ", "{", 5000, ""),
                     "lua: rag.lua:1: " LEVELS "'{'"));
    CHECK(fails_with(repeated("x = a | ", "not ", 5000, "b"),
                     "lua: rag.lua:1: " LEVELS "'not'"));
    CHECK(fails_with(repeated("x = a | b ", "do ", 5000, ""),
                     "lua: rag.lua:1: " LEVELS "'do'"));
    CHECK(fails_with(repeated("x = a | b ", "f = function() ", 5000, ""),
                     "lua: rag.lua:1: " LEVELS "'f'"));
    CHECK(fails_with(repeated("x = a | ", "a .. ", 5000, "b"),
                     "lua: rag.lua:1: " LEVELS "'a'"));
}

static mp_Status status_of(char *text)
{
    mp_Pipe pipe;
    mp_Status status = run(&pipe, text, NULL);

    if (status == MP_OK) mp_pipe_term(&pipe);
    mp_alloc_free(text);
    return status;
}

static void test_what_must_pass(void)
{
    CHECK(status_of(repeated("x = a", " | a", 20000, "")) == MP_OK);
    CHECK(status_of(repeated("x = a | f", "(1)", 20000, "")) == MP_OK);
    CHECK(status_of(repeated("x = a | b ", "x = {{}} ", 20000, "")) == MP_OK);
    CHECK(status_of(repeated("x = a | {", "b, ", 20000, "}")) == MP_OK);
    CHECK(status_of(repeated("x = a | b if a then ", "elseif b then ", 20000,
                             "end")) == MP_OK);
}

static void test_too_large(void)
{
    size_t len = MP_BUF_MAX + 1;
    char *text = mp_alloc_zero(len, 1);
    mp_Pipe pipe;
    mp_Error err;

    text[0] = '|';
    CHECK(mp_pipe_translate(&pipe, text, len, "rag.lua", &err) ==
          -MP_KIND_TOO_LARGE);
    CHECK(strcmp(err.message,
                 "rag.lua: more than 67108864 bytes of Lua text") == 0);
    mp_alloc_free(text);
}

/* --- rewriting without wrapping --- */

static int is_unchanged(const char *text)
{
    mp_Pipe pipe;
    int same;

    if (mp_pipe_rewrite(&pipe, text, strlen(text), "t", NULL) != MP_OK)
        return 0;
    same = pipe.text.len == strlen(text) &&
           (pipe.text.len == 0 || strcmp(pipe.text.data, text) == 0);
    mp_pipe_term(&pipe);
    return same;
}

static void test_rewrite(void)
{
    mp_Pipe pipe;

    CHECK(is_unchanged(""));
    CHECK(is_unchanged("#!x\n\r\n local a = {b = 1; c} -- d"));
    CHECK(is_unchanged("\xef\xbb\xbfreturn {a = {}, a = {}}"));
    CHECK(mp_pipe_rewrite(&pipe, "return a|b", 10, "t", NULL) == MP_OK);
    CHECK(strcmp(pipe.text.data, "return (P(a,b, 1))") == 0);
    mp_pipe_term(&pipe);
}

/* --- memory --- */

static mp_Status translate_all(void *userdata)
{
    char *text = userdata;
    mp_Pipe pipe;
    mp_Status status = run(&pipe, text, NULL);

    if (status == MP_OK) mp_pipe_term(&pipe);
    return status;
}

static void test_memory(void)
{
    char *text = repeated("x = {a = {b, [c] = {}}, ['d'] = e | f} | ",
                          "{g, h = [[i\n]]} | ", 40, "j k{l} return m | n");

    CHECK(torture(translate_all, text) > 10);
    mp_alloc_free(text);
}

int main(void)
{
    CHECK_PAIRS(operators);
    CHECK_PAIRS(operands);
    CHECK_PAIRS(maps);
    CHECK_PAIRS(statements);
    CHECK_PAIRS(layout);
    CHECK_PAIRS(rows);
    CHECK_PAIRS(untouched);
    CHECK_PAIRS(names);
    CHECK_PAIRS(errors);
    CHECK_PAIRS(twice);
    test_levels();
    test_what_must_pass();
    test_too_large();
    test_rewrite();
    test_memory();
    return TEST_END();
}
