/*
 * bind_text.c: text that came from outside, made good UTF-8; names for texts.
 */
#include "bind.h"

#include "sha256.h"
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

/* The surrogate whose three bytes stand at [text], as JSON may bring them
 * (json_text.h); 0 for none. */
static unsigned surrogate(const char *text, size_t len)
{
    const unsigned char *bytes = (const unsigned char *)text;

    if (len < 3 || bytes[0] != 0xed || bytes[1] < 0xa0 || bytes[1] > 0xbf ||
        (bytes[2] & 0xc0) != 0x80)
        return 0;
    return 0xd000u | (bytes[1] & 0x3fu) << 6 | (bytes[2] & 0x3fu);
}

/* Adds the character of which a surrogate stands at [text], U+FFFD where its
 * partner is missing. Returns the bytes taken, 0 if [more] may bring it. */
static size_t add_halves(luaL_Buffer *out, const char *text, size_t len,
                         bool more)
{
    unsigned high = surrogate(text, len), low = surrogate(text + 3, len - 3);
    char bytes[4];

    if (high < 0xdc00 && low >= 0xdc00) {
        low += 0x10000 + ((high - 0xd800) << 10) - 0xdc00;
        luaL_addlstring(out, bytes, mp_utf8_put(low, bytes));
        return 6;
    }
    if (high < 0xdc00 && len == 3 && more) return 0;
    luaL_addstring(out, MP_UTF8_FFFD);
    return 3;
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
        else if (surrogate(text + at, len - at))
            used = add_halves(&out, text + at, len - at, more);
        else
            luaL_addstring(&out, MP_UTF8_FFFD);
        if (used == 0) break;
        at += used;
    }
    luaL_pushresult(&out);
    lua_pushlstring(L, text + at, len - at);
}

/* utf8_repair(text[, more]) -> text, held
 * Bad bytes become U+FFFD, two surrogates the character that they are halves
 * of. With [more] the beginning of a character at the end is held back, for
 * what comes next may complete it. Good text is not copied.
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

/* Its length in front: "a", "bc" and "ab", "c" are not the same. */
static void feed(mp_Sha256 *hash, const char *text, size_t len)
{
    uint8_t prefix[8];

    for (size_t i = 0; i < sizeof prefix; i++)
        prefix[i] = (uint8_t)((uint64_t)len >> (8 * i));
    mp_sha256_feed(hash, prefix, sizeof prefix);
    mp_sha256_feed(hash, text, len);
}

/* [-0, +1] Pushes 16 bytes as a UUID of version 8 (RFC 9562). */
static void push_uuid(lua_State *L, uint8_t *bytes)
{
    static const char digits[] = "0123456789abcdef";
    char text[36];
    size_t at = 0;

    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x80);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) text[at++] = '-';
        text[at++] = digits[bytes[i] >> 4];
        text[at++] = digits[bytes[i] & 15];
    }
    lua_pushlstring(L, text, sizeof text);
}

/* uuid_of(text, ...) -> a UUID that says which texts they are: 122 bits of
 * their SHA-256 */
static int f_uuid_of(lua_State *L)
{
    int count = lua_gettop(L);
    uint8_t sum[MP_SHA256_BYTES];
    mp_Sha256 hash;

    mp_sha256_init(&hash);
    for (int i = 1; i <= count; i++) {
        size_t len;
        const char *text = luaL_checklstring(L, i, &len);

        feed(&hash, text, len);
    }
    mp_sha256_end(&hash, sum);
    push_uuid(L, sum);
    return 1;
}

static const luaL_Reg functions[] = {
    {"utf8_repair", f_utf8_repair},
    {"uuid_of", f_uuid_of},
    {NULL, NULL},
};

void mp_bind_text(lua_State *L)
{
    luaL_register(L, NULL, functions);
}
