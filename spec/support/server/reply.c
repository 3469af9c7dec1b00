/* reply.c: see reply.h. */
#include "reply.h"

#include "fail.h"
#include "vector.h"

#include <string.h>

#define JSON_TYPE   "application/json"
#define STREAM_TYPE "text/event-stream; charset=utf-8"
#define BOM         "\xef\xbb\xbf"

#define HTML                                                                   \
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"      \
    "<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"

#define MODELS                                                                 \
    "{\"object\":\"list\",\"data\":["                                          \
    "{\"id\":\"gpt-4o-mini\",\"object\":\"model\",\"created\":1700000000,"     \
    "\"owned_by\":\"loopback\"},"                                              \
    "{\"id\":\"text-embedding-3-small\",\"object\":\"model\","                 \
    "\"created\":1700000000,\"owned_by\":\"loopback\"}]}"

/* What a huge JSON answer has around its filling. */
#define HUGE_BEGIN                                                             \
    "{\"id\":\"chatcmpl-huge\",\"object\":\"chat.completion\",\"created\":1,"  \
    "\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":"         \
    "\"assistant\",\"content\":\""
#define HUGE_END "\"},\"finish_reason\":\"stop\"}]}"
#define HUGE_EVENT                                                             \
    "data: {\"id\":\"chatcmpl-huge\",\"object\":\"chat.completion.chunk\","    \
    "\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{"      \
    "\"content\":\""
#define HUGE_EVENT_END "\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"

enum { FILLING = 64 << 10 };

typedef enum HugeStage { BEGIN, FILL, FINISHED } HugeStage;

/* --- what the body is --- */

static void set_error(Reply *reply, int64_t status, const char *code,
                      const char *message)
{
    reply->kind = BODY_TEXT;
    reply->status = status;
    reply->text.len = 0;
    fail_body(code, message, &reply->text);
}

static void set_chat(Reply *reply, const Request *request, const Script *script)
{
    const char *complaint = chat_parse(&reply->chat, request->body);

    if (complaint) {
        set_error(reply, 400, "invalid_request", complaint);
        return;
    }
    reply->chat.id = reply->id;
    if (script->streamed != AS_ASKED)
        reply->chat.streamed = script->streamed == AS_STREAM;
    if (reply->chat.streamed)
        reply->kind = BODY_STREAM;
    else
        chat_body(&reply->chat, script, &reply->text);
}

static void set_vectors(Reply *reply, const Request *request,
                        const Script *script)
{
    const char *complaint = vector_body(request->body, script, &reply->text);

    if (complaint) set_error(reply, 400, "invalid_request", complaint);
}

static void set_by_path(Reply *reply, const Request *request,
                        const Script *script)
{
    bool post = span_is(request->method, "POST");

    if (span_is(request->path, "/v1/chat/completions") && post)
        set_chat(reply, request, script);
    else if (span_is(request->path, "/v1/embeddings") && post)
        set_vectors(reply, request, script);
    else if (span_is(request->path, "/v1/models"))
        TEXT(&reply->text, MODELS);
    else if (span_is(request->path, "/health"))
        TEXT(&reply->text, "{\"status\":\"ok\"}");
    else
        set_error(reply, 404, "unknown_url", "Unknown request URL");
}

static bool is_error(const Script *script)
{
    return script->after < 0 &&
           (script->status >= 400 || script->error.at || script->error_json.at);
}

/* The bodies that a script gives; false without one. */
static bool set_by_script(Reply *reply, const Script *script)
{
    if (script->huge > 0) {
        reply->kind = BODY_HUGE;
        reply->left = script->huge;
    } else if (script->body.at) {
        bytes_span(&reply->text, bytes_all(&script->body));
    } else if (script->html) {
        TEXT(&reply->text, HTML);
        reply->type = SPAN("text/html");
    } else if (is_error(script)) {
        fail_scripted(script, &reply->text);
    } else {
        return script->empty || script->status == 204 || script->redirect.at;
    }
    return true;
}

/* The last third of the text gives way to what is no JSON. */
static void spoil(Bytes *text)
{
    text->len -= text->len / 3;
    TEXT(text, "<oops");
}

/* --- how it is told --- */

/* A whole text may be zipped, begun with a mark and cut before its length is
 * told. */
