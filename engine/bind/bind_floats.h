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

/* The values of the Floats at [index], borrowed while it is on the stack; NULL
 * where it is none. A vector has one row. */
const mp_Floats *mp_bind_to_floats(lua_State *L, int index);

#endif
