/* chat.c: see chat.h. */
#include "chat.h"

#include "scan.h"

#include <string.h>

#define CREATED "1700000000"

enum { CHOICES_MAX = 16 };

/* Joins the texts of a content that is a list of parts. */
static void join_parts(Chat *chat, Span parts)
{
    Scan scan = scan_open(parts, '[');
    Span part, key, value;

    chat->joined.len = 0;
    while (scan_item(&scan, &part)) {
        Scan members = scan_open(part, '{');

        while (scan_member(&members, &key, &value)) {
            if (span_is(key, "text"))
                bytes_span(&chat->joined, scan_string(value));
        }
    }
    chat->content = bytes_all(&chat->joined);
}

static bool parse_message(Chat *chat, Span message)
{
    Scan scan = scan_open(message, '{');
    Span key, value, role = {0}, content = {0};

    while (scan_member(&scan, &key, &value)) {
        if (span_is(key, "role")) role = scan_string(value);
        if (span_is(key, "content")) content = value;
    }
    chat->prompt += content.len;
    if (span_is(role, "user") && content.len > 0) {
        if (*content.at == '[')
            join_parts(chat, content);
        else
            chat->content = scan_string(content);
    }
    return !scan.failed && role.len > 0;
}

static const char *parse_messages(Chat *chat, Span messages)
{
    Scan scan = scan_open(messages, '[');
    Span message;
    int count = 0;

    for (; scan_item(&scan, &message); count++) {
        if (!parse_message(chat, message)) return "a message has no role";
    }
    if (scan.failed) return "'messages' is no array";
    return count > 0 ? NULL : "'messages' is empty";
}

static bool has_usage(Span options)
{
    Scan scan = scan_open(options, '{');
    Span key, value;

    while (scan_member(&scan, &key, &value)) {
        if (span_is(key, "include_usage")) return span_is(value, "true");
    }
    return false;
}

static void parse_option(Chat *chat, Span key, Span value)
{
    if (span_is(key, "model"))
        chat->model = scan_string(value);
    else if (span_is(key, "stream"))
        chat->streamed = span_is(value, "true");
    else if (span_is(key, "stream_options"))
        chat->usage = has_usage(value);
    else if (span_is(key, "max_tokens") ||
             span_is(key, "max_completion_tokens"))
        span_integer(value, &chat->limit);
    else if (span_is(key, "n"))
        span_integer(value, &chat->choices);
}

const char *chat_parse(Chat *chat, Span body)
{
    Scan scan = scan_open(body, '{');
    Span key, value;
    const char *complaint = "'messages' is missing";

    *chat = (Chat){.content = {"", 0}, .choices = 1};
    while (scan_member(&scan, &key, &value)) {
        if (span_is(key, "messages"))
            complaint = parse_messages(chat, value);
        else
            parse_option(chat, key, value);
    }
    if (!scan_closed(&scan)) return "the body is not JSON";
    if (chat->choices < 1 || chat->choices > CHOICES_MAX)
        return "'n' is out of range";
    if (chat->model.len == 0) return "'model' is missing";
    return complaint;
}

void chat_term(Chat *chat)
{
    bytes_free(&chat->joined);
}

/* Writes `tok7` and, unless it is the last, a space. */
static void counted_token(const Chat *chat, int64_t count, Bytes *out)
{
    TEXT(out, "tok");
    bytes_number(out, chat->made);
    if (chat->made + 1 < count) TEXT(out, " ");
}

static bool word_token(Chat *chat, Span text, Bytes *out)
{
    Span rest = {text.at + chat->at, text.len - chat->at};
    const char *space = rest.len ? memchr(rest.at, ' ', rest.len) : NULL;
    size_t len = space ? (size_t)(space - rest.at) + 1 : rest.len;

    if (rest.len == 0) return false;
    bytes_add(out, rest.at, len);
    chat->at += len;
    return true;
}

/* Whether anything is left behind the limit of tokens. */
static bool has_more(const Chat *chat, const Script *script)
{
    if (script->token_count > 0) return chat->made < script->token_count;
    if (script->tokens >= 0) return chat->made < script->tokens;
    return chat->at <
           (script->answer.at ? script->answer.len : chat->content.len);
}

bool chat_token(Chat *chat, const Script *script, Bytes *out)
{
    if (chat->limit > 0 && chat->made == chat->limit) return false;
    if (!has_more(chat, script)) return false;
    if (script->token_count > 0)
        bytes_span(out, bytes_all(&script->token[chat->made]));
    else if (script->tokens >= 0)
        counted_token(chat, script->tokens, out);
    else
        word_token(chat,
                   script->answer.at ? bytes_all(&script->answer)
                                     : chat->content,
                   out);
    chat->made++;
    return true;
}

