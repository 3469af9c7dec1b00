/*
 * lex.c: see lex.h.
 *
 * Line ends count as in LuaJIT: "\n", "\r", "\r\n" and "\n\r" are one each.
 */
#include "lex.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A longer token is cut in messages. */
#define NEAR_MAX 60

static const char *const names[] = {
#define MP_TOKEN_NAME(name, text) text,
    MP_TOKENS(MP_TOKEN_NAME)
#undef MP_TOKEN_NAME
};

const char *mp_lex_token_name(mp_TokenType type)
{
    return names[type];
}

/* -1 behind the end, so that no byte of the text is mistaken for it. */
static int byte_at(const mp_Lex *lex, uint32_t at)
{
    return at < lex->len ? (unsigned char)lex->text[at] : -1;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* As LuaJIT: every byte beyond ASCII may be part of a name. */
static bool is_ident(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) ||
           c == '_' || c >= 0x80;
}

static bool is_newline(int c)
{
    return c == '\n' || c == '\r';
}

static void skip_newline(mp_Lex *lex)
{
    int first = byte_at(lex, lex->at++);
    int second = byte_at(lex, lex->at);

    if (is_newline(second) && second != first) lex->at++;
    lex->line++;
    lex->line_at = lex->at;
}

static void skip_line(mp_Lex *lex)
{
    while (lex->at < lex->len && !is_newline(byte_at(lex, lex->at)))
        lex->at++;
}

void mp_lex_init(mp_Lex *lex, const char *text, uint32_t len, const char *name)
{
    *lex = (mp_Lex){.text = text, .len = len, .line = 1, .name = name};
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) lex->at = 3;
    if (byte_at(lex, lex->at) == '#') skip_line(lex);
}

/* Writes what stands behind `near` into [out] of NEAR_MAX + 8 bytes. */
static void name_token(const mp_Lex *lex, const mp_Token *token, char *out)
{
    const char *text = lex->text + token->at;
    uint32_t len = token->len;

    if (token->type == MP_TOKEN_EOF) {
        snprintf(out, NEAR_MAX + 8, "<eof>");
    } else if (token->type == MP_TOKEN_UNKNOWN && (unsigned char)*text < ' ') {
        snprintf(out, NEAR_MAX + 8, "char(%d)", *text);
    } else if (len <= NEAR_MAX) {
        snprintf(out, NEAR_MAX + 8, "%.*s", (int)len, text);
    } else {
        for (len = NEAR_MAX; len > 0 && (text[len] & 0xc0) == 0x80;)
            len--; /* never half a UTF-8 character */
        snprintf(out, NEAR_MAX + 8, "%.*s...", (int)len, text);
    }
}

mp_Status mp_lex_fail(mp_Lex *lex, const mp_Token *near, mp_Error *err,
                      const char *format, ...)
{
    char message[256], token[NEAR_MAX + 8];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    name_token(lex, near, token);
    lex->failed = *near;
    return mp_err_set(err, MP_KIND_LUA, "%.200s:%u: %s near '%s'", lex->name,
                      near->last_line ? near->last_line : near->line, message,
                      token);
}

static mp_Status fail_here(mp_Lex *lex, mp_Token *token, mp_Error *err,
                           const char *message)
{
    token->len = lex->at - token->at;
    token->last_line = lex->line;
    if (lex->at >= lex->len) token->type = MP_TOKEN_EOF;
    return mp_lex_fail(lex, token, err, "%s", message);
}

/* The number of `=` in a long bracket that begins at [at], or -1. */
static int long_bracket(const mp_Lex *lex, uint32_t at)
{
    uint32_t end = at + 1;

    while (byte_at(lex, end) == '=')
        end++;
    return byte_at(lex, end) == byte_at(lex, at) ? (int)(end - at - 1) : -1;
}

/* Steps behind the closing bracket; false if there is none. */
static bool skip_long(mp_Lex *lex, int level)
{
    lex->at += (uint32_t)level + 2;
    while (lex->at < lex->len) {
        int c = byte_at(lex, lex->at);

        if (c == ']' && long_bracket(lex, lex->at) == level) {
            lex->at += (uint32_t)level + 2;
            return true;
        }
        if (is_newline(c))
            skip_newline(lex);
        else
            lex->at++;
    }
    return false;
}

/* Steps over a comment whose `--` was seen; false if it has no end. */
static bool skip_comment(mp_Lex *lex)
{
    lex->at += 2;
    if (byte_at(lex, lex->at) == '[') {
        int level = long_bracket(lex, lex->at);

        if (level >= 0) return skip_long(lex, level);
    }
    skip_line(lex);
    return true;
}

/* Steps over white space, line ends included. */
static void skip_space(mp_Lex *lex)
{
    for (;;) {
        int c = byte_at(lex, lex->at);

        if (is_newline(c))
            skip_newline(lex);
        else if (c == ' ' || c == '\t' || c == '\v' || c == '\f')
            lex->at++;
        else
            return;
    }
}

