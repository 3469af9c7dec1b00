/* parse.c: tokens and statements; see parse.h. */
#include "parse.h"

#include "alloc.h"

#define FIRST_CAP 64

/* --- tokens --- */

bool mp_parse_memory(mp_Parse *p)
{
    p->status = mp_err_memory(p->err);
    return false;
}

bool mp_parse_grow(mp_Parse *p, void **array, uint32_t *cap, uint32_t count,
                   size_t size)
{
    uint32_t more = *cap ? *cap * 2 : FIRST_CAP;
    void *fresh;

    if (count < *cap) return true;
    fresh = mp_alloc_resize(*array, more * size);
    if (!fresh) return mp_parse_memory(p);
    *array = fresh;
    *cap = more;
    return true;
}

/* Reads tokens until there are more than [index]. */
static bool fill(mp_Parse *p, uint32_t index)
{
    while (p->node_count <= index) {
        mp_Node node = {0};

        if (!mp_parse_grow(p, (void **)&p->nodes, &p->node_cap, p->node_count,
                           sizeof *p->nodes))
            return false;
        p->status = mp_lex_next(&p->lex, &node.token, p->err);
        if (p->status != MP_OK) return false;
        p->nodes[p->node_count++] = node;
    }
    return true;
}

mp_TokenType mp_parse_type(const mp_Parse *p)
{
    return p->nodes[p->at].token.type;
}

uint32_t mp_parse_line(const mp_Parse *p)
{
    return p->nodes[p->at].token.line;
}

bool mp_parse_next(mp_Parse *p)
{
    if (!fill(p, p->at + 1)) return false;
    p->at++;
    return true;
}

bool mp_parse_peek(mp_Parse *p, mp_TokenType *type)
{
    if (!fill(p, p->at + 1)) return false;
    *type = p->nodes[p->at + 1].token.type;
    return true;
}

bool mp_parse_fail(mp_Parse *p, const char *message)
{
    p->status =
        mp_lex_fail(&p->lex, &p->nodes[p->at].token, p->err, "%s", message);
    return false;
}

bool mp_parse_enter(mp_Parse *p)
{
    if (++p->depth <= MP_PIPE_LEVELS) return true;
    p->status = mp_lex_fail(&p->lex, &p->nodes[p->at].token, p->err,
                            "more than %d syntax levels in a text that pipes",
                            MP_PIPE_LEVELS);
    return false;
}

bool mp_parse_accept(mp_Parse *p, mp_TokenType type, bool *found)
{
    *found = mp_parse_type(p) == type;
    return !*found || mp_parse_next(p);
}

static bool fail_expected(mp_Parse *p, mp_TokenType type)
{
    p->status = mp_lex_fail(&p->lex, &p->nodes[p->at].token, p->err,
                            "'%s' expected", mp_lex_token_name(type));
    return false;
}

bool mp_parse_expect(mp_Parse *p, mp_TokenType type)
{
    if (mp_parse_type(p) != type) return fail_expected(p, type);
    return mp_parse_next(p);
}

/* As expect, but says what stays open since [line]. */
bool mp_parse_match(mp_Parse *p, mp_TokenType what, mp_TokenType who,
                    uint32_t line)
{
    const mp_Token *token = &p->nodes[p->at].token;

    if (token->type == what) return mp_parse_next(p);
    if (token->last_line == line) return fail_expected(p, what);
    p->status = mp_lex_fail(
        &p->lex, token, p->err, "'%s' expected (to close '%s' at line %u)",
        mp_lex_token_name(what), mp_lex_token_name(who), line);
    return false;
}

/* --- statements --- */

static bool block(mp_Parse *p);

static bool parameters(mp_Parse *p)
{
    bool more = mp_parse_type(p) != MP_TOKEN_CLOSE_PAREN;

    while (more) {
        mp_TokenType type = mp_parse_type(p);

        if (type != MP_TOKEN_NAME && type != MP_TOKEN_GOTO &&
            type != MP_TOKEN_DOTS)
            return mp_parse_fail(p, "<name> or '...' expected");
        if (!mp_parse_next(p)) return false;
        more = false; /* nothing follows `...` */
        if (type != MP_TOKEN_DOTS && !mp_parse_accept(p, MP_TOKEN_COMMA, &more))
            return false;
    }
    return mp_parse_expect(p, MP_TOKEN_CLOSE_PAREN);
}

