/*
 * bind_texts.h: lists of texts on their way to a job.
 *
 * Threads: the thread of the lua_State.
 */
#ifndef MP_BIND_TEXTS_H
#define MP_BIND_TEXTS_H

#include "buf.h"

#include <lua.h>

/* Copies the strings of the list at [arg], one behind the other, into [texts],
 * not initialised before; number i ends at [ends][i], an allocation of
 * mp_alloc. Raises where it is no list of at least one string. Returns their
 * number, or 0 without memory: then nothing is held. */
size_t mp_bind_copy_texts(lua_State *L, int arg, mp_Buf *texts, size_t **ends);

#endif
