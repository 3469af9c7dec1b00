/* test_pipe_sites.c: engine/pipe: what P gets to know of operators and maps. */
#include "pipe.h"
#include "test.h"

#include <string.h>

static mp_Status run(mp_Pipe *pipe, const char *text, mp_Error *err)
{
    return mp_pipe_translate(pipe, text, strlen(text), "rag.lua", err);
}

static void put_text(mp_Buf *out, const mp_Pipe *pipe, mp_PipeText text)
{
    mp_buf_append(out, pipe->texts.data + text.at, text.len);
}

static void put_entry(mp_Buf *out, const mp_Pipe *pipe,
                      const mp_PipeEntry *entry)
{
    static const char *const kinds[] = {"", "#", "computed ", "spread "};

    mp_buf_printf(out, " %u:%s", entry->line, kinds[entry->kind]);
    if (entry->index) mp_buf_printf(out, "%u", entry->index);
    put_text(out, pipe, entry->key);
    mp_buf_char(out, '=');
    put_text(out, pipe, entry->value);
}

static void put_site(mp_Buf *out, const mp_Pipe *pipe, const mp_PipeSite *site)
{
    mp_buf_printf(out, "[%u:", site->line);
    if (!site->is_map) {
        mp_buf_char(out, ' ');
        put_text(out, pipe, site->left);
        mp_buf_text(out, " | ");
        put_text(out, pipe, site->right);
    }
    for (uint32_t i = 0; i < site->count; i++)
        put_entry(out, pipe, &pipe->entries[site->first + i]);
    mp_buf_char(out, ']');
}

/* `[9: a | b][7: 7:key=value 8:#1=value]` */
static int has_sites(const char *text, const char *expected)
{
    mp_Pipe pipe;
    mp_Buf out;
    int same;

    if (run(&pipe, text, NULL) != MP_OK) return 0;
    mp_buf_init(&out, 0);
    for (uint32_t i = 0; i < pipe.site_count; i++)
        put_site(&out, &pipe, &pipe.sites[i]);
    same = out.data && strcmp(out.data, expected) == 0;
    if (!same) fprintf(stderr, "%s\n  sites are %s\n", text, out.data);
    mp_buf_term(&out);
    mp_pipe_term(&pipe);
    return same;
}

static void test_pipe_sites(void)
{
    CHECK(has_sites("x = a | b", "[1: a | b]"));
    CHECK(has_sites("x =\na\n\n| b\n| c", "[4: a | b][5: a | b | c]"));
    CHECK(
        has_sites("x = a.b 'c' | -- d\n f(g,\n\th)", "[1: a.b 'c' | f(g, h)]"));
    CHECK(has_sites("x = a | [[b\n\tc]]", "[1: a | [[b  c]]]"));
    CHECK(has_sites("x = not a | b .. c == d | e",
                    "[1: not a | b .. c][1: d | e]"));
}

static int is_span(mp_PipeSpan span, uint32_t line, uint32_t column,
                   uint32_t width)
{
    return span.line == line && span.column == column && span.width == width;
}

static void test_spans(void)
{
    mp_Pipe pipe;

    CHECK(run(&pipe, "\xef\xbb\xbfx = \xc3\xa9 | b(\r\n 1) | c", NULL) ==
          MP_OK);
    CHECK(is_span(pipe.sites[0].left_span, 1, 8, 2));
    CHECK(is_span(pipe.sites[0].right_span, 1, 13, 2)); /* on its first line */
    CHECK(is_span(pipe.sites[1].left_span, 0, 0, 0));
    CHECK(is_span(pipe.sites[1].right_span, 2, 7, 1));
    mp_pipe_term(&pipe);
    CHECK(run(&pipe, "x = {\n\r\ta = b.c\n\n} | d", NULL) == MP_OK);
    CHECK(is_span(pipe.entries[0].span, 2, 6, 3));
    CHECK(is_span(pipe.sites[1].left_span, 1, 5, 1));
    mp_pipe_term(&pipe);
}

static int fails_at(const char *text, uint32_t line, uint32_t column,
                    uint32_t width)
{
    mp_Pipe pipe;
    mp_Error err;

    return mp_pipe_rewrite(&pipe, text, strlen(text), "t", &err) != MP_OK &&
           is_span(pipe.failed, line, column, width);
}

static void test_failures(void)
{
    CHECK(fails_at("x = 1\n y == 2", 2, 4, 2));
    CHECK(fails_at("x = a | | b", 1, 9, 1));
    CHECK(fails_at("x = (a", 1, 7, 0));
    CHECK(fails_at("x = 'a", 1, 5, 2));
    CHECK(fails_at("x = [[a\nb", 0, 0, 0)); /* reported where it ends */
}

static void test_map_sites(void)
{
    CHECK(has_sites("x = {\n  context = r,\n  ['q r'] = s(),\n} | y",
                    "[1: 2:context=r 3:q r=s()]"
                    "[4: { context = r, ['q r'] = s(), } | y]"));
    CHECK(has_sites("x = y | {a, b; [9] = c, goto = d}",
                    "[1: 1:#1=a 1:#2=b 1:#9=c 1:goto=d]"
                    "[1: y | {a, b; [9] = c, goto = d}]"));
    CHECK(has_sites("x = y | {['\\65'] = a, [ [[b]] ] = c, [1.5] = d, [f()] "
                    "= e, [-1] = f, ['']=g}",
                    "[1: 1:computed '\\65'=a 1:computed [[b]]=c 1:computed "
                    "1.5=d 1:computed f()=e 1:computed -1=f 1:=g]"
                    "[1: y | {['\\65'] = a, [ [[b]] ] = c, [1.5] = d, [f()] "
                    "= e, [-1] =…]"));
    CHECK(has_sites("x = y | {a, ...}", "[1: 1:#1=a 1:spread 2=...]"
                                        "[1: y | {a, ...}]"));
    CHECK(has_sites("x = y | {..., (...)}",
                    "[1: 1:#1=... 1:#2=(...)][1: y | {..., (...)}]"));
    CHECK(has_sites("x = {\na = {\nb = c | d\n}} | e",
                    "[3: c | d][1: 2:a={ b = c | d }][2: 3:b=c | d]"
                    "[4: { a = { b = c | d }} | e]"));
}

static void test_long_operands(void)
{
    CHECK(has_sites("x = a | "
                    "'123456789012345678901234567890123456789012345678901"
                    "2345678'",
                    "[1: a | "
                    "'123456789012345678901234567890123456789012345678901"
                    "2345678']"));
    CHECK(has_sites("x = a | "
                    "'123456789012345678901234567890123456789012345678901"
                    "23456789'",
                    "[1: a | "
                    "'123456789012345678901234567890123456789012345678901"
                    "23456…]"));
    CHECK(has_sites("x = a | "
                    "'1234567890123456789012345678901234567890123456789012345"
                    "\xc3\xa9\xc3\xa9\xc3\xa9'",
                    "[1: a | "
                    "'1234567890123456789012345678901234567890123456789012345…"
                    "]"));
}

int main(void)
{
    test_pipe_sites();
    test_spans();
    test_failures();
    test_map_sites();
    test_long_operands();
    return TEST_END();
}
