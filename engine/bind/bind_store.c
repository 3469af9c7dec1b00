/*
 * bind_store.c: the files of stores, written and read section by section.
 *
 * Writers and readers are userdata that hold a reference; their jobs hold their
 * own, so they may be collected while these run.
 */
#include "bind.h"

#include "alloc.h"
#include "bind_floats.h"
#include "bind_store.h"
#include "bind_texts.h"
#include "bind_vector.h"
#include "store_write.h"

#include <stdbool.h>
#include <string.h>

#define WRITER_MT "moonpipe.StoreWriter"
#define READER_MT "moonpipe.StoreReader"

/* --- writing --- */

static mp_StoreWriter *check_writer(lua_State *L)
{
    mp_StoreWriter **box = luaL_checkudata(L, 1, WRITER_MT);

    if (!*box) luaL_error(L, "the file was dropped");
    return *box;
}

static int f_writer_gc(lua_State *L)
{
    mp_StoreWriter **box = lua_touserdata(L, 1);

    if (*box) mp_store_writer_unref(*box);
    *box = NULL;
    return 0;
}

/* Copies the name at [arg], which must fit. */
static void check_name(lua_State *L, int arg, char out[MP_STORE_NAME])
{
    size_t len;
    const char *name = luaL_checklstring(L, arg, &len);

    luaL_argcheck(L, len > 0 && len < MP_STORE_NAME && strlen(name) == len, arg,
                  "no name of 1 to 15 characters");
    memset(out, 0, MP_STORE_NAME);
    memcpy(out, name, len);
}

/* store_create(path) -> writer | nil, message, kind */
static int f_store_create(lua_State *L)
{
    size_t len;
    const char *path = luaL_checklstring(L, 1, &len);
    mp_StoreWriter **box;
    mp_Error err;

    luaL_argcheck(L, len > 0 && strlen(path) == len, 1, "no path");
    box = lua_newuserdata(L, sizeof *box);
    luaL_getmetatable(L, WRITER_MT);
    *box = NULL;
    lua_setmetatable(L, -2);
    *box = mp_store_writer_new(path);
    if (*box) return 1;
    mp_err_memory(&err);
    return mp_bind_fail(L, &err);
}

static mp_Job *put_floats(mp_StoreWriter *writer, const char *name,
                          const mp_Floats *from)
{
    mp_Floats rows;
    mp_Job *job;

    if (mp_floats_init(&rows, from->rows, from->dim, NULL) != MP_OK)
        return NULL;
    if (rows.data)
        memcpy(rows.data, from->data, rows.rows * rows.dim * sizeof(float));
    job = mp_store_put_floats(writer, name, &rows);
    mp_floats_term(&rows);
    return job;
}

static mp_Job *put_bytes(lua_State *L, mp_StoreWriter *writer, const char *name)
{
    mp_Buf bytes;
    mp_Job *job = NULL;
    size_t len;
    const char *text = luaL_checklstring(L, 3, &len);

    mp_buf_init(&bytes, SIZE_MAX / 2);
    if (mp_buf_append(&bytes, text, len) == MP_OK)
        job = mp_store_put_bytes(writer, name, &bytes);
    mp_buf_term(&bytes);
    return job;
}

static mp_Job *put_texts(lua_State *L, mp_StoreWriter *writer, const char *name)
{
    mp_Buf texts;
    size_t *ends, count = mp_bind_copy_texts(L, 3, &texts, &ends);
    mp_Job *job;

    if (count == 0) return NULL;
    job = mp_store_put_texts(writer, name, &texts, ends, count);
    if (!job) mp_alloc_free(ends);
    mp_buf_term(&texts);
    return job;
}

/* As 8 bytes each; what is no whole number is 0. */
static mp_Job *put_numbers(lua_State *L, mp_StoreWriter *writer,
                           const char *name)
{
    size_t count = lua_objlen(L, 3);
    mp_Job *job = NULL;
    mp_Buf bytes;

    mp_buf_init(&bytes, SIZE_MAX / 2);
    for (size_t i = 0; i < count; i++) {
        uint8_t number[8];

        lua_rawgeti(L, 3, (int)i + 1);
        mp_store_put64(number, (uint64_t)lua_tonumber(L, -1));
        mp_buf_append(&bytes, number, sizeof number);
        lua_pop(L, 1);
    }
    if (bytes.status == MP_OK) job = mp_store_put_bytes(writer, name, &bytes);
    mp_buf_term(&bytes);
    return job;
}

