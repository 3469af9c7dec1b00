/*
 * fuzz_pipe.c: the translator on any bytes. What it accepts must come out as
 * text of the same lines, without an operator of ours, that it accepts again
 * and leaves as it is.
 */
#include "lex.h"
#include "pipe.h"

#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                     \
    do {                                                                       \
        if (!(condition)) abort();                                             \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The line of the end, or 0; [pipes] counts our operators. */
static uint32_t lex_all(const char *text, size_t len, int *pipes)
{
    mp_Lex lex;
    mp_Token token;

    *pipes = 0;
    mp_lex_init(&lex, text, (uint32_t)len, "fuzz");
    do {
        uint32_t at = lex.at;

        if (mp_lex_next(&lex, &token, NULL) != MP_OK) return 0;
        REQUIRE(token.at >= at && token.at + token.len == lex.at);
        REQUIRE(lex.at <= len && token.line <= token.last_line);
        if (token.type == MP_TOKEN_PIPE) ++*pipes;
    } while (token.type != MP_TOKEN_EOF);
    return token.line;
}

/* The wrapping takes two syntax levels more, so the only reason to refuse the
 * output is their limit. */
static void check_again(const mp_Pipe *pipe)
{
    mp_Pipe again;
    mp_Error err;

    if (mp_pipe_rewrite(&again, pipe->text.data, pipe->text.len, "fuzz",
                        &err) != MP_OK) {
        REQUIRE(strstr(err.message, "syntax levels"));
        return;
    }
    REQUIRE(again.site_count == 0);
    REQUIRE(again.text.len == pipe->text.len);
    REQUIRE(memcmp(again.text.data, pipe->text.data, again.text.len) == 0);
    mp_pipe_term(&again);
}

static int is_line_end(char c)
{
    return c == '\n' || c == '\r';
}

/* A span lies in its line. */
static void check_span(mp_PipeSpan span, const char *text, size_t size)
{
    size_t at = 0;

    if (span.line == 0) return;
    for (uint32_t line = 1; line < span.line; line++) {
        while (at < size && !is_line_end(text[at]))
            at++;
        if (at + 1 < size && is_line_end(text[at + 1]) &&
            text[at] != text[at + 1])
            at++;
        at++;
    }
    REQUIRE(span.column >= 1 && at + span.column - 1 + span.width <= size);
    for (uint32_t i = 0; i < span.width; i++)
        REQUIRE(!is_line_end(text[at + span.column - 1 + i]));
}

static void check_spans(const mp_Pipe *pipe, const char *text, size_t size)
{
    for (uint32_t i = 0; i < pipe->site_count && i < 50; i++) {
        check_span(pipe->sites[i].left_span, text, size);
        check_span(pipe->sites[i].right_span, text, size);
    }
    for (uint32_t i = 0; i < pipe->entry_count && i < 50; i++)
        check_span(pipe->entries[i].span, text, size);
}

static void check_sites(const mp_Pipe *pipe, uint32_t lines)
{
    for (uint32_t i = 0; i < pipe->site_count; i++) {
        const mp_PipeSite *site = &pipe->sites[i];

        REQUIRE(site->line >= 1 && site->line <= lines);
        REQUIRE(site->first + site->count <= pipe->entry_count);
        REQUIRE(site->left.at + site->left.len <= pipe->texts.len);
        REQUIRE(site->right.at + site->right.len <= pipe->texts.len);
    }
}

static void check_output(const mp_Pipe *pipe, const char *text, size_t size)
{
    int pipes;
    uint32_t before = lex_all(text, size, &pipes), after;

    REQUIRE(before > 0 && pipes > 0);
    after = lex_all(pipe->text.data, pipe->text.len, &pipes);
    REQUIRE(pipes == 0);
    /* a last "\r" and the "\n" before `end` are one line end */
    REQUIRE(after == before + 1 || (after == before && text[size - 1] == '\r'));
    check_sites(pipe, before);
    check_spans(pipe, text, size);
    check_again(pipe);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    mp_Pipe pipe;
    mp_Error err = {0};
    mp_Status status;

    if (size == 0) return 0;
    status = mp_pipe_translate(&pipe, text, size, "fuzz", &err);
    if (status != MP_OK) {
        REQUIRE(status == -MP_KIND_LUA && err.message[0]);
        check_span(pipe.failed, text, size);
        return 0;
    }
    if (pipe.changed) check_output(&pipe, text, size);
    mp_pipe_term(&pipe);
    return 0;
}
