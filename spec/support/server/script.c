/* script.c: see script.h. Each key is a row of a table: its name, how its value
 * is read, and the field that takes it. */
#include "script.h"

#include <stdlib.h>
#include <string.h>

typedef enum Reader {
    READ_FLAG,
    READ_NUMBER,
    READ_SIZE,
    READ_TIME,
    READ_TEXT,
    READ_ENUM,
    READ_SPECIAL
} Reader;

typedef bool (*Special)(Script *script, Span value);

typedef struct Key {
    const char *name;
    Reader reader;
    size_t field;
    const char *words; /* of an enum, in its order */
    Special special;
} Key;

static bool read_size(Span value, int64_t *size)
{
    int64_t unit = 1;

    if (span_is(value, "endless")) {
        *size = ENDLESS;
        return true;
    }
    if (value.len > 0 && value.at[value.len - 1] == 'k') unit = 1024;
    if (value.len > 0 && value.at[value.len - 1] == 'm') unit = 1024 * 1024;
    if (unit > 1) value.len--;
    if (!span_integer(value, size) || *size < 0) return false;
    *size *= unit;
    return true;
}

static bool read_time(Span value, int64_t *us)
{
    char text[32], *end;
    double number;

    if (value.len == 0 || value.len >= sizeof text) return false;
    memcpy(text, value.at, value.len);
    text[value.len] = '\0';
    number = strtod(text, &end);
    if (end == text || number < 0) return false;
    if (strcmp(end, "us") == 0)
        *us = (int64_t)number;
    else if (strcmp(end, "s") == 0)
        *us = (int64_t)(number * 1e6);
    else if (*end == '\0' || strcmp(end, "ms") == 0)
        *us = (int64_t)(number * 1e3);
    else
        return false;
    return true;
}

static bool read_word(const char *words, Span value, int *number)
{
    Span rest = {words, strlen(words)};

    for (int i = 0; rest.len > 0; i++) {
        Span word = span_split(&rest, ' ');

        if (word.len != value.len || memcmp(word.at, value.at, word.len) != 0)
            continue;
        *number = i;
        return true;
    }
    return false;
}

/* With a NUL behind it; given, even if empty. */
static void copy(Bytes *to, Span value)
{
    bytes_free(to);
    bytes_span(to, value);
    bytes_add(to, "", 1);
    to->len--;
}

static bool read_header(Script *script, Span value)
{
    if (!memchr(value.at, ':', value.len)) return false;
    bytes_span(&script->headers, value);
    TEXT(&script->headers, "\r\n");
    return true;
}

static bool read_body64(Script *script, Span value)
{
    copy(&script->body, (Span){"", 0});
    return bytes_unbase64(&script->body, value);
}

static bool read_answer(Script *script, Span value)
{
    copy(&script->answer, (Span){"", 0});
    bytes_escape(&script->answer, value);
    return true;
}

static bool read_token(Script *script, Span value)
{
    size_t size = ((size_t)script->token_count + 1) * sizeof(Bytes);

    script->token = realloc(script->token, size);
    if (!script->token) abort();
    script->token[script->token_count] = (Bytes){0};
    bytes_escape(&script->token[script->token_count++], value);
    return true;
}

static bool read_drip(Script *script, Span value)
{
    script->split = 1;
    return read_time(value, &script->pause_us);
}

static bool read_place(Script *script, Span value, Fault fault)
{
    script->fault = fault;
    script->fault_in_head = value.len > 0 && *value.at == 'h';
    if (script->fault_in_head) value.at++, value.len--;
    return read_size(value, &script->fault_at);
}

static bool read_end(Script *script, Span value)
{
    return read_place(script, value, END) && !script->fault_in_head;
}

static bool read_cut(Script *script, Span value)
{
    return read_place(script, value, CUT);
}

static bool read_reset(Script *script, Span value)
{
    return read_place(script, value, RESET);
}

static bool read_stall(Script *script, Span value)
{
    return read_place(script, value, STALL);
}

#define FIELD(kind, name, field)                                               \
    {                                                                          \
        name, kind, offsetof(Script, field), 0, 0                              \
    }
#define FLAG(name)   FIELD(READ_FLAG, #name, name)
#define NUMBER(name) FIELD(READ_NUMBER, #name, name)
#define SIZE(name)   FIELD(READ_SIZE, #name, name)
#define TIME(name)   FIELD(READ_TIME, #name, name##_us)
#define TEXTS(name)  FIELD(READ_TEXT, #name, name)
#define WORDS(name, field, words)                                              \
    {                                                                          \
        name, READ_ENUM, offsetof(Script, field), words, 0                     \
    }
#define SPECIAL(name)                                                          \
    {                                                                          \
#name, READ_SPECIAL, 0, 0, read_##name                                 \
    }

