/*
 * fuzz_json.c: any bytes into the JSON decoder, strictly and leniently.
 *
 * Must hold for every input:
 *   - how the text is cut changes neither events nor status nor message
 *   - an open string is good UTF-8 whenever one looks at it
 *   - what is accepted, written again from its events, is accepted strictly and
 *     gives the same events
 */
#include "json.h"
#include "json_write.h"

#include <stdlib.h>
#include <string.h>

/* Writes the events as JSON text again, without white space. */
typedef struct Writer {
    mp_Buf text;
    bool comma; /* the next value or key needs one before it */
} Writer;

static void begin_value(Writer *w)
{
    if (w->comma) mp_buf_char(&w->text, ',');
    w->comma = true;
}

static void write_scalar(mp_Buf *out, const mp_JsonEvent *event)
{
    switch (event->kind) {
    case MP_JSON_NULL: mp_buf_text(out, "null"); break;
    case MP_JSON_TRUE: mp_buf_text(out, "true"); break;
    case MP_JSON_FALSE: mp_buf_text(out, "false"); break;
    case MP_JSON_NUMBER: mp_json_write_number(out, event->number, NULL); break;
    case MP_JSON_INTEGER: mp_buf_append(out, event->text, event->len); break;
    default: mp_json_write_text(out, event->text, event->len); break;
    }
}

static mp_Status write_event(void *userdata, const mp_JsonEvent *event,
                             mp_Error *err)
{
    Writer *w = userdata;

    switch (event->kind) {
    case MP_JSON_END_ARRAY:
    case MP_JSON_END_OBJECT:
        mp_buf_char(&w->text, event->kind == MP_JSON_END_ARRAY ? ']' : '}');
        w->comma = true;
        break;
    case MP_JSON_BEGIN_ARRAY:
    case MP_JSON_BEGIN_OBJECT:
        begin_value(w);
        mp_buf_char(&w->text, event->kind == MP_JSON_BEGIN_ARRAY ? '[' : '{');
        w->comma = false;
        break;
    case MP_JSON_KEY:
        begin_value(w);
        write_scalar(&w->text, event);
        mp_buf_char(&w->text, ':');
        w->comma = false;
        break;
    default:
        begin_value(w);
        write_scalar(&w->text, event);
        break;
    }
    return mp_buf_check(&w->text, err);
}

/* abort() tells libFuzzer; a library may not call it, a test may. */
static void require(bool fact)
{
    if (!fact) abort();
}

static void check_open_text(const mp_Json *json)
{
    const char *text;
    size_t len;

    if (!mp_json_open_text(json, &text, &len)) return;
    while (len > 0) {
        const char *stop = mp_json_text_clean(text, text + len);

        len -= (size_t)(stop - text);
        if (len == 0) return;
        require((unsigned char)*stop < 0x80);
        text = stop + 1;
        len--;
    }
}

/* Feeds pieces of at most [piece] bytes, each a block of its own size, so that
 * a look beyond its end is caught. */
static mp_Status feed_all(mp_Json *json, const char *bytes, size_t len,
                          size_t piece, mp_Error *err)
{
    mp_Status status = MP_OK;
    char *copy;

    while (status == MP_OK && len > 0) {
        if (piece > len) piece = len;
        copy = malloc(piece);
        require(copy != NULL);
        memcpy(copy, bytes, piece);
        status = mp_json_feed(json, copy, piece, err);
        free(copy);
        check_open_text(json);
        bytes += piece;
        len -= piece;
    }
    return status != MP_OK ? status : mp_json_finish(json, err);
}

/* Writes the events and, behind them, the error's message to [text]. */
static mp_Status decode(const char *bytes, size_t len, size_t piece,
                        bool lenient, mp_Buf *text)
{
    Writer w = {.comma = false};
    mp_Status status;
    mp_Error err;
    mp_Json json;

    mp_buf_init(&w.text, 0);
    mp_json_init(&json, write_event, &w, lenient, 0);
    status = feed_all(&json, bytes, len, piece, &err);
    if (status != MP_OK) mp_buf_text(&w.text, err.message);
    mp_json_term(&json);
    *text = w.text;
    return status;
}

static void check_equal(const mp_Buf *a, const mp_Buf *b)
{
    require(a->len == b->len && memcmp(a->data, b->data, a->len) == 0);
}

static void check_mode(const char *bytes, size_t len, bool lenient)
{
    static const size_t pieces[] = {1, 2, 3, 7, 16};
    mp_Buf whole, again;
    mp_Status status = decode(bytes, len, len ? len : 1, lenient, &whole);
    size_t i;

    for (i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        require(decode(bytes, len, pieces[i], lenient, &again) == status);
        check_equal(&whole, &again);
        mp_buf_term(&again);
    }
    if (status == MP_OK) {
        require(decode(whole.data, whole.len, whole.len, false, &again) ==
                MP_OK);
        check_equal(&whole, &again);
        mp_buf_term(&again);
    }
    mp_buf_term(&whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_mode((const char *)data, size, false);
    check_mode((const char *)data, size, true);
    return 0;
}