static mp_Job *put_list(lua_State *L, mp_StoreWriter *writer, const char *name)
{
    bool numbers;

    lua_rawgeti(L, 3, 1);
    numbers = lua_type(L, -1) == LUA_TNUMBER;
    lua_pop(L, 1);
    return numbers ? put_numbers(L, writer, name) : put_texts(L, writer, name);
}

/* store_put(writer, section, Floats | string | list of strings | list of
 * numbers) -> id of a job that appends it | nil, message, kind */
static int f_store_put(lua_State *L)
{
    mp_StoreWriter *writer = check_writer(L);
    const mp_Floats *rows = mp_bind_to_floats(L, 3);
    char name[MP_STORE_NAME];
    mp_Error err;

    check_name(L, 2, name);
    if (mp_store_writer_check(writer, &err) != MP_OK)
        return mp_bind_fail(L, &err);
    if (rows) return mp_bind_submit(L, put_floats(writer, name, rows));
    if (lua_istable(L, 3)) return mp_bind_submit(L, put_list(L, writer, name));
    return mp_bind_submit(L, put_bytes(L, writer, name));
}

/* store_put_index(writer, index) -> id of a job that appends its state | nil,
 * message, kind */
static int f_store_put_index(lua_State *L)
{
    mp_StoreWriter *writer = check_writer(L);
    mp_Vector *index = mp_bind_check_index(L, 2);
    const mp_Floats none = {NULL, 0, 0};
    mp_Error err;

    if (mp_store_writer_check(writer, &err) != MP_OK ||
        mp_vector_check(index, &none, &err) != MP_OK)
        return mp_bind_fail(L, &err);
    return mp_bind_submit(L, mp_store_put_index(writer, index));
}

/* store_finish(writer) -> id of a job that puts the file in its place
 * | nil, message, kind */
static int f_store_finish(lua_State *L)
{
    mp_StoreWriter *writer = check_writer(L);
    mp_Error err;

    if (mp_store_writer_check(writer, &err) != MP_OK)
        return mp_bind_fail(L, &err);
    return mp_bind_submit(L, mp_store_finish(writer));
}

/* store_drop(writer): what is not finished is gone; idempotent */
static int f_store_drop(lua_State *L)
{
    luaL_checkudata(L, 1, WRITER_MT);
    return f_writer_gc(L);
}

/* --- reading --- */

static mp_StoreReader *check_any_reader(lua_State *L, int arg)
{
    mp_StoreReader **box = luaL_checkudata(L, arg, READER_MT);

    if (!*box) luaL_error(L, "the file is gone: the VM closes");
    return *box;
}

mp_StoreReader *mp_bind_check_reader(lua_State *L, int arg)
{
    mp_StoreReader *reader = check_any_reader(L, arg);

    luaL_argcheck(L, mp_store_reader_head(reader) != NULL, arg,
                  "the file was not read");
    return reader;
}

static int f_reader_gc(lua_State *L)
{
    mp_StoreReader **box = lua_touserdata(L, 1);

    if (*box) mp_store_reader_unref(*box);
    *box = NULL;
    return 0;
}

/* store_open(path) -> reader, id of a job after which it may be used
 * | nil, message, kind */
static int f_store_open(lua_State *L)
{
    size_t len;
    const char *path = luaL_checklstring(L, 1, &len);
    mp_StoreReader **box = lua_newuserdata(L, sizeof *box);
    int pushed;

    luaL_argcheck(L, len > 0 && strlen(path) == len, 1, "no path");
    *box = NULL;
    luaL_getmetatable(L, READER_MT);
    lua_setmetatable(L, -2);
    *box = mp_store_reader_new(path);
    pushed = mp_bind_submit(L, *box ? mp_store_open(*box) : NULL);
    return pushed == 1 ? 2 : pushed;
}

/* store_head(reader) -> {kind, metric, dim, count, next, sections = {name =
 * bytes}}
 */
