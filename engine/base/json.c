/*
 * json.c: see json.h.
 *
 * One state says what may come next. Between tokens the state alone decides;
 * a token that a piece cuts has a state of its own (TEXT, NUMBER, LITERAL) and
 * goes on with the next piece. A string or number that lies whole in one piece,
 * which is nearly every one, is passed on without being copied.
 */
#include "json.h"

#include "json_number.h"

#include <stdio.h>
#include <string.h>

typedef enum State {
    VALUE,
    FIRST_ITEM, /* a value or ']' */
    FIRST_KEY,  /* a key or '}' */
    KEY,
    COLON,
    AFTER, /* behind a member: ',' or the end of its container */
    DONE,  /* behind the value of the whole text */
    TEXT,
    NUMBER,
    LITERAL,
    FAILED
} State;

#define NO_BYTE (-1)

/* --- errors --- */

static const char *after_expected(const mp_Json *json)
{
    return json->open[json->depth - 1] == '[' ? "',' or ']'" : "',' or '}'";
}

/* What may come next, in words. */
static const char *expected(const mp_Json *json)
{
    switch ((State)json->state) {
    case VALUE: return "a value";
    case FIRST_ITEM: return "a value or ']'";
    case FIRST_KEY: return "a key or '}'";
    case KEY: return "a key";
    case COLON: return "':'";
    case AFTER: return after_expected(json);
    case TEXT: return "text or '\"'";
    case LITERAL: return json->literal;
    default: return "the end of the text";
    }
}

/* Ends the decoding with what `error` says, at [offset]. Returns NULL, as all
 * steps do that fail. */
static const char *fail(mp_Json *json, size_t offset)
{
    char *message = json->error.message;
    size_t len = strlen(message);

    json->state = FAILED;
    json->error_offset = offset;
    if (json->error.kind == MP_KIND_DECODE)
        snprintf(message + len, MP_ERROR_TEXT - len,
                 " at line %zu column %zu (offset %zu)", json->line,
                 offset - json->line_start + 1, offset);
    return NULL;
}

/* The same at the token's first byte. */
static const char *fail_token(mp_Json *json)
{
    json->line = json->token_line;
    json->line_start = json->token_line_start;
    return fail(json, json->token);
}

/* Fails because of the byte [c] (NO_BYTE: the end of the text) at [offset]. */
static const char *refuse(mp_Json *json, size_t offset, int c,
                          const char *wanted)
{
    char found[24] = "the end of the text";

    if (c > ' ' && c < 0x7f)
        snprintf(found, sizeof found, "'%c'", c);
    else if (c != NO_BYTE)
        snprintf(found, sizeof found, "byte 0x%02x", (unsigned)c);
    mp_err_set(&json->error, MP_KIND_DECODE, "expected %s but found %s", wanted,
               found);
    return fail(json, offset);
}

static size_t offset_of(const mp_Json *json, const char *at)
{
    return json->offset + (size_t)(at - json->chunk);
}

static void start_token(mp_Json *json, const char *at)
{
    json->token = offset_of(json, at);
    json->token_line = json->line;
    json->token_line_start = json->line_start;
}

static const char *refuse_byte(mp_Json *json, const char *at,
                               const char *wanted)
{
    return refuse(json, offset_of(json, at), (unsigned char)*at, wanted);
}

/* --- events --- */

static bool emit_event(mp_Json *json, const mp_JsonEvent *event)
{
    if (json->sink(json->userdata, event, &json->error) == MP_OK) return true;
    fail_token(json);
    return false;
}

static bool emit_text(mp_Json *json, mp_JsonKind kind, const char *text,
                      size_t len)
{
    mp_JsonEvent event = {.kind = kind, .text = text, .len = len};

    return emit_event(json, &event);
}

static bool emit(mp_Json *json, mp_JsonKind kind)
{
    return emit_text(json, kind, NULL, 0);
}

static void end_value(mp_Json *json)
{
    json->state = json->depth > 0 ? AFTER : DONE;
}

/* --- white space --- */

static void count_lines(mp_Json *json, const char *at, const char *end)
{
    while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        at++;
        json->line++;
        json->line_start = offset_of(json, at);
    }
}

static const char *skip_space(mp_Json *json, const char *at, const char *end)
{
    for (; at < end; at++) {
        if (*at == '\n') {
            json->line++;
            json->line_start = offset_of(json, at) + 1;
        } else if (*at != ' ' && *at != '\t' && *at != '\r') {
            break;
        }
    }
    return at;
}

/* --- strings --- */

static bool end_text(mp_Json *json, const char *text, size_t len)
{
    if (json->token_is_key) {
        json->state = COLON;
        return emit_text(json, MP_JSON_KEY, text, len);
    }
    end_value(json);
    return emit_text(json, MP_JSON_STRING, text, len);
}

/* The text buffer could not grow. */
static const char *fail_buffer(mp_Json *json, const char *at)
{
    mp_buf_check(&json->text.buf, &json->error);
    return fail(json, offset_of(json, at));
}

