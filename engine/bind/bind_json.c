/*
 * bind_json.c: JSON text to Lua values, whole or in pieces.
 *
 * A builder turns the events of base/json.c into tables. While it works, the
 * open containers lie on the Lua stack in the order in which they were opened,
 * an object with the key that waits for its value on top of it. Between the
 * calls of a streaming decoder these items rest in the decoder's environment
 * table; they are fetched when the first event of a call comes, so a piece in
 * the middle of a string costs no table access.
 *
 * A Lua error (no memory) may leave any function here by longjmp: all C memory
 * belongs to a userdata with __gc before it exists.
 */
#include "bind_json.h"

#include "bind.h"
#include "bind_shape.h"
#include "json.h"

#include <stdint.h>
#include <string.h>

#define DECODER_MT "mp.json_decoder"
#define TEXT_UNIT  16 /* bytes that are copied as fast as a member */

typedef struct Builder {
    mp_Json json;
    lua_State *L; /* valid during a call only */
    int base;     /* stack index below the first item */
    int resting;  /* items in the environment table */
    bool loaded;  /* the items lie on the stack */
    bool unique;  /* equal keys in one object are an error */
    bool broken;  /* a Lua error left a call; nothing is certain any more */
    size_t work;  /* what the last partial value cost: see push_partial */
    uint32_t counts[MP_JSON_DEPTH]; /* members of the open arrays */
} Builder;

/* --- building --- */

/* [-0, +resting] Fetches the items from the table at index `base`. */
static void load(Builder *b)
{
    int i;

    luaL_checkstack(b->L, b->resting + 8, "JSON");
    for (i = 1; i <= b->resting; i++)
        lua_rawgeti(b->L, b->base, i);
    b->loaded = true;
}

/* [-items, +0] Puts the items back to rest. */
static void unload(Builder *b)
{
    int count, i;

    if (!b->loaded) return;
    count = lua_gettop(b->L) - b->base;
    for (i = count; i > 0; i--)
        lua_rawseti(b->L, b->base, i);
    for (i = count + 1; i <= b->resting; i++) {
        lua_pushnil(b->L);
        lua_rawseti(b->L, b->base, i);
    }
    b->resting = count;
    b->loaded = false;
}

/* [-0, +1] */
static void begin_table(Builder *b, bool array)
{
    luaL_checkstack(b->L, 8, "JSON");
    lua_newtable(b->L);
    if (!array) return;
    b->counts[b->json.depth - 1] = 0;
    lua_pushvalue(b->L, MP_JSON_ARRAY_MT);
    lua_setmetatable(b->L, -2);
}

/* [-0, +1] */
static mp_Status push_key(Builder *b, const mp_JsonEvent *event, mp_Error *err)
{
    bool known;

    lua_pushlstring(b->L, event->text, event->len);
    if (!b->unique) return MP_OK;
    lua_pushvalue(b->L, -1);
    lua_rawget(b->L, -3);
    known = !lua_isnil(b->L, -1);
    lua_pop(b->L, 1);
    if (!known) return MP_OK;
    return mp_err_set(err, MP_KIND_DECODE, "duplicate key '%.*s'",
                      event->len > 64 ? 64 : (int)event->len, event->text);
}

/* [-1 or 2, +0] Puts the finished value at the top into its container; one
 * that has none stays. */
static void add_value(Builder *b)
{
    int depth = b->json.depth;

    if (depth == 0) return;
    if (b->json.open[depth - 1] == '[')
        lua_rawseti(b->L, -2, (int)++b->counts[depth - 1]);
    else
        lua_rawset(b->L, -3);
}

static mp_Status build(void *userdata, const mp_JsonEvent *event, mp_Error *err)
{
    Builder *b = userdata;

    if (!b->loaded) load(b);
    switch (event->kind) {
    case MP_JSON_KEY: return push_key(b, event, err);
    case MP_JSON_BEGIN_ARRAY: begin_table(b, true); return MP_OK;
    case MP_JSON_BEGIN_OBJECT: begin_table(b, false); return MP_OK;
    case MP_JSON_END_ARRAY:
    case MP_JSON_END_OBJECT: break; /* the table is the value */
    case MP_JSON_NULL: lua_pushlightuserdata(b->L, NULL); break;
    case MP_JSON_FALSE: lua_pushboolean(b->L, 0); break;
    case MP_JSON_TRUE: lua_pushboolean(b->L, 1); break;
    case MP_JSON_NUMBER: lua_pushnumber(b->L, event->number); break;
    case MP_JSON_INTEGER:
    case MP_JSON_STRING: lua_pushlstring(b->L, event->text, event->len); break;
    }
    add_value(b);
    return MP_OK;
}

/* --- values of half a text --- */

/* [-0, +1] Pushes a copy of the open container of [level] at [index]. Its
 * members are shared. */
