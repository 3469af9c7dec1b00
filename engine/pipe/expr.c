/*
 * expr.c: expressions. The precedences are those of Lua 5.4, where `|` is
 * looser than `..` and tighter than a comparison.
 *
 * Operators that this LuaJIT does not know are parsed all the same: LuaJIT
 * refuses them at the same place, and a newer one takes them.
 */
#include "parse.h"

typedef struct Priority {
    uint8_t left, right; /* left < right: associates to the right */
} Priority;

static const Priority priorities[MP_TOKEN_COUNT] = {
    [MP_TOKEN_OR] = {1, 1},       [MP_TOKEN_OR_OR] = {1, 1},
    [MP_TOKEN_COALESCE] = {1, 1}, [MP_TOKEN_AND] = {2, 2},
    [MP_TOKEN_AND_AND] = {2, 2},  [MP_TOKEN_LT] = {3, 3},
    [MP_TOKEN_GT] = {3, 3},       [MP_TOKEN_LE] = {3, 3},
    [MP_TOKEN_GE] = {3, 3},       [MP_TOKEN_EQ] = {3, 3},
    [MP_TOKEN_NE] = {3, 3},       [MP_TOKEN_NOT_EQ] = {3, 3},
    [MP_TOKEN_PIPE] = {4, 4},     [MP_TOKEN_TILDE] = {5, 5},
    [MP_TOKEN_BAND] = {6, 6},     [MP_TOKEN_SHL] = {7, 7},
    [MP_TOKEN_SHR] = {7, 7},      [MP_TOKEN_SAR] = {7, 7},
    [MP_TOKEN_CONCAT] = {9, 8},   [MP_TOKEN_ADD] = {10, 10},
    [MP_TOKEN_SUB] = {10, 10},    [MP_TOKEN_MUL] = {11, 11},
    [MP_TOKEN_DIV] = {11, 11},    [MP_TOKEN_IDIV] = {11, 11},
    [MP_TOKEN_MOD] = {11, 11},    [MP_TOKEN_POW] = {14, 13},
};

#define UNARY 12

static bool subexpr(mp_Parse *p, mp_Expr *e, uint8_t limit);

/* `goto` is a keyword only where a label follows. */
static bool is_name(mp_TokenType type)
{
    return type == MP_TOKEN_NAME || type == MP_TOKEN_GOTO;
}

bool mp_expr_name(mp_Parse *p)
{
    if (!is_name(mp_parse_type(p))) return mp_parse_expect(p, MP_TOKEN_NAME);
    return mp_parse_next(p);
}

/* --- table constructors --- */

static bool open_table(mp_Parse *p, uint32_t *table)
{
    if (!mp_parse_grow(p, (void **)&p->tables, &p->table_cap, p->table_count,
                       sizeof *p->tables))
        return false;
    *table = p->table_count++;
    p->tables[*table] = (mp_Table){
        .open = p->at, .first = MP_PARSE_NONE, .last = MP_PARSE_NONE};
    return true;
}

static bool add_field(mp_Parse *p, uint32_t table, const mp_Field *field)
{
    mp_Table *owner;

    if (!mp_parse_grow(p, (void **)&p->fields, &p->field_cap, p->field_count,
                       sizeof *p->fields))
        return false;
    owner = &p->tables[table];
    if (owner->last == MP_PARSE_NONE)
        owner->first = p->field_count;
    else
        p->fields[owner->last].next = p->field_count;
    owner->last = p->field_count;
    owner->count++;
    p->fields[p->field_count++] = *field;
    return true;
}

static bool key_computed(mp_Parse *p, mp_Field *field)
{
    field->kind = MP_PIPE_COMPUTED;
    if (!mp_parse_next(p)) return false;
    field->key = p->at;
    if (!mp_expr_parse(p)) return false;
    field->key_end = p->at;
    return mp_parse_expect(p, MP_TOKEN_CLOSE_SQUARE) &&
           mp_parse_expect(p, MP_TOKEN_SET);
}

static bool key_name(mp_Parse *p, mp_Field *field)
{
    field->kind = MP_PIPE_STRING;
    field->key = p->at;
    field->key_end = p->at + 1;
    return mp_parse_next(p) && mp_parse_next(p);
}

static bool key(mp_Parse *p, mp_Field *field, uint32_t *position)
{
    mp_TokenType after = MP_TOKEN_EOF;

    if (mp_parse_type(p) == MP_TOKEN_OPEN_SQUARE) return key_computed(p, field);
    if (is_name(mp_parse_type(p)) && !mp_parse_peek(p, &after)) return false;
    if (after == MP_TOKEN_SET) return key_name(p, field);
    field->kind = MP_PIPE_INDEX;
    field->index = ++*position;
    field->key = field->key_end = p->at;
    return true;
}