/* In state TEXT: goes on with the open string. */
static const char *step_text(mp_Json *json, const char *at, const char *end)
{
    const char *from = at;
    mp_Buf *buf = &json->text.buf;
    mp_JsonTextStep step = mp_json_text_feed(&json->text, &at, end);

    if (json->lenient) count_lines(json, from, at);
    if (step == MP_JSON_TEXT_REFUSED)
        return refuse_byte(json, at, json->text.expected);
    if (buf->status != MP_OK) return fail_buffer(json, at);
    if (step == MP_JSON_TEXT_CLOSED) {
        at++;
        if (!end_text(json, buf->data ? buf->data : "", buf->len)) return NULL;
    }
    return at;
}

/* [at] is the opening quote. */
static const char *begin_text(mp_Json *json, const char *at, const char *end,
                              bool is_key)
{
    const char *stop = mp_json_text_clean(at + 1, end);

    start_token(json, at);
    json->token_is_key = is_key;
    if (stop < end && *stop == '"')
        return end_text(json, at + 1, (size_t)(stop - at - 1)) ? stop + 1
                                                               : NULL;
    mp_json_text_begin(&json->text);
    json->state = TEXT;
    return step_text(json, at + 1, end);
}

/* --- numbers --- */

static bool in_number(char c)
{
    return (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' ||
           c == 'e' || c == 'E';
}

static const char *number_run(const char *at, const char *end)
{
    while (at < end && in_number(*at))
        at++;
    return at;
}

static bool refuse_huge(mp_Json *json, const char *text, size_t len)
{
    if (json->text.raw) return emit(json, MP_JSON_NULL);
    mp_err_set(&json->error, MP_KIND_DECODE, "number %.*s%s is beyond a double",
               len > 32 ? 32 : (int)len, text, len > 32 ? "..." : "");
    fail_token(json);
    return false;
}

/* [text] is the whole token of [len] bytes, [next] the byte behind it. */
static bool end_number(mp_Json *json, const char *text, size_t len, int next)
{
    mp_JsonEvent event = {.kind = MP_JSON_NUMBER};
    size_t used;
    mp_JsonNumber found = mp_json_number_read(text, len, &used, &event.number);

    end_value(json);
    if (used < len) next = (unsigned char)text[used];
    if (found == MP_JSON_NUMBER_CUT || used < len) {
        refuse(json, json->token + used, next,
               found == MP_JSON_NUMBER_CUT ? "a digit" : expected(json));
        return false;
    }
    if (found == MP_JSON_NUMBER_HUGE) return refuse_huge(json, text, len);
    if (found == MP_JSON_NUMBER_INTEGER)
        return emit_text(json, MP_JSON_INTEGER, text, len);
    return emit_event(json, &event);
}

/* In state NUMBER: goes on with the open number. */
static const char *step_number(mp_Json *json, const char *at, const char *end)
{
    const char *stop = number_run(at, end);
    mp_Buf *buf = &json->text.buf;

    if (mp_buf_append(buf, at, (size_t)(stop - at)) != MP_OK)
        return fail_buffer(json, at);
    if (stop == end) return stop;
    if (!end_number(json, buf->data, buf->len, (unsigned char)*stop))
        return NULL;
    return stop;
}

static const char *begin_number(mp_Json *json, const char *at, const char *end)
{
    const char *stop = number_run(at, end);

    start_token(json, at);
    if (stop < end)
        return end_number(json, at, (size_t)(stop - at), (unsigned char)*stop)
                   ? stop
                   : NULL;
    mp_buf_clear(&json->text.buf);
    json->state = NUMBER;
    return step_number(json, at, end);
}

/* --- literals --- */

static bool end_literal(mp_Json *json)
{
    char c = json->literal[1]; /* behind the quote of the error message */

    end_value(json);
    return emit(json, c == 'n'   ? MP_JSON_NULL
                      : c == 't' ? MP_JSON_TRUE
                                 : MP_JSON_FALSE);
}

/* In state LITERAL: goes on with the open literal. */
static const char *step_literal(mp_Json *json, const char *at, const char *end)
{
    for (; at < end; at++) {
        if (*at != json->literal[json->matched])
            return refuse_byte(json, at, expected(json));
        json->matched++;
        if (json->literal[json->matched] == '\'')
            return end_literal(json) ? at + 1 : NULL;
    }
    return at;
}

static const char *begin_literal(mp_Json *json, const char *at, const char *end,
                                 const char *literal)
{
    start_token(json, at);
    json->literal = literal;
    json->matched = 1;
    json->state = LITERAL;
    return step_literal(json, at, end);
}

/* --- containers --- */

static const char *begin_container(mp_Json *json, const char *at)
{
    bool array = *at == '[';

    start_token(json, at);
    if (json->depth == MP_JSON_DEPTH) {
        mp_err_set(&json->error, MP_KIND_DECODE,
                   "nested deeper than %d containers", MP_JSON_DEPTH);
        return fail_token(json);
    }
    json->open[json->depth++] = *at;
    json->state = array ? FIRST_ITEM : FIRST_KEY;
    return emit(json, array ? MP_JSON_BEGIN_ARRAY : MP_JSON_BEGIN_OBJECT)
               ? at + 1
               : NULL;
}

static const char *end_container(mp_Json *json, const char *at)
{
    start_token(json, at);
    json->depth--;
    end_value(json);
    return emit(json, *at == ']' ? MP_JSON_END_ARRAY : MP_JSON_END_OBJECT)
               ? at + 1
               : NULL;
}

/* --- between tokens --- */

static const char *step_value(mp_Json *json, const char *at, const char *end)
{
    switch (*at) {
    case '"': return begin_text(json, at, end, false);
    case '[':
    case '{': return begin_container(json, at);
    case 'n': return begin_literal(json, at, end, "'null'");
    case 't': return begin_literal(json, at, end, "'true'");
    case 'f': return begin_literal(json, at, end, "'false'");
    default:
        if (*at == '-' || (*at >= '0' && *at <= '9'))
            return begin_number(json, at, end);
        return refuse_byte(json, at, expected(json));
    }
}

static const char *step_after(mp_Json *json, const char *at)
{
    char open = json->open[json->depth - 1];

    if (*at == ',') {
        json->state = open == '[' ? VALUE : KEY;
        return at + 1;
    }
    if (*at == (open == '[' ? ']' : '}')) return end_container(json, at);
    return refuse_byte(json, at, expected(json));
}

/* [at] is no white space. */
static const char *step_between(mp_Json *json, const char *at, const char *end)
{
    switch ((State)json->state) {
    case FIRST_ITEM:
        if (*at == ']') return end_container(json, at);
        return step_value(json, at, end);
    case VALUE: return step_value(json, at, end);
    case FIRST_KEY:
        if (*at == '}') return end_container(json, at);
        if (*at == '"') return begin_text(json, at, end, true);
        break;
    case KEY:
        if (*at == '"') return begin_text(json, at, end, true);
        break;
    case COLON:
        if (*at != ':') break;
        json->state = VALUE;
        return at + 1;
    case AFTER: return step_after(json, at);
    default: break;
    }
    return refuse_byte(json, at, expected(json));
}

static const char *step(mp_Json *json, const char *at, const char *end)
{
    if (json->state == TEXT) return step_text(json, at, end);
    if (json->state == NUMBER) return step_number(json, at, end);
    if (json->state == LITERAL) return step_literal(json, at, end);
    if (json->state == DONE && json->lenient) return end;
    at = skip_space(json, at, end);
    return at < end ? step_between(json, at, end) : at;
}

/* --- the interface --- */

void mp_json_init(mp_Json *json, mp_JsonSink sink, void *userdata, bool lenient,
                  size_t max)
{
    memset(json, 0, sizeof *json);
    json->sink = sink;
    json->userdata = userdata;
    json->max = max ? max : MP_BUF_MAX;
    mp_json_text_init(&json->text, lenient, json->max);
    mp_json_reset(json, lenient);
}

void mp_json_term(mp_Json *json)
{
    mp_json_text_term(&json->text);
}

void mp_json_reset(mp_Json *json, bool lenient)
{
    json->lenient = json->text.lenient = lenient;
    json->state = VALUE;
    json->depth = 0;
    json->offset = json->token = json->line_start = 0;
    json->line = 1;
    json->error.kind = MP_KIND_NONE;
}

static mp_Status failure(const mp_Json *json, mp_Error *err)
{
    if (err) *err = json->error;
    return -(mp_Status)json->error.kind;
}

mp_Status mp_json_feed(mp_Json *json, const char *bytes, size_t len,
                       mp_Error *err)
{
    const char *at = bytes, *end;

    if (json->state == FAILED) return failure(json, err);
    if (len == 0) return MP_OK;
    json->chunk = bytes;
    if (len > json->max - json->offset) {
        mp_err_set(&json->error, MP_KIND_TOO_LARGE,
                   "more than %zu bytes of JSON", json->max);
        fail(json, json->offset);
        return failure(json, err);
    }
    end = bytes + len;
    while (at && at < end)
        at = step(json, at, end);
    if (!at) return failure(json, err);
    json->offset += len;
    return MP_OK;
}

mp_Status mp_json_finish(mp_Json *json, mp_Error *err)
{
    mp_Buf *buf = &json->text.buf;

    if (json->state == NUMBER) end_number(json, buf->data, buf->len, NO_BYTE);
    if (json->state != DONE && json->state != FAILED)
        refuse(json, json->offset, NO_BYTE, expected(json));
    return json->state == FAILED ? failure(json, err) : MP_OK;
}

bool mp_json_done(const mp_Json *json)
{
    return json->state == DONE;
}

bool mp_json_open_text(const mp_Json *json, const char **text, size_t *len)
{
    if (json->state != TEXT || json->token_is_key) return false;
    *text = json->text.buf.data ? json->text.buf.data : "";
    *len = json->text.buf.len;
    return true;
}

void mp_json_error_place(const mp_Json *json, size_t *line, size_t *column)
{
    *line = json->line;
    *column = json->error_offset - json->line_start + 1;
}
