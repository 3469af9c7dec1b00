/* test_sse.c: work/sse. Every text is also fed at every split point and one
 * byte at a time, with equal records. */
#include "sse.h"
#include "test.h"
#include "torture.h"

#include "check_case.h"

#include <stdlib.h>
#include <string.h>

/* --- records as text --- */

/* As JSON would, but for bytes that are no UTF-8: they stay. */
static void log_text(mp_Buf *log, const char *text, size_t len)
{
    static const char special[] = "\"\\\n\r\t", letters[] = "\"\\nrt";

    mp_buf_char(log, '"');
    for (size_t i = 0; i < len; i++) {
        const char *found = text[i] ? strchr(special, text[i]) : NULL;

        if (found) mp_buf_char(log, '\\');
        if (text[i])
            mp_buf_char(log, found ? letters[found - special] : text[i]);
        else
            mp_buf_text(log, "\\u0000");
    }
    mp_buf_char(log, '"');
}

static bool log_record(const mp_Buf *records, size_t *offset, mp_Buf *log)
{
    const char *name, *data;
    size_t name_len, data_len;

    if (!mp_sse_read(records->data, records->len, offset, &name, &name_len,
                     &data, &data_len))
        return false;
    if (name_len > 0) {
        log_text(log, name, name_len);
        mp_buf_char(log, '=');
    }
    log_text(log, data, data_len);
    mp_buf_char(log, ' ');
    return true;
}

/* A text and how it is fed: `first` bytes, then pieces of `piece` bytes. */
typedef struct Feed {
    mp_SseFraming framing;
    const char *text;
    size_t len;
    size_t first;
    size_t piece;
} Feed;

/* Feeds one piece as a heap block of its own, so that a look beyond its end is
 * caught by the sanitizer; writes its records to [log]. */
static mp_Status feed_piece(mp_Sse *sse, const char *bytes, size_t len,
                            mp_Buf *log, mp_Error *err)
{
    size_t made, offset = 0, seen = 0;
    char *copy = malloc(len ? len : 1);
    mp_Status status;
    mp_Buf out;

    memcpy(copy, bytes, len);
    mp_buf_init(&out, 0);
    status = len ? mp_sse_feed(sse, copy, len, &out, &made, err)
                 : mp_sse_finish(sse, &out, &made, err);
    free(copy);
    while (log_record(&out, &offset, log))
        seen++;
    CHECK(offset == out.len);
    CHECK(seen == made);
    mp_buf_term(&out);
    return status;
}

/* Cuts, and writes the records and then the error, if any, to [log]. */
static mp_Status cut(const Feed *feed, mp_Buf *log)
{
    size_t at = 0, piece = feed->first;
    mp_Status status = MP_OK;
    mp_Error err;
    mp_Sse sse;

    mp_sse_init(&sse, feed->framing);
    while (status == MP_OK && at < feed->len) {
        if (piece > feed->len - at) piece = feed->len - at;
        if (piece > 0)
            status = feed_piece(&sse, feed->text + at, piece, log, &err);
        at += piece;
        piece = feed->piece;
    }
    if (status == MP_OK) status = feed_piece(&sse, "", 0, log, &err);
    if (status != MP_OK) mp_buf_printf(log, "! %s", err.message);
    mp_sse_term(&sse);
    return status == MP_OK ? log->status : status;
}

static bool cuts(Feed feed, const char *expected)
{
    mp_Buf log;
    bool same;

    mp_buf_init(&log, 0);
    mp_buf_text(&log, "");
    cut(&feed, &log);
    same = strcmp(log.data, expected) == 0;
    if (!same) fprintf(stderr, "  %s\n  %s\n", log.data, expected);
    mp_buf_term(&log);
    return same;
}