/* A value that is no constructor can never be part of a map, so what it held
 * is forgotten. */
static bool value(mp_Parse *p, mp_Field *field)
{
    uint32_t tables = p->table_count, fields = p->field_count;
    mp_Expr e;

    field->value = p->at;
    if (!subexpr(p, &e, 0)) return false;
    field->value_end = p->at;
    if (e.kind == MP_EXPR_TABLE) {
        field->table = e.table;
    } else {
        p->table_count = tables;
        p->field_count = fields;
    }
    return true;
}

static bool is_spread(const mp_Parse *p, const mp_Field *field)
{
    return field->kind == MP_PIPE_INDEX &&
           mp_parse_type(p) == MP_TOKEN_CLOSE_BRACE &&
           field->value_end == field->value + 1 &&
           p->nodes[field->value].token.type == MP_TOKEN_DOTS;
}

static bool separator(mp_Parse *p, bool *found)
{
    if (!mp_parse_accept(p, MP_TOKEN_COMMA, found)) return false;
    return *found || mp_parse_accept(p, MP_TOKEN_SEMICOLON, found);
}

static bool fields(mp_Parse *p, uint32_t table)
{
    uint32_t position = 0;
    bool more = true;

    while (more && mp_parse_type(p) != MP_TOKEN_CLOSE_BRACE) {
        mp_Field field = {.line = mp_parse_line(p),
                          .table = MP_PARSE_NONE,
                          .next = MP_PARSE_NONE};

        if (!key(p, &field, &position) || !value(p, &field) ||
            !separator(p, &more))
            return false;
        if (is_spread(p, &field)) field.kind = MP_PIPE_SPREAD;
        if (!add_field(p, table, &field)) return false;
    }
    return true;
}

static bool constructor(mp_Parse *p, mp_Expr *e)
{
    uint32_t line = mp_parse_line(p);

    e->kind = MP_EXPR_TABLE;
    if (!open_table(p, &e->table) || !mp_parse_next(p) || !fields(p, e->table))
        return false;
    p->tables[e->table].close = p->at;
    return mp_parse_match(p, MP_TOKEN_CLOSE_BRACE, MP_TOKEN_OPEN_BRACE, line);
}

/* --- names, calls, indexing --- */

static bool arguments(mp_Parse *p)
{
    uint32_t line = mp_parse_line(p);

    if (p->nodes[p->at - 1].token.last_line != line)
        return mp_parse_fail(
            p, "ambiguous syntax (function call x new statement)");
    if (!mp_parse_next(p)) return false;
    if (mp_parse_type(p) != MP_TOKEN_CLOSE_PAREN && !mp_expr_list(p))
        return false;
    return mp_parse_match(p, MP_TOKEN_CLOSE_PAREN, MP_TOKEN_OPEN_PAREN, line);
}

static bool is_call(mp_TokenType type)
{
    return type == MP_TOKEN_OPEN_PAREN || type == MP_TOKEN_OPEN_BRACE ||
           type == MP_TOKEN_STRING;
}

/* `f{...}`: never a map. */
static bool table_argument(mp_Parse *p)
{
    uint32_t tables = p->table_count, fields_before = p->field_count;
    mp_Expr e;
    bool ok = constructor(p, &e);

    p->table_count = tables;
    p->field_count = fields_before;
    return ok;
}

static bool call(mp_Parse *p, mp_Expr *e)
{
    e->kind = MP_EXPR_CALL;
    if (mp_parse_type(p) == MP_TOKEN_OPEN_PAREN) return arguments(p);
    if (mp_parse_type(p) == MP_TOKEN_OPEN_BRACE) return table_argument(p);
    if (mp_parse_type(p) == MP_TOKEN_STRING) return mp_parse_next(p);
    return mp_parse_fail(p, "function arguments expected");
}

static bool index_bracket(mp_Parse *p)
{
    return mp_parse_next(p) && mp_expr_parse(p) &&
           mp_parse_expect(p, MP_TOKEN_CLOSE_SQUARE);
}

static bool suffix(mp_Parse *p, mp_Expr *e)
{
    mp_TokenType type = mp_parse_type(p);

    if (is_call(type)) return call(p, e);
    if (type == MP_TOKEN_COLON)
        return mp_parse_next(p) && mp_expr_name(p) && call(p, e);
    e->kind = MP_EXPR_VARIABLE;
    if (type == MP_TOKEN_OPEN_SQUARE) return index_bracket(p);
    if (!mp_parse_next(p)) return false;
    /* `a?.b`, or `a?.[k]` and `f?.(x)`, which the next round takes */
    if (type == MP_TOKEN_SAFE && !is_name(mp_parse_type(p))) return true;
    return mp_expr_name(p);
}

static bool is_suffix(mp_TokenType type)
{
    return is_call(type) || type == MP_TOKEN_DOT || type == MP_TOKEN_SAFE ||
           type == MP_TOKEN_OPEN_SQUARE || type == MP_TOKEN_COLON;
}

