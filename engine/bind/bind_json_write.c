/*
 * bind_json_write.c: Lua values to JSON text.
 *
 * What a table is, its keys say (bind_shape.h); one with the metatable of
 * mp.array is an array always, so mp.array{} is []. The keys of objects are
 * sorted by bytes. A number never becomes a string key: it would not come back
 * as one.
 * Metatables other than that are looked at for __tojson only; fields are read
 * raw. Errors name the place as a path: $.messages[2].content.
 *
 * __tojson may run any Lua and change the table being written, so keys are
 * copied into an arena before they are sorted, and values are fetched anew.
 * Its errors leave by longjmp; all C memory belongs to a userdata with __gc.
 */
#include "bind_json.h"

#include "bind.h"
#include "bind_cell.h"
#include "bind_shape.h"
#include "json.h"
#include "json_write.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENCODER_MT     "mp.json_encoder"
#define PATH_MAX_SHOWN 256

typedef struct Encoder {
    lua_State *L;
    mp_Buf out;
    mp_Buf keys;        /* arena: the keys of the objects being written */
    mp_Buf entries;     /* of type Entry, a stack: one run per object */
    const char *indent; /* NULL: all on one line */
    size_t indent_len;
    mp_Error error;
} Encoder;

/* A key in the arena; by offset, because the arena moves as it grows. */
typedef struct Entry {
    size_t offset;
    size_t len;
} Entry;

/* Where a value stands: a member of what `outer` stands for. */
typedef struct Place {
    const struct Place *outer;
    enum { ROOT, AT_KEY, AT_INDEX, SAME } kind; /* SAME: of __tojson */
    Entry key;
    int index;
    int depth;         /* of containers around it */
    const void *table; /* identity of the table that stands here */
} Place;

/* What the keys of a table say. */
typedef struct Shape {
    size_t first; /* index of its first entry */
    mp_Shape keys;
} Shape;

/* --- errors --- */

static bool is_name(const char *text, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        char c = text[i];
        bool digit = c >= '0' && c <= '9';

        if (c != '_' && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
            !(digit && i > 0))
            return false;
    }
    return len > 0;
}

static void write_path(const Encoder *e, const Place *at, mp_Buf *path)
{
    const char *key;

    if (!at->outer) {
        mp_buf_char(path, '$');
        return;
    }
    write_path(e, at->outer, path);
    if (at->kind == AT_INDEX) mp_buf_printf(path, "[%d]", at->index);
    if (at->kind != AT_KEY) return;
    key = e->keys.data + at->key.offset;
    if (is_name(key, at->key.len)) {
        mp_buf_char(path, '.');
        mp_buf_append(path, key, at->key.len);
    } else {
        mp_buf_char(path, '[');
        mp_json_write_text(path, key, at->key.len);
        mp_buf_char(path, ']');
    }
}

/* Adds the path to the message in `error`. Returns false, as all do that
 * fail. A path too long is cut; one that finds no memory is left out. */
static bool fail_at(Encoder *e, const Place *at)
{
    size_t len = strlen(e->error.message);
    mp_Buf path;

    mp_buf_init(&path, PATH_MAX_SHOWN);
    write_path(e, at, &path);
    if (path.data)
        snprintf(e->error.message + len, MP_ERROR_TEXT - len, " at %s%s",
                 path.data, path.status == MP_OK ? "" : "...");
    mp_buf_term(&path);
    return false;
}

static bool refuse(Encoder *e, const Place *at, const char *what)
{
    mp_err_set(&e->error, MP_KIND_INPUT, "cannot encode %s", what);
    return fail_at(e, at);
}

/* The buffer's own failure, which no path explains. */
static bool check(Encoder *e, const mp_Buf *buf)
{
    return mp_buf_check(buf, &e->error) == MP_OK;
}

/* --- shapes --- */

static bool note_string(Encoder *e, int index)
{
    Entry entry = {.offset = e->keys.len};
    const char *key = lua_tolstring(e->L, index, &entry.len);

    mp_buf_append(&e->keys, key, entry.len);
    mp_buf_append(&e->entries, &entry, sizeof entry);
    return check(e, &e->keys) && check(e, &e->entries);
}

/* Looks at all keys of the table at the top. */
static bool find_shape(Encoder *e, const Place *at, Shape *shape)
{
    lua_State *L = e->L;
    char room[MP_SHAPE_TEXT];
    const char *problem;

    memset(shape, 0, sizeof *shape);
    shape->first = e->entries.len / sizeof(Entry);
    for (lua_pushnil(L); lua_next(L, -2);) {
        lua_pop(L, 1);
        problem = mp_shape_note(L, -1, &shape->keys, room);
        if (problem) return refuse(e, at, problem);
        if (lua_type(L, -1) == LUA_TSTRING && !note_string(e, -1)) return false;
    }
    return true;
}