/* White space and comments; false if one of these has no end. */
static bool skip_blank(mp_Lex *lex)
{
    for (;;) {
        skip_space(lex);
        if (byte_at(lex, lex->at) != '-' || byte_at(lex, lex->at + 1) != '-')
            return true;
        if (!skip_comment(lex)) return false;
    }
}

/* LuaJIT takes `1..2` and `3x` as one malformed number; so do we. */
static void take_number(mp_Lex *lex)
{
    int exponent = 'e', last = byte_at(lex, lex->at), c;

    if (last == '0' && (byte_at(lex, lex->at + 1) | 0x20) == 'x')
        exponent = 'p';
    for (;;) {
        c = byte_at(lex, ++lex->at);
        if (!is_ident(c) && c != '.' &&
            !((c == '+' || c == '-') && (last | 0x20) == exponent))
            return;
        last = c;
    }
}

static void skip_escape(mp_Lex *lex)
{
    int c = byte_at(lex, ++lex->at);

    if (is_newline(c)) {
        skip_newline(lex);
    } else if (c >= 0) {
        lex->at++;
        if (c == 'z') skip_space(lex);
    }
}

static mp_Status take_string(mp_Lex *lex, mp_Token *token, mp_Error *err)
{
    int quote = byte_at(lex, lex->at++), c;

    token->type = MP_TOKEN_STRING;
    while ((c = byte_at(lex, lex->at)) != quote) {
        if (c < 0 || is_newline(c))
            return fail_here(lex, token, err, "unfinished string");
        if (c == '\\')
            skip_escape(lex);
        else
            lex->at++;
    }
    lex->at++;
    return MP_OK;
}

/* A `[`: a long string, or the symbol. `[=x` is neither. */
static mp_Status take_square(mp_Lex *lex, mp_Token *token, mp_Error *err)
{
    int level = long_bracket(lex, lex->at);

    if (level < 0 && byte_at(lex, lex->at + 1) != '=') {
        token->type = MP_TOKEN_OPEN_SQUARE;
        lex->at++;
        return MP_OK;
    }
    token->type = MP_TOKEN_STRING;
    if (level < 0) {
        while (byte_at(lex, ++lex->at) == '=')
            ;
        token->len = lex->at - token->at;
        return mp_lex_fail(lex, token, err, "invalid long string delimiter");
    }
    if (!skip_long(lex, level))
        return fail_here(lex, token, err, "unfinished long string");
    return MP_OK;
}

static mp_TokenType find_keyword(const char *text, uint32_t len)
{
    for (int i = 0; i <= MP_TOKEN_WHILE; i++)
        if (names[i][0] == text[0] && strlen(names[i]) == len &&
            memcmp(names[i], text, len) == 0)
            return (mp_TokenType)i;
    return MP_TOKEN_NAME;
}

static void take_name(mp_Lex *lex, mp_Token *token)
{
    while (is_ident(byte_at(lex, lex->at)))
        lex->at++;
    token->type = find_keyword(lex->text + token->at, lex->at - token->at);
}

/* The list has longer symbols before their prefixes. */
static void take_symbol(mp_Lex *lex, mp_Token *token)
{
    const char *text = lex->text + lex->at;
    uint32_t left = lex->len - lex->at;

    for (int i = MP_TOKEN_SAR; i <= MP_TOKEN_DOT; i++) {
        size_t len = names[i][0] == text[0] ? strlen(names[i]) : SIZE_MAX;

        if (len <= left && memcmp(names[i], text, len) == 0) {
            token->type = (mp_TokenType)i;
            lex->at += (uint32_t)len;
            return;
        }
    }
    token->type = MP_TOKEN_UNKNOWN;
    lex->at++;
}

static mp_Status take_token(mp_Lex *lex, mp_Token *token, mp_Error *err)
{
    int c = byte_at(lex, lex->at);

    if (c < 0)
        token->type = MP_TOKEN_EOF;
    else if (is_digit(c) || (c == '.' && is_digit(byte_at(lex, lex->at + 1)))) {
        token->type = MP_TOKEN_NUMBER;
        take_number(lex);
    } else if (is_ident(c))
        take_name(lex, token);
    else if (c == '"' || c == '\'')
        return take_string(lex, token, err);
    else if (c == '[')
        return take_square(lex, token, err);
    else
        take_symbol(lex, token);
    return MP_OK;
}

mp_Status mp_lex_next(mp_Lex *lex, mp_Token *token, mp_Error *err)
{
    mp_Status status;
    bool closed = skip_blank(lex);

    *token = (mp_Token){
        .at = lex->at, .line = lex->line, .column = lex->at - lex->line_at + 1};
    if (!closed) return fail_here(lex, token, err, "unfinished long comment");
    status = take_token(lex, token, err);
    token->len = lex->at - token->at;
    token->last_line = lex->line;
    return status;
}
