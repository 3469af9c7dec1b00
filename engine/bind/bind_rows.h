/*
 * bind_rows.h: statements written down, answers read, as db.h and pg.h have
 * them.
 *
 * Threads: the thread of the lua_State.
 */
#ifndef MP_BIND_ROWS_H
#define MP_BIND_ROWS_H

#include "buf.h"

#include <lua.h>

/* [-0, +0] Writes the list of {text, values…, n = places} at [index], argument
 * 2, into [out], which it inits. Raises where it is none. `memory`,
 * `too_large`. */
mp_Status mp_bind_write_statements(lua_State *L, int index, mp_Buf *out,
                                   mp_Error *err);

/* [-0, +1] A list with {changes =, last_id =, rows =} for each statement. */
void mp_bind_push_answers(lua_State *L, const char *bytes, size_t len);

#endif
