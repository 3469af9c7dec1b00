/*
 * bind_store.h: files of stores for the other binding files.
 *
 * Threads: the thread of the lua_State.
 */
#ifndef MP_BIND_STORE_H
#define MP_BIND_STORE_H

#include "store_read.h"

#include <lua.h>

/* The reader at [arg], which was opened, borrowed; or raises. */
mp_StoreReader *mp_bind_check_reader(lua_State *L, int arg);

#endif
