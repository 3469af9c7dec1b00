/*
 * bind_floats.h: mp.Floats for the other binding files.
 *
 * Threads: the thread of the lua_State.
 */
#ifndef MP_BIND_FLOATS_H
#define MP_BIND_FLOATS_H

#include "floats.h"

#include <lua.h>
#include <stdbool.h>

/* [-0, +1] Pushes the rows as a matrix, also a single one, and leaves [floats]
 * empty. May raise for want of memory; then [floats] stays. */
void mp_bind_push_floats(lua_State *L, mp_Floats *floats);

/* [-0, +1] Pushes a matrix without rows and gives the place to move some to at
 * once, before anything else can see it. */
mp_Floats *mp_bind_push_room(lua_State *L);

/* [-0, +1] Pushes [rows] rows of [dim] numbers, not set: a vector is one row
 * and no matrix. Gives the numbers, which the caller sets at once. */
float *mp_bind_push_numbers(lua_State *L, size_t rows, size_t dim, bool matrix);

/* The values of the Floats at [index], borrowed while it is on the stack; NULL
 * where it is none. A vector has one row; [matrix] (NULL: nobody asks) says
 * whether one row is a vector's. */
const mp_Floats *mp_bind_read_floats(lua_State *L, int index, bool *matrix);

static inline const mp_Floats *mp_bind_to_floats(lua_State *L, int index)
{
    return mp_bind_read_floats(L, index, NULL);
}

#endif
