/*
 * reply.h: the answer to one request: its head, and a body that is made piece
 * by piece, so that an endless one needs no memory.
 */
#ifndef REPLY_H
#define REPLY_H

#include "gzip.h"
#include "http.h"
#include "stream.h"

typedef enum BodyKind { BODY_TEXT, BODY_STREAM, BODY_HUGE } BodyKind;

typedef struct Reply {
    int64_t status;
    Span type;
    Framing framing;
    int64_t length; /* what Content-Length says */
    bool keep_alive;
    uint64_t id;
    BodyKind kind;
    Bytes text; /* of BODY_TEXT; taken by the first piece */
    Chat chat;
    Stream stream;
    int64_t left; /* of BODY_HUGE */
    int stage;
    bool zipped;
    Gzip gzip;
} Reply;

/* Decides what [request] gets. */
void reply_init(Reply *reply, const Request *request, const Script *script,
                uint64_t id);

/* The same for what no script rules: an error of ours, or a text. */
void reply_text(Reply *reply, const Request *request, int64_t status,
                Span text);

void reply_head(const Reply *reply, const Script *script, Bytes *out);

/* Appends the next piece of the body and says how long to wait behind it.
 * False behind the last. */
bool reply_next(Reply *reply, const Script *script, Bytes *out,
                int64_t *wait_us);

void reply_term(Reply *reply);

#endif
