/* test_json.c: base/json and base/json_text. Every text is also fed at every
 * split point and one byte at a time, with equal results. */
#include "json.h"
#include "json_write.h"
#include "test.h"
#include "torture.h"

#include "check_case.h"

#include <stdlib.h>
#include <string.h>

/* --- events as text --- */

static const char *const marks[] = {"null ", "false ", "true ", "#",
                                    "int ",  "",       "key ",  "[ ",
                                    "] ",    "{ ",     "} "};

static mp_Status log_event(void *userdata, const mp_JsonEvent *event,
                           mp_Error *err)
{
    mp_Buf *log = userdata;

    mp_buf_text(log, marks[event->kind]);
    if (event->kind == MP_JSON_NUMBER)
        mp_json_write_number(log, event->number, NULL);
    else if (event->text)
        mp_json_write_text(log, event->text, event->len);
    if (event->text || event->kind == MP_JSON_NUMBER) mp_buf_char(log, ' ');
    return mp_buf_check(log, err);
}

/* A text and how it is fed: `first` bytes, then pieces of `piece` bytes. */
typedef struct Feed {
    const char *text;
    size_t len;
    size_t first;
    size_t piece;
    bool lenient;
} Feed;

/* Feeds one piece as a heap block of its own, so that a look beyond its end is
 * caught by the sanitizer. */
static mp_Status feed_piece(mp_Json *json, const char *bytes, size_t len,
                            mp_Error *err)
{
    char *copy = malloc(len ? len : 1);
    mp_Status status;

    memcpy(copy, bytes, len);
    status = mp_json_feed(json, copy, len, err);
    free(copy);
    return status;
}

/* Decodes, and writes the events and then the error, if any, to [log]. */
static mp_Status decode(const Feed *feed, mp_Buf *log)
{
    size_t at = 0, piece = feed->first;
    mp_Status status = MP_OK;
    mp_Error err;
    mp_Json json;

    mp_json_init(&json, log_event, log, feed->lenient, 0);
    while (status == MP_OK && at < feed->len) {
        if (piece > feed->len - at) piece = feed->len - at;
        status = feed_piece(&json, feed->text + at, piece, &err);
        at += piece;
        piece = feed->piece;
    }
    if (status == MP_OK) status = mp_json_finish(&json, &err);
    if (status != MP_OK) mp_buf_printf(log, "! %s", err.message);
    mp_json_term(&json);
    return status;
}

static bool decodes(Feed feed, const char *expected)
{
    bool same;
    mp_Buf log;

    mp_buf_init(&log, 0);
    decode(&feed, &log);
    same = log.data && strcmp(log.data, expected) == 0;
    if (!same) fprintf(stderr, "  %s\n  %s\n", log.data, expected);
    mp_buf_term(&log);
    return same;
}

/* At once, at every split point, and byte by byte. */
static bool decodes_always(const char *text, size_t len, bool lenient,
                           const char *expected)
{
    Feed feed = {text, len, len, 1, lenient};
    size_t split;

    if (!decodes(feed, expected)) return false;
    for (split = 0; split < len; split++) {
        feed.first = split;
        feed.piece = len;
        if (!decodes(feed, expected)) return false;
        feed.piece = 1;
        if (!decodes(feed, expected)) return false;
    }
    return true;
}

typedef struct Case {
    const char *text;
    const char *expected;
} Case;

static void check_all(const Case *cases, size_t count, bool lenient)
{
    size_t i;

    for (i = 0; i < count; i++)
        CHECK_CASE(cases[i].text,
                   decodes_always(cases[i].text, strlen(cases[i].text), lenient,
                                  cases[i].expected));
}

#define CHECK_ALL(cases, lenient)                                              \
    check_all(cases, sizeof(cases) / sizeof *(cases), lenient)

/* --- what is accepted --- */

