/* stream.c: see stream.h. */
#include "stream.h"

#include "fail.h"

#include <string.h>

typedef enum Stage { COMMENTS, ROLE, TOKENS, FINISH, USAGE, DONE, OVER } Stage;

/* Mixed: each event has its own, for CR behind CR LF would not be a blank line.
 */
static const char *eol_of(const Stream *stream, const Script *script)
{
    static const char *const EOLS[] = {"\n", "\r", "\r\n"};

    if (script->eol == EOL_MIXED) return EOLS[stream->events % 3];
    return EOLS[script->eol];
}

static void add_line(const char *name, Span value, const Script *script,
                     const char *eol, Bytes *out)
{
    bytes_text(out, name);
    if (!script->no_space) TEXT(out, " ");
    bytes_span(out, value);
    bytes_text(out, eol);
}

/* Fields that a reader must know or ignore. */
static void add_fields(const Script *script, const char *eol, Bytes *out)
{
    add_line("id:", SPAN("1\0002"), script, eol, out);
    add_line("retry:", SPAN("3000"), script, eol, out);
    add_line("mood:", SPAN("good"), script, eol, out);
    bytes_text(out, "data2");
    bytes_text(out, eol);
}

void stream_event(Stream *stream, const Script *script, Span data, bool last,
                  Bytes *out)
{
    const char *eol = eol_of(stream, script);
    const char *comma =
        script->multiline && data.len ? memchr(data.at, ',', data.len) : NULL;

    stream->events++;
    if (script->fields) add_fields(script, eol, out);
    if (comma) {
        Span first = {data.at, (size_t)(comma - data.at) + 1};

        add_line("data:", first, script, eol, out);
        data = (Span){comma + 1, data.len - first.len};
    }
    add_line("data:", data, script, eol, out);
    if (!last || !script->no_last_blank) bytes_text(out, eol);
}

static void add_comment(Stream *stream, const Script *script, Bytes *out)
{
    const char *eol = eol_of(stream, script);

    stream->events++;
    add_line(":", SPAN("LOOPBACK PROCESSING"), script, eol, out);
    bytes_text(out, eol);
}

static bool is_last(Stage stage, const Chat *chat, const Script *script)
{
    if (stage == DONE) return true;
    if (!script->no_done) return false;
    return stage == USAGE || !chat->usage || script->no_usage;
}

/* One chunk for each choice. */
static void add_chunks(Stream *stream, const Chat *chat, const Script *script,
                       Span delta, const char *finish, Bytes *out)
{
    Bytes json = {0};

    for (int64_t i = 0; i < chat->choices; i++) {
        json.len = 0;
        chat_chunk(chat, script, i, delta, finish, &json);
        stream_event(stream, script, bytes_all(&json),
                     finish && i + 1 == chat->choices &&
                         is_last(FINISH, chat, script),
                     out);
    }
    bytes_free(&json);
}

static void add_error(Stream *stream, const Script *script, Bytes *out)
{
    Bytes json = {0};

    if (script->error_event)
        add_line("event:", SPAN("error"), script, eol_of(stream, script), out);
    fail_scripted(script, &json);
    stream_event(stream, script, bytes_all(&json), false, out);
    bytes_free(&json);
}

/* What the script wants instead of the next token; true ends the stream. */
static bool break_off(Stream *stream, const Chat *chat, const Script *script,
                      Bytes *out)
{
    bool due = chat->made == (script->after > 0 ? script->after : 0);

    if (due && script->bad_json) {
        stream_event(stream, script, SPAN("{\"choices\":[{\"delta\":{<oops"),
                     false, out);
        return false;
    }
    if (!due || script->after < 0 || script->bad_json) return false;
    add_error(stream, script, out);
    return true;
}

static Stage token_stage(Stream *stream, Chat *chat, const Script *script,
                         Bytes *out, int64_t *wait_us)
{
    static Bytes delta; /* one thread */

    if (break_off(stream, chat, script, out)) return OVER;
    delta.len = 0;
    TEXT(&delta, "\"content\":\"");
    if (!chat_token(chat, script, &delta)) return FINISH;
    TEXT(&delta, "\"");
    if (script->keepalive) add_comment(stream, script, out);
    add_chunks(stream, chat, script, bytes_all(&delta), NULL, out);
    *wait_us = script->gap_us;
    return TOKENS;
}

static Stage comment_stage(Stream *stream, const Script *script, Bytes *out,
                           int64_t *wait_us)
{
    if (stream->comments == script->comments) return ROLE;
    stream->comments++;
    add_comment(stream, script, out);
    *wait_us = script->gap_us;
    return COMMENTS;
}

static void role_stage(Stream *stream, const Chat *chat, const Script *script,
                       Bytes *out)
{
    if (script->no_role) return;
    add_chunks(stream, chat, script,
               SPAN("\"role\":\"assistant\",\"content\":\"\",\"refusal\":null"),
               NULL, out);
}

static void finish_stage(Stream *stream, const Chat *chat, const Script *script,
                         Bytes *out)
{
    if (script->no_finish) return;
    add_chunks(stream, chat, script, SPAN(""), chat_finish(chat, script), out);
}

static void usage_stage(Stream *stream, const Chat *chat, const Script *script,
                        Bytes *out)
{
    Bytes json = {0};

    if (!chat->usage || script->no_usage) return;
    chat_usage_chunk(chat, script, &json);
    stream_event(stream, script, bytes_all(&json), is_last(USAGE, chat, script),
                 out);
    bytes_free(&json);
}

static void done_stage(Stream *stream, const Script *script, Bytes *out)
{
    if (!script->no_done)
        stream_event(stream, script, SPAN("[DONE]"), true, out);
}

static Stage take_stage(Stream *stream, Chat *chat, const Script *script,
                        Bytes *out, int64_t *wait_us)
{
    switch ((Stage)stream->stage) {
    case COMMENTS: return comment_stage(stream, script, out, wait_us);
    case ROLE: role_stage(stream, chat, script, out); return TOKENS;
    case TOKENS: return token_stage(stream, chat, script, out, wait_us);
    case FINISH: finish_stage(stream, chat, script, out); return USAGE;
    case USAGE: usage_stage(stream, chat, script, out); return DONE;
    case DONE: done_stage(stream, script, out); return OVER;
    case OVER: break;
    }
    return OVER;
}

bool stream_next(Stream *stream, Chat *chat, const Script *script, Bytes *out,
                 int64_t *wait_us)
{
    size_t before = out->len;

    while (out->len == before && stream->stage != OVER)
        stream->stage = (int)take_stage(stream, chat, script, out, wait_us);
    return out->len > before;
}
