/*
 * json.h: the one JSON decoder, fed in pieces of any size.
 *
 * Bytes go in, events come out: a value, a key, the beginning or the end of a
 * container. How the text was cut into pieces never changes the events. At any
 * moment the decoder can say which containers are open and what the open
 * string holds, so the same machine that decodes strictly gives values of half
 * a text (bind_json.c builds both).
 *
 * Strict RFC 8259, and these rules where it leaves a choice:
 *   - an integer beyond 2^53 is its own event: its digits, not a number
 *   - bad UTF-8 and lone surrogates become U+FFFD (json_text.h)
 *   - NaN, Infinity and numbers beyond a double are refused
 *   - containers nest 128 deep at most, so that recursion over a result is safe
 *   - a byte order mark is refused, \u0000 is kept
 * With `text.raw`, false from mp_json_init on, the texts of others are taken as
 * they are: bad UTF-8 and lone surrogates stay (json_text.h), and a number
 * beyond a double is null.
 * Equal keys of one object all arrive; whether the last one wins is the
 * sink's business, for it holds the object.
 *
 * Errors are of kind `decode` with line, column and offset, in bytes; only
 * line and column count from 1.
 *
 * Threads: one owner at a time.
 */
#ifndef MP_JSON_H
#define MP_JSON_H

#include "json_text.h"

#include <stdbool.h>

#define MP_JSON_DEPTH 128

typedef enum mp_JsonKind {
    MP_JSON_NULL,
    MP_JSON_FALSE,
    MP_JSON_TRUE,
    MP_JSON_NUMBER,
    MP_JSON_INTEGER, /* digits, perhaps behind a '-', in `text` */
    MP_JSON_STRING,
    MP_JSON_KEY,
    MP_JSON_BEGIN_ARRAY,
    MP_JSON_END_ARRAY,
    MP_JSON_BEGIN_OBJECT,
    MP_JSON_END_OBJECT
} mp_JsonKind;

typedef struct mp_JsonEvent {
    mp_JsonKind kind;
    const char *text; /* INTEGER, STRING, KEY: valid during the call only; */
    size_t len;       /* may hold NULs, and none need stand behind it */
    double number;    /* NUMBER */
} mp_JsonEvent;

/* Receives one event. A status other than MP_OK, with its details in [err],
 * ends the decoding and is returned from feed; the place in the text is added
 * if it is `decode`. May leave by longjmp; after that only mp_json_reset and
 * mp_json_term may be called. */
typedef mp_Status (*mp_JsonSink)(void *userdata, const mp_JsonEvent *event,
                                 mp_Error *err);

typedef struct mp_Json {
    mp_JsonSink sink;
    void *userdata;
    size_t max; /* bytes of the whole text */
    bool lenient;
    uint8_t state;
    bool token_is_key;        /* the open string is a key */
    int depth;                /* containers open */
    char open[MP_JSON_DEPTH]; /* '[' or '{' each */
    const char *literal;      /* the open one of null, true, false */
    size_t matched;           /* bytes of it seen */
    mp_JsonText text;         /* the open string or number */
    const char *chunk;        /* the piece being read */
    size_t offset;            /* of its first byte in the whole text */
    size_t token;             /* offset of the open or last token */
    size_t line;
    size_t line_start; /* offset of the line's first byte */
    size_t token_line; /* the same two for the token's first byte */
    size_t token_line_start;
    size_t error_offset;
    mp_Error error; /* set once decoding failed */
} mp_Json;

/* Allocates nothing. [max] limits the whole text; 0 means MP_BUF_MAX.
 * [lenient] is for what models write: raw control characters in strings are
 * taken, and all that follows the value is ignored. */
void mp_json_init(mp_Json *json, mp_JsonSink sink, void *userdata, bool lenient,
                  size_t max);

void mp_json_term(mp_Json *json);

/* Starts a new text with the same settings; keeps the memory. */
void mp_json_reset(mp_Json *json, bool lenient);

/* Reads [len] bytes more. `decode`, `memory`, `too_large` or what the sink
 * said; after a failure each further call fails alike. */
mp_Status mp_json_feed(mp_Json *json, const char *bytes, size_t len,
                       mp_Error *err);

/* Says that no more bytes come: MP_OK if exactly one value was read. A number
 * at the top ends here, so this may emit. */
mp_Status mp_json_finish(mp_Json *json, mp_Error *err);

/* Whether a whole value was read. */
bool mp_json_done(const mp_Json *json);

/* Whether a string value, not a key, is open; then [text] and [len] are what
 * is known of it, borrowed until the next call. */
bool mp_json_open_text(const mp_Json *json, const char **text, size_t *len);

/* Line and column of the error. */
void mp_json_error_place(const mp_Json *json, size_t *line, size_t *column);

#endif