static const Case good[] = {
    {"null", "null "},
    {"true", "true "},
    {"false", "false "},
    {" \t\r\n1 \n", "#1 "},
    {"-0.5e+2", "#-50 "},
    {"[]", "[ ] "},
    {"{}", "{ } "},
    {" [ 1 , [ ] , { } ] ", "[ #1 [ ] { } ] "},
    {"{\"a\":[1,2],\"b\":{\"c\":null}}",
     "{ key \"a\" [ #1 #2 ] key \"b\" { key \"c\" null } } "},
    {"{\"a\":1,\"a\":2}", "{ key \"a\" #1 key \"a\" #2 } "},
    {"{\"\":\"\"}", "{ key \"\" \"\" } "},
    {"9007199254740992", "#9007199254740992 "},
    {"[9007199254740993,-9007199254740993]",
     "[ int \"9007199254740993\" int \"-9007199254740993\" ] "},
    {"12345678901234567890.5", "#1.2345678901234567e+19 "},
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\" "},
    {"\"caf\xc3\xa9\"", "\"caf\xc3\xa9\" "},
    {"\"\\u0041\\u00e9\\u20AC\"", "\"A\xc3\xa9\xe2\x82\xac\" "},
    {"\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\" "},
    {"\"\\u0000\"", "\"\\u0000\" "},
    {"\"\\ud83d\"", "\"\xef\xbf\xbd\" "},
    {"\"\\ude00\"", "\"\xef\xbf\xbd\" "},
    {"\"\\ud83dx\"", "\"\xef\xbf\xbdx\" "},
    {"\"\\ud83d\\n\"", "\"\xef\xbf\xbd\\n\" "},
    {"\"\\ud83d\\u0041\"", "\"\xef\xbf\xbd"
                           "A\" "},
    {"\"\\ud83d\\ud83d\\ude00\"", "\"\xef\xbf\xbd\xf0\x9f\x98\x80\" "},
    {"\"\\ud83d\xff\"", "\"\xef\xbf\xbd\xef\xbf\xbd\" "},
    {"\"\xff\"", "\"\xef\xbf\xbd\" "},
    {"\"\xe2\x82\"", "\"\xef\xbf\xbd\" "},
    {"\"\xf0\x9f\x98!\"", "\"\xef\xbf\xbd!\" "},
    {"\"\xf0\x9f\\u0041\"", "\"\xef\xbf\xbd"
                            "A\" "},
    {"\"\xc0\x80\"", "\"\xef\xbf\xbd\xef\xbf\xbd\" "},
    {"\"\xe2\xe2\x82\xac\"", "\"\xef\xbf\xbd\xe2\x82\xac\" "},
    {"{\"k\\u0065y\xff\":1}", "{ key \"key\xef\xbf\xbd\" #1 } "},
};

/* --- what is refused --- */

#define AT(line, column, offset)                                               \
    " at line " #line " column " #column " (offset " #offset ")"

