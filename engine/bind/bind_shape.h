/*
 * bind_shape.h: what a Lua table is, told by its keys, never guessed:
 *   - keys 1 to n (n >= 1): an array
 *   - strings only, or none: an object
 *   - integers and a field `n` that is no less than each of them, as batches
 *     and array maps give: an array of n members
 *   - all else (holes, mixed keys, keys that are no strings) is refused
 *
 * Threads: that of the lua_State.
 */
#ifndef MP_BIND_SHAPE_H
#define MP_BIND_SHAPE_H

#include <lua.h>
#include <stddef.h>

/* The name of the metatable that marks arrays, also without members. */
#define MP_SHAPE_ARRAY "mp.array"

#define MP_SHAPE_TEXT 64 /* bytes of a complaint at most */

typedef struct mp_Shape {
    size_t strings;   /* count of string keys */
    lua_Number count; /* of positive integer keys */
    lua_Number max;   /* the largest of them */
} mp_Shape;

/* Notes the key at [index]. Returns NULL, or what is refused, perhaps in
 * [room]. */
const char *mp_shape_note(lua_State *L, int index, mp_Shape *shape,
                          char room[MP_SHAPE_TEXT]);

/* Writes to [len] how many members the array at the top has. Returns NULL, or
 * what is refused. */
const char *mp_shape_length(lua_State *L, const mp_Shape *shape, int *len);

#endif