bool mp_parse_body(mp_Parse *p, uint32_t line)
{
    return mp_parse_expect(p, MP_TOKEN_OPEN_PAREN) && parameters(p) &&
           block(p) && mp_parse_match(p, MP_TOKEN_END, MP_TOKEN_FUNCTION, line);
}

static bool function_statement(mp_Parse *p, uint32_t line)
{
    bool more;

    if (!mp_parse_next(p) || !mp_expr_name(p) ||
        !mp_parse_accept(p, MP_TOKEN_DOT, &more))
        return false;
    while (more)
        if (!mp_expr_name(p) || !mp_parse_accept(p, MP_TOKEN_DOT, &more))
            return false;
    if (!mp_parse_accept(p, MP_TOKEN_COLON, &more)) return false;
    if (more && !mp_expr_name(p)) return false;
    return mp_parse_body(p, line);
}

static bool names(mp_Parse *p)
{
    bool more = true;

    while (more)
        if (!mp_expr_name(p) || !mp_parse_accept(p, MP_TOKEN_COMMA, &more))
            return false;
    return true;
}

static bool local_statement(mp_Parse *p, uint32_t line)
{
    bool found;

    if (!mp_parse_next(p) || !mp_parse_accept(p, MP_TOKEN_FUNCTION, &found))
        return false;
    if (found) return mp_expr_name(p) && mp_parse_body(p, line);
    if (!names(p) || !mp_parse_accept(p, MP_TOKEN_SET, &found)) return false;
    return !found || mp_expr_list(p);
}

static bool if_statement(mp_Parse *p, uint32_t line)
{
    bool found;

    do { /* at `if` or `elseif` */
        if (!mp_parse_next(p) || !mp_expr_parse(p) ||
            !mp_parse_expect(p, MP_TOKEN_THEN) || !block(p))
            return false;
    } while (mp_parse_type(p) == MP_TOKEN_ELSEIF);
    if (!mp_parse_accept(p, MP_TOKEN_ELSE, &found)) return false;
    if (found && !block(p)) return false;
    return mp_parse_match(p, MP_TOKEN_END, MP_TOKEN_IF, line);
}

static bool while_statement(mp_Parse *p, uint32_t line)
{
    return mp_parse_next(p) && mp_expr_parse(p) &&
           mp_parse_expect(p, MP_TOKEN_DO) && block(p) &&
           mp_parse_match(p, MP_TOKEN_END, MP_TOKEN_WHILE, line);
}

static bool repeat_statement(mp_Parse *p, uint32_t line)
{
    return mp_parse_next(p) && block(p) &&
           mp_parse_match(p, MP_TOKEN_UNTIL, MP_TOKEN_REPEAT, line) &&
           mp_expr_parse(p);
}

static bool do_statement(mp_Parse *p, uint32_t line)
{
    return mp_parse_next(p) && block(p) &&
           mp_parse_match(p, MP_TOKEN_END, MP_TOKEN_DO, line);
}

static bool for_numbers(mp_Parse *p)
{
    bool step;

    if (!mp_parse_next(p) || !mp_expr_parse(p) ||
        !mp_parse_expect(p, MP_TOKEN_COMMA) || !mp_expr_parse(p) ||
        !mp_parse_accept(p, MP_TOKEN_COMMA, &step))
        return false;
    return !step || mp_expr_parse(p);
}

static bool for_iterator(mp_Parse *p)
{
    bool more;

    if (!mp_parse_accept(p, MP_TOKEN_COMMA, &more)) return false;
    if (more && !names(p)) return false;
    return mp_parse_expect(p, MP_TOKEN_IN) && mp_expr_list(p);
}

static bool for_head(mp_Parse *p)
{
    switch (mp_parse_type(p)) {
    case MP_TOKEN_SET: return for_numbers(p);
    case MP_TOKEN_COMMA:
    case MP_TOKEN_IN: return for_iterator(p);
    default: return mp_parse_fail(p, "'=' or 'in' expected");
    }
}

