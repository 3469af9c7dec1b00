/*
 * sse.c: see sse.h.
 *
 * The common event lies whole inside one feed. Its data is written once,
 * straight into the caller's buffer, behind a header whose length is filled in
 * when the event ends. Only what a feed leaves open is kept: a line in `line`,
 * an event's data in `data`, from where it is copied once more.
 */
#include "sse.h"

#include <string.h>

/* Of the open event's data: there is none; it is being written into the
 * caller's buffer, behind `mark`; it is held in `data`. */
enum { NONE, IN_OUT, HELD };

#define HEADER (2 * sizeof(uint32_t))

/* What a stream keeps between events: ten thousand of them are open at once. */
#define KEEP_MAX ((size_t)16 << 10)

static void empty(mp_Buf *buf)
{
    if (buf->cap > KEEP_MAX)
        mp_buf_term(buf);
    else if (buf->len > 0)
        mp_buf_clear(buf);
}

/* --- records ---------------------------------------------------------------
 */

static mp_Status write_header(mp_Buf *out, size_t name_len, size_t data_len)
{
    uint32_t header[2] = {(uint32_t)name_len, (uint32_t)data_len};

    return mp_buf_append(out, header, HEADER);
}

mp_Status mp_sse_write(mp_Buf *out, const char *name, size_t name_len,
                       const char *data, size_t data_len)
{
    mp_Status status = mp_buf_reserve(out, HEADER + name_len + data_len);

    if (status != MP_OK) return status;
    write_header(out, name_len, data_len);
    mp_buf_append(out, name, name_len);
    return mp_buf_append(out, data, data_len);
}

bool mp_sse_read(const char *records, size_t len, size_t *offset,
                 const char **name, size_t *name_len, const char **data,
                 size_t *data_len)
{
    uint32_t header[2];
    size_t left = len - *offset;

    if (left < HEADER) return false;
    memcpy(header, records + *offset, HEADER);
    left -= HEADER;
    if (header[0] > left || header[1] > left - header[0]) return false;
    *name = records + *offset + HEADER;
    *name_len = header[0];
    *data = *name + *name_len;
    *data_len = header[1];
    *offset += HEADER + *name_len + *data_len;
    return true;
}

/* --- events ----------------------------------------------------------------
 */

/* Fills in the length of the record that `mark` is about. */
static void close_record(const mp_Sse *sse, mp_Buf *out)
{
    uint32_t len = (uint32_t)(out->len - sse->mark - HEADER - sse->name.len);

    memcpy(out->data + sse->mark + sizeof len, &len, sizeof len);
}

static void drop_record(mp_Sse *sse, mp_Buf *out)
{
    if (sse->stage == IN_OUT) out->len = sse->mark;
    sse->stage = NONE;
}

/* Takes the open record out of the caller's buffer. */
static mp_Status hold(mp_Sse *sse, mp_Buf *out)
{
    size_t from = sse->mark + HEADER + sse->name.len;
    mp_Status status;

    if (sse->stage != IN_OUT) return MP_OK;
    status = mp_buf_append(&sse->data, out->data + from, out->len - from);
    if (status != MP_OK) return status;
    out->len = sse->mark;
    sse->stage = HELD;
    return MP_OK;
}

static mp_Status end_event(mp_Sse *sse, mp_Buf *out)
{
    mp_Status status = MP_OK;

    if (sse->size == 0)
        drop_record(sse, out);
    else if (sse->stage == IN_OUT)
        close_record(sse, out);
    else
        status = mp_sse_write(out, sse->name.data, sse->name.len,
                              sse->data.data, sse->data.len);
    if (status == MP_OK && sse->size > 0) sse->made++;
    sse->stage = NONE;
    sse->size = 0;
    empty(&sse->name);
    empty(&sse->data);
    return status;
}