/* At once, at every split point, and byte by byte. */
static bool cuts_always(mp_SseFraming framing, const char *text, size_t len,
                        const char *expected)
{
    Feed feed = {framing, text, len, len, 1};

    if (!cuts(feed, expected)) return false;
    for (feed.first = 0; feed.first < len; feed.first++) {
        feed.piece = len;
        if (!cuts(feed, expected)) return false;
        feed.piece = 1;
        if (!cuts(feed, expected)) return false;
    }
    return true;
}

typedef struct Case {
    const char *text;
    const char *expected;
} Case;

static void check_all(mp_SseFraming framing, const Case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        CHECK_CASE(cases[i].text,
                   cuts_always(framing, cases[i].text, strlen(cases[i].text),
                               cases[i].expected));
}

#define CHECK_ALL(framing, cases)                                              \
    check_all(framing, cases, sizeof(cases) / sizeof *(cases))

/* --- events --- */

static const Case events[] = {
    {"", ""},
    {"\n\n\n", ""},
    {"data: a\n\n", "\"a\" "},
    {"data: a\n\ndata: b\n\n", "\"a\" \"b\" "},
    /* line ends, alone and mixed */
    {"data: a\r\rdata: b\r\r", "\"a\" \"b\" "},
    {"data: a\r\n\r\ndata: b\r\n\r\n", "\"a\" \"b\" "},
    {"data: a\r\ndata: b\rdata: c\n\r\ndata: d\n\n", "\"a\\nb\\nc\" \"d\" "},
    {"data: a\n\rdata: b\n\r", "\"a\" \"b\" "},
    {"data: a\r\n\ndata: b\r\r\n", "\"a\" \"b\" "},
    /* the last event needs neither its empty line nor its line end */
    {"data: a", "\"a\" "},
    {"data: a\n", "\"a\" "},
    {"data: a\r", "\"a\" "},
    {"data: a\r\n", "\"a\" "},
    {"data: a\n\nevent: x\ndata: b", "\"a\" \"x\"=\"b\" "},
    /* one space behind the colon goes, if there is one */
    {"data:a\n\n", "\"a\" "},
    {"data:  a \n\n", "\" a \" "},
    {"data: : b: c\n\n", "\": b: c\" "},
    {"data:\ta\n\n", "\"\\ta\" "},
    {" data: a\n\n", ""},
    {"data : a\n\n", ""},
    {"Data: a\n\n", ""},
    {"datum: a\ndat: b\n\n", ""},
    /* more lines */
    {"data: a\ndata: b\n\n", "\"a\\nb\" "},
    {"data: a\ndata\ndata: b\n\n", "\"a\\n\\nb\" "},
    {"data\ndata: b\n\n", "\"\\nb\" "},
    {"data\ndata\n\n", "\"\\n\" "},
    /* empty data */
    {"data\n\n", ""},
    {"data:\n\n", ""},
    {"data: \n\ndata: b\n\n", "\"b\" "},
    {"event: x\n\ndata: b\n\n", "\"b\" "},
    {"event: x\ndata:\n\ndata: b\n\n", "\"b\" "},
    {"event: x", ""},
    /* names */
    {"event: x\ndata: a\n\ndata: b\n\n", "\"x\"=\"a\" \"b\" "},
    {"data: a\nevent: x\n\n", "\"x\"=\"a\" "},
    {"event: x\ndata: a\nevent: longer\ndata: b\n\n", "\"longer\"=\"a\\nb\" "},
    {"event: longer\ndata: a\nevent\n\n", "\"a\" "},
    {"event: \xff\ndata: a\n\n", "\"\xff\"=\"a\" "},
    /* what is read over */
    {": hi\n:\n::\n\n", ""},
    {": OPENROUTER PROCESSING\n\ndata: a\n\n", "\"a\" "},
    {"data: a\n: hi\ndata: b\n\n", "\"a\\nb\" "},
    {"id: 1\nretry: 10\nretry: x\ndata: a\nfoo: b\nbar\n\n", "\"a\" "},
    {"<html>\n<body>data: a</body>\n\n", ""},
    /* the mark of OpenAI's end */
    {"data: {}\n\ndata: [DONE]\n\n", "\"{}\" \"[DONE]\" "},
    /* a byte order mark, once and at the beginning only */
    {"\xef\xbb\xbf"
     "data: a\n\n",
     "\"a\" "},
    {"\xef\xbb\xbf\n\xef\xbb\xbf"
     "data: a\n\n",
     ""},
    {"\xef\xbb\xbf\xef\xbb\xbf"
     "data: a\n\n",
     ""},
    {"\xef\xbb\xbf", ""},
    {"\xef\xbb", ""},
    /* UTF-8, good and bad: kept as it is */
    {"data: caf\xc3\xa9 \xf0\x9f\x98\x80 \xe2\x82\xac\n\n",
     "\"caf\xc3\xa9 \xf0\x9f\x98\x80 \xe2\x82\xac\" "},
    {"data: \xff\n\n", "\"\xff\" "},
    {"data: a\xf0\x9f\n\ndata: \x98\x80!\n\n", "\"a\xf0\x9f\" \"\x98\x80!\" "},
    {"data: \xe2\x82", "\"\xe2\x82\" "},
};