static int f_store_head(lua_State *L)
{
    const mp_StoreHead *head = mp_store_reader_head(mp_bind_check_reader(L, 1));

    lua_createtable(L, 0, 6);
    lua_pushstring(L, head->kind);
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, head->metric);
    lua_setfield(L, -2, "metric");
    lua_pushnumber(L, head->dim);
    lua_setfield(L, -2, "dim");
    lua_pushnumber(L, (lua_Number)head->count);
    lua_setfield(L, -2, "count");
    lua_pushnumber(L, (lua_Number)head->next);
    lua_setfield(L, -2, "next");
    lua_createtable(L, 0, (int)head->section_count);
    for (size_t i = 0; i < head->section_count; i++) {
        lua_pushnumber(L, (lua_Number)head->sections[i].len);
        lua_setfield(L, -2, head->sections[i].name);
    }
    lua_setfield(L, -2, "sections");
    return 1;
}

/* The section that the second argument names, or raises. */
static const uint8_t *check_section(lua_State *L, uint64_t *len)
{
    char name[MP_STORE_NAME];
    const mp_StoreReader *reader = mp_bind_check_reader(L, 1);
    const uint8_t *bytes;

    check_name(L, 2, name);
    bytes = mp_store_reader_section(reader, name, len);
    luaL_argcheck(L, bytes != NULL, 2, "no such section");
    return bytes;
}

/* store_bytes(reader, section) -> string */
static int f_store_bytes(lua_State *L)
{
    uint64_t len = 0;
    const uint8_t *bytes = check_section(L, &len);

    lua_pushlstring(L, (const char *)bytes, (size_t)len);
    return 1;
}

/* store_numbers(reader, section) -> list of its numbers */
static int f_store_numbers(lua_State *L)
{
    uint64_t len = 0;
    const uint8_t *bytes = check_section(L, &len);

    lua_createtable(L, (int)(len / 8), 0);
    for (uint64_t i = 0; i < len / 8; i++) {
        lua_pushnumber(L, (lua_Number)mp_store_get64(bytes + 8 * i));
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static int damaged(lua_State *L, const char *what)
{
    mp_Error err;

    mp_store_damaged(&err, mp_store_reader_path(check_any_reader(L, 1)), what);
    return mp_bind_fail(L, &err);
}

/* store_texts(reader, section, first, last) -> list of the texts from [first]
 * on, counted from 1, up to [last] or the end; how many there are in all
 * | nil, message, kind */
static int f_store_texts(lua_State *L)
{
    uint64_t size = 0;
    const uint8_t *bytes = check_section(L, &size);
    lua_Number first = luaL_checknumber(L, 3), last = luaL_checknumber(L, 4);
    mp_StoreTexts texts;

    luaL_argcheck(L, first >= 1, 3, "before the first");
    if (!mp_store_texts(bytes, size, &texts))
        return damaged(L, "a section of texts is none");
    if (last > (lua_Number)texts.count) last = (lua_Number)texts.count;
    lua_createtable(L, last >= first ? (int)(last - first) + 1 : 0, 0);
    for (int at = 1; first <= last; at++, first++) {
        size_t len = 0;
        const char *text = mp_store_text(&texts, (size_t)first - 1, &len);

        if (!text) return damaged(L, "a text has no end");
        lua_pushlstring(L, text, len);
        lua_rawseti(L, -2, at);
    }
    lua_pushnumber(L, (lua_Number)texts.count);
    return 2;
}

/* --- opening --- */

static const luaL_Reg functions[] = {
    {"store_bytes", f_store_bytes},
    {"store_create", f_store_create},
    {"store_drop", f_store_drop},
    {"store_finish", f_store_finish},
    {"store_head", f_store_head},
    {"store_numbers", f_store_numbers},
    {"store_open", f_store_open},
    {"store_put", f_store_put},
    {"store_put_index", f_store_put_index},
    {"store_texts", f_store_texts},
    {NULL, NULL},
};

static void register_type(lua_State *L, const char *name, lua_CFunction gc)
{
    luaL_newmetatable(L, name);
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

void mp_bind_store(lua_State *L)
{
    register_type(L, WRITER_MT, f_writer_gc);
    register_type(L, READER_MT, f_reader_gc);
    luaL_register(L, NULL, functions);
}
