/* http.c: see http.h. */
#include "http.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_MAX = 64 << 10 };

/* The bytes of the head with its empty line; 0 while it is not whole. */
static size_t head_size(const Bytes *in)
{
    const char *end = in->len ? memmem(in->at, in->len, "\r\n\r\n", 4) : NULL;

    return end ? (size_t)(end - in->at) + 4 : 0;
}

/* What a client sends to a proxy names the host too; it does not matter here.
 */
static void drop_authority(Span *target)
{
    if (!span_has_prefix(*target, "http://")) return;
    target->at += 7, target->len -= 7;
    span_split(target, '/');
    target->at--, target->len++;
}

static bool parse_first_line(Request *request, Span line)
{
    Span rest = span_trim(line);

    request->method = span_split(&rest, ' ');
    request->query = span_split(&rest, ' ');
    drop_authority(&request->query);
    request->path = span_split(&request->query, '?');
    request->keep_alive = span_is(rest, "HTTP/1.1");
    if (request->path.len == 0 || !span_has_prefix(rest, "HTTP/1."))
        return false;
    return *request->path.at == '/' || span_is(request->method, "CONNECT");
}

static bool parse_length(Request *request, Span value)
{
    return span_integer(value, &request->length) && request->length >= 0;
}

static void parse_connection(Request *request, Span value)
{
    if (span_is_nocase(value, "close")) request->keep_alive = false;
    if (span_is_nocase(value, "keep-alive")) request->keep_alive = true;
}

/* By length first: most headers are none of these. */
static bool parse_header(Request *request, Span name, Span value)
{
    switch (name.len) {
    case 4:
        if (span_is_nocase(name, "x-id")) request->id = value;
        break;
    case 6:
        if (span_is_nocase(name, "expect"))
            request->expects = span_is_nocase(value, "100-continue");
        if (span_is_nocase(name, "x-lane")) request->lane = value;
        break;
    case 8:
        if (span_is_nocase(name, "x-script")) request->script = value;
        break;
    case 10:
        if (span_is_nocase(name, "connection"))
            parse_connection(request, value);
        break;
    case 14:
        if (span_is_nocase(name, "content-length"))
            return parse_length(request, value);
        break;
    case 17:
        if (span_is_nocase(name, "transfer-encoding"))
            request->chunked = span_is_nocase(value, "chunked");
        break;
    }
    return true;
}

static bool parse_headers(Request *request)
{
    Span rest = request->headers;

    while (rest.len > 0) {
        Span line = span_split(&rest, '\n');
        Span name = span_split(&line, ':');

        if (!parse_header(request, name, span_trim(line))) return false;
    }
    return true;
}

static bool parse_head(Request *request, const Bytes *in, size_t head)
{
    Span rest = {in->at, head - 2};
    Span line = span_split(&rest, '\n');

    *request = (Request){.headers = rest};
    return parse_first_line(request, line) && parse_headers(request);
}

/* Reads the line of a chunk: its size, and where its bytes begin. */
static HttpState chunk_line(Span rest, size_t *size, size_t *start)
{
    const char *line_end = rest.len ? memchr(rest.at, '\n', rest.len) : NULL;
    char *end;

    if (!line_end) return rest.len > 1024 ? HTTP_BAD : HTTP_PART;
    if (!isxdigit((unsigned char)*rest.at)) return HTTP_BAD;
    *size = strtoul(rest.at, &end, 16); /* stops at the line's end */
    *start = (size_t)(line_end - rest.at) + 1;
    return *size > BODY_MAX ? HTTP_LARGE : HTTP_WHOLE;
}

/* Walks the chunks of [rest]; gives the count of raw bytes. */
static HttpState measure_chunks(Span rest, size_t *raw)
{
    const char *from = rest.at;

    for (;;) {
        size_t size, start;
        HttpState state = chunk_line(rest, &size, &start);

        if (state != HTTP_WHOLE) return state;
        if (rest.len < start + size + 2) return HTTP_PART;
        rest.at += start + size + 2;
        rest.len -= start + size + 2;
        *raw = (size_t)(rest.at - from);
        if (*raw > BODY_MAX) return HTTP_LARGE;
        if (size == 0) return HTTP_WHOLE; /* trailers are not understood */
    }
}

static size_t join_chunks(char *body, size_t raw)
{
    Span rest = {body, raw};
    size_t len = 0, size, start;

    while (chunk_line(rest, &size, &start) == HTTP_WHOLE && size > 0) {
        memmove(body + len, rest.at + start, size);
        len += size;
        rest.at += start + size + 2;
        rest.len -= start + size + 2;
    }
    return len;
}

static HttpState parse_body(Bytes *in, Request *request, size_t head)
{
    Span rest = {in->at + head, in->len - head};
    size_t raw = (size_t)request->length;
    HttpState state = HTTP_WHOLE;

    if (request->chunked) {
        state = measure_chunks(rest, &raw);
    } else if (raw > BODY_MAX) {
        return HTTP_LARGE;
    } else if (rest.len < raw) {
        state = HTTP_PART;
    }
    if (state == HTTP_PART && request->expects) return HTTP_CONTINUE;
    if (state != HTTP_WHOLE) return state;
    request->size = head + raw;
    request->body = (Span){in->at + head, raw};
    if (request->chunked) request->body.len = join_chunks(in->at + head, raw);
    return HTTP_WHOLE;
}

HttpState http_parse(Bytes *in, Request *request)
{
    size_t head = head_size(in);

    if (head == 0) return in->len > HEAD_MAX ? HTTP_LARGE : HTTP_PART;
    if (!parse_head(request, in, head)) return HTTP_BAD;
    return parse_body(in, request, head);
}

const char *http_reason(int64_t status)
{
    switch (status) {
    case 200: return "OK";
    case 204: return "No Content";
    case 302: return "Found";
    case 307: return "Temporary Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 500: return "Internal Server Error";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "Status";
    }
}