static mp_Status begin_record(mp_Sse *sse, mp_Buf *out)
{
    sse->mark = out->len;
    sse->stage = IN_OUT;
    write_header(out, sse->name.len, 0);
    return mp_buf_append(out, sse->name.data, sse->name.len);
}

static mp_Status refuse(mp_Error *err, const char *what, size_t max)
{
    return mp_err_set(err, MP_KIND_TOO_LARGE,
                      "the stream has %s of more than %zu bytes", what, max);
}

static mp_Status add_data(mp_Sse *sse, const char *text, size_t len,
                          mp_Buf *out, mp_Error *err)
{
    size_t more = len + (sse->stage != NONE);
    mp_Buf *into = sse->stage == HELD ? &sse->data : out;

    if (more > MP_SSE_EVENT_MAX - sse->size)
        return refuse(err, "an event", MP_SSE_EVENT_MAX);
    if (sse->stage == NONE)
        begin_record(sse, out);
    else
        mp_buf_char(into, '\n');
    sse->size += more;
    mp_buf_append(into, text, len);
    return mp_buf_check(into, err);
}

/* The header of an open record has the old name in it. */
static mp_Status set_name(mp_Sse *sse, const char *text, size_t len,
                          mp_Buf *out)
{
    mp_Status status = hold(sse, out);

    if (status != MP_OK) return status;
    mp_buf_clear(&sse->name);
    return mp_buf_append(&sse->name, text, len);
}

/* --- lines -----------------------------------------------------------------
 */

static bool is(const char *text, size_t len, const char *word)
{
    return len == strlen(word) && memcmp(text, word, len) == 0;
}

/* A comment is a field without a name. */
static mp_Status read_field(mp_Sse *sse, const char *line, size_t len,
                            mp_Buf *out, mp_Error *err)
{
    const char *colon = memchr(line, ':', len);
    size_t name_len = colon ? (size_t)(colon - line) : len;
    size_t skip = colon ? name_len + 1 : len;

    if (skip < len && line[skip] == ' ') skip++;
    if (is(line, name_len, "data"))
        return add_data(sse, line + skip, len - skip, out, err);
    if (is(line, name_len, "event"))
        return set_name(sse, line + skip, len - skip, out);
    return MP_OK;
}

static bool is_blank(const char *line, size_t len)
{
    while (len > 0 && strchr(" \t\r", line[len - 1]) && line[len - 1])
        len--;
    return len == 0;
}

static mp_Status read_line(mp_Sse *sse, const char *line, size_t len,
                           mp_Buf *out, mp_Error *err)
{
    mp_Status status;

    if (sse->framing == MP_SSE_EVENTS)
        return len > 0 ? read_field(sse, line, len, out, err)
                       : end_event(sse, out);
    if (is_blank(line, len)) return MP_OK;
    if (line[len - 1] == '\r') len--;
    status = add_data(sse, line, len, out, err);
    return status == MP_OK ? end_event(sse, out) : status;
}

static mp_Status check_line(const mp_Sse *sse, size_t len, mp_Error *err)
{
    if (sse->inside_first && len > MP_SSE_FIRST_LINE_MAX)
        return refuse(err, "a first line", MP_SSE_FIRST_LINE_MAX);
    if (len > MP_SSE_EVENT_MAX) return refuse(err, "a line", MP_SSE_EVENT_MAX);
    return MP_OK;
}

/* The feed ends inside a line, of which these are more bytes. */
static mp_Status keep_line(mp_Sse *sse, const char *bytes, size_t len,
                           mp_Error *err)
{
    mp_Status status = check_line(sse, sse->line.len + len, err);

    if (status != MP_OK) return status;
    return mp_buf_append(&sse->line, bytes, len);
}

