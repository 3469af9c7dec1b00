/* test_embed.c: work/embed. Every answer is also fed at every split point and
 * one byte at a time, with equal rows. */
#include "embed.h"
#include "json_write.h"
#include "test.h"
#include "torture.h"

#include "check_case.h"

#include <stdlib.h>
#include <string.h>

/* --- rows as text --- */

static void log_rows(const mp_Floats *rows, mp_Buf *log)
{
    for (size_t i = 0; i < rows->rows; i++) {
        for (size_t j = 0; j < rows->dim; j++) {
            mp_json_write_number(log, rows->data[i * rows->dim + j], NULL);
            mp_buf_char(log, j + 1 < rows->dim ? ',' : ';');
        }
    }
}

static void log_usage(const mp_Usage *usage, mp_Buf *log)
{
    mp_buf_printf(log, " %lld %lld", (long long)usage->prompt_tokens,
                  (long long)usage->total_tokens);
}

/* Feeds one piece as a heap block of its own, so that a look beyond its end is
 * caught by the sanitizer. */
static mp_Status feed_piece(mp_Embed *embed, const char *bytes, size_t len,
                            mp_Error *err)
{
    char *copy = malloc(len ? len : 1);
    mp_Status status;

    memcpy(copy, bytes, len);
    status = mp_embed_feed(embed, copy, len, err);
    free(copy);
    return status;
}

typedef struct Feed {
    size_t expected;
    const char *text;
    size_t first; /* bytes of the first piece */
    size_t piece; /* of the others */
} Feed;

/* Decodes, and writes rows and usage, or the error, to [log]. */
static mp_Status decode(const Feed *feed, mp_Buf *log)
{
    size_t at = 0, piece = feed->first, len = strlen(feed->text);
    mp_Floats rows = {NULL, 0, 0};
    mp_Status status = MP_OK;
    mp_Embed embed;
    mp_Error err;

    mp_embed_init(&embed, feed->expected);
    while (status == MP_OK && at < len) {
        if (piece > len - at) piece = len - at;
        status = feed_piece(&embed, feed->text + at, piece, &err);
        at += piece;
        piece = feed->piece;
    }
    if (status == MP_OK) status = mp_embed_finish(&embed, &rows, &err);
    if (status == MP_OK) {
        log_rows(&rows, log);
        log_usage(&embed.usage, log);
    } else {
        mp_buf_printf(log, "! %s", err.message);
    }
    mp_floats_term(&rows);
    mp_embed_term(&embed);
    return status == MP_OK ? log->status : status;
}

static bool decodes(Feed feed, const char *expected)
{
    mp_Buf log;
    bool same;

    mp_buf_init(&log, 0);
    decode(&feed, &log);
    same = strcmp(log.data, expected) == 0;
    if (!same) fprintf(stderr, "  %s\n  %s\n", log.data, expected);
    mp_buf_term(&log);
    return same;
}

static bool decodes_always(size_t count, const char *text, const char *expected)
{
    size_t len = strlen(text);
    Feed feed = {count, text, len, 1};

    if (!decodes(feed, expected)) return false;
    for (feed.first = 0; feed.first < len; feed.first++) {
        feed.piece = len;
        if (!decodes(feed, expected)) return false;
        feed.piece = 1;
        if (!decodes(feed, expected)) return false;
    }
    return true;
}

typedef struct Case {
    size_t count;
    const char *text;
    const char *expected;
} Case;

static void check_all(const Case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        CHECK_CASE(cases[i].text, decodes_always(cases[i].count, cases[i].text,
                                                 cases[i].expected));
}

#define CHECK_ALL(cases) check_all(cases, sizeof(cases) / sizeof *(cases))