static void push_copy(Builder *b, int level, int index)
{
    lua_State *L = b->L;
    int i, count;

    if (b->json.open[level] == '[') {
        count = (int)b->counts[level];
        b->work += (size_t)count;
        lua_createtable(L, count + 1, 0);
        for (i = 1; i <= count; i++) {
            lua_rawgeti(L, index, i);
            lua_rawseti(L, -2, i);
        }
        lua_pushvalue(L, MP_JSON_ARRAY_MT);
        lua_setmetatable(L, -2);
        return;
    }
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, index); b->work++) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
}

/* [-1, +1] Wraps the value at the top, which container [level] at [index]
 * waits for, in a copy of the container. */
static void wrap_child(Builder *b, int level, int index)
{
    push_copy(b, level, index);
    if (b->json.open[level] == '[') {
        lua_insert(b->L, -2);
        lua_rawseti(b->L, -2, (int)b->counts[level] + 1);
        return;
    }
    lua_pushvalue(b->L, index + 1); /* the key that waits */
    lua_pushvalue(b->L, -3);
    lua_rawset(b->L, -3);
    lua_remove(b->L, -2);
}

/* Writes where on the stack each open container lies. */
static void find_containers(const Builder *b, int *indexes)
{
    int level, at = b->base + 1;

    for (level = 0; level < b->json.depth; level++) {
        indexes[level] = at;
        at += b->json.open[level] == '{' ? 2 : 1;
    }
}

/* [-0, +1] Pushes the value as it would be if the text ended here and all that
 * is open were closed: an open string is kept; half a number, a half literal
 * or a key without value is not. nil if nothing is known yet. Counts the work:
 * members and 16 bytes of text that were copied, one each. */
static void push_partial(Builder *b)
{
    int indexes[MP_JSON_DEPTH], level = b->json.depth;
    const char *text;
    size_t len;

    luaL_checkstack(b->L, 8, "JSON");
    find_containers(b, indexes);
    b->work = 0;
    if (mp_json_open_text(&b->json, &text, &len)) {
        b->work = len / TEXT_UNIT;
        lua_pushlstring(b->L, text, len);
    } else if (level > 0) {
        level--;
        push_copy(b, level, indexes[level]);
    } else if (mp_json_done(&b->json)) {
        lua_pushvalue(b->L, b->base + 1);
    } else {
        lua_pushnil(b->L);
    }
    while (level > 0) {
        level--;
        wrap_child(b, level, indexes[level]);
    }
}

/* --- builders --- */

/* [-0, +1] */
static Builder *push_builder(lua_State *L)
{
    Builder *b = lua_newuserdata(L, sizeof *b);

    memset(b, 0, sizeof *b);
    mp_json_init(&b->json, build, b, false, 0);
    luaL_getmetatable(L, DECODER_MT);
    lua_setmetatable(L, -2);
    return b;
}

/* [-0, +1] Takes the spare builder or makes one. */
static Builder *borrow_builder(lua_State *L)
{
    Builder *b;

    lua_pushvalue(L, MP_JSON_SPARE);
    b = lua_touserdata(L, -1);
    if (!b) {
        lua_pop(L, 1);
        return push_builder(L);
    }
    lua_pushnil(L);
    lua_replace(L, MP_JSON_SPARE);
    return b;
}

/* [-0, +0] The builder at [index] becomes the spare one. */
static void return_builder(lua_State *L, Builder *b, int index)
{
    mp_bind_json_trim(&b->json.text.buf);
    lua_pushvalue(L, index);
    lua_replace(L, MP_JSON_SPARE);
}

/* [-0, +3 or 6] Pushes nil, message, kind and, for `decode`, offset, line and
 * column. */
static int fail(lua_State *L, const Builder *b, const mp_Error *err)
{
    size_t line, column;

    luaL_checkstack(L, 6, "JSON");
    mp_bind_fail(L, err);
    if (err->kind != MP_KIND_DECODE) return 3;
    mp_json_error_place(&b->json, &line, &column);
    lua_pushnumber(L, (lua_Number)b->json.error_offset);
    lua_pushnumber(L, (lua_Number)line);
    lua_pushnumber(L, (lua_Number)column);
    return 6;
}

/* --- whole texts --- */

/* json_decode(text[, unique[, lenient[, partial[, raw]]]])
 *   -> value | nil, message, kind, offset, line, column
 * [unique] refuses equal keys; [lenient] takes raw control characters in
 * strings and ignores what follows the value; [partial] takes a text that was
 * cut anywhere, and gives nil where nothing is known yet; [raw] takes what is
 * bad in it (json.h). */
static int f_json_decode(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    bool unique = lua_toboolean(L, 2), lenient = lua_toboolean(L, 3);
    bool partial = lua_toboolean(L, 4), raw = lua_toboolean(L, 5);
    mp_Status status;
    mp_Error err;
    Builder *b;

    lua_settop(L, 1);
    b = borrow_builder(L);
    mp_json_reset(&b->json, lenient);
    b->json.text.raw = raw;
    b->L = L;
    b->base = 2;
    b->loaded = true;
    b->unique = unique;
    status = mp_json_feed(&b->json, text, len, &err);
    if (status == MP_OK && !partial) status = mp_json_finish(&b->json, &err);
    if (status == MP_OK) push_partial(b);
    return_builder(L, b, 2);
    return status == MP_OK ? 1 : fail(L, b, &err);
}

