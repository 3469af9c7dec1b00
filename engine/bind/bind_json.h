/*
 * bind_json.h: what the two JSON binding files share.
 *
 * Each of their functions has two upvalues: the metatable of arrays, and a
 * spare workspace (or nil). A call takes the workspace out while it uses it,
 * so that a call inside a call makes its own, and one that is left by a Lua
 * error leaves its workspace to the garbage collector, which frees the memory.
 */
#ifndef MP_BIND_JSON_H
#define MP_BIND_JSON_H

#include "buf.h"

#include <lua.h>

#define MP_JSON_ARRAY_MT lua_upvalueindex(1)
#define MP_JSON_SPARE    lua_upvalueindex(2)

/* A spare workspace keeps no buffer larger than this. */
#define MP_JSON_SPARE_MAX ((size_t)64 << 10)

/* json_encode(value[, indent]) -> text | nil, message, kind */
int mp_bind_json_encode(lua_State *L);

/* [-0, +0] Makes the metatables of its own. */
void mp_bind_json_encode_open(lua_State *L);

/* Frees [buf] if it is too large to be kept. */
static inline void mp_bind_json_trim(mp_Buf *buf)
{
    if (buf->cap > MP_JSON_SPARE_MAX) mp_buf_term(buf);
}

#endif
