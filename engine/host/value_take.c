/*
 * value_take.c: what Lua has, as a value.
 *
 * The rules are those of JSON (bind_shape.h), so what is no data is refused
 * with its path; but floats stay floats, and messages and Documents tell what
 * they are (lua/moonpipe/tool/values.lua opens them). The tree hangs in a box
 * with __gc while it grows: Lua may leave by an error at any time.
 */
#include "value.h"

#include "bind.h"
#include "bind_floats.h"
#include "bind_shape.h"
#include "buf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define BOX_MT       "moonpipe.Value"
#define BYTES_MAX    ((size_t)256 << 20) /* of one tree, but for floats */
#define EXACT_MAX    9007199254740992.0  /* 2^53 */
#define SHOWN        256                 /* bytes of a path */
#define STACK_NEEDED 10

enum { VALUE = 1, OPEN, KEEP, BOX, ANCHORS, ARRAY };

typedef struct Taking {
    lua_State *L;
    bool keep;    /* floats are copied */
    int anchored; /* floats that were not */
    size_t bytes;
    mp_Error err;
} Taking;

/* --- errors -----------------------------------------------------------------
 */

/* An item of an array is the last there while it is taken. */
static void write_path(const moonpipe_Value *at, mp_Buf *path)
{
    if (!at->outer) {
        mp_buf_char(path, '$');
        return;
    }
    write_path(at->outer, path);
    if (at->key)
        mp_buf_printf(path, ".%s", at->key);
    else
        mp_buf_printf(path, "[%zu]", at->outer->length);
}

static bool refuse(Taking *t, const moonpipe_Value *at, const char *what)
{
    size_t len;
    mp_Buf path;

    mp_err_set(&t->err, MP_KIND_INPUT, "cannot give the host %s", what);
    len = strlen(t->err.message);
    mp_buf_init(&path, SHOWN);
    write_path(at, &path);
    if (path.data)
        snprintf(t->err.message + len, MP_ERROR_TEXT - len, " at %s",
                 path.data);
    mp_buf_term(&path);
    return false;
}

static bool no_memory(Taking *t)
{
    mp_err_memory(&t->err);
    return false;
}

static bool count(Taking *t, size_t bytes)
{
    t->bytes += bytes;
    if (t->bytes <= BYTES_MAX) return true;
    mp_err_set(&t->err, MP_KIND_TOO_LARGE,
               "a value for the host takes more than 256 MiB");
    return false;
}

/* --- values -----------------------------------------------------------------
 * Each takes the value at the top, which stays, into [to], which is null. */

static bool take_any(Taking *t, moonpipe_Value *to, int depth);

static void take_number(Taking *t, moonpipe_Value *to)
{
    lua_Number number = lua_tonumber(t->L, -1);

    if (number == floor(number) && fabs(number) <= EXACT_MAX) {
        to->type = MOONPIPE_TYPE_INTEGER;
        to->as.integer = (int64_t)number;
    } else {
        to->type = MOONPIPE_TYPE_NUMBER;
        to->as.number = number;
    }
}

static bool take_text(Taking *t, moonpipe_Value *to)
{
    size_t len;
    const char *text = lua_tolstring(t->L, -1, &len);

    if (!count(t, len)) return false;
    if (!mp_value_set_text(to, text, len)) return no_memory(t);
    to->type = MOONPIPE_TYPE_STRING;
    return true;
}

/* Floats that are not copied are kept by the box: whoever has them in a table
 * may let go of them. */
static bool take_floats(Taking *t, moonpipe_Value *to, const mp_Floats *floats)
{
    if (!t->keep) {
        lua_pushvalue(t->L, -1);
        lua_rawseti(t->L, ANCHORS, ++t->anchored);
        to->borrowed = true;
        to->as.floats = floats->data;
        to->length = floats->rows * floats->dim;
        to->dim = floats->dim;
    } else if (!mp_value_set_floats(to, floats->data, floats->rows,
                                    floats->dim)) {
        return no_memory(t);
    }
    to->type = MOONPIPE_TYPE_FLOATS;
    return true;
}

/* A new last member of [to], null; NULL without memory or room. */
static moonpipe_Value *new_item(Taking *t, moonpipe_Value *to, const char *key,
                                size_t length)
{
    moonpipe_Value *item;

    if (!count(t, sizeof *item + length)) return NULL;
    item = mp_value_new(MOONPIPE_TYPE_NULL);
    if (item && mp_value_append(to, key, length, item)) return item;
    moonpipe_free(item);
    no_memory(t);
    return NULL;
}

static bool take_array(Taking *t, moonpipe_Value *to, int length, int depth)
{
    moonpipe_Value *item;
    bool ok = true;

    to->type = MOONPIPE_TYPE_ARRAY;
    for (int i = 1; ok && i <= length; i++) {
        lua_rawgeti(t->L, -1, i);
        item = new_item(t, to, NULL, 0);
        ok = item && take_any(t, item, depth + 1);
        lua_pop(t->L, 1);
    }
    return ok;
}

static bool take_object(Taking *t, moonpipe_Value *to, int depth)
{
    lua_State *L = t->L;
    size_t length;
    const char *key;
    moonpipe_Value *item;

    to->type = MOONPIPE_TYPE_OBJECT;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) /* since it was looked at */
            return refuse(t, to, "a table that its own members change");
        key = lua_tolstring(L, -2, &length);
        item = new_item(t, to, key, length);
        if (!item || !take_any(t, item, depth + 1)) return false;
    }
    mp_value_sort(to);
    return true;
}