static const Case bad[] = {
    {"", "! expected a value but found the end of the text" AT(1, 1, 0)},
    {" \n ", "! expected a value but found the end of the text" AT(2, 2, 3)},
    {"x", "! expected a value but found 'x'" AT(1, 1, 0)},
    {"NaN", "! expected a value but found 'N'" AT(1, 1, 0)},
    {"[-Infinity]", "[ ! expected a digit but found 'I'" AT(1, 3, 2)},
    {"'a'", "! expected a value but found '''" AT(1, 1, 0)},
    {"+1", "! expected a value but found '+'" AT(1, 1, 0)},
    {".5", "! expected a value but found '.'" AT(1, 1, 0)},
    {"\xef\xbb\xbf[]", "! expected a value but found byte 0xef" AT(1, 1, 0)},
    {"\f1", "! expected a value but found byte 0x0c" AT(1, 1, 0)},
    {"nul", "! expected 'null' but found the end of the text" AT(1, 4, 3)},
    {"[trux]", "[ ! expected 'true' but found 'x'" AT(1, 5, 4)},
    {"falsey",
     "false ! expected the end of the text but found 'y'" AT(1, 6, 5)},
    {"1 2", "#1 ! expected the end of the text but found '2'" AT(1, 3, 2)},
    {"{} x", "{ } ! expected the end of the text but found 'x'" AT(1, 4, 3)},
    {"]", "! expected a value but found ']'" AT(1, 1, 0)},
    {"[",
     "[ ! expected a value or ']' but found the end of the text" AT(1, 2, 1)},
    {"[}", "[ ! expected a value or ']' but found '}'" AT(1, 2, 1)},
    {"[1,]", "[ #1 ! expected a value but found ']'" AT(1, 4, 3)},
    {"[,1]", "[ ! expected a value or ']' but found ','" AT(1, 2, 1)},
    {"[1 2]", "[ #1 ! expected ',' or ']' but found '2'" AT(1, 4, 3)},
    {"[1}", "[ #1 ! expected ',' or ']' but found '}'" AT(1, 3, 2)},
    {"[1",
     "[ #1 ! expected ',' or ']' but found the end of the text" AT(1, 3, 2)},
    {"[\n1,\n  ?", "[ #1 ! expected a value but found '?'" AT(3, 3, 7)},
    {"{1:2}", "{ ! expected a key or '}' but found '1'" AT(1, 2, 1)},
    {"{\"a\" 1}", "{ key \"a\" ! expected ':' but found '1'" AT(1, 6, 5)},
    {"{\"a\":}", "{ key \"a\" ! expected a value but found '}'" AT(1, 6, 5)},
    {"{\"a\":1,}", "{ key \"a\" #1 ! expected a key but found '}'" AT(1, 8, 7)},
    {"{\"a\":1 \"b\"}",
     "{ key \"a\" #1 ! expected ',' or '}' but found '\"'" AT(1, 8, 7)},
    {"\"ab",
     "! expected text or '\"' but found the end of the text" AT(1, 4, 3)},
    {"\"a\nb\"", "! expected text or '\"' but found byte 0x0a" AT(1, 3, 2)},
    {"\"\\x\"", "! expected an escape character but found 'x'" AT(1, 3, 2)},
    {"\"\\u12g4\"", "! expected a hex digit but found 'g'" AT(1, 6, 5)},
    {"-", "! expected a digit but found the end of the text" AT(1, 2, 1)},
    {"[1.]", "[ ! expected a digit but found ']'" AT(1, 4, 3)},
    {"[1e+,", "[ ! expected a digit but found ','" AT(1, 5, 4)},
    {"[01]", "[ ! expected ',' or ']' but found '1'" AT(1, 3, 2)},
    {"[1.5.2]", "[ ! expected ',' or ']' but found '.'" AT(1, 5, 4)},
    {"00", "! expected the end of the text but found '0'" AT(1, 2, 1)},
    {"[1,-1e400]", "[ #1 ! number -1e400 is beyond a double" AT(1, 4, 3)},
    {"1e0000000000000000000000000000999999999",
     "! number 1e000000000000000000000000000099... is beyond a double" AT(1, 1,
                                                                          0)},
};

/* What models write: only in lenient mode. */
static const Case lenient[] = {
    {"\"a\n\tb\"", "\"a\\n\\tb\" "},
    {"{\"a\nb\": 1}", "{ key \"a\\nb\" #1 } "},
    {"[1] and more ]\xff", "[ #1 ] "},
    {"{}```", "{ } "},
    {"12abc", "#12 "},
    {"\"a\n\" x", "\"a\\n\" "},
    {"[\"a\nb\" x]",
     "[ \"a\\nb\" ! expected ',' or ']' but found 'x'" AT(2, 4, 7)},
    {"[1",
     "[ #1 ! expected ',' or ']' but found the end of the text" AT(1, 3, 2)},
};

static void test_keeps_nul_in_raw_text(void)
{
    CHECK(decodes_always("\"a\0b\"", 5, true, "\"a\\u0000b\" "));
    CHECK(decodes_always(
        "\"a\0b\"", 5, false,
        "! expected text or '\"' but found byte 0x00" AT(1, 3, 2)));
}

/* --- limits --- */

static mp_Status ignore_event(void *userdata, const mp_JsonEvent *event,
                              mp_Error *err)
{
    (void)event;
    (void)err;
    ++*(int *)userdata;
    return MP_OK;
}