static bool for_statement(mp_Parse *p, uint32_t line)
{
    return mp_parse_next(p) && mp_expr_name(p) && for_head(p) &&
           mp_parse_expect(p, MP_TOKEN_DO) && block(p) &&
           mp_parse_match(p, MP_TOKEN_END, MP_TOKEN_FOR, line);
}

static bool ends_block(mp_TokenType type)
{
    return type == MP_TOKEN_EOF || type == MP_TOKEN_END ||
           type == MP_TOKEN_ELSE || type == MP_TOKEN_ELSEIF ||
           type == MP_TOKEN_UNTIL;
}

static bool return_statement(mp_Parse *p)
{
    bool found;

    if (!mp_parse_next(p)) return false;
    if (!ends_block(mp_parse_type(p)) &&
        mp_parse_type(p) != MP_TOKEN_SEMICOLON && !mp_expr_list(p))
        return false;
    return mp_parse_accept(p, MP_TOKEN_SEMICOLON, &found);
}

static bool label_statement(mp_Parse *p)
{
    return mp_parse_next(p) && mp_expr_name(p) &&
           mp_parse_expect(p, MP_TOKEN_LABEL);
}

static bool assignment(mp_Parse *p, mp_Expr *e)
{
    bool more, found;

    for (;;) {
        if (e->kind != MP_EXPR_VARIABLE)
            return mp_parse_fail(p, "syntax error");
        if (!mp_parse_accept(p, MP_TOKEN_COMMA, &more)) return false;
        if (!more) break;
        if (!mp_expr_suffixed(p, e)) return false;
    }
    if (!mp_parse_accept(p, MP_TOKEN_OR_SET, &found)) return false;
    return (found || mp_parse_expect(p, MP_TOKEN_SET)) && mp_expr_list(p);
}

static bool expression_statement(mp_Parse *p)
{
    uint32_t tables = p->table_count, fields = p->field_count;
    mp_Expr e;
    bool ok = mp_expr_suffixed(p, &e);

    p->table_count = tables;
    p->field_count = fields;
    if (!ok || e.kind == MP_EXPR_CALL) return ok;
    return assignment(p, &e);
}

/* `goto name` is a jump; any other goto is a variable of that name. */
static bool goto_statement(mp_Parse *p)
{
    mp_TokenType after;

    if (!mp_parse_peek(p, &after)) return false;
    if (after != MP_TOKEN_NAME) return expression_statement(p);
    return mp_parse_next(p) && mp_parse_next(p);
}

static bool statement(mp_Parse *p)
{
    uint32_t line = mp_parse_line(p);

    switch (mp_parse_type(p)) {
    case MP_TOKEN_IF: return if_statement(p, line);
    case MP_TOKEN_WHILE: return while_statement(p, line);
    case MP_TOKEN_DO: return do_statement(p, line);
    case MP_TOKEN_FOR: return for_statement(p, line);
    case MP_TOKEN_REPEAT: return repeat_statement(p, line);
    case MP_TOKEN_FUNCTION: return function_statement(p, line);
    case MP_TOKEN_LOCAL: return local_statement(p, line);
    case MP_TOKEN_LABEL: return label_statement(p);
    case MP_TOKEN_GOTO: return goto_statement(p);
    case MP_TOKEN_SEMICOLON:
    case MP_TOKEN_BREAK: return mp_parse_next(p);
    default: return expression_statement(p);
    }
}

static bool statements(mp_Parse *p)
{
    bool found;

    while (!ends_block(mp_parse_type(p))) {
        if (mp_parse_type(p) == MP_TOKEN_RETURN) return return_statement(p);
        if (!statement(p) || !mp_parse_accept(p, MP_TOKEN_SEMICOLON, &found))
            return false;
    }
    return true;
}

static bool block(mp_Parse *p)
{
    bool ok = mp_parse_enter(p) && statements(p);

    p->depth--;
    return ok;
}

bool mp_parse_text(mp_Parse *p)
{
    if (!fill(p, 0) || !block(p)) return false;
    if (mp_parse_type(p) == MP_TOKEN_EOF) return true;
    return fail_expected(p, MP_TOKEN_EOF);
}
