/*
 * parse.h: what the files of the translator share. Not for others.
 *
 * One pass over the text: lex.c cuts tokens, parse.c knows statements, expr.c
 * expressions. They write down, at the tokens, where a chain begins, where an
 * operator's right operand ends and which braces are a map (site.c). emit.c
 * then copies the text token by token and adds what is written there. So no
 * text is ever moved, and blanks, comments and line ends stay as they are.
 *
 * Parser functions return false once something failed; p->status and the
 * caller's mp_Error say what. They chain with && and stop at the first failure.
 */
#ifndef MP_PARSE_H
#define MP_PARSE_H

#include "lex.h"
#include "pipe.h"

#define MP_PARSE_NONE UINT32_MAX

/* A token with what emit.c adds around it. */
typedef struct mp_Node {
    mp_Token token;
    uint32_t chain; /* a chain of so many operators begins before it */
    uint32_t map;   /* at { and }: its site, 0 for an ordinary table */
    uint32_t pipe;  /* behind it ends the right operand of this site */
} mp_Node;

/* A constructor that may turn out to be a map, and its entries. Both are
 * dropped as soon as the expression around them is complete. */
typedef struct mp_Field {
    mp_PipeKey kind;
    uint32_t line;
    uint32_t index;
    uint32_t key, key_end; /* tokens, without the brackets */
    uint32_t value, value_end;
    uint32_t table; /* the value is this constructor, or MP_PARSE_NONE */
    uint32_t next;  /* field of the same constructor, or MP_PARSE_NONE */
} mp_Field;

typedef struct mp_Table {
    uint32_t open, close; /* tokens */
    uint32_t first, last; /* fields, or MP_PARSE_NONE */
    uint32_t count;
} mp_Table;

typedef struct mp_Parse {
    mp_Lex lex;
    mp_Pipe *pipe;
    mp_Error *err;
    mp_Status status;
    uint32_t depth;
    uint32_t at; /* the token that is looked at */
    mp_Node *nodes;
    uint32_t node_count, node_cap;
    mp_Table *tables;
    uint32_t table_count, table_cap;
    mp_Field *fields;
    uint32_t field_count, field_cap;
    uint32_t site_cap, entry_cap; /* of pipe->sites, pipe->entries */
} mp_Parse;

/* What an expression turned out to be. */
typedef struct mp_Expr {
    enum { MP_EXPR_VALUE, MP_EXPR_VARIABLE, MP_EXPR_CALL, MP_EXPR_TABLE } kind;
    uint32_t first; /* token */
    uint32_t table; /* of MP_EXPR_TABLE, also in parentheses */
} mp_Expr;

/* parse.c: tokens and statements. */
mp_TokenType mp_parse_type(const mp_Parse *p);
uint32_t mp_parse_line(const mp_Parse *p);
bool mp_parse_next(mp_Parse *p);
bool mp_parse_peek(mp_Parse *p, mp_TokenType *type); /* behind the next one */
bool mp_parse_accept(mp_Parse *p, mp_TokenType type, bool *found);
bool mp_parse_expect(mp_Parse *p, mp_TokenType type);
bool mp_parse_match(mp_Parse *p, mp_TokenType what, mp_TokenType who,
                    uint32_t line);
bool mp_parse_enter(mp_Parse *p); /* one syntax level; undone by p->depth-- */
bool mp_parse_fail(mp_Parse *p, const char *message);
bool mp_parse_memory(mp_Parse *p);
bool mp_parse_grow(mp_Parse *p, void **array, uint32_t *cap, uint32_t count,
                   size_t size);
bool mp_parse_body(mp_Parse *p, uint32_t line); /* behind `function name` */
bool mp_parse_text(mp_Parse *p);

/* expr.c */
bool mp_expr_name(mp_Parse *p);
bool mp_expr_suffixed(mp_Parse *p, mp_Expr *e);
bool mp_expr_parse(mp_Parse *p);
bool mp_expr_list(mp_Parse *p);

/* site.c: each gives the tokens at hand their site. */
bool mp_site_pipe(mp_Parse *p, uint32_t op, uint32_t left, uint32_t right,
                  bool is_first);
bool mp_site_map(mp_Parse *p, uint32_t table);

/* emit.c: writes p->pipe->text. */
mp_Status mp_emit_text(mp_Parse *p, bool wrap);

#endif