/* These are the last bytes of a line. */
static mp_Status end_line(mp_Sse *sse, const char *bytes, size_t len,
                          mp_Buf *out, mp_Error *err)
{
    mp_Status status = check_line(sse, sse->line.len + len, err);

    if (status == MP_OK && sse->line.len > 0) {
        status = mp_buf_append(&sse->line, bytes, len);
        bytes = sse->line.data;
        len = sse->line.len;
    }
    if (status != MP_OK) return status;
    if (sse->inside_first && len >= 3 &&
        memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
        bytes += 3;
        len -= 3;
    }
    sse->inside_first = false;
    status = read_line(sse, bytes, len, out, err);
    empty(&sse->line);
    return status;
}

/* --- feeds -----------------------------------------------------------------
 */

/* The next LF and CR are both remembered: a stream that has only one of them
 * would otherwise be searched to its end at every line. */
typedef struct Scan {
    const char *at;
    const char *end;
    const char *lf;
    const char *cr;
} Scan;

static const char *find(const char *at, const char *end, char c)
{
    const char *found = memchr(at, c, (size_t)(end - at));

    return found ? found : end;
}

static const char *line_end(Scan *scan)
{
    if (scan->lf < scan->at) scan->lf = find(scan->at, scan->end, '\n');
    if (scan->cr < scan->at) scan->cr = find(scan->at, scan->end, '\r');
    return scan->lf < scan->cr ? scan->lf : scan->cr;
}

static mp_Status take_line(mp_Sse *sse, Scan *scan, mp_Buf *out, mp_Error *err)
{
    const char *from = scan->at, *stop;

    if (sse->skip_lf) {
        sse->skip_lf = false;
        if (*from == '\n') {
            scan->at++;
            return MP_OK;
        }
    }
    stop = line_end(scan);
    scan->at = stop;
    if (stop == scan->end)
        return keep_line(sse, from, (size_t)(stop - from), err);
    scan->at++;
    sse->skip_lf = *stop == '\r';
    return end_line(sse, from, (size_t)(stop - from), out, err);
}

/* Gives back whole records only, and the words for a failed allocation. */
static mp_Status end_feed(mp_Sse *sse, mp_Status status, mp_Buf *out,
                          size_t *made, mp_Error *err)
{
    if (status != MP_OK) drop_record(sse, out);
    *made = sse->made;
    if (out->status != MP_OK) return mp_buf_check(out, err);
    return status == -MP_KIND_MEMORY ? mp_err_memory(err) : status;
}

void mp_sse_init(mp_Sse *sse, mp_SseFraming framing)
{
    memset(sse, 0, sizeof *sse);
    sse->framing = framing;
    sse->inside_first = true;
    mp_buf_init(&sse->line, 0);
    mp_buf_init(&sse->name, 0);
    mp_buf_init(&sse->data, 0);
}

void mp_sse_term(mp_Sse *sse)
{
    mp_buf_term(&sse->line);
    mp_buf_term(&sse->name);
    mp_buf_term(&sse->data);
}

mp_Status mp_sse_feed(mp_Sse *sse, const char *bytes, size_t len, mp_Buf *out,
                      size_t *made, mp_Error *err)
{
    Scan scan = {.at = bytes, .end = bytes + len};
    mp_Status status = MP_OK;

    sse->made = *made = 0;
    if (len == 0) return MP_OK;
    scan.lf = find(bytes, scan.end, '\n');
    scan.cr = scan.end; /* NDJSON: CR is white space of JSON's */
    if (sse->framing == MP_SSE_EVENTS) scan.cr = find(bytes, scan.end, '\r');
    while (status == MP_OK && scan.at < scan.end)
        status = take_line(sse, &scan, out, err);
    if (status == MP_OK) status = hold(sse, out);
    return end_feed(sse, status, out, made, err);
}

mp_Status mp_sse_finish(mp_Sse *sse, mp_Buf *out, size_t *made, mp_Error *err)
{
    mp_Status status = MP_OK;

    sse->made = 0;
    if (sse->line.len > 0) status = end_line(sse, "", 0, out, err);
    if (status == MP_OK) status = end_event(sse, out);
    return end_feed(sse, status, out, made, err);
}
