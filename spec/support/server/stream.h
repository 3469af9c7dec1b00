/*
 * stream.h: a chat completion as server-sent events, one at a time.
 */
#ifndef STREAM_H
#define STREAM_H

#include "chat.h"

typedef struct Stream {
    int stage;
    int64_t comments; /* made so far */
    int events;
} Stream;

/* Appends the next event, or what the script makes of it, and says in
 * [wait_us] how long to wait behind it. False when there is none. */
bool stream_next(Stream *stream, Chat *chat, const Script *script, Bytes *out,
                 int64_t *wait_us);

/* Appends [data] as an event. */
void stream_event(Stream *stream, const Script *script, Span data, bool last,
                  Bytes *out);

#endif
