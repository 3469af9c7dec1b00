/* writer.c: see writer.h. */
#include "writer.h"

#include "record.h"
#include "timers.h"

#include <errno.h>
#include <sys/socket.h>

/* Bytes that are gathered before they are sent. */
enum { HIGH_WATER = 64 << 10 };

int writer_flush(Writer *writer, int fd)
{
    Bytes *out = &writer->out;
    size_t stop = writer->stop < out->len ? writer->stop : out->len;

    while (writer->sent < stop) {
        ssize_t n =
            send(fd, out->at + writer->sent, stop - writer->sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno == EAGAIN ? 0 : -1;
        writer->sent += (size_t)n;
        record_bytes_out += n;
    }
    if (writer->sent == out->len) out->len = writer->sent = 0;
    return 1;
}

void writer_begin(Writer *writer, const Script *script)
{
    writer->script = script;
    writer->stop = SIZE_MAX;
    writer->piece_at = writer->piece.len = 0;
    writer->body_sent = writer->resume_us = 0;
    writer->body_ended = writer->fault_done = false;
    reply_head(&writer->reply, script, &writer->out);
    if (script->fault_in_head) writer->stop = (size_t)script->fault_at;
    if (script->body_delay_us > 0)
        writer->resume_us = timers_now() + script->body_delay_us;
}

static bool is_fault_due(const Writer *writer)
{
    const Script *script = writer->script;

    if (script->fault <= END || writer->fault_done) return false;
    return script->fault_in_head || writer->body_sent >= script->fault_at;
}

static bool is_end_due(const Writer *writer)
{
    return writer->script->fault == END &&
           writer->body_sent >= writer->script->fault_at;
}

static bool next_piece(Writer *writer)
{
    writer->piece.len = writer->piece_at = 0;
    writer->piece_us = 0;
    return reply_next(&writer->reply, writer->script, &writer->piece,
                      &writer->piece_us);
}

/* How much of the piece goes into one chunk. */
static size_t slice_size(const Writer *writer)
{
    const Script *script = writer->script;
    int64_t size = (int64_t)(writer->piece.len - writer->piece_at);

    if (script->split > 0 && script->split < size) size = script->split;
    if (size > HIGH_WATER) size = HIGH_WATER;
    if (script->fault != NO_FAULT && !script->fault_in_head &&
        !writer->fault_done && script->fault_at - writer->body_sent < size)
        size = script->fault_at - writer->body_sent;
    return (size_t)size;
}

static void frame(Writer *writer, size_t size)
{
    bool chunked = writer->reply.framing == BY_CHUNKS;

    if (chunked) bytes_printf(&writer->out, "%zx\r\n", size);
    bytes_add(&writer->out, writer->piece.at + writer->piece_at, size);
    if (chunked) TEXT(&writer->out, "\r\n");
    writer->piece_at += size;
    writer->body_sent += (int64_t)size;
}

/* Moves a slice of the body into out. An empty one would be the last chunk. */
static void add_slice(Writer *writer)
{
    int64_t wait_us = writer->script->pause_us;
    size_t size = slice_size(writer);

    if (size > 0) frame(writer, size);
    if (writer->piece_at == writer->piece.len && writer->piece_us > 0)
        wait_us = writer->piece_us;
    if (wait_us > 0) writer->resume_us = timers_now() + wait_us;
}

static Step end_body(Writer *writer)
{
    writer->body_ended = true;
    if (writer->reply.framing == BY_CHUNKS) TEXT(&writer->out, "0\r\n\r\n");
    return STEP_FINISH;
}

Step writer_fill(Writer *writer)
{
    while (writer->out.len - writer->sent < HIGH_WATER) {
        if (writer->body_ended) return STEP_FINISH;
        if (is_fault_due(writer)) return STEP_BREAK;
        if (writer->resume_us > 0 && writer->resume_us > timers_now())
            return STEP_WAIT;
        writer->resume_us = 0;
        if (is_end_due(writer)) return end_body(writer);
        if (writer->piece_at == writer->piece.len && !next_piece(writer))
            return end_body(writer);
        add_slice(writer);
        if (writer->script->split > 0) break;
    }
    return STEP_SEND;
}

void writer_heal(Writer *writer)
{
    writer->fault_done = true;
    writer->stop = SIZE_MAX;
}

void writer_end(Writer *writer)
{
    reply_term(&writer->reply);
    writer->reply = (Reply){0};
    writer->script = NULL;
    bytes_reset(&writer->piece);
}

void writer_free(Writer *writer)
{
    writer_end(writer);
    bytes_free(&writer->out);
    bytes_free(&writer->piece);
}
