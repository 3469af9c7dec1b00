/* bind_texts.c: see bind_texts.h. */
#include "bind_texts.h"

#include "alloc.h"

#include <lauxlib.h>
#include <stdint.h>

static size_t check(lua_State *L, int arg)
{
    size_t count;

    luaL_checktype(L, arg, LUA_TTABLE);
    count = lua_objlen(L, arg);
    luaL_argcheck(L, count > 0, arg, "no texts");
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, arg, (int)i);
        luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, arg,
                      "not all strings");
        lua_pop(L, 1);
    }
    return count;
}

size_t mp_bind_copy_texts(lua_State *L, int arg, mp_Buf *texts, size_t **out)
{
    size_t count = check(L, arg), *ends = mp_alloc_zero(count, sizeof *ends);

    mp_buf_init(texts, SIZE_MAX / 2);
    *out = ends;
    if (!ends) return 0;
    for (size_t i = 0; i < count; i++) {
        size_t len;
        const char *text;

        lua_rawgeti(L, arg, (int)i + 1);
        text = lua_tolstring(L, -1, &len);
        mp_buf_append(texts, text, len);
        ends[i] = texts->len;
        lua_pop(L, 1);
    }
    if (texts->status == MP_OK) return count;
    mp_buf_term(texts);
    mp_alloc_free(ends);
    return 0;
}