/* --- lines --- */

static const Case lines[] = {
    {"", ""},
    {"\n\r\n \t\n", ""},
    {"{\"a\":1}\n{\"a\":2}\n", "\"{\\\"a\\\":1}\" \"{\\\"a\\\":2}\" "},
    {"1\r\n2\r\n", "\"1\" \"2\" "},
    {"1\n\n\n2", "\"1\" \"2\" "},
    {"1\r", "\"1\" "},
    {"1\r2\r\r\n", "\"1\\r2\\r\" "},
    {"data: a\n: b\n", "\"data: a\" \": b\" "},
    {" 1 \n", "\" 1 \" "},
    {"\xef\xbb\xbf"
     "1\n",
     "\"1\" "},
    {"\xe2\x82\xac\n\xe2\x82\n\xff", "\"\xe2\x82\xac\" \"\xe2\x82\" \"\xff\" "},
};

#define BYTES(text) text, sizeof(text) - 1

static void test_nul(void)
{
    CHECK(
        cuts_always(MP_SSE_EVENTS, BYTES("data: a\0b\n\n"), "\"a\\u0000b\" "));
    CHECK(cuts_always(MP_SSE_EVENTS, BYTES("\0\n\0data: a\nid: \0\n\n"), ""));
    CHECK(cuts_always(MP_SSE_EVENTS, BYTES("id: 1\0\ndata: a\n\n"), "\"a\" "));
    CHECK(cuts_always(MP_SSE_LINES, BYTES("\0\n \0\n"),
                      "\"\\u0000\" \" \\u0000\" "));
}

/* A real answer, so that splits fall everywhere in it. */
static void test_a_stream_of_a_model(void)
{
    static const char text[] =
        ": ping\r\n\r\n"
        "event: message_start\r\ndata: {\"type\":\"message_start\"}\r\n\r\n"
        "event: ping\r\ndata: {\"type\":\"ping\"}\r\n\r\n"
        "event: error\r\ndata: {\"error\":\r\ndata: \"caf\xc3\xa9\"}\r\n\r\n";

    CHECK(cuts_always(MP_SSE_EVENTS, text, sizeof text - 1,
                      "\"message_start\"=\"{\\\"type\\\":\\\"message_start\\\"}"
                      "\" \"ping\"=\"{\\\"type\\\":\\\"ping\\\"}\" "
                      "\"error\"=\"{\\\"error\\\":\\n\\\"caf\xc3\xa9\\\"}\" "));
}

/* --- limits --- */

/* Feeds [prefix], then [count] times [c], then [suffix], in pieces of at most
 * [piece] bytes. Gives the status, and the bytes of records made. */
typedef struct Flood {
    mp_SseFraming framing;
    const char *prefix;
    char c;
    size_t count;
    const char *suffix;
} Flood;