const char *chat_finish(const Chat *chat, const Script *script)
{
    if (script->finish.at) return script->finish.at;
    return has_more(chat, script) ? "length" : "stop";
}

static void add_id(const Chat *chat, const Script *script, const char *object,
                   Bytes *out)
{
    TEXT(out, "{\"id\":\"");
    if (script->answer_id.at) {
        bytes_escape(out, bytes_all(&script->answer_id));
    } else {
        TEXT(out, "chatcmpl-");
        bytes_hex(out, chat->id, 16);
    }
    TEXT(out, "\",\"object\":\"");
    bytes_text(out, object);
    TEXT(out, "\",\"created\":" CREATED ",\"model\":\"");
    bytes_span(out, chat->model);
    TEXT(out, "\",\"system_fingerprint\":\"");
    if (script->fingerprint.at)
        bytes_escape(out, bytes_all(&script->fingerprint));
    else
        TEXT(out, "fp_loopback");
    TEXT(out, "\",");
}

static void count_usage(const Chat *chat, const Script *script, int64_t *in,
                        int64_t *made)
{
    Span rest = bytes_all(&script->usage);

    *in = (int64_t)(chat->prompt + 3) / 4;
    *made = chat->made * chat->choices;
    if (rest.len == 0) return;
    span_integer(span_split(&rest, ','), in);
    span_integer(rest, made);
}

static void add_usage(const Chat *chat, const Script *script, Bytes *out)
{
    int64_t in, made;

    count_usage(chat, script, &in, &made);
    TEXT(out, "\"usage\":{\"prompt_tokens\":");
    bytes_number(out, in);
    TEXT(out, ",\"completion_tokens\":");
    bytes_number(out, made);
    TEXT(out, ",\"total_tokens\":");
    bytes_number(out, in + made);
    TEXT(out, ",\"prompt_tokens_details\":{\"cached_tokens\":0},"
              "\"completion_tokens_details\":{\"reasoning_tokens\":0}}");
}

static void add_finish(const char *finish, Bytes *out)
{
    TEXT(out, ",\"logprobs\":null,\"finish_reason\":");
    if (!finish) {
        TEXT(out, "null}");
        return;
    }
    TEXT(out, "\"");
    bytes_text(out, finish);
    TEXT(out, "\"}");
}

static void add_choice(const Script *script, int64_t index, Span content,
                       const char *finish, Bytes *out)
{
    if (index > 0) TEXT(out, ",");
    TEXT(out, "{\"index\":");
    bytes_number(out, index);
    TEXT(out, ",\"message\":{\"role\":\"assistant\",\"content\":\"");
    bytes_span(out, content);
    TEXT(out, "\",\"refusal\":null}");
    add_finish(script->no_finish ? NULL : finish, out);
}

/* The content comes first: only behind it the finish reason is known. */
void chat_body(Chat *chat, const Script *script, Bytes *out)
{
    Bytes content = {0};
    const char *finish;

    while (chat_token(chat, script, &content))
        continue;
    finish = chat_finish(chat, script);
    add_id(chat, script, "chat.completion", out);
    TEXT(out, "\"choices\":[");
    for (int64_t i = 0; i < chat->choices; i++)
        add_choice(script, i, bytes_all(&content), finish, out);
    TEXT(out, "]");
    if (!script->no_usage) {
        TEXT(out, ",");
        add_usage(chat, script, out);
    }
    TEXT(out, "}");
    bytes_free(&content);
}

void chat_chunk(const Chat *chat, const Script *script, int64_t choice,
                Span delta, const char *finish, Bytes *out)
{
    add_id(chat, script, "chat.completion.chunk", out);
    TEXT(out, "\"choices\":[{\"index\":");
    bytes_number(out, choice);
    TEXT(out, ",\"delta\":{");
    bytes_span(out, delta);
    TEXT(out, "}");
    add_finish(finish, out);
    TEXT(out, "]");
    if (chat->usage) TEXT(out, ",\"usage\":null");
    TEXT(out, "}");
}

void chat_usage_chunk(const Chat *chat, const Script *script, Bytes *out)
{
    add_id(chat, script, "chat.completion.chunk", out);
    TEXT(out, "\"choices\":[],");
    add_usage(chat, script, out);
    TEXT(out, "}");
}
