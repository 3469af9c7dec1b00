/*
 * base64.h: strict decoding of RFC 4648's base64, the standard alphabet.
 *
 * Padding may be there or not, but not half of it. White space, characters
 * behind the padding and bits that no encoder would leave are refused: the
 * bytes are somebody's floats, and a guess would be a wrong vector.
 *
 * Threads: any; no state.
 */
#ifndef MP_BASE64_H
#define MP_BASE64_H

#include "err.h"

#include <stddef.h>

/* Room that is enough for the bytes of [len] characters. */
#define MP_BASE64_ROOM(len) (((len) / 4 + 1) * 3)

/* Decodes [len] characters to [out], which has MP_BASE64_ROOM(len), and writes
 * the number of bytes to [used]. `decode`, with the offset of what is wrong. */
mp_Status mp_base64_decode(const char *text, size_t len, void *out,
                           size_t *used, mp_Error *err);

#endif
