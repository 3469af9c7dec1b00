/*
 * bind_text.c: text that came from outside, made good UTF-8.
 */
#include "bind.h"

#include "utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The bytes before the first that is not ASCII. */
static size_t ascii_prefix(const char *text, size_t len)
{
    uint64_t eight;
    size_t at = 0;

    for (; at + sizeof eight <= len; at += sizeof eight) {
        memcpy(&eight, text + at, sizeof eight);
        if (eight & 0x8080808080808080u) break;
    }
    while (at < len && !(text[at] & 0x80))
        at++;
    return at;
}

/* The bytes of whole, good characters at the start. */
static size_t good_prefix(const char *text, size_t len)
{
    size_t at = ascii_prefix(text, len), used;

    while (at < len && mp_utf8_next(text + at, len - at, &used) == MP_UTF8_GOOD)
        at += used;
    return at;
}

/* [-0, +2] Pushes the repaired text and what is held back. */
static void push_repaired(lua_State *L, const char *text, size_t len, bool more)
{
    luaL_Buffer out;
    size_t at = 0, used;
    mp_Utf8 verdict;

    luaL_buffinit(L, &out);
    while (at < len) {
        verdict = mp_utf8_next(text + at, len - at, &used);
        if (verdict == MP_UTF8_CUT && more) break;
        if (verdict == MP_UTF8_GOOD)
            luaL_addlstring(&out, text + at, used);
        else
            luaL_addstring(&out, MP_UTF8_FFFD);
        at += used;
    }
    luaL_pushresult(&out);
    lua_pushlstring(L, text + at, len - at);
}

/* utf8_repair(text[, more]) -> text, held
 * Bad bytes become U+FFFD. With [more] the beginning of a character at the end
 * is held back, for what comes next may complete it. Good text is not copied.
 */
static int f_utf8_repair(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);

    lua_settop(L, 2);
    if (good_prefix(text, len) == len) {
        lua_pushvalue(L, 1);
        lua_pushliteral(L, "");
    } else {
        push_repaired(L, text, len, lua_toboolean(L, 2));
    }
    return 2;
}

static const luaL_Reg functions[] = {
    {"utf8_repair", f_utf8_repair},
    {NULL, NULL},
};

void mp_bind_text(lua_State *L)
{
    luaL_register(L, NULL, functions);
}