static void test_depth(void)
{
    char text[2 * MP_JSON_DEPTH + 2];
    int events = 0;
    mp_Error err;
    mp_Json json;

    memset(text, '[', MP_JSON_DEPTH);
    memset(text + MP_JSON_DEPTH, ']', MP_JSON_DEPTH);
    mp_json_init(&json, ignore_event, &events, false, 0);
    CHECK(mp_json_feed(&json, text, 2 * MP_JSON_DEPTH, &err) == MP_OK);
    CHECK(mp_json_finish(&json, &err) == MP_OK);
    CHECK(events == 2 * MP_JSON_DEPTH);
    mp_json_reset(&json, false);
    memset(text, '[', MP_JSON_DEPTH + 1);
    CHECK(mp_json_feed(&json, text, MP_JSON_DEPTH + 1, &err) ==
          -MP_KIND_DECODE);
    CHECK(strcmp(err.message, "nested deeper than 128 containers at line 1 "
                              "column 129 (offset 128)") == 0);
    mp_json_term(&json);
}

static void test_size(void)
{
    int events = 0;
    mp_Error err;
    mp_Json json;

    mp_json_init(&json, ignore_event, &events, false, 8);
    CHECK(mp_json_feed(&json, "[1,2,3]", 7, &err) == MP_OK);
    CHECK(mp_json_feed(&json, "  ", 2, &err) == -MP_KIND_TOO_LARGE);
    CHECK(strcmp(err.message, "more than 8 bytes of JSON") == 0);
    CHECK(mp_json_finish(&json, NULL) == -MP_KIND_TOO_LARGE);
    mp_json_term(&json);
}

/* U+FFFD is longer than what it replaces, so a text within the limit can hold
 * a string beyond it. */
static void test_size_of_a_repaired_string(void)
{
    int events = 0;
    mp_Json json;

    mp_json_init(&json, ignore_event, &events, false, 8);
    CHECK(mp_json_feed(&json, "\"\xff\xff\xff\"", 5, NULL) ==
          -MP_KIND_TOO_LARGE);
    mp_json_term(&json);
}

static mp_Status keep_text(void *userdata, const mp_JsonEvent *event,
                           mp_Error *err)
{
    mp_Buf *text = userdata;

    mp_buf_append(text, event->text, event->len);
    return mp_buf_check(text, err);
}

/* Nothing is replaced, wherever the text is cut. */
static void test_raw_text(void)
{
    static const char in[] =
        "\"\\ud83dx\\udc3b\xff\xf0\x9f\\ud83d\\udc3b\xe2\x82\"";
    static const char out[] =
        "\xed\xa0\xbdx\xed\xb0\xbb\xff\xf0\x9f\xf0\x9f\x90\xbb\xe2\x82";
    size_t split, len = sizeof in - 1;
    mp_Json json;
    mp_Buf text;

    for (split = 0; split <= len; split++) {
        mp_buf_init(&text, 0);
        mp_json_init(&json, keep_text, &text, false, 0);
        json.text.raw = true;
        CHECK(mp_json_feed(&json, in, split, NULL) == MP_OK);
        CHECK(mp_json_feed(&json, in + split, len - split, NULL) == MP_OK);
        CHECK(mp_json_finish(&json, NULL) == MP_OK);
        CHECK(text.len == sizeof out - 1);
        CHECK(memcmp(text.data, out, sizeof out - 1) == 0);
        mp_json_term(&json);
        mp_buf_term(&text);
    }
}

/* --- failures --- */

static void test_a_failure_stays(void)
{
    size_t line, column;
    int events = 0;
    mp_Error err;
    mp_Json json;

    mp_json_init(&json, ignore_event, &events, false, 0);
    CHECK(mp_json_feed(&json, "[\n ?", 4, &err) == -MP_KIND_DECODE);
    CHECK(json.error_offset == 3);
    mp_json_error_place(&json, &line, &column);
    CHECK(line == 2 && column == 2);
    err.message[0] = '\0';
    CHECK(mp_json_feed(&json, "1]", 2, &err) == -MP_KIND_DECODE);
    CHECK(strstr(err.message, "found '?'") != NULL);
    CHECK(mp_json_finish(&json, NULL) == -MP_KIND_DECODE);
    CHECK(!mp_json_done(&json));
    CHECK(events == 1);
    mp_json_reset(&json, false);
    CHECK(mp_json_feed(&json, "1 ", 2, &err) == MP_OK);
    CHECK(mp_json_finish(&json, &err) == MP_OK);
    mp_json_term(&json);
}