static bool is_array(lua_State *L)
{
    bool array;

    if (!lua_getmetatable(L, -1)) return false;
    array = lua_rawequal(L, -1, MP_JSON_ARRAY_MT);
    lua_pop(L, 1);
    return array;
}

/* --- writing --- */

static bool write_value(Encoder *e, Place *at);

static void write_newline(Encoder *e, int depth)
{
    if (!e->indent) return;
    mp_buf_char(&e->out, '\n');
    while (depth-- > 0)
        mp_buf_append(&e->out, e->indent, e->indent_len);
}

static bool write_array(Encoder *e, Place *at, int len)
{
    Place member = {.outer = at, .kind = AT_INDEX, .depth = at->depth + 1};
    bool ok = true;
    int i;

    mp_buf_char(&e->out, '[');
    for (i = 1; ok && i <= len; i++) {
        if (i > 1) mp_buf_char(&e->out, ',');
        write_newline(e, member.depth);
        member.index = i;
        lua_rawgeti(e->L, -1, i);
        ok = write_value(e, &member) && check(e, &e->out);
        lua_pop(e->L, 1);
    }
    if (len > 0) write_newline(e, at->depth);
    mp_buf_char(&e->out, ']');
    return ok;
}

static bool write_member(Encoder *e, Place *member)
{
    const char *key = e->keys.data + member->key.offset;
    bool ok;

    mp_json_write_text(&e->out, key, member->key.len);
    mp_buf_text(&e->out, e->indent ? ": " : ":");
    lua_pushlstring(e->L, key, member->key.len);
    lua_rawget(e->L, -2);
    ok = write_value(e, member) && check(e, &e->out);
    lua_pop(e->L, 1);
    return ok;
}

static Entry entry_at(const Encoder *e, size_t index)
{
    Entry entry;

    memcpy(&entry, e->entries.data + index * sizeof entry, sizeof entry);
    return entry;
}

static int compare_entries(const void *a, const void *b, void *arena)
{
    const Entry *left = a, *right = b;
    const char *keys = arena;
    size_t len = left->len < right->len ? left->len : right->len;
    int order = memcmp(keys + left->offset, keys + right->offset, len);

    if (order != 0) return order;
    return left->len < right->len ? -1 : left->len > right->len;
}

static bool write_object(Encoder *e, Place *at, const Shape *shape)
{
    Place member = {.outer = at, .kind = AT_KEY, .depth = at->depth + 1};
    size_t i;
    bool ok = true;

    if (shape->keys.strings > 1)
        qsort_r(e->entries.data + shape->first * sizeof(Entry),
                shape->keys.strings, sizeof(Entry), compare_entries,
                e->keys.data);
    mp_buf_char(&e->out, '{');
    for (i = 0; ok && i < shape->keys.strings; i++) {
        if (i > 0) mp_buf_char(&e->out, ',');
        write_newline(e, member.depth);
        member.key = entry_at(e, shape->first + i);
        ok = write_member(e, &member);
    }
    if (shape->keys.strings > 0) write_newline(e, at->depth);
    mp_buf_char(&e->out, '}');
    return ok;
}

/* The table at the top, after __tojson. */
static bool write_plain(Encoder *e, Place *at)
{
    size_t keys = e->keys.len, entries = e->entries.len;
    Shape shape;
    int len = 0;
    bool ok = find_shape(e, at, &shape);
    const char *problem;

    if (ok && (shape.keys.count > 0 || is_array(e->L))) {
        problem = mp_shape_length(e->L, &shape.keys, &len);
        ok = problem ? refuse(e, at, problem) : write_array(e, at, len);
    } else if (ok)
        ok = write_object(e, at, &shape);
    if (ok) { /* after a failure the path still needs the arena */
        e->keys.len = keys;
        e->entries.len = entries;
    }
    return ok;
}

/* [-1, +0] The function __tojson is at the top, its value below it. */
static bool write_converted(Encoder *e, Place *at)
{
    Place same = {.outer = at, .kind = SAME, .depth = at->depth + 1};
    bool ok;

    lua_pushvalue(e->L, -2);
    lua_call(e->L, 1, 1); /* an error is the user's own and goes through */
    ok = write_value(e, &same);
    lua_pop(e->L, 1);
    return ok;
}

static bool is_cycle(const Place *at)
{
    const Place *outer;

    for (outer = at->outer; outer; outer = outer->outer)
        if (outer->table == at->table) return true;
    return false;
}