static bool is_marked_array(lua_State *L)
{
    bool array = false;

    if (!lua_getmetatable(L, -1)) return false;
    array = lua_rawequal(L, -1, ARRAY);
    lua_pop(L, 1);
    return array;
}

static bool take_table(Taking *t, moonpipe_Value *to, int depth)
{
    lua_State *L = t->L;
    char room[MP_SHAPE_TEXT];
    mp_Shape shape = {0};
    const char *problem = NULL;
    int length = 0;

    for (lua_pushnil(L); lua_next(L, -2);) {
        lua_pop(L, 1);
        problem = mp_shape_note(L, -1, &shape, room);
        if (problem) return refuse(t, to, problem);
    }
    if (shape.count == 0 && !is_marked_array(L))
        return take_object(t, to, depth);
    problem = mp_shape_length(L, &shape, &length);
    return problem ? refuse(t, to, problem) : take_array(t, to, length, depth);
}

/* [-0, +1] What stands for the value at the top. */
static void push_opened(Taking *t, moonpipe_Value *to)
{
    lua_pushvalue(t->L, OPEN);
    lua_pushvalue(t->L, -2);
    lua_call(t->L, 1, 2);
    to->class = (mp_ValueClass)lua_tointeger(t->L, -1);
    lua_pop(t->L, 1);
}

/* A table or a userdata. */
static bool take_container(Taking *t, moonpipe_Value *to, int depth)
{
    const mp_Floats *floats = mp_bind_read_floats(t->L, -1, &to->matrix);
    bool ok;

    if (floats) return take_floats(t, to, floats);
    if (depth >= MP_VALUE_DEPTH)
        return refuse(t, to, "more than 128 containers in each other");
    luaL_checkstack(t->L, STACK_NEEDED, "value");
    if (luaL_getmetafield(t->L, -1, "__tojson")) {
        lua_pushvalue(t->L, -2);
        lua_call(t->L, 1, 1);
        ok = take_any(t, to, depth + 1);
    } else if (!lua_istable(t->L, -1)) {
        return refuse(t, to, "a userdata");
    } else if (!lua_getmetatable(t->L, -1)) {
        return take_table(t, to, depth);
    } else {
        lua_pop(t->L, 1);
        push_opened(t, to);
        ok = lua_istable(t->L, -1) ? take_table(t, to, depth)
                                   : take_any(t, to, depth);
    }
    lua_pop(t->L, 1);
    return ok;
}

static bool take_any(Taking *t, moonpipe_Value *to, int depth)
{
    char what[64];

    switch (lua_type(t->L, -1)) {
    case LUA_TNIL: return true;
    case LUA_TBOOLEAN:
        to->type = MOONPIPE_TYPE_BOOLEAN;
        to->as.truth = lua_toboolean(t->L, -1);
        return true;
    case LUA_TNUMBER: take_number(t, to); return true;
    case LUA_TSTRING: return take_text(t, to);
    case LUA_TTABLE:
    case LUA_TUSERDATA: return take_container(t, to, depth);
    case LUA_TLIGHTUSERDATA:
        if (!lua_touserdata(t->L, -1)) return true;
        break;
    default: break;
    }
    snprintf(what, sizeof what, "a %s", luaL_typename(t->L, -1));
    return refuse(t, to, what);
}

/* --- boxes ------------------------------------------------------------------
 */

typedef struct Box {
    moonpipe_Value *value;
} Box;

moonpipe_Value *mp_value_in(lua_State *L, int index)
{
    const Box *box = lua_touserdata(L, index);

    return box ? box->value : NULL;
}

moonpipe_Value *mp_value_out(lua_State *L, int index)
{
    Box *box = lua_touserdata(L, index);
    moonpipe_Value *value = box ? box->value : NULL;

    if (box) box->value = NULL;
    return value;
}

static int f_gc(lua_State *L)
{
    moonpipe_free(mp_value_out(L, 1));
    return 0;
}

void mp_value_prepare(lua_State *L)
{
    luaL_newmetatable(L, BOX_MT);
    lua_pushcfunction(L, f_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

/* [-0, +1] */
static Box *push_box(lua_State *L)
{
    Box *box = lua_newuserdata(L, sizeof *box);

    box->value = NULL;
    luaL_getmetatable(L, BOX_MT);
    lua_setmetatable(L, -2);
    return box;
}

int mp_value_take(lua_State *L)
{
    Taking t = {.L = L, .keep = lua_toboolean(L, KEEP)};
    Box *box;

    lua_settop(L, KEEP);
    box = push_box(L);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfenv(L, BOX);
    luaL_getmetatable(L, MP_SHAPE_ARRAY);
    lua_pushvalue(L, VALUE);
    box->value = mp_value_new(MOONPIPE_TYPE_NULL);
    if (!box->value) no_memory(&t);
    if (!box->value || !take_any(&t, box->value, 0)) {
        moonpipe_free(mp_value_out(L, BOX));
        return mp_bind_fail(L, &t.err);
    }
    lua_settop(L, BOX);
    return 1;
}