static void shape_text(Reply *reply, const Script *script)
{
    Bytes plain = reply->text;

    if (script->bad_json) spoil(&plain);
    reply->text = (Bytes){0};
    if (script->bom) TEXT(&reply->text, BOM);
    bytes_span(&reply->text, bytes_all(&plain));
    bytes_free(&plain);
    if (!reply->zipped) return;
    plain = reply->text;
    reply->text = (Bytes){0};
    gzip_begin(&reply->gzip, &reply->text);
    gzip_text(&reply->gzip, &reply->text, bytes_all(&plain));
    gzip_end(&reply->gzip, &reply->text);
    bytes_free(&plain);
}

static bool is_shaped(const Script *script)
{
    return script->bad_json || script->bom || script->gzip;
}

static void set_length(Reply *reply, const Script *script)
{
    Span told = bytes_all(&script->length);
    int64_t number = 0;

    reply->length = (int64_t)reply->text.len;
    if (script->fault == END && script->fault_at < reply->length)
        reply->length = script->fault_at;
    if (!script->length.at || !span_integer(told, &number)) return;
    reply->length =
        *told.at == '+' || *told.at == '-' ? reply->length + number : number;
    reply->keep_alive = false; /* client and server disagree from here on */
}

static void set_framing(Reply *reply, const Script *script)
{
    reply->framing = script->framing;
    if (reply->framing == BY_DEFAULT)
        reply->framing = reply->kind == BODY_TEXT ? BY_LENGTH : BY_CHUNKS;
    if (reply->kind != BODY_TEXT && reply->framing == BY_LENGTH)
        reply->framing = BY_CHUNKS;
    if (reply->framing == BY_CLOSE || script->close) reply->keep_alive = false;
    if (reply->framing == BY_LENGTH) set_length(reply, script);
}

static bool is_events(const Reply *reply, const Script *script)
{
    return reply->kind == BODY_STREAM ||
           (reply->kind == BODY_HUGE && script->shape != SHAPE_JSON);
}

static void begin(Reply *reply, const Request *request, int64_t status)
{
    *reply = (Reply){.status = status, .type = SPAN(JSON_TYPE)};
    reply->keep_alive = request->keep_alive;
}

void reply_init(Reply *reply, const Request *request, const Script *script,
                uint64_t id)
{
    begin(reply, request, script->status);
    reply->id = id;
    if (!set_by_script(reply, script)) set_by_path(reply, request, script);
    reply->zipped = script->gzip;
    if (reply->kind == BODY_TEXT && is_shaped(script))
        shape_text(reply, script);
    if (is_events(reply, script)) reply->type = SPAN(STREAM_TYPE);
    if (script->content_type.at) reply->type = bytes_all(&script->content_type);
    set_framing(reply, script);
}

void reply_text(Reply *reply, const Request *request, int64_t status, Span text)
{
    begin(reply, request, status);
    bytes_span(&reply->text, text);
    reply->framing = BY_LENGTH;
    reply->length = (int64_t)text.len;
}

/* --- the head --- */

static void add_framing(const Reply *reply, Bytes *out)
{
    if (reply->framing == BY_CHUNKS)
        TEXT(out, "Transfer-Encoding: chunked\r\n");
    if (reply->framing == BY_LENGTH && reply->status != 204) {
        TEXT(out, "Content-Length: ");
        bytes_number(out, reply->length);
        TEXT(out, "\r\n");
    }
}

static void add_request_id(const Reply *reply, const Script *script, Bytes *out)
{
    TEXT(out, "x-request-id: ");
    if (script->request_id.at) {
        bytes_span(out, bytes_all(&script->request_id));
    } else {
        TEXT(out, "req_");
        bytes_hex(out, reply->id, 16);
    }
    TEXT(out, "\r\n");
}

static void add_line(const char *name, Span value, Bytes *out)
{
    bytes_text(out, name);
    bytes_span(out, value);
    TEXT(out, "\r\n");
}

void reply_head(const Reply *reply, const Script *script, Bytes *out)
{
    if (script->raw.at) {
        bytes_span(out, bytes_all(&script->raw));
        return;
    }
    bytes_text(out, script->http10 ? "HTTP/1.0 " : "HTTP/1.1 ");
    bytes_number(out, reply->status);
    TEXT(out, " ");
    bytes_text(out, http_reason(reply->status));
    TEXT(out, "\r\n");
    add_line("Content-Type: ", reply->type, out);
    add_framing(reply, out);
    add_request_id(reply, script, out);
    if (reply->zipped) TEXT(out, "Content-Encoding: gzip\r\n");
    if (script->redirect.at)
        add_line("Location: ", bytes_all(&script->redirect), out);
    if (!reply->keep_alive) TEXT(out, "Connection: close\r\n");
    bytes_span(out, bytes_all(&script->headers));
    TEXT(out, "\r\n");
}