static mp_Status refuse_key(void *userdata, const mp_JsonEvent *event,
                            mp_Error *err)
{
    if (event->kind != MP_JSON_KEY) return MP_OK;
    return mp_err_set(err, *(mp_Kind *)userdata, "no '%.*s'", (int)event->len,
                      event->text);
}

static void test_the_sink_may_refuse(void)
{
    mp_Kind kind = MP_KIND_DECODE;
    mp_Error err;
    mp_Json json;

    mp_json_init(&json, refuse_key, &kind, false, 0);
    CHECK(mp_json_feed(&json, "{\n \"key\":1}", 11, &err) == -MP_KIND_DECODE);
    CHECK(strcmp(err.message, "no 'key' at line 2 column 2 (offset 3)") == 0);
    mp_json_reset(&json, false);
    kind = MP_KIND_MEMORY;
    CHECK(mp_json_feed(&json, "{\"key\":1}", 9, &err) == -MP_KIND_MEMORY);
    CHECK(strcmp(err.message, "no 'key'") == 0);
    mp_json_term(&json);
}

/* --- what is open --- */

static const char *open_text_of(mp_Json *json, const char *piece)
{
    const char *text = NULL;
    size_t len;

    CHECK(mp_json_feed(json, piece, strlen(piece), NULL) == MP_OK);
    return mp_json_open_text(json, &text, &len) ? text : NULL;
}

static void test_open_text(void)
{
    int events = 0;
    mp_Json json;

    mp_json_init(&json, ignore_event, &events, false, 0);
    CHECK(open_text_of(&json, "{\"a") == NULL); /* a key is no value */
    CHECK(json.depth == 1 && json.open[0] == '{');
    CHECK(open_text_of(&json, "\":[") == NULL);
    CHECK(json.depth == 2 && json.open[1] == '[');
    CHECK(strcmp(open_text_of(&json, "\""), "") == 0);
    CHECK(strcmp(open_text_of(&json, "x\\u00"), "x") == 0);
    CHECK(strcmp(open_text_of(&json, "e9\\ud83d"), "x\xc3\xa9") == 0);
    CHECK(strcmp(open_text_of(&json, "\\ude00\xe2\x82"),
                 "x\xc3\xa9\xf0\x9f\x98\x80") == 0);
    CHECK(open_text_of(&json, "\xac\"") == NULL);
    CHECK(open_text_of(&json, "]}") == NULL);
    CHECK(mp_json_done(&json));
    mp_json_term(&json);
}

/* --- memory --- */

static mp_Status decode_in_pieces(void *userdata)
{
    static const char text[] =
        "{\"a longer key with \\n in it, so that it is copied\": [1.25, "
        "\"text\\twith\\tescapes, longer than the first buffer of 64 bytes is, "
        "and longer than the second: the buffer has to grow several times\"]}";
    Feed feed = {text, sizeof text - 1, 3, 1, false};
    mp_Status status;
    mp_Buf log;

    (void)userdata;
    mp_buf_init(&log, 0);
    status = decode(&feed, &log);
    mp_buf_term(&log);
    return status;
}

int main(void)
{
    CHECK_ALL(good, false);
    CHECK_ALL(bad, false);
    CHECK_ALL(lenient, true);
    test_keeps_nul_in_raw_text();
    test_depth();
    test_size();
    test_size_of_a_repaired_string();
    test_raw_text();
    test_a_failure_stays();
    test_the_sink_may_refuse();
    test_open_text();
    CHECK(torture(decode_in_pieces, NULL) > 4);
    return TEST_END();
}