static const Key KEYS[] = {
    TIME(delay),
    TIME(body_delay),
    FLAG(hold),
    FLAG(never),
    NUMBER(status),
    SPECIAL(header),
    TEXTS(content_type),
    TEXTS(request_id),
    TEXTS(redirect),
    WORDS("framing", framing, "default length chunked close"),
    TEXTS(length),
    FLAG(http10),
    FLAG(close),
    TIME(hangup),
    TEXTS(raw),
    TEXTS(body),
    SPECIAL(body64),
    FLAG(empty),
    FLAG(html),
    TEXTS(error),
    TEXTS(message),
    SIZE(huge),
    WORDS("shape", shape, "json line lines event comments"),
    FLAG(gzip),
    FLAG(bad_json),
    FLAG(bom),
    SPECIAL(answer),
    FIELD(READ_TEXT, "answer_json", answer),
    SPECIAL(token),
    NUMBER(tokens),
    TEXTS(finish),
    TEXTS(fingerprint),
    TEXTS(answer_id),
    TEXTS(usage),
    FLAG(no_usage),
    WORDS("stream", streamed, "as_asked yes no"),
    TIME(gap),
    SIZE(comments),
    FLAG(keepalive),
    WORDS("eol", eol, "lf cr crlf mixed"),
    FLAG(no_space),
    FLAG(multiline),
    FLAG(fields),
    FLAG(no_role),
    FLAG(no_done),
    FLAG(no_finish),
    FLAG(no_last_blank),
    NUMBER(after),
    TEXTS(error_json),
    FLAG(error_event),
    NUMBER(dims),
    FLAG(shuffle),
    FLAG(floats),
    FLAG(missing),
    SIZE(split),
    TIME(pause),
    SPECIAL(drip),
    SPECIAL(end),
    SPECIAL(cut),
    SPECIAL(reset),
    SPECIAL(stall)};

static const Key *find_key(Span name)
{
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++) {
        if (span_is(name, KEYS[i].name)) return &KEYS[i];
    }
    return NULL;
}

static bool read_value(Script *script, const Key *key, Span value)
{
    void *field = (char *)script + key->field;

    switch (key->reader) {
    case READ_FLAG: *(bool *)field = true; return value.len == 0;
    case READ_NUMBER:
        return span_integer(value, field) && *(int64_t *)field >= 0;
    case READ_SIZE: return read_size(value, field);
    case READ_TIME: return read_time(value, field);
    case READ_TEXT: copy(field, value); return true;
    case READ_ENUM: return read_word(key->words, value, field);
    case READ_SPECIAL: return key->special(script, value);
    }
    return false;
}

static bool complain(Bytes *complaint, const char *what, Span setting)
{
    bytes_printf(complaint, "%s '%.*s'", what, (int)setting.len, setting.at);
    return false;
}

static bool read_setting(Script *script, Span setting, Bytes *complaint)
{
    Span rest = setting, name = span_trim(span_split(&rest, '='));
    const Key *key = find_key(name);
    Bytes value = {0};
    bool good;

    if (!key) return complain(complaint, "unknown key", name);
    bytes_unpercent(&value, span_trim(rest));
    good = read_value(script, key, bytes_all(&value));
    bytes_free(&value);
    return good || complain(complaint, "bad value in", setting);
}

static void settle(Script *script)
{
    if (script->http10 || script->raw.at) script->framing = BY_CLOSE;
    if (script->raw.at) script->empty = true;
    if (script->redirect.at && !script->status) script->status = 302;
    if (!script->status) script->status = 200;
}

Script *script_plain(void)
{
    Script *script = calloc(1, sizeof *script);

    if (!script) abort();
    script->references = 1;
    script->hangup_us = script->after = script->tokens = -1;
    script->status = 200;
    return script;
}

Script *script_parse(Span text, Bytes *complaint)
{
    Script *script = script_plain();

    script->status = 0;
    while (text.len > 0) {
        Span setting = span_trim(span_split(&text, ';'));

        if (setting.len == 0) continue;
        if (!read_setting(script, setting, complaint)) {
            script_drop(script);
            return NULL;
        }
    }
    settle(script);
    return script;
}

Script *script_keep(Script *script)
{
    script->references++;
    return script;
}

static void free_texts(Script *script)
{
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++) {
        if (KEYS[i].reader == READ_TEXT)
            bytes_free((Bytes *)((char *)script + KEYS[i].field));
    }
    bytes_free(&script->headers);
    for (int i = 0; i < script->token_count; i++)
        bytes_free(&script->token[i]);
    free(script->token);
}

void script_drop(Script *script)
{
    if (!script || --script->references > 0) return;
    free_texts(script);
    free(script);
}
