/* pipe.c: see pipe.h. */
#include "pipe.h"

#include "alloc.h"
#include "parse.h"

#include <string.h>

#define BYTECODE 27 /* the first byte of compiled Lua */

void mp_pipe_term(mp_Pipe *pipe)
{
    mp_buf_term(&pipe->text);
    mp_buf_term(&pipe->texts);
    mp_alloc_free(pipe->sites);
    mp_alloc_free(pipe->entries);
    memset(pipe, 0, sizeof *pipe);
}

static void init(mp_Pipe *pipe)
{
    memset(pipe, 0, sizeof *pipe);
    mp_buf_init(&pipe->text, 4 * MP_BUF_MAX); /* the added calls take room */
    mp_buf_init(&pipe->texts, MP_BUF_MAX);
}

/* A token that goes on over lines is reported where it ends. */
static mp_PipeSpan failed_span(const mp_Token *token)
{
    uint32_t last = token->last_line ? token->last_line : token->line;

    if (token->line == 0 || token->line != last) return (mp_PipeSpan){0};
    return (mp_PipeSpan){token->line, token->column, token->len};
}

static mp_Status translate(mp_Pipe *pipe, const char *text, size_t len,
                           const char *name, bool wrap, mp_Error *err)
{
    mp_Parse p = {.pipe = pipe, .err = err};

    if (len > MP_BUF_MAX)
        return mp_err_set(err, MP_KIND_TOO_LARGE,
                          "%.200s: more than %zu bytes of Lua text", name,
                          MP_BUF_MAX);
    mp_lex_init(&p.lex, text, (uint32_t)len, name);
    if (mp_parse_text(&p)) {
        pipe->changed = pipe->site_count > 0;
        if (pipe->changed || !wrap) p.status = mp_emit_text(&p, wrap);
    }
    mp_alloc_free(p.nodes);
    mp_alloc_free(p.tables);
    mp_alloc_free(p.fields);
    if (p.status != MP_OK) {
        mp_pipe_term(pipe);
        pipe->failed = failed_span(&p.lex.failed);
    }
    return p.status;
}

static bool is_bytecode(const char *text, size_t len)
{
    mp_Lex lex;

    mp_lex_init(&lex, text, (uint32_t)len, "");
    while (lex.at < len && (text[lex.at] == '\n' || text[lex.at] == '\r'))
        lex.at++;
    return lex.at < len && text[lex.at] == BYTECODE;
}

mp_Status mp_pipe_translate(mp_Pipe *pipe, const char *text, size_t len,
                            const char *name, mp_Error *err)
{
    init(pipe);
    if (!memchr(text, '|', len) || is_bytecode(text, len)) return MP_OK;
    return translate(pipe, text, len, name, true, err);
}

mp_Status mp_pipe_rewrite(mp_Pipe *pipe, const char *text, size_t len,
                          const char *name, mp_Error *err)
{
    init(pipe);
    return translate(pipe, text, len, name, false, err);
}
