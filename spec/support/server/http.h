/*
 * http.h: one HTTP/1 request out of a buffer.
 *
 * Nothing is kept between calls: a request that is not whole yet is read again
 * from its start when more bytes are there. Bodies of chunks are joined in
 * place once they are whole.
 */
#ifndef HTTP_H
#define HTTP_H

#include "bytes.h"

#define BODY_MAX ((size_t)256 << 20)

typedef enum HttpState {
    HTTP_WHOLE,
    HTTP_PART,     /* more bytes are needed */
    HTTP_CONTINUE, /* and the client waits for 100 Continue */
    HTTP_BAD,
    HTTP_LARGE
} HttpState;

/* All spans lie in the buffer. */
typedef struct Request {
    Span method, path, query;
    Span headers; /* the lines between the first and the empty one */
    Span body;
    Span script, lane, id; /* x-script, x-lane, x-id */
    bool keep_alive, expects, chunked;
    int64_t length;
    size_t size; /* of the whole request */
} Request;

HttpState http_parse(Bytes *in, Request *request);

const char *http_reason(int64_t status);

#endif
