/*
 * bind_pick.h: some members of a JSON text, without tables for the rest.
 *
 * A picker is made of paths such as `choices.0.message.content`, in which a
 * number is a place in an array. It gives their values in the order of the
 * paths. It gives nothing at all where a text is no JSON or holds anything else
 * of note: a member that is no path and neither null nor an empty container, a
 * container where a path has a value, an integer beyond 2^53, a key twice. Then
 * the caller decodes the whole, and judges.
 *
 * Texts of one kind differ in little but their values: so a picker remembers
 * the last text it read, and where the values stood. Of a text that is the same
 * but for these it need not look at the rest, which costs a fifth.
 *
 * Threads: the thread of the lua_State.
 */
#ifndef MP_BIND_PICK_H
#define MP_BIND_PICK_H

#include <lua.h>
#include <stddef.h>

/* [-0, +count] Pushes true and the values that the picker at [index] finds;
 * returns their count. 0, with nothing pushed, where it finds anything else. */
int mp_bind_pick(lua_State *L, int index, const char *text, size_t len);

#endif
