/*
 * bind_db.c: databases: statements written down, answers read.
 *
 * A hold of a file is a userdata; its jobs have holds of their own, so it may
 * be collected while they run. What db.h says of the bytes is written and read
 * here alone; lua/moonpipe/db.lua has checked what it hands over.
 */
#include "bind.h"

#include "clock.h"
#include "db.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DB_MT "moonpipe.Db"

/* Integers beyond are strings of digits: a double cannot hold them. */
#define EXACT 9007199254740992.0

static mp_Db *check_db(lua_State *L, int arg)
{
    mp_Db **box = luaL_checkudata(L, arg, DB_MT);

    if (!*box) luaL_error(L, "the database is closed");
    return *box;
}

/* db_close(db): gives the hold back. Idempotent; also __gc. */
static int f_db_close(lua_State *L)
{
    mp_Db **box = luaL_checkudata(L, 1, DB_MT);
    mp_Db *db = *box;

    *box = NULL;
    mp_db_close(db);
    return 0;
}

/* db_path(db) -> the canonical path */
static int f_db_path(lua_State *L)
{
    lua_pushstring(L, mp_db_path(check_db(L, 1)));
    return 1;
}

/* --- opening --- */

/* Joins the texts of the list at [index], each with its NUL. */
static mp_Status copy_steps(lua_State *L, int index, mp_Buf *out)
{
    size_t count = lua_objlen(L, index);

    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, index, (int)i);
        mp_buf_text(out, lua_tostring(L, -1));
        mp_buf_char(out, '\0');
        lua_pop(L, 1);
    }
    return out->status;
}

static void check_steps(lua_State *L, int index)
{
    luaL_checktype(L, index, LUA_TTABLE);
    for (size_t i = 1; i <= lua_objlen(L, index); i++) {
        lua_rawgeti(L, index, (int)i);
        luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, index, "not all text");
        lua_pop(L, 1);
    }
}

/* db_open(path, normal, busy_seconds, max_bytes, application_id, steps)
 * -> db | nil, message, kind */
static int f_db_open(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    mp_DbOptions options = {
        .normal = lua_toboolean(L, 2),
        .busy_us = mp_clock_span(luaL_checknumber(L, 3)),
        .max_bytes = (size_t)luaL_checknumber(L, 4),
        .application_id = (int32_t)luaL_checknumber(L, 5),
    };
    mp_Status status;
    mp_Buf steps;
    mp_Error err;
    mp_Db **box;

    check_steps(L, 6);
    box = lua_newuserdata(L, sizeof *box);
    *box = NULL;
    luaL_getmetatable(L, DB_MT);
    lua_setmetatable(L, -2);
    mp_buf_init(&steps, 0);
    status = copy_steps(L, 6, &steps);
    options.steps = steps.data;
    options.step_count = lua_objlen(L, 6);
    if (status == MP_OK)
        status = mp_db_open(box, path, &options, &err);
    else
        mp_buf_check(&steps, &err);
    mp_buf_term(&steps);
    return status == MP_OK ? 1 : mp_bind_fail(L, &err);
}

/* --- statements down --- */

static void write_bytes(mp_Buf *out, lua_State *L, int index)
{
    size_t len;
    const char *bytes = lua_tolstring(L, index, &len);
    uint32_t count = (uint32_t)len; /* no string of LuaJIT has more */

    mp_buf_append(out, &count, sizeof count);
    mp_buf_append(out, bytes, len);
}

static void write_number(mp_Buf *out, double number)
{
    int64_t integer;

    if (number != floor(number) || fabs(number) > EXACT) {
        mp_buf_char(out, 'd');
        mp_buf_append(out, &number, sizeof number);
        return;
    }
    integer = (int64_t)number;
    mp_buf_char(out, 'i');
    mp_buf_append(out, &integer, sizeof integer);
}

/* The value at the top, and pops it. A table is a blob: {bytes}. */
static void write_value(mp_Buf *out, lua_State *L)
{
    switch (lua_type(L, -1)) {
    case LUA_TNUMBER: write_number(out, lua_tonumber(L, -1)); break;
    case LUA_TBOOLEAN: write_number(out, lua_toboolean(L, -1)); break;
    case LUA_TSTRING:
        mp_buf_char(out, 't');
        write_bytes(out, L, -1);
        break;
    case LUA_TTABLE:
        mp_buf_char(out, 'b');
        lua_rawgeti(L, -1, 1);
        write_bytes(out, L, -1);
        lua_pop(L, 1);
        break;
    default: mp_buf_char(out, 'n');
    }
    lua_pop(L, 1);
}

/* The statement at the top, {text, values…, n = places}, and pops it. */
static void write_statement(mp_Buf *out, lua_State *L)
{
    uint32_t count;

    lua_rawgeti(L, -1, 1);
    write_bytes(out, L, -1);
    lua_pop(L, 1);
    lua_getfield(L, -1, "n");
    count = (uint32_t)lua_tonumber(L, -1) - 1;
    lua_pop(L, 1);
    mp_buf_append(out, &count, sizeof count);
    for (uint32_t i = 0; i < count; i++) {
        lua_rawgeti(L, -1, (int)i + 2);
        write_value(out, L);
    }
    lua_pop(L, 1);
}

