/*
 * bind_frame.h: Lua values as bytes, between a VM and one in another process.
 *
 * A frame is its length (32 bits, of what follows) and values: nil, booleans,
 * numbers, strings, and lists of these. Both ends run on one machine, so
 * numbers are as they lie in memory. What comes from a process that runs the
 * code of others is checked to the last byte.
 *
 * Threads: the thread of the lua_State.
 */
#ifndef MP_BIND_FRAME_H
#define MP_BIND_FRAME_H

#include "bind.h"
#include "buf.h"

#include <stdbool.h>

/* Bytes of the length before a frame. */
#define MP_FRAME_HEAD 4

/* Items of a list. */
#define MP_FRAME_ITEMS 100000

/* Appends the frame of the values of [L] from [first] to the top; what is none
 * of these counts as nil. `memory` or `too_large`. */
mp_Status mp_frame_write(lua_State *L, int first, mp_Buf *out);

/* Reads the next frame of [fd], without its length. False: none comes. */
bool mp_frame_read(int fd, mp_Buf *in);

/* Writes all of [out]. False: nobody reads it. */
bool mp_frame_send(int fd, const mp_Buf *out);

/* The length in the first bytes of a frame. */
size_t mp_frame_len(const char *head);

/* [-0, +n] Pushes the values of a frame, without its length; gives how many, or
 * -1 where it is none. */
int mp_frame_push(lua_State *L, const char *bytes, size_t len);

#endif
