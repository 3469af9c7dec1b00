/*
 * fuzz_sse.c: any bytes into the splitter, as events and as lines.
 *
 * Must hold for every input:
 *   - how the bytes were cut changes neither records nor status nor count
 *   - what comes out is whole records with data
 *   - the records of a stream of events, written as such a stream again, give
 *     the same records, unless they hold what the framing cannot carry
 */
#include "sse.h"

#include <stdlib.h>
#include <string.h>

/* abort() tells libFuzzer; a library may not call it, a test may. */
static void require(bool fact)
{
    if (!fact) abort();
}

/* Returns the number of records. */
static size_t check_records(const mp_Buf *out)
{
    const char *name, *data;
    size_t name_len, data_len, offset = 0, count = 0;

    while (mp_sse_read(out->data, out->len, &offset, &name, &name_len, &data,
                       &data_len)) {
        require(data_len > 0);
        count++;
    }
    require(offset == out->len);
    return count;
}

/* Feeds pieces of at most [piece] bytes, each a block of its own size, so that
 * a look beyond its end is caught. */
static size_t cut(mp_SseFraming framing, const char *bytes, size_t len,
                  size_t piece, mp_Buf *out)
{
    size_t made, count = 0;
    mp_Sse sse;

    mp_buf_init(out, 0);
    mp_sse_init(&sse, framing);
    while (len > 0) {
        char *copy;

        if (piece > len) piece = len;
        copy = malloc(piece);
        require(copy != NULL);
        memcpy(copy, bytes, piece);
        require(mp_sse_feed(&sse, copy, piece, out, &made, NULL) == MP_OK);
        free(copy);
        count += made;
        bytes += piece;
        len -= piece;
    }
    require(mp_sse_finish(&sse, out, &made, NULL) == MP_OK);
    mp_sse_term(&sse);
    return count + made;
}

static void check_equal(const mp_Buf *a, const mp_Buf *b)
{
    require(a->len == b->len);
    require(a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* Writes the data as one line for each LF; false if it has a CR in it. */
static bool write_event(mp_Buf *text, const char *name, size_t name_len,
                        const char *data, size_t data_len)
{
    if (data_len > 0 && memchr(data, '\r', data_len)) return false;
    mp_buf_text(text, "event: ");
    mp_buf_append(text, name, name_len);
    mp_buf_text(text, "\ndata: ");
    for (size_t i = 0; i < data_len; i++) {
        mp_buf_char(text, data[i]);
        if (data[i] == '\n') mp_buf_text(text, "data: ");
    }
    mp_buf_text(text, "\n\n");
    return true;
}

static void check_again(const mp_Buf *out)
{
    const char *name, *data;
    size_t name_len, data_len, offset = 0;
    mp_Buf text, again;
    bool same = true;

    mp_buf_init(&text, 0);
    while (same && mp_sse_read(out->data, out->len, &offset, &name, &name_len,
                               &data, &data_len))
        same = write_event(&text, name, name_len, data, data_len);
    if (same) {
        cut(MP_SSE_EVENTS, text.data, text.len, text.len, &again);
        check_equal(out, &again);
        mp_buf_term(&again);
    }
    mp_buf_term(&text);
}

static void check_framing(mp_SseFraming framing, const char *bytes, size_t len)
{
    static const size_t pieces[] = {1, 2, 3, 7, 16};
    mp_Buf whole, again;
    size_t count = cut(framing, bytes, len, len, &whole);

    require(check_records(&whole) == count);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        require(cut(framing, bytes, len, pieces[i], &again) == count);
        check_equal(&whole, &again);
        mp_buf_term(&again);
    }
    check_again(&whole);
    mp_buf_term(&whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > MP_SSE_FIRST_LINE_MAX) return 0;
    check_framing(MP_SSE_EVENTS, (const char *)data, size);
    check_framing(MP_SSE_LINES, (const char *)data, size);
    return 0;
}