/* "AACAPwAAAEA=" is 1, 2; "AABAQAAAgEA=" is 3, 4. */
static const Case good[] = {
    {1, "{\"data\":[{\"index\":0,\"embedding\":\"AACAPwAAAEA=\"}]}",
     "1,2; -1 -1"},
    {1, "{\"data\":[{\"index\":0,\"embedding\":\"AACAPwAAAEA\"}]}",
     "1,2; -1 -1"},
    {1, "{\"data\":[{\"index\":0,\"embedding\":[1,-2.5,1e-3]}]}",
     "1,-2.5,0.0010000000474974513; -1 -1"},
    {2,
     "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,"
     "\"embedding\":\"AACAPwAAAEA=\"},{\"object\":\"embedding\",\"index\":1,"
     "\"embedding\":\"AABAQAAAgEA=\"}],\"model\":\"m\",\"usage\":"
     "{\"prompt_tokens\":8,\"total_tokens\":9}}",
     "1,2;3,4; 8 9"},
    /* any order of rows and of members; both kinds side by side */
    {3,
     "{\"usage\":{\"total_tokens\":1},\"data\":[{\"embedding\":[5,6],\"index\":"
     "2},{\"embedding\":\"AACAPwAAAEA=\",\"index\":0},{\"index\":1,"
     "\"embedding\":[3.0,4]}]}",
     "1,2;3,4;5,6; -1 1"},
    {4,
     "{\"data\":[{\"embedding\":[1],\"index\":3},{\"embedding\":[2],\"index\":"
     "2},{\"embedding\":[3],\"index\":0},{\"embedding\":[4],\"index\":1}]}",
     "3;4;2;1; -1 -1"},
    /* what is read over */
    {1,
     "{\"x\":{\"data\":[1],\"y\":[{}]},\"usage\":null,\"data\":[{\"x\":"
     "[{\"embedding\":[7]}],\"y\":null,\"embedding\":[1],\"index\":0,\"z\":{}"
     "}],\"index\":1,\"embedding\":2}",
     "1; -1 -1"},
    {1, "{\"usage\":[1],\"data\":[{\"index\":0,\"embedding\":[1]}]}",
     "1; -1 -1"},
    {1,
     "{\"usage\":{\"prompt_tokens\":null,\"total_tokens\":-1,\"data\":[1],"
     "\"prompt_tokens_details\":{\"total_tokens\":5}},"
     "\"data\":[{\"index\":0,\"embedding\":[1]}]}",
     "1; -1 -1"},
    /* lists without indices: of arrays, and of objects */
    {2, "{\"model\":\"m\",\"embeddings\":[[1,2],[3,4]],\"x\":[[5]]}",
     "1,2;3,4; -1 -1"},
    {2, "{\"embeddings\":[{\"values\":[1,2]},{\"x\":{},\"values\":[3,4]}]}",
     "1,2;3,4; -1 -1"},
};

#define AT(offset, column) " at line 1 column " #column " (offset " #offset ")"
#define ITEM(fields)       "{\"data\":[{" fields "}]}"
#define ROW0               "{\"index\":0,\"embedding\":[1,2]}"

