/*
 * emit.c: copies the text token by token and adds what the parser wrote at the
 * tokens; see parse.h.
 */
#include "parse.h"

#include <stdio.h>

/* The chains that are open while the text is copied. A chain inside another
 * one needs a syntax level of its own. */
typedef struct Open {
    uint32_t count; /* operators */
    uint32_t done;
} Open;

typedef struct Emit {
    mp_Parse *parse;
    mp_Buf *out;
    char name[16]; /* of P */
    Open open[MP_PIPE_LEVELS + 1];
    uint32_t depth;
} Emit;

/* n of a name P<n>, 0 for P, -1 for any other. */
static int32_t name_number(const char *text, uint32_t len)
{
    int32_t number = 0;

    if (len < 1 || len > 9 || text[0] != 'P') return -1;
    for (uint32_t i = 1; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') return -1;
        number = number * 10 + (text[i] - '0');
    }
    return number;
}

/* P, or a P<n> beyond all that the text uses. */
static void choose_name(Emit *e)
{
    const mp_Parse *p = e->parse;
    int32_t highest = -1;

    for (uint32_t i = 0; i < p->node_count; i++) {
        const mp_Token *token = &p->nodes[i].token;
        int32_t number = name_number(p->lex.text + token->at, token->len);

        if (token->type == MP_TOKEN_NAME && number > highest) highest = number;
    }
    if (highest < 0)
        snprintf(e->name, sizeof e->name, "P");
    else
        snprintf(e->name, sizeof e->name, "P%d", highest + 1);
}

static bool is_long(const Open *open)
{
    return open->count > MP_PIPE_NEST;
}

static void open_chain(Emit *e, uint32_t count)
{
    Open *open = &e->open[e->depth++];

    *open = (Open){.count = count};
    mp_buf_char(e->out, '(');
    if (is_long(open))
        mp_buf_printf(e->out, "%s.chain(", e->name);
    else
        for (uint32_t i = 0; i < count; i++)
            mp_buf_printf(e->out, "%s(", e->name);
}

/* A `|`: a comma, or in a row of calls nothing, since the `(` must stand on
 * the line of the `)` before it. */
static void operator(Emit *e)
{
    const Open *open = &e->open[e->depth - 1];

    mp_buf_char(e->out, is_long(open) && open->done > 0 ? ' ' : ',');
}

/* Behind a right operand. */
static void close_operand(Emit *e, uint32_t site)
{
    Open *open = &e->open[e->depth - 1];
    bool last = ++open->done == open->count;

    mp_buf_printf(e->out, ", %u)", site);
    if (is_long(open)) mp_buf_text(e->out, last ? "()" : "(");
    if (last) {
        mp_buf_char(e->out, ')');
        e->depth--;
    }
}

static void node(Emit *e, const mp_Node *n)
{
    const char *text = e->parse->lex.text + n->token.at;

    if (n->chain) open_chain(e, n->chain);
    if (n->map && *text == '{') mp_buf_printf(e->out, "%s.map(", e->name);
    if (n->token.type == MP_TOKEN_PIPE)
        operator(e);
    else
        mp_buf_append(e->out, text, n->token.len);
    if (n->map && *text == '}') mp_buf_printf(e->out, ", %u)", n->map);
    if (n->pipe) close_operand(e, n->pipe);
}

/* Where the text begins: behind a byte order mark and the `#` line, which
 * stand for nothing inside a function. */
static uint32_t skip_head(const mp_Lex *lex)
{
    mp_Lex fresh;

    mp_lex_init(&fresh, lex->text, lex->len, lex->name);
    return fresh.at;
}

mp_Status mp_emit_text(mp_Parse *p, bool wrap)
{
    Emit e = {.parse = p, .out = &p->pipe->text};
    uint32_t at = wrap ? skip_head(&p->lex) : 0;

    choose_name(&e);
    if (wrap)
        mp_buf_printf(e.out, "local %s = ... return function(...) ", e.name);
    for (uint32_t i = 0; i < p->node_count; i++) {
        const mp_Node *n = &p->nodes[i];

        mp_buf_append(e.out, p->lex.text + at, n->token.at - at);
        node(&e, n);
        at = n->token.at + n->token.len;
    }
    if (wrap) mp_buf_text(e.out, "\nend");
    return mp_buf_check(e.out, p->err);
}
