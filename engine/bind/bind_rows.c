/* bind_rows.c: see bind_rows.h. */
#include "bind_rows.h"

#include "bind.h"
#include "bind_floats.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Integers beyond are strings of digits: a double cannot hold them. */
#define EXACT 9007199254740992.0

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

/* Row [2], from 1, of the Floats [1] of the table at the top. */
static void write_floats(mp_Buf *out, lua_State *L)
{
    const mp_Floats *floats;
    uint32_t dim;
    size_t row;

    lua_rawgeti(L, -1, 2);
    lua_rawgeti(L, -2, 1);
    floats = mp_bind_to_floats(L, -1);
    row = (size_t)lua_tonumber(L, -2) - 1;
    dim = (uint32_t)floats->dim;
    mp_buf_char(out, 'f');
    mp_buf_append(out, &dim, sizeof dim);
    mp_buf_append(out, floats->data + row * dim, dim * sizeof(float));
    lua_pop(L, 2);
}

/* {bytes} at the top. */
static void write_blob(mp_Buf *out, lua_State *L)
{
    mp_buf_char(out, 'b');
    lua_rawgeti(L, -1, 1);
    write_bytes(out, L, -1);
    lua_pop(L, 1);
}

/* Whether {Floats, row} is at the top. */
static bool is_floats(lua_State *L)
{
    bool found;

    lua_rawgeti(L, -1, 1);
    found = mp_bind_to_floats(L, -1) != NULL;
    lua_pop(L, 1);
    return found;
}

/* The value at the top, and pops it. A table is a blob, {bytes}, or one row of
 * an mp.Floats. */
static void write_value(mp_Buf *out, lua_State *L)
{
    switch (lua_type(L, -1)) {
    case LUA_TNUMBER: write_number(out, lua_tonumber(L, -1)); break;
    case LUA_TBOOLEAN: write_number(out, lua_toboolean(L, -1)); break;
    case LUA_TSTRING:
        mp_buf_char(out, 't');
        write_bytes(out, L, -1);
        break;
    case LUA_TTABLE: (is_floats(L) ? write_floats : write_blob)(out, L); break;
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

/* The value at the top. */
static void check_table(lua_State *L)
{
    const mp_Floats *floats;
    lua_Number row;

    lua_rawgeti(L, -1, 2);
    lua_rawgeti(L, -2, 1);
    floats = mp_bind_to_floats(L, -1);
    row = lua_tonumber(L, -2);
    luaL_argcheck(L, floats || lua_type(L, -1) == LUA_TSTRING, 2, "no bytes");
    luaL_argcheck(L, !floats || (row >= 1 && row <= (lua_Number)floats->rows),
                  2, "no such row");
    lua_pop(L, 2);
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
        if (lua_istable(L, -1)) check_table(L);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

mp_Status mp_bind_write_statements(lua_State *L, int index, mp_Buf *out,
                                   mp_Error *err)
{
    size_t count = lua_objlen(L, index);

    luaL_checktype(L, index, LUA_TTABLE);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, index, (int)i);
        check_statement(L);
    }
    mp_buf_init(out, SIZE_MAX / 2);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, index, (int)i);
        write_statement(out, L);
    }
    return mp_buf_check(out, err);
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

void mp_bind_push_answers(lua_State *L, const char *bytes, size_t len)
{
    const char *at = bytes, *end = at + len;
    int count = 0;

    lua_newtable(L);
    while (at < end) {
        push_answer(L, &at);
        lua_rawseti(L, -2, ++count);
    }
}
