/*
 * chat.h: chat completions: what a request asks for, and the answer to it in
 * one piece or as chunks.
 *
 * The answer is the last user message, unless the script says otherwise. It
 * stays escaped as it came; tokens are its words with the space behind them,
 * which never cuts an escape.
 */
#ifndef CHAT_H
#define CHAT_H

#include "script.h"

typedef struct Chat {
    Span model, content; /* in the request */
    Bytes joined;        /* owned: content that came in parts */
    bool streamed, usage;
    int64_t limit; /* max_tokens; 0: none */
    int64_t choices;
    size_t prompt; /* bytes */
    uint64_t id;
    /* how far the answer is */
    int64_t made; /* tokens of each choice */
    size_t at;    /* in content */
} Chat;

/* Reads a request body. NULL, or what is wrong with it. */
const char *chat_parse(Chat *chat, Span body);
void chat_term(Chat *chat);

/* Appends the next token, escaped; false behind the last. */
bool chat_token(Chat *chat, const Script *script, Bytes *out);

/* The whole chat.completion. */
void chat_body(Chat *chat, const Script *script, Bytes *out);

/* The objects of a stream, each a chat.completion.chunk. A delta is what
 * stands between its braces; finish NULL is null. */
void chat_chunk(const Chat *chat, const Script *script, int64_t choice,
                Span delta, const char *finish, Bytes *out);
void chat_usage_chunk(const Chat *chat, const Script *script, Bytes *out);

/* stop, length, or what the script says. */
const char *chat_finish(const Chat *chat, const Script *script);

#endif