static mp_Status pour(const Flood *flood, size_t piece, size_t *made_bytes,
                      mp_Error *err)
{
    size_t before = strlen(flood->prefix), after = strlen(flood->suffix);
    size_t len = before + flood->count + after, at, made;
    char *text = malloc(len);
    mp_Status status = MP_OK;
    mp_Buf out;
    mp_Sse sse;

    memcpy(text, flood->prefix, before);
    memset(text + before, flood->c, flood->count);
    memcpy(text + before + flood->count, flood->suffix, after);
    mp_sse_init(&sse, flood->framing);
    mp_buf_init(&out, 0);
    for (at = 0; status == MP_OK && at < len; at += piece) {
        if (piece > len - at) piece = len - at;
        status = mp_sse_feed(&sse, text + at, piece, &out, &made, err);
    }
    if (status == MP_OK) status = mp_sse_finish(&sse, &out, &made, err);
    *made_bytes = out.len;
    mp_buf_term(&out);
    mp_sse_term(&sse);
    free(text);
    return status;
}

/* The same verdict for one piece and for many. [message] NULL: it passes. */
static void check_flood(Flood flood, size_t made_bytes, const char *message)
{
    static const size_t pieces[] = {SIZE_MAX, 65536, 4099};
    size_t made;
    mp_Error err;

    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        mp_Status status = pour(&flood, pieces[i], &made, &err);

        CHECK(status == (message ? -MP_KIND_TOO_LARGE : MP_OK));
        CHECK(made == made_bytes);
        if (message) CHECK(strcmp(err.message, message) == 0);
    }
}

static void test_limits(void)
{
    static const char first[] =
        "the stream has a first line of more than 1048576 bytes";
    static const char line[] = "the stream has a line of more than 8388608 "
                               "bytes";
    static const char event[] = "the stream has an event of more than 8388608 "
                                "bytes";
    size_t mib = (size_t)1 << 20;

    check_flood((Flood){MP_SSE_EVENTS, "", 'x', mib, ""}, 0, NULL);
    check_flood((Flood){MP_SSE_EVENTS, "", 'x', mib + 1, ""}, 0, first);
    check_flood((Flood){MP_SSE_EVENTS, "", 'x', mib + 1, "\n"}, 0, first);
    check_flood((Flood){MP_SSE_LINES, "", 'x', mib + 1, ""}, 0, first);
    check_flood((Flood){MP_SSE_LINES, "1\n", 'x', mib + 1, ""}, mib + 18, NULL);
    check_flood((Flood){MP_SSE_LINES, "1\n", 'x', 8 * mib + 1, ""}, 9, line);
    check_flood((Flood){MP_SSE_EVENTS, "\n:", 'x', 8 * mib, ""}, 0, line);
    check_flood((Flood){MP_SSE_EVENTS, "\ndata:", 'x', 8 * mib - 5, "\n\n"},
                8 * mib + 3, NULL);
    check_flood(
        (Flood){MP_SSE_EVENTS, "\ndata:", 'x', 8 * mib - 5, "\ndata:1234\n\n"},
        8 * mib + 8, NULL);
    check_flood((Flood){MP_SSE_EVENTS, "data: 1\n\ndata:", 'x', 8 * mib - 5,
                        "\ndata:12345\n\n"},
                9, event);
}

/* Many lines with a CR or an LF each: an empty stream, but not for ever. */
static void test_empty_lines_are_cheap(void)
{
    check_flood((Flood){MP_SSE_EVENTS, "", '\r', (size_t)1 << 22, ""}, 0, NULL);
    check_flood((Flood){MP_SSE_EVENTS, "", '\n', (size_t)1 << 22, ""}, 0, NULL);
    check_flood((Flood){MP_SSE_LINES, "", '\n', (size_t)1 << 22, ""}, 0, NULL);
}