/* --- texts in pieces --- */

/* [+1] Checks `self` and the number of arguments, and pushes the table in
 * which the items rest. */
static Builder *enter(lua_State *L, int args)
{
    Builder *b = luaL_checkudata(L, 1, DECODER_MT);

    lua_settop(L, args);
    lua_getfenv(L, 1);
    b->L = L;
    b->base = args + 1;
    return b;
}

static int fail_broken(lua_State *L)
{
    mp_Error err;

    mp_err_set(&err, MP_KIND_MEMORY, "an earlier call ran out of memory");
    return mp_bind_fail(L, &err);
}

/* decoder:feed(text) -> true | nil, message, kind, offset, line, column */
static int f_decoder_feed(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);
    Builder *b = enter(L, 2);
    mp_Status status;
    mp_Error err;

    if (b->broken) return fail_broken(L);
    b->broken = true;
    status = mp_json_feed(&b->json, text, len, &err);
    unload(b);
    b->broken = false;
    if (status != MP_OK) return fail(L, b, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* decoder:value() -> the value so far, nil if there is none. Later calls never
 * change it: open containers are copied, closed ones are shared. */
static int f_decoder_value(lua_State *L)
{
    Builder *b = enter(L, 1);

    if (b->broken) return fail_broken(L);
    load(b);
    b->loaded = false; /* the items stay at rest; the stack held copies */
    push_partial(b);
    return 1;
}

/* decoder:finish() -> value | nil, message, kind, offset, line, column */
static int f_decoder_finish(lua_State *L)
{
    Builder *b = enter(L, 1);
    mp_Status status;
    mp_Error err;

    if (b->broken) return fail_broken(L);
    b->broken = true;
    status = mp_json_finish(&b->json, &err);
    unload(b);
    b->broken = false;
    if (status != MP_OK) return fail(L, b, &err);
    lua_rawgeti(L, b->base, 1);
    return 1;
}

/* decoder:done() -> whether the value is whole; for a number at the top only
 * finish() can know */
static int f_decoder_done(lua_State *L)
{
    const Builder *b = luaL_checkudata(L, 1, DECODER_MT);

    lua_pushboolean(L, mp_json_done(&b->json));
    return 1;
}

/* decoder:work() -> what the last value cost */
static int f_decoder_work(lua_State *L)
{
    const Builder *b = luaL_checkudata(L, 1, DECODER_MT);

    lua_pushnumber(L, (lua_Number)b->work);
    return 1;
}

static int f_decoder_gc(lua_State *L)
{
    Builder *b = luaL_checkudata(L, 1, DECODER_MT);

    mp_json_term(&b->json);
    return 0;
}

/* json_decoder([unique[, lenient]]) -> decoder, with the two of json_decode */
static int f_json_decoder(lua_State *L)
{
    bool unique = lua_toboolean(L, 1), lenient = lua_toboolean(L, 2);
    Builder *b = push_builder(L);

    mp_json_reset(&b->json, lenient);
    b->unique = unique;
    lua_newtable(L);
    lua_setfenv(L, -2);
    return 1;
}

/* --- registration --- */

static const luaL_Reg functions[] = {
    {"json_decode", f_json_decode},
    {"json_decoder", f_json_decoder},
    {"json_encode", mp_bind_json_encode},
    {NULL, NULL},
};

static const luaL_Reg methods[] = {
    {"feed", f_decoder_feed},     {"value", f_decoder_value},
    {"finish", f_decoder_finish}, {"done", f_decoder_done},
    {"work", f_decoder_work},     {NULL, NULL},
};

/* [-0, +0] Adds [list] to the table at the top, each function with the array
 * metatable and an empty place for its spare workspace as upvalues. */
static void add_functions(lua_State *L, const luaL_Reg *list)
{
    for (; list->name; list++) {
        luaL_newmetatable(L, MP_SHAPE_ARRAY);
        lua_pushnil(L);
        lua_pushcclosure(L, list->func, 2);
        lua_setfield(L, -2, list->name);
    }
}

static void make_metatables(lua_State *L)
{
    luaL_newmetatable(L, MP_SHAPE_ARRAY);
    lua_pushliteral(L, MP_SHAPE_ARRAY);
    lua_setfield(L, -2, "__name");
    luaL_newmetatable(L, DECODER_MT);
    lua_pushliteral(L, DECODER_MT);
    lua_setfield(L, -2, "__name");
    lua_pushcfunction(L, f_decoder_gc);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    add_functions(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 2);
}

void mp_bind_json(lua_State *L)
{
    make_metatables(L);
    mp_bind_json_encode_open(L);
    add_functions(L, functions);
    luaL_newmetatable(L, MP_SHAPE_ARRAY);
    lua_setfield(L, -2, "json_array_mt");
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "json_null");
}