/* --- the pieces of the body --- */

static bool text_next(Reply *reply, Bytes *out)
{
    if (reply->text.len == 0) return false;
    if (out->len == 0) {
        Bytes empty = *out;

        *out = reply->text;
        reply->text = empty;
    } else {
        bytes_span(out, bytes_all(&reply->text));
    }
    reply->text.len = 0;
    return true;
}

/* The two ends of a huge body. */
static Span huge_begin(const Script *script)
{
    if (script->shape == SHAPE_JSON) return SPAN(HUGE_BEGIN);
    if (script->shape == SHAPE_EVENT) return SPAN(HUGE_EVENT);
    return SPAN("");
}

static Span huge_end(const Script *script)
{
    if (script->shape == SHAPE_JSON) return SPAN(HUGE_END);
    if (script->shape == SHAPE_EVENT) return SPAN(HUGE_EVENT_END);
    return SPAN("");
}

static void add_span(Reply *reply, Span span, Bytes *out)
{
    if (reply->zipped)
        gzip_text(&reply->gzip, out, span);
    else
        bytes_span(out, span);
}

static void add_run(Reply *reply, size_t count, Bytes *out)
{
    if (reply->zipped)
        gzip_run(&reply->gzip, out, 'x', count);
    else
        bytes_fill(out, 'x', count);
}

/* At most FILLING bytes, or one line. */
static void huge_fill(Reply *reply, const Script *script, Bytes *out)
{
    int64_t count = reply->left < FILLING ? reply->left : FILLING;

    if (script->shape == SHAPE_LINES || script->shape == SHAPE_COMMENTS) {
        Span line =
            script->shape == SHAPE_LINES ? SPAN("data: x\n") : SPAN(": x\n\n");

        count = (int64_t)line.len < count ? (int64_t)line.len : count;
        add_span(reply, line, out);
    } else {
        add_run(reply, (size_t)count, out);
    }
    if (reply->left != ENDLESS) reply->left -= count;
}

static bool huge_next(Reply *reply, const Script *script, Bytes *out,
                      int64_t *wait_us)
{
    switch ((HugeStage)reply->stage) {
    case BEGIN:
        reply->stage = FILL;
        add_span(reply, huge_begin(script), out);
        return true;
    case FILL:
        huge_fill(reply, script, out);
        if (reply->left == 0) {
            reply->stage = FINISHED;
            add_span(reply, huge_end(script), out);
        }
        *wait_us = script->gap_us;
        return true;
    case FINISHED: break;
    }
    return false;
}

/* A stream's piece, zipped. */
static bool stream_piece(Reply *reply, const Script *script, Bytes *out,
                         int64_t *wait_us)
{
    Bytes plain = {0};
    bool more;

    if (!reply->zipped)
        return stream_next(&reply->stream, &reply->chat, script, out, wait_us);
    more = stream_next(&reply->stream, &reply->chat, script, &plain, wait_us);
    gzip_text(&reply->gzip, out, bytes_all(&plain));
    bytes_free(&plain);
    return more;
}

static bool made_next(Reply *reply, const Script *script, Bytes *out,
                      int64_t *wait_us)
{
    if (reply->kind == BODY_STREAM)
        return stream_piece(reply, script, out, wait_us);
    return huge_next(reply, script, out, wait_us);
}

static bool gzip_tail(Reply *reply, Bytes *out)
{
    if (!reply->zipped) return false;
    reply->zipped = false;
    gzip_end(&reply->gzip, out);
    return true;
}

/* A body that is made begins with its marks and ends with gzip's. */
bool reply_next(Reply *reply, const Script *script, Bytes *out,
                int64_t *wait_us)
{
    bool first = reply->stage == BEGIN && reply->stream.events == 0;

    if (reply->kind == BODY_TEXT) return text_next(reply, out);
    if (first && reply->zipped) gzip_begin(&reply->gzip, out);
    if (first && script->bom) add_span(reply, SPAN(BOM), out);
    return made_next(reply, script, out, wait_us) || gzip_tail(reply, out);
}

void reply_term(Reply *reply)
{
    bytes_free(&reply->text);
    chat_term(&reply->chat);
}
