/* bind_frame.c: see bind_frame.h. A value is a letter and what it needs. */
#include "bind_frame.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define FRAME      "moonpipe.Frame"
#define VALUES_MAX 64 /* of a frame, beside what its lists hold */
#define FRAME_MAX  ((size_t)2 << 30)

/* --- writing --- */

static void write_len(mp_Buf *out, size_t len)
{
    uint32_t word = (uint32_t)len;

    mp_buf_append(out, &word, sizeof word);
}

static void write_simple(lua_State *L, int index, mp_Buf *out)
{
    lua_Number number;
    const char *text;
    size_t len;

    switch (lua_type(L, index)) {
    case LUA_TSTRING:
        text = lua_tolstring(L, index, &len);
        mp_buf_char(out, 's');
        write_len(out, len);
        mp_buf_append(out, text, len);
        break;
    case LUA_TNUMBER:
        number = lua_tonumber(L, index);
        mp_buf_char(out, 'n');
        mp_buf_append(out, &number, sizeof number);
        break;
    case LUA_TBOOLEAN:
        mp_buf_char(out, lua_toboolean(L, index) ? 't' : 'f');
        break;
    default: mp_buf_char(out, '-');
    }
}

static void write_list(lua_State *L, int index, mp_Buf *out)
{
    size_t count = lua_objlen(L, index);

    mp_buf_char(out, 'l');
    write_len(out, count);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, index, (int)i);
        write_simple(L, -1, out);
        lua_pop(L, 1);
    }
}

mp_Status mp_frame_write(lua_State *L, int first, mp_Buf *out)
{
    size_t start = out->len;
    uint32_t len;

    write_len(out, 0);
    for (int i = first; i <= lua_gettop(L); i++) {
        if (lua_type(L, i) == LUA_TTABLE)
            write_list(L, i, out);
        else
            write_simple(L, i, out);
    }
    if (out->status != MP_OK) return out->status;
    len = (uint32_t)(out->len - start - MP_FRAME_HEAD);
    memcpy(out->data + start, &len, sizeof len);
    return MP_OK;
}

/* --- channels --- */

static bool read_all(int fd, char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t got = read(fd, bytes, len);

        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        bytes += got;
        len -= (size_t)got;
    }
    return true;
}

bool mp_frame_read(int fd, mp_Buf *in)
{
    char head[MP_FRAME_HEAD];

    mp_buf_clear(in);
    if (!read_all(fd, head, sizeof head)) return false;
    if (mp_buf_reserve(in, mp_frame_len(head)) != MP_OK) return false;
    in->len = mp_frame_len(head);
    return read_all(fd, in->data, in->len);
}

bool mp_frame_send(int fd, const mp_Buf *out)
{
    size_t at = 0;

    while (at < out->len) {
        ssize_t took = write(fd, out->data + at, out->len - at);

        if (took < 0 && errno == EINTR) continue;
        if (took < 0) return false;
        at += (size_t)took;
    }
    return true;
}

/* --- reading --- */

typedef struct Reader {
    const char *at;
    size_t left;
} Reader;

size_t mp_frame_len(const char *head)
{
    uint32_t len;

    memcpy(&len, head, sizeof len);
    return len;
}

static bool take(Reader *reader, void *out, size_t len)
{
    if (reader->left < len) return false;
    memcpy(out, reader->at, len);
    reader->at += len;
    reader->left -= len;
    return true;
}

static bool push_text(lua_State *L, Reader *reader)
{
    uint32_t len;

    if (!take(reader, &len, sizeof len) || reader->left < len) return false;
    lua_pushlstring(L, reader->at, len);
    reader->at += len;
    reader->left -= len;
    return true;
}

static bool push_number(lua_State *L, Reader *reader)
{
    lua_Number number;

    if (!take(reader, &number, sizeof number)) return false;
    lua_pushnumber(L, number); /* which makes one of all NaNs */
    return true;
}

/* [-0, +1] */
static bool push_simple(lua_State *L, Reader *reader, char kind)
{
    switch (kind) {
    case 's': return push_text(L, reader);
    case 'n': return push_number(L, reader);
    case 't': lua_pushboolean(L, 1); return true;
    case 'f': lua_pushboolean(L, 0); return true;
    case '-': lua_pushnil(L); return true;
    default: return false;
    }
}

/* [-0, +1] An item of one byte takes eight in the table, so what has come is no
 * bound of its size. */
static bool push_list(lua_State *L, Reader *reader)
{
    uint32_t count;
    char kind;

    if (!take(reader, &count, sizeof count) || count > reader->left ||
        count > MP_FRAME_ITEMS)
        return false;
    lua_createtable(L, (int)count, 0);
    for (uint32_t i = 1; i <= count; i++) {
        if (!take(reader, &kind, 1) || !push_simple(L, reader, kind))
            return false;
        lua_rawseti(L, -2, (int)i);
    }
    return true;
}

int mp_frame_push(lua_State *L, const char *bytes, size_t len)
{
    Reader reader = {bytes, len};
    int count = 0;
    char kind;

    luaL_checkstack(L, VALUES_MAX + 4, "frame");
    while (count < VALUES_MAX && take(&reader, &kind, 1)) {
        bool good =
            kind == 'l' ? push_list(L, &reader) : push_simple(L, &reader, kind);

        if (!good) return -1;
        count++;
    }
    return reader.left == 0 ? count : -1;
}

/* --- for Lua --- */

static int f_gc(lua_State *L)
{
    mp_buf_term(lua_touserdata(L, 1));
    return 0;
}

/* frame(values…) -> bytes | nil, message, kind */
static int f_frame(lua_State *L)
{
    mp_Buf *out = lua_newuserdata(L, sizeof *out);
    mp_Error err;

    mp_buf_init(out, FRAME_MAX);
    luaL_getmetatable(L, FRAME); /* frees it if there is no room for the text */
    lua_setmetatable(L, -2);
    lua_insert(L, 1);
    mp_frame_write(L, 2, out);
    if (mp_buf_check(out, &err) != MP_OK) return mp_bind_fail(L, &err);
    lua_pushlstring(L, out->data, out->len);
    mp_buf_term(out);
    return 1;
}

/* frame_len(bytes) -> bytes of the first frame, with its length; nil as long as
 * that has not come */
static int f_frame_len(lua_State *L)
{
    size_t len;
    const char *bytes = luaL_checklstring(L, 1, &len);

    if (len < MP_FRAME_HEAD) return 0;
    lua_pushnumber(L, (lua_Number)mp_frame_len(bytes) + MP_FRAME_HEAD);
    return 1;
}

/* unframe(bytes) -> true, values… of that one frame | false */
static int f_unframe(lua_State *L)
{
    size_t len;
    const char *bytes = luaL_checklstring(L, 1, &len);
    int count = -1;

    lua_settop(L, 1);
    lua_pushboolean(L, 1);
    if (len >= MP_FRAME_HEAD && mp_frame_len(bytes) == len - MP_FRAME_HEAD)
        count = mp_frame_push(L, bytes + MP_FRAME_HEAD, len - MP_FRAME_HEAD);
    if (count >= 0) return count + 1;
    lua_pushboolean(L, 0);
    return 1;
}

void mp_bind_frames(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"frame", f_frame},
        {"frame_len", f_frame_len},
        {"unframe", f_unframe},
        {NULL, NULL},
    };

    luaL_newmetatable(L, FRAME);
    lua_pushcfunction(L, f_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_register(L, NULL, functions);
}