static const Case bad[] = {
    {1, "[]", "! expected an object" AT(0, 1)},
    {1, "\"\"", "! expected an object" AT(0, 1)},
    {1, "{}", "! the answer has no 'data'"},
    {1, "{\"error\":{\"message\":\"no\"}}", "! the answer has no 'data'"},
    {1, "{\"data\":{}}", "! 'data' is no array" AT(8, 9)},
    {1, "{\"data\":null}", "! 'data' is no array" AT(8, 9)},
    {1, "{\"data\":[],\"data\":[]}", "! the answer has two 'data'" AT(18, 19)},
    {1, "{\"data\":[1]}", "! data[0] is no object" AT(9, 10)},
    {1, "{\"data\":[[]]}", "! data[0] is no object" AT(9, 10)},
    {1, ITEM("\"index\":0"), "! data[0] has no 'embedding'" AT(19, 20)},
    {1, ITEM("\"embedding\":[1]"), "! data[0] has no 'index'" AT(25, 26)},
    {1, ITEM("\"index\":0,\"embedding\":null"),
     "! data[0].embedding is neither text nor an array" AT(32, 33)},
    {1, ITEM("\"index\":0,\"embedding\":{}"),
     "! data[0].embedding is neither text nor an array" AT(32, 33)},
    {1, ITEM("\"index\":0,\"embedding\":1"),
     "! data[0].embedding is neither text nor an array" AT(32, 33)},
    {1, ITEM("\"embedding\":[1],\"embedding\":[1]"),
     "! data[0] has two embeddings" AT(38, 39)},
    {1, ITEM("\"embedding\":[1],\"embedding\":\"\""),
     "! data[0] has two embeddings" AT(38, 39)},
    {1, ITEM("\"index\":0,\"embedding\":[]"),
     "! data[0].embedding is empty" AT(34, 35)},
    {1, ITEM("\"index\":0,\"embedding\":\"\""),
     "! data[0].embedding is empty" AT(34, 35)},
    /* indices */
    {1, ITEM("\"index\":1"),
     "! data[0].index is no integer from 0 to 0" AT(18, 19)},
    {1, ITEM("\"index\":-1"),
     "! data[0].index is no integer from 0 to 0" AT(18, 19)},
    {1, ITEM("\"index\":0.5"),
     "! data[0].index is no integer from 0 to 0" AT(18, 19)},
    {1, ITEM("\"index\":\"0\""),
     "! data[0].index is no integer from 0 to 0" AT(18, 19)},
    {1, ITEM("\"index\":[0]"),
     "! data[0].index is no integer from 0 to 0" AT(18, 19)},
    {1, ITEM("\"index\":9007199254740993"),
     "! data[0].index is no integer from 0 to 0" AT(18, 19)},
    {2, "{\"data\":[" ROW0 "," ROW0 "]}",
     "! data[1] has the index 0 of an earlier one" AT(67, 68)},
    {2, "{\"data\":[" ROW0 "]}",
     "! the answer has no embedding with index 1 (1 of 2)"},
    {2, "{\"data\":[]}", "! the answer has no embedding with index 0 (0 of 2)"},
    {1, "{\"data\":[" ROW0 "," ROW0 "]}",
     "! the answer has more embeddings than texts (1)" AT(39, 40)},
    /* values */
    {2, "{\"data\":[" ROW0 ",{\"index\":1,\"embedding\":[1]}]}",
     "! data[1].embedding has 1 numbers, the first one 2" AT(65, 66)},
    {1, ITEM("\"embedding\":[1,null]"),
     "! data[0].embedding[1] is no finite float32" AT(25, 26)},
    {1, ITEM("\"embedding\":[\"1\"]"),
     "! data[0].embedding[0] is no finite float32" AT(23, 24)},
    {1, ITEM("\"embedding\":[[1]]"),
     "! data[0].embedding[0] is no finite float32" AT(23, 24)},
    {1, ITEM("\"embedding\":[{}]"),
     "! data[0].embedding[0] is no finite float32" AT(23, 24)},
    {1, ITEM("\"embedding\":[9007199254740993]"),
     "! data[0].embedding[0] is no finite float32" AT(23, 24)},
    {1, ITEM("\"embedding\":[1e39]"),
     "! data[0].embedding[0] is no finite float32" AT(23, 24)},
    {1, ITEM("\"embedding\":[NaN]"),
     "! expected a value or ']' but found 'N'" AT(23, 24)},
    /* NaN, infinity */
    {1, ITEM("\"embedding\":\"AACAPwAAwH8=\""),
     "! data[0].embedding[1] is no finite float32" AT(22, 23)},
    {1, ITEM("\"embedding\":\"AACAPwAAgP8=\""),
     "! data[0].embedding[1] is no finite float32" AT(22, 23)},
    {1, ITEM("\"embedding\":\"AACAPwAA\""),
     "! data[0].embedding has 6 bytes, no float32s" AT(22, 23)},
    {1, ITEM("\"embedding\":\"AAC PwAA\""),
     "! data[0].embedding: byte 0x20 is no base64 here (offset 3)" AT(22, 23)},
    /* lists without indices */
    {1, "{\"embeddings\":null}", "! 'embeddings' is no array" AT(14, 15)},
    {1, "{\"embeddings\":[1]}", "! embeddings[0] is no object" AT(15, 16)},
    {1, "{\"embeddings\":[[]]}",
     "! embeddings[0].embedding is empty" AT(16, 17)},
    {1, "{\"embeddings\":[{}]}",
     "! embeddings[0] has no 'embedding'" AT(16, 17)},
    {2, "{\"embeddings\":[[1,2],[3]]}",
     "! embeddings[1].embedding has 1 numbers, the first one 2" AT(23, 24)},
    {1, "{\"embeddings\":[[1],[2]]}",
     "! the answer has more embeddings than texts (1)" AT(19, 20)},
    {2, "{\"embeddings\":[[1]]}",
     "! the answer has no embedding with index 1 (1 of 2)"},
    /* cut */
    {1, "{\"data\":[{\"index\":0,\"embedding\":\"AAC",
     "! expected text or '\"' but found the end of the text" AT(36, 37)},
    {1, "", "! expected a value but found the end of the text" AT(0, 1)},
};