/* A table or a userdata. */
static bool write_container(Encoder *e, Place *at)
{
    lua_State *L = e->L;

    luaL_checkstack(L, 8, "JSON");
    at->table = lua_topointer(L, -1);
    if (is_cycle(at)) return refuse(e, at, "a table that contains itself");
    if (at->depth >= MP_JSON_DEPTH)
        return refuse(e, at, "more than 128 containers in each other");
    if (luaL_getmetafield(L, -1, "__tojson")) {
        if (lua_isfunction(L, -1)) return write_converted(e, at);
        lua_pop(L, 1);
    }
    return lua_istable(L, -1) ? write_plain(e, at)
                              : refuse(e, at, "a userdata");
}

static bool write_number(Encoder *e, const Place *at)
{
    mp_Status status =
        mp_json_write_number(&e->out, lua_tonumber(e->L, -1), &e->error);

    if (status == -MP_KIND_INPUT) return fail_at(e, at);
    return check(e, &e->out);
}

/* [-0, +0] Writes the value at the top. */
static bool write_value(Encoder *e, Place *at)
{
    size_t len;
    const char *text;
    char what[64];

    switch (lua_type(e->L, -1)) {
    case LUA_TNIL: mp_buf_text(&e->out, "null"); return true;
    case LUA_TBOOLEAN:
        mp_buf_text(&e->out, lua_toboolean(e->L, -1) ? "true" : "false");
        return true;
    case LUA_TNUMBER: return write_number(e, at);
    case LUA_TSTRING:
        text = lua_tolstring(e->L, -1, &len);
        mp_json_write_text(&e->out, text, len);
        return true;
    case LUA_TTABLE:
    case LUA_TUSERDATA: return write_container(e, at);
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(e->L, -1)) break;
        mp_buf_text(&e->out, "null");
        return true;
    default: break;
    }
    snprintf(what, sizeof what, "a %s", luaL_typename(e->L, -1));
    return refuse(e, at, what);
}

/* --- the workspace --- */

static int f_encoder_gc(lua_State *L)
{
    Encoder *e = luaL_checkudata(L, 1, ENCODER_MT);

    mp_buf_term(&e->out);
    mp_buf_term(&e->keys);
    mp_buf_term(&e->entries);
    return 0;
}

/* [-0, +1] */
static Encoder *push_encoder(lua_State *L)
{
    Encoder *e = lua_newuserdata(L, sizeof *e);

    memset(e, 0, sizeof *e);
    mp_buf_init(&e->out, mp_cell_room(L));
    mp_buf_init(&e->keys, mp_cell_room(L));
    mp_buf_init(&e->entries, mp_cell_room(L));
    luaL_getmetatable(L, ENCODER_MT);
    lua_setmetatable(L, -2);
    return e;
}

/* [-0, +1] Takes the spare encoder or makes one. */
static Encoder *borrow_encoder(lua_State *L)
{
    Encoder *e;

    lua_pushvalue(L, MP_JSON_SPARE);
    e = lua_touserdata(L, -1);
    if (!e) {
        lua_pop(L, 1);
        return push_encoder(L);
    }
    lua_pushnil(L);
    lua_replace(L, MP_JSON_SPARE);
    return e;
}

/* [-0, +0] The encoder at [index] becomes the spare one. */
static void return_encoder(lua_State *L, Encoder *e, int index)
{
    mp_Buf *bufs[] = {&e->out, &e->keys, &e->entries};
    size_t i;

    for (i = 0; i < sizeof bufs / sizeof *bufs; i++) {
        mp_buf_clear(bufs[i]);
        mp_bind_json_trim(bufs[i]);
    }
    lua_pushvalue(L, index);
    lua_replace(L, MP_JSON_SPARE);
}

void mp_bind_json_encode_open(lua_State *L)
{
    luaL_newmetatable(L, ENCODER_MT);
    lua_pushcfunction(L, f_encoder_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

int mp_bind_json_encode(lua_State *L)
{
    Place root = {.kind = ROOT};
    size_t indent_len = 0;
    const char *indent = luaL_optlstring(L, 2, NULL, &indent_len);
    Encoder *e;
    int results = 1;

    lua_settop(L, 2);
    e = borrow_encoder(L);
    e->L = L;
    e->indent = indent;
    e->indent_len = indent_len;
    lua_pushvalue(L, 1);
    if (write_value(e, &root) && check(e, &e->out))
        lua_pushlstring(L, e->out.data, e->out.len);
    else
        results = mp_bind_fail(L, &e->error);
    return_encoder(L, e, 3);
    return results;
}
