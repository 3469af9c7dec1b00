/*
 * cursor.h: reads what was written for another thread, piece by piece.
 *
 * It was checked when it was written: reading cannot fail.
 *
 * Threads: one owner at a time.
 */
#ifndef MP_CURSOR_H
#define MP_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct mp_Cursor {
    const char *at;
    const char *end;
} mp_Cursor;

static inline const char *mp_cursor_take(mp_Cursor *cursor, size_t len)
{
    const char *bytes = cursor->at;

    cursor->at += len;
    return bytes;
}

static inline uint32_t mp_cursor_u32(mp_Cursor *cursor)
{
    uint32_t value;

    memcpy(&value, mp_cursor_take(cursor, sizeof value), sizeof value);
    return value;
}

#endif