/* --- at once --- */

static void test_decodes_at_once(void)
{
    static const char text[] = ITEM("\"index\":0,\"embedding\":[1,2]");
    mp_Floats rows;
    mp_Usage usage;
    mp_Error err;

    CHECK(mp_embed_decode(text, sizeof text - 1, 1, &rows, &usage, &err) ==
          MP_OK);
    CHECK(rows.rows == 1 && rows.dim == 2 && rows.data[1] == 2);
    CHECK(usage.prompt_tokens == -1);
    mp_floats_term(&rows);
    CHECK(rows.data == NULL && rows.rows == 0);
    CHECK(mp_embed_decode(text, 20, 1, &rows, NULL, NULL) == -MP_KIND_DECODE);
    CHECK(rows.data == NULL && rows.rows == 0 && rows.dim == 0);
}

/* As many rows as one request may have, in the worst order. */
static void test_many_rows(void)
{
    enum { COUNT = 2048 };
    mp_Floats rows;
    mp_Buf text;

    mp_buf_init(&text, 0);
    mp_buf_text(&text, "{\"data\":[");
    for (size_t i = 0; i < COUNT; i++)
        mp_buf_printf(&text, "%s{\"index\":%zu,\"embedding\":[%zu,0.5]}",
                      i ? "," : "", (i * 1021 + 5) % COUNT, i);
    mp_buf_text(&text, "]}");
    CHECK(mp_embed_decode(text.data, text.len, COUNT, &rows, NULL, NULL) ==
          MP_OK);
    for (size_t i = 0; i < COUNT; i++) {
        CHECK(rows.data[2 * ((i * 1021 + 5) % COUNT)] == (float)i);
        CHECK(rows.data[2 * i + 1] == 0.5f);
    }
    mp_floats_term(&rows);
    mp_buf_term(&text);
}

static void test_size_of_a_matrix(void)
{
    mp_Floats rows;

    CHECK(mp_floats_init(&rows, SIZE_MAX / 8, 3, NULL) == -MP_KIND_MEMORY);
    CHECK(rows.rows == 0 && rows.dim == 0);
    CHECK(mp_floats_init(&rows, 0, 3, NULL) == MP_OK);
    CHECK(rows.data == NULL && rows.dim == 3);
    mp_floats_term(&rows);
}

/* --- memory --- */

static mp_Status decode_in_pieces(void *userdata)
{
    Feed feed = {2, good[3].text, 10, 7};
    mp_Status status;
    mp_Buf log;

    (void)userdata;
    mp_buf_init(&log, 0);
    status = decode(&feed, &log);
    mp_buf_term(&log);
    return status;
}

static mp_Status make_matrix(void *userdata)
{
    mp_Floats rows, taken;
    mp_Status status = mp_floats_init(&rows, 2, 3, NULL);

    (void)userdata;
    taken = mp_floats_take(&rows);
    CHECK(rows.data == NULL);
    mp_floats_term(&taken);
    return status;
}

int main(void)
{
    CHECK_ALL(good);
    CHECK_ALL(bad);
    test_decodes_at_once();
    test_many_rows();
    test_size_of_a_matrix();
    CHECK(torture(decode_in_pieces, NULL) > 4);
    CHECK(torture(make_matrix, NULL) == 1);
    return TEST_END();
}
