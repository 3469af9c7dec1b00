/*
 * json_write.h: the pieces of JSON text that are not mere punctuation.
 *
 * Both append to a buffer whose sticky status tells of failures.
 *
 * Threads: any; no state.
 */
#ifndef MP_JSON_WRITE_H
#define MP_JSON_WRITE_H

#include "buf.h"

/* Appends [text] as a JSON string with its quotes. Only what must be is
 * escaped: quote, backslash, control characters; bad UTF-8 becomes U+FFFD. */
mp_Status mp_json_write_text(mp_Buf *out, const char *text, size_t len);

/* Appends [number]; see mp_json_number_write. `input` for NaN and infinities,
 * which leave [out] as it was. */
mp_Status mp_json_write_number(mp_Buf *out, double number, mp_Error *err);

#endif
