/*
 * bind_vector.h: indexes of vectors for the other binding files.
 *
 * Threads: the thread of the lua_State.
 */
#ifndef MP_BIND_VECTOR_H
#define MP_BIND_VECTOR_H

#include "vector.h"

#include <lua.h>

/* The index at [arg], borrowed; or raises. */
mp_Vector *mp_bind_check_index(lua_State *L, int arg);

#endif