static bool parentheses(mp_Parse *p, mp_Expr *e)
{
    uint32_t line = mp_parse_line(p), first = p->at;

    if (!mp_parse_next(p) || !subexpr(p, e, 0)) return false;
    if (e->kind != MP_EXPR_TABLE) e->kind = MP_EXPR_VALUE;
    e->first = first;
    return mp_parse_match(p, MP_TOKEN_CLOSE_PAREN, MP_TOKEN_OPEN_PAREN, line);
}

bool mp_expr_suffixed(mp_Parse *p, mp_Expr *e)
{
    bool ok;

    *e = (mp_Expr){.kind = MP_EXPR_VARIABLE, .first = p->at};
    if (mp_parse_type(p) == MP_TOKEN_OPEN_PAREN)
        ok = parentheses(p, e);
    else if (is_name(mp_parse_type(p)))
        ok = mp_parse_next(p);
    else
        return mp_parse_fail(p, "unexpected symbol");
    while (ok && is_suffix(mp_parse_type(p)))
        ok = suffix(p, e);
    return ok;
}

/* --- operators --- */

static bool function_value(mp_Parse *p)
{
    uint32_t line = mp_parse_line(p);

    return mp_parse_next(p) && mp_parse_body(p, line);
}

static bool simple(mp_Parse *p, mp_Expr *e)
{
    *e = (mp_Expr){.kind = MP_EXPR_VALUE, .first = p->at};
    switch (mp_parse_type(p)) {
    case MP_TOKEN_NUMBER:
    case MP_TOKEN_STRING:
    case MP_TOKEN_NIL:
    case MP_TOKEN_TRUE:
    case MP_TOKEN_FALSE:
    case MP_TOKEN_DOTS: return mp_parse_next(p);
    case MP_TOKEN_OPEN_BRACE: return constructor(p, e);
    case MP_TOKEN_FUNCTION: return function_value(p);
    default: return mp_expr_suffixed(p, e);
    }
}

static bool is_unary(mp_TokenType type)
{
    return type == MP_TOKEN_NOT || type == MP_TOKEN_SUB ||
           type == MP_TOKEN_LEN || type == MP_TOKEN_TILDE ||
           type == MP_TOKEN_BANG;
}

static bool unary(mp_Parse *p, mp_Expr *e)
{
    mp_Expr operand;

    *e = (mp_Expr){.kind = MP_EXPR_VALUE, .first = p->at};
    return mp_parse_next(p) && subexpr(p, &operand, UNARY);
}

static bool map_operand(mp_Parse *p, const mp_Expr *e)
{
    return e->kind != MP_EXPR_TABLE || mp_site_map(p, e->table);
}

/* `left | b | c ...`, to the last operator of the row. */
static bool chain(mp_Parse *p, mp_Expr *left)
{
    uint32_t count = 0;

    if (!map_operand(p, left)) return false;
    while (mp_parse_type(p) == MP_TOKEN_PIPE) {
        uint32_t op = p->at;
        mp_Expr right;

        if (!mp_parse_next(p) ||
            !subexpr(p, &right, priorities[MP_TOKEN_PIPE].right) ||
            !map_operand(p, &right) ||
            !mp_site_pipe(p, op, left->first, right.first, count == 0))
            return false;
        count++;
    }
    p->nodes[left->first].chain = count;
    left->kind = MP_EXPR_VALUE;
    return true;
}

static bool binary(mp_Parse *p, mp_Expr *left)
{
    mp_TokenType op = mp_parse_type(p);
    mp_Expr right;

    if (op == MP_TOKEN_PIPE) return chain(p, left);
    left->kind = MP_EXPR_VALUE;
    return mp_parse_next(p) && subexpr(p, &right, priorities[op].right);
}

/* Reads while operators bind tighter than [limit]. */
static bool subexpr(mp_Parse *p, mp_Expr *e, uint8_t limit)
{
    bool ok = mp_parse_enter(p);

    if (ok) ok = is_unary(mp_parse_type(p)) ? unary(p, e) : simple(p, e);
    while (ok && priorities[mp_parse_type(p)].left > limit)
        ok = binary(p, e);
    p->depth--;
    return ok;
}

bool mp_expr_parse(mp_Parse *p)
{
    uint32_t tables = p->table_count, fields_before = p->field_count;
    mp_Expr e;
    bool ok = subexpr(p, &e, 0);

    p->table_count = tables;
    p->field_count = fields_before;
    return ok;
}

bool mp_expr_list(mp_Parse *p)
{
    bool more = true;

    while (more)
        if (!mp_expr_parse(p) || !mp_parse_accept(p, MP_TOKEN_COMMA, &more))
            return false;
    return true;
}
