/*
 * sse.h: cuts the bytes of a streamed answer into records.
 *
 * Bytes go in as the network brought them, whole records come out at the end
 * of a buffer of the caller's. How the bytes were cut never changes the
 * records. Two framings:
 *
 *   MP_SSE_EVENTS  server-sent events: lines end in LF, CR or CRLF, an empty
 *                  line ends an event, `data` lines are joined by LF, lines
 *                  that begin with ':' are comments. `id`, `retry` and unknown
 *                  fields are read over: they are about reconnecting, and a
 *                  stream of a model cannot be resumed.
 *   MP_SSE_LINES   NDJSON: each line that is not blank is a record without a
 *                  name.
 *
 * Where the standard is stricter than the servers are, this is not: the last
 * event counts without its empty line, the last line without its newline. An
 * event whose data is empty is dropped. `data: [DONE]` is a record like any
 * other. NULs are kept, and so is bad UTF-8: what lies in a record may be half
 * a character whose other half is in the next, which only its reader can tell.
 *
 * A record is `u32 name_len, u32 data_len, name, data`, in the byte order of
 * the machine, without padding: it never leaves the process.
 *
 * Threads: one owner at a time.
 */
#ifndef MP_SSE_H
#define MP_SSE_H

#include "buf.h"

#include <stdbool.h>
#include <stdint.h>

/* The largest event: its data, as it came, and each of its lines. */
#define MP_SSE_EVENT_MAX ((size_t)8 << 20)

/* The longest first line. What has no newline in its first MiB is no stream
 * of events, whatever its content type says. */
#define MP_SSE_FIRST_LINE_MAX ((size_t)1 << 20)

typedef enum mp_SseFraming { MP_SSE_EVENTS, MP_SSE_LINES } mp_SseFraming;

typedef struct mp_Sse {
    mp_SseFraming framing;
    uint8_t stage;     /* where the open event's data is */
    bool inside_first; /* the first line has not ended */
    bool skip_lf;      /* the last line ended in CR: an LF belongs to it */
    size_t size;       /* bytes of the open event's data, as they came */
    size_t mark;       /* where the open record begins in the caller's buffer */
    size_t made;       /* records of this feed */
    mp_Buf line;       /* the open line, where a feed ended inside it */
    mp_Buf name;       /* of the open event */
    mp_Buf data;       /* of the open event, where a feed ended inside it */
} mp_Sse;

/* Allocates nothing. */
void mp_sse_init(mp_Sse *sse, mp_SseFraming framing);

void mp_sse_term(mp_Sse *sse);

/* Reads [len] bytes more, appends the records that they complete to [out] and
 * writes their number to [made]: idle timers count these, not bytes, so that
 * comments keep nothing alive. `too_large` or `memory`; then [out] still holds
 * the whole records made before, and only mp_sse_term may follow. */
mp_Status mp_sse_feed(mp_Sse *sse, const char *bytes, size_t len, mp_Buf *out,
                      size_t *made, mp_Error *err);

/* Says that no more bytes come: what is open becomes the last record. Only
 * mp_sse_term may follow. Failures as in mp_sse_feed. */
mp_Status mp_sse_finish(mp_Sse *sse, mp_Buf *out, size_t *made, mp_Error *err);

/* Appends one record. */
mp_Status mp_sse_write(mp_Buf *out, const char *name, size_t name_len,
                       const char *data, size_t data_len);

/* Reads the record at [offset] of [len] bytes of records and moves [offset]
 * behind it; false where no whole record follows. [name] and [data] point into
 * [records], without a NUL behind them. */
bool mp_sse_read(const char *records, size_t len, size_t *offset,
                 const char **name, size_t *name_len, const char **data,
                 size_t *data_len);

#endif
