/*
 * http_body.c: what curl brings: headers, bytes of the body, and what they are
 * taken for.
 *
 * A failure of ours is kept in job.err and told to curl by the return value;
 * curl ends the transfer then.
 */
#include "http_job.h"

#include "clock.h"

#include <stdlib.h>
#include <string.h>

#define RESERVE_MAX (1u << 20)

static bool has_word(const char *value, const char *word)
{
    return value && strcasestr(value, word) != NULL;
}

static const char *content_type(const mp_HttpJob *self)
{
    const char *head = self->job.end.head.data;
    const char *line = head ? strstr(head, "\ncontent-type: ") : NULL;

    return line ? line + strlen("\ncontent-type: ") : NULL;
}

static bool type_is(const mp_HttpJob *self, const char *word)
{
    const char *value = content_type(self);
    size_t len = value ? strcspn(value, "\n") : 0;
    char copy[128];

    if (len >= sizeof copy) len = sizeof copy - 1;
    memcpy(copy, value ? value : "", len);
    copy[len] = '\0';
    return has_word(copy, word);
}

/* A stream was asked for; is this one? Servers without a content type get the
 * benefit of the doubt. */
static bool is_stream(const mp_HttpJob *self)
{
    if (self->framing == MP_HTTP_WHOLE) return false;
    if (self->job.end.head.data[0] != '2') return false;
    if (type_is(self, "html")) return false;
    if (self->framing == MP_HTTP_NDJSON) return !type_is(self, "event-stream");
    return !type_is(self, "json");
}

/* Room for the whole answer at once, where its length is told and sane. */
static void reserve_body(mp_HttpJob *self)
{
    const char *head = self->job.end.head.data;
    const char *line = head ? strstr(head, "\ncontent-length: ") : NULL;
    unsigned long long len =
        line ? strtoull(line + strlen("\ncontent-length: "), NULL, 10) : 0;

    if (len > 0 && len <= RESERVE_MAX)
        mp_buf_reserve(&self->job.end.bytes, (size_t)len);
}

static void begin_body(mp_HttpJob *self)
{
    self->body_begun = true;
    self->first_byte_at = MP_CLOCK_NEVER;
    self->streaming = self->job.end.head.len > 0 && is_stream(self);
    if (!self->streaming) reserve_body(self);
    mp_http_note_data(self);
}

/* Moves the records up, the head before the first. */
static mp_Status send_records(mp_HttpJob *self, mp_Buf *records)
{
    mp_Buf *head = &self->job.end.head;
    mp_Status status;

    status = mp_job_chunk(&self->job, records, self->head_sent ? NULL : head);
    if (status == MP_OK) self->head_sent = true;
    return status;
}

/* Records of [bytes], or of what is open at the end. */
static mp_Status cut(mp_HttpJob *self, const char *bytes, size_t len,
                     mp_Buf *records, size_t *made, mp_Error *err)
{
    if (!self->uncut)
        return bytes ? mp_sse_feed(&self->sse, bytes, len, records, made, err)
                     : mp_sse_finish(&self->sse, records, made, err);
    if (!bytes) return MP_OK;
    if (mp_sse_write(records, "", 0, bytes, len) != MP_OK)
        return mp_err_memory(err);
    *made = 1;
    return MP_OK;
}

mp_Status mp_http_feed(mp_HttpJob *self, const char *bytes, size_t len)
{
    mp_Buf records;
    size_t made = 0;
    mp_Status status;
    mp_Error err;

    mp_buf_init(&records, 0);
    mp_buf_reserve(&records, len); /* they are about as long */
    status = cut(self, bytes, len, &records, &made, &err);
    if (made > 0) mp_http_note_data(self);
    if (made > 0 && send_records(self, &records) != MP_OK)
        status = mp_err_memory(&err);
    if (status != MP_OK) mp_http_keep_error(self, &err);
    mp_buf_term(&records);
    return status;
}

static mp_Status check(mp_HttpJob *self, const mp_Buf *buf)
{
    mp_Error err;
    mp_Status status = mp_buf_check(buf, &err);

    if (status != MP_OK) mp_http_keep_error(self, &err);
    return status;
}

static mp_Status gather(mp_HttpJob *self, const char *bytes, size_t len)
{
    mp_Buf *body = &self->job.end.bytes;

    mp_http_note_data(self);
    mp_buf_append(body, bytes, len);
    return check(self, body);
}

size_t mp_http_on_body(char *bytes, size_t one, size_t len, void *self_)
{
    mp_HttpJob *self = self_;
    mp_Status status;

    (void)one;
    if (!self->body_begun) begin_body(self);
    status = self->streaming ? mp_http_feed(self, bytes, len)
                             : gather(self, bytes, len);
    if (status != MP_OK) return 0;
    if (!mp_job_is_full(&self->job)) return len;
    self->paused = true;
    self->idle_at = MP_CLOCK_NEVER;
    mp_http_curl(NULL)->easy_pause(self->transfer.easy, CURLPAUSE_RECV);
    return len;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* "Content-Type:text/html \r\n" becomes "content-type: text/html\n". */
static void append_header(mp_Buf *head, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    const char *value = colon ? colon + 1 : NULL;
    size_t start = head->len;

    if (!colon) return;
    while (len > 0 && is_blank(line[len - 1]))
        len--;
    while (value < line + len && is_blank(*value))
        value++;
    mp_buf_append(head, line, (size_t)(colon - line));
    for (size_t i = start; i < head->len; i++)
        if (head->data[i] >= 'A' && head->data[i] <= 'Z') head->data[i] += 32;
    mp_buf_append(head, ": ", 2);
    if (value < line + len)
        mp_buf_append(head, value, (size_t)(line + len - value));
    mp_buf_char(head, '\n');
}

/* "HTTP/1.1 200 OK" begins a head anew: 100 and 103 come before the real one.
 */
size_t mp_http_on_header(char *line, size_t one, size_t len, void *self_)
{
    mp_HttpJob *self = self_;
    mp_Buf *head = &self->job.end.head;
    const char *space = memchr(line, ' ', len);

    (void)one;
    if (len > 5 && strncmp(line, "HTTP/", 5) == 0) {
        mp_buf_clear(head);
        mp_buf_reserve(head, MP_HTTP_HEAD_FIRST);
        self->head_ended = false;
        if (space && len - (size_t)(space - line) > 4)
            mp_buf_append(head, space + 1, 3);
        mp_buf_char(head, '\n');
    } else if (is_blank(line[0])) {
        self->head_ended = true;
    } else {
        append_header(head, line, len);
    }
    return check(self, head) == MP_OK ? len : 0;
}