/* What write_statement cannot write raises here. */
static void check_statement(lua_State *L)
{
    lua_Number count;

    luaL_argcheck(L, lua_istable(L, -1), 2, "not a list of statements");
    lua_getfield(L, -1, "n");
    count = lua_tonumber(L, -1);
    luaL_argcheck(L, count >= 1 && count < 1e6, 2, "no count");
    lua_pop(L, 1);
    lua_rawgeti(L, -1, 1);
    luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, 2, "no text");
    lua_pop(L, 1);
    for (int i = 2; i <= (int)count; i++) {
        lua_rawgeti(L, -1, i);
        if (lua_istable(L, -1)) {
            lua_rawgeti(L, -1, 1);
            luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, 2, "no bytes");
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* db_do(db, statements, atomic) -> id of a job that gives the answers as bytes
 * | nil, message, kind */
static int f_db_do(lua_State *L)
{
    mp_Db *db = check_db(L, 1);
    size_t count = lua_objlen(L, 2);
    mp_Job *job = NULL;
    mp_Buf out;
    mp_Error err;

    luaL_checktype(L, 2, LUA_TTABLE);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, 2, (int)i);
        check_statement(L);
    }
    mp_buf_init(&out, SIZE_MAX / 2);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, 2, (int)i);
        write_statement(&out, L);
    }
    if (mp_buf_check(&out, &err) == MP_OK)
        job = mp_db_job(db, &out, lua_toboolean(L, 3), &err);
    mp_buf_term(&out);
    return job ? mp_bind_submit(L, job) : mp_bind_fail(L, &err);
}

/* --- answers up --- */

static const char *take(const char **at, size_t len)
{
    const char *bytes = *at;

    *at += len;
    return bytes;
}

static uint32_t take_u32(const char **at)
{
    uint32_t value;

    memcpy(&value, take(at, sizeof value), sizeof value);
    return value;
}

/* [-0, +1] */
static void push_bytes(lua_State *L, const char **at)
{
    uint32_t len = take_u32(at);

    lua_pushlstring(L, take(at, len), len);
}

/* [-0, +1] */
static void push_integer(lua_State *L, const char **at)
{
    int64_t value;

    memcpy(&value, take(at, sizeof value), sizeof value);
    if (value >= -(int64_t)EXACT && value <= (int64_t)EXACT)
        lua_pushnumber(L, (lua_Number)value);
    else {
        char digits[24];

        snprintf(digits, sizeof digits, "%lld", (long long)value);
        lua_pushstring(L, digits);
    }
}

/* [-0, +1] */
static void push_value(lua_State *L, const char **at)
{
    double number;

    switch (*take(at, 1)) {
    case 'i': push_integer(L, at); break;
    case 'd':
        memcpy(&number, take(at, sizeof number), sizeof number);
        lua_pushnumber(L, number);
        break;
    case 't':
    case 'b': push_bytes(L, at); break;
    default: lua_pushnil(L);
    }
}

/* [-0, +1] The rows of a statement, by the names at [names]. */
static void push_rows(lua_State *L, const char **at, int names, int columns)
{
    int count = 0;

    lua_newtable(L);
    while (*take(at, 1) == 'r') {
        lua_createtable(L, 0, columns);
        for (int i = 1; i <= columns; i++) {
            lua_rawgeti(L, names, i);
            push_value(L, at);
            lua_rawset(L, -3);
        }
        lua_rawseti(L, -2, ++count);
    }
}

/* [-0, +1] {changes =, last_id =, rows =} */
static void push_answer(lua_State *L, const char **at)
{
    int columns;

    lua_createtable(L, 0, 3);
    push_integer(L, at);
    lua_setfield(L, -2, "changes");
    push_integer(L, at);
    lua_setfield(L, -2, "last_id");
    columns = (int)take_u32(at);
    lua_createtable(L, columns, 0);
    for (int i = 1; i <= columns; i++) {
        push_bytes(L, at);
        lua_rawseti(L, -2, i);
    }
    push_rows(L, at, lua_gettop(L), columns);
    lua_setfield(L, -3, "rows");
    lua_pop(L, 1);
}

/* db_answers(bytes) -> a list with one for each statement */
static int f_db_answers(lua_State *L)
{
    size_t len;
    const char *at = luaL_checklstring(L, 1, &len), *end = at + len;
    int count = 0;

    lua_newtable(L);
    while (at < end) {
        push_answer(L, &at);
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

static const luaL_Reg functions[] = {
    {"db_open", f_db_open},       {"db_close", f_db_close},
    {"db_path", f_db_path},       {"db_do", f_db_do},
    {"db_answers", f_db_answers}, {NULL, NULL},
};

void mp_bind_db(lua_State *L)
{
    luaL_newmetatable(L, DB_MT);
    lua_pushcfunction(L, f_db_close);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_register(L, NULL, functions);
}