/* The caller's buffer has a limit of its own; whole records stay. */
static void test_a_full_buffer(void)
{
    static const char text[] = "data: 1\n\ndata: 22\n\n";
    size_t made;
    mp_Error err;
    mp_Buf out;
    mp_Sse sse;

    mp_sse_init(&sse, MP_SSE_EVENTS);
    mp_buf_init(&out, 18);
    CHECK(mp_sse_feed(&sse, text, sizeof text - 1, &out, &made, &err) ==
          -MP_KIND_TOO_LARGE);
    CHECK(strcmp(err.message, "more than 18 bytes") == 0);
    CHECK(made == 1 && out.len == 9);
    mp_buf_term(&out);
    mp_sse_term(&sse);
}

/* --- records --- */

static void test_reads_whole_records_only(void)
{
    const char *name, *data;
    size_t name_len, data_len, offset = 0;
    mp_Buf out;

    mp_buf_init(&out, 0);
    CHECK(mp_sse_write(&out, "ab", 2, "cde", 3) == MP_OK);
    CHECK(out.len == 13);
    for (size_t len = 0; len < out.len; len++)
        CHECK(!mp_sse_read(out.data, len, &offset, &name, &name_len, &data,
                           &data_len));
    CHECK(offset == 0);
    CHECK(mp_sse_read(out.data, out.len, &offset, &name, &name_len, &data,
                      &data_len));
    CHECK(name_len == 2 && memcmp(name, "ab", 2) == 0);
    CHECK(data_len == 3 && memcmp(data, "cde", 3) == 0);
    CHECK(offset == out.len);
    mp_buf_term(&out);
}

/* --- memory --- */

/* What a stream keeps between two events does not grow with the largest. */
static void test_lets_go_of_large_events(void)
{
    static const char prefix[] = {'\n', 'd', 'a', 't', 'a', ':'};
    char *text = malloc((size_t)1 << 20);
    size_t made;
    mp_Buf out;
    mp_Sse sse;

    memset(text, 'x', (size_t)1 << 20);
    memcpy(text, prefix, sizeof prefix);
    mp_sse_init(&sse, MP_SSE_EVENTS);
    mp_buf_init(&out, 0);
    mp_sse_feed(&sse, text, (size_t)1 << 20, &out, &made, NULL);
    CHECK(sse.line.cap > 1000000);
    mp_sse_feed(&sse, "\n", 1, &out, &made, NULL);
    CHECK(sse.line.cap == 0 && sse.data.cap > 1000000);
    mp_sse_feed(&sse, "\n", 1, &out, &made, NULL);
    CHECK(made == 1 && sse.data.cap == 0);
    mp_buf_term(&out);
    mp_sse_term(&sse);
    free(text);
}

static mp_Status cut_in_pieces(void *userdata)
{
    static const char text[] =
        "event: a name that is longer than the first buffer of 64 bytes is, so "
        "that it has to grow\n"
        "data: text longer than the first buffer of 64 bytes is, and longer "
        "than the second one: the buffers have to grow several times\n"
        "data: \xff\n"
        "event: x\n\ndata: y\n\nevent: z\ndata: 1\ndata: 2\n\ndata: the end";
    Feed feed = {MP_SSE_EVENTS, text, sizeof text - 1, 3, 0};
    mp_Status status;
    mp_Buf log;

    feed.piece = *(size_t *)userdata;
    mp_buf_init(&log, 0);
    status = cut(&feed, &log);
    mp_buf_term(&log);
    return status;
}

static void test_memory(void)
{
    size_t pieces[] = {1, 40, 1000};

    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        CHECK(torture(cut_in_pieces, &pieces[i]) > 4);
}

int main(void)
{
    CHECK_ALL(MP_SSE_EVENTS, events);
    CHECK_ALL(MP_SSE_LINES, lines);
    test_nul();
    test_a_stream_of_a_model();
    test_limits();
    test_empty_lines_are_cheap();
    test_a_full_buffer();
    test_reads_whole_records_only();
    test_lets_go_of_large_events();
    test_memory();
    return TEST_END();
}
