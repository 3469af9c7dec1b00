/*
 * lex.h: cuts Lua text into tokens.
 *
 * Only the extent of each token matters here: whether a number or an escape
 * sequence is well formed is left to LuaJIT, which sees the same bytes on the
 * same line. So the lexer takes every number suffix and escape that LuaJIT
 * knows now or later. Operators of newer Luas (`//`, `<<`, `??`, ...) are whole
 * tokens, so that no part of one is ever taken for our `|`.
 *
 * Threads: any; a lexer borrows its text.
 */
#ifndef MP_LEX_H
#define MP_LEX_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

/* Keywords first, in the order that find_keyword relies on; then symbols. */
#define MP_TOKENS(X)                                                           \
    X(AND, "and")                                                              \
    X(BREAK, "break")                                                          \
    X(DO, "do")                                                                \
    X(ELSE, "else")                                                            \
    X(ELSEIF, "elseif")                                                        \
    X(END, "end")                                                              \
    X(FALSE, "false")                                                          \
    X(FOR, "for")                                                              \
    X(FUNCTION, "function")                                                    \
    X(GOTO, "goto")                                                            \
    X(IF, "if")                                                                \
    X(IN, "in")                                                                \
    X(LOCAL, "local")                                                          \
    X(NIL, "nil")                                                              \
    X(NOT, "not")                                                              \
    X(OR, "or")                                                                \
    X(REPEAT, "repeat")                                                        \
    X(RETURN, "return")                                                        \
    X(THEN, "then")                                                            \
    X(TRUE, "true")                                                            \
    X(UNTIL, "until")                                                          \
    X(WHILE, "while")                                                          \
    X(SAR, "~>>")                                                              \
    X(DOTS, "...")                                                             \
    X(CONCAT, "..")                                                            \
    X(EQ, "==")                                                                \
    X(NE, "~=")                                                                \
    X(NOT_EQ, "!=")                                                            \
    X(LE, "<=")                                                                \
    X(GE, ">=")                                                                \
    X(SHL, "<<")                                                               \
    X(SHR, ">>")                                                               \
    X(IDIV, "//")                                                              \
    X(LABEL, "::")                                                             \
    X(OR_OR, "||")                                                             \
    X(OR_SET, "|=")                                                            \
    X(AND_AND, "&&")                                                           \
    X(COALESCE, "??")                                                          \
    X(SAFE, "?.")                                                              \
    X(PIPE, "|")                                                               \
    X(BAND, "&")                                                               \
    X(TILDE, "~")                                                              \
    X(BANG, "!")                                                               \
    X(ADD, "+")                                                                \
    X(SUB, "-")                                                                \
    X(MUL, "*")                                                                \
    X(DIV, "/")                                                                \
    X(MOD, "%")                                                                \
    X(POW, "^")                                                                \
    X(LEN, "#")                                                                \
    X(LT, "<")                                                                 \
    X(GT, ">")                                                                 \
    X(SET, "=")                                                                \
    X(OPEN_PAREN, "(")                                                         \
    X(CLOSE_PAREN, ")")                                                        \
    X(OPEN_BRACE, "{")                                                         \
    X(CLOSE_BRACE, "}")                                                        \
    X(OPEN_SQUARE, "[")                                                        \
    X(CLOSE_SQUARE, "]")                                                       \
    X(SEMICOLON, ";")                                                          \
    X(COLON, ":")                                                              \
    X(COMMA, ",")                                                              \
    X(DOT, ".")                                                                \
    X(NAME, "<name>")                                                          \
    X(NUMBER, "<number>")                                                      \
    X(STRING, "<string>")                                                      \
    X(UNKNOWN, "<symbol>")                                                     \
    X(EOF, "<eof>")

typedef enum mp_TokenType {
#define MP_TOKEN_ENUM(name, text) MP_TOKEN_##name,
    MP_TOKENS(MP_TOKEN_ENUM)
#undef MP_TOKEN_ENUM
        MP_TOKEN_COUNT
} mp_TokenType;

typedef struct mp_Token {
    mp_TokenType type;
    uint32_t at; /* first byte */
    uint32_t len;
    uint32_t line;   /* where it begins */
    uint32_t column; /* there, in bytes from 1 */
    uint32_t last_line;
} mp_Token;

typedef struct mp_Lex {
    const char *text;
    uint32_t len;
    uint32_t at;
    uint32_t line;
    uint32_t line_at; /* the first byte of that line */
    mp_Token failed;  /* what the last message is about */
    const char *name; /* how messages call the chunk: "rag.lua" */
} mp_Lex;

/* Borrows [text] and [name] for as long as [lex] is used. A byte order mark
 * and a first line that begins with `#` are stepped over, as LuaJIT does. */
void mp_lex_init(mp_Lex *lex, const char *text, uint32_t len, const char *name);

/* Finds the next token; at the end MP_TOKEN_EOF, again and again. Fails with
 * kind `lua` for a string or comment without end. */
mp_Status mp_lex_next(mp_Lex *lex, mp_Token *token, mp_Error *err);

/* Fills [err] with `name:line: message near 'token'`, as LuaJIT words it, and
 * keeps the token. */
mp_Status mp_lex_fail(mp_Lex *lex, const mp_Token *near, mp_Error *err,
                      const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* "while", "<=", "<name>", ... */
const char *mp_lex_token_name(mp_TokenType type);

#endif
