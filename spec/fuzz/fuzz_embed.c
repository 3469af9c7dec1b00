/*
 * fuzz_embed.c: any bytes as an answer with embeddings. The first byte says how
 * many texts were sent.
 *
 * Must hold for every input:
 *   - how the text is cut changes neither rows nor usage, status or message
 *   - accepted rows are as many as texts, of one dimension, and finite
 *   - they come back unchanged when written as arrays of numbers
 */
#include "embed.h"
#include "json_write.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* abort() tells libFuzzer; a library may not call it, a test may. */
static void require(bool fact)
{
    if (!fact) abort();
}

typedef struct Result {
    mp_Status status;
    mp_Floats rows;
    mp_Usage usage;
    mp_Error err;
} Result;

/* Feeds pieces of at most [piece] bytes, each a block of its own size, so that
 * a look beyond its end is caught. */
static mp_Status feed_all(mp_Embed *embed, const char *bytes, size_t len,
                          size_t piece, mp_Error *err)
{
    mp_Status status = MP_OK;

    while (status == MP_OK && len > 0) {
        char *copy;

        if (piece > len) piece = len;
        copy = malloc(piece);
        require(copy != NULL);
        memcpy(copy, bytes, piece);
        status = mp_embed_feed(embed, copy, piece, err);
        free(copy);
        bytes += piece;
        len -= piece;
    }
    return status;
}

static void decode(const char *bytes, size_t len, size_t piece, size_t expected,
                   Result *result)
{
    mp_Embed embed;

    memset(result, 0, sizeof *result);
    mp_embed_init(&embed, expected);
    result->status = feed_all(&embed, bytes, len, piece, &result->err);
    if (result->status == MP_OK)
        result->status = mp_embed_finish(&embed, &result->rows, &result->err);
    result->usage = embed.usage;
    mp_embed_term(&embed);
}

static void check_rows(const mp_Floats *rows, size_t expected)
{
    require(rows->rows == expected && rows->dim > 0);
    for (size_t i = 0; i < rows->rows * rows->dim; i++)
        require(isfinite(rows->data[i]) != 0);
}

static void check_equal(const mp_Floats *a, const mp_Floats *b)
{
    require(a->rows == b->rows && a->dim == b->dim);
    for (size_t i = 0; i < a->rows * a->dim; i++)
        require(a->data[i] == b->data[i]);
}

static void write_rows(const mp_Floats *rows, mp_Buf *text)
{
    mp_buf_text(text, "{\"data\":[");
    for (size_t i = 0; i < rows->rows; i++) {
        mp_buf_printf(text, "%s{\"index\":%zu,\"embedding\":", i ? "," : "", i);
        for (size_t j = 0; j < rows->dim; j++) {
            mp_buf_char(text, j ? ',' : '[');
            mp_json_write_number(text, rows->data[i * rows->dim + j], NULL);
        }
        mp_buf_text(text, "]}");
    }
    mp_buf_text(text, "]}");
}

static void check_again(const mp_Floats *rows)
{
    Result again;
    mp_Buf text;

    mp_buf_init(&text, 0);
    write_rows(rows, &text);
    decode(text.data, text.len, text.len, rows->rows, &again);
    require(again.status == MP_OK);
    check_equal(rows, &again.rows);
    mp_floats_term(&again.rows);
    mp_buf_term(&text);
}

static void check_pieces(const char *bytes, size_t len, size_t expected,
                         const Result *whole)
{
    static const size_t pieces[] = {1, 2, 3, 7, 16};
    Result again;

    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        decode(bytes, len, pieces[i], expected, &again);
        require(again.status == whole->status);
        require(strcmp(again.err.message, whole->err.message) == 0);
        require(again.usage.total_tokens == whole->usage.total_tokens);
        check_equal(&whole->rows, &again.rows);
        mp_floats_term(&again.rows);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t expected;
    Result whole;

    if (size == 0) return 0;
    expected = (size_t)(data[0] & 7) + 1;
    decode((const char *)data + 1, size - 1, size, expected, &whole);
    check_pieces((const char *)data + 1, size - 1, expected, &whole);
    if (whole.status == MP_OK) {
        check_rows(&whole.rows, expected);
        check_again(&whole.rows);
    }
    mp_floats_term(&whole.rows);
    return 0;
}
