/*
 * bind_sandbox.c: locked-in VMs, as the VM outside sees them.
 *
 * A turn gives a list of strings, numbers and booleans, six to a record
 * (lua/moonpipe/sandbox/cell.lua knows them). What is in them was made by the
 * code of others: nothing here trusts it.
 */
#include "bind_cell.h"
#include "bind_frame.h"

#include "clock.h"
#include "near.h"

#include <unistd.h>

#define CELL_TYPE "moonpipe.Cell"
#define PROGRAM   "moonpipe-cell"

static mp_Cell *check_cell(lua_State *L)
{
    return luaL_checkudata(L, 1, CELL_TYPE);
}

static int f_gc(lua_State *L)
{
    mp_cell_close(lua_touserdata(L, 1));
    return 0;
}

mp_Cell *mp_cell_push(lua_State *L)
{
    mp_Cell *cell = lua_newuserdata(L, sizeof *cell);

    *cell = (mp_Cell){0};
    luaL_getmetatable(L, CELL_TYPE);
    lua_setmetatable(L, -2);
    return cell;
}

/* [-0, +1] A field of the table at 1; [usual] where it is nil. */
static lua_Number field(lua_State *L, const char *name, lua_Number usual)
{
    lua_Number value;

    lua_getfield(L, 1, name);
    value = luaL_optnumber(L, -1, usual);
    lua_pop(L, 1);
    return value;
}

/* sandbox_open{ memory, seconds, instructions } -> cell | nil, message, kind */
static int f_sandbox_open(lua_State *L)
{
    mp_Cell *cell;
    mp_Error err;

    luaL_checktype(L, 1, LUA_TTABLE);
    cell = mp_cell_push(L);
    cell->limits.memory = (size_t)field(L, "memory", 0);
    cell->limits.span_us = mp_clock_span(field(L, "seconds", 0));
    cell->limits.instructions = (int64_t)field(L, "instructions", 0);
    if (mp_cell_open(cell, &err) != MP_OK) return mp_bind_fail(L, &err);
    return 1;
}

/* Whether the list at the top of [inner] is none that we take: also by its
 * bytes, for one text that stands in it often would cost as many copies. */
static bool is_too_much(const mp_Cell *cell, size_t count)
{
    size_t bytes = 0, len;

    if (count > MP_FRAME_ITEMS) return true;
    for (size_t i = 1; i <= count && bytes <= cell->limits.memory; i++) {
        lua_rawgeti(cell->L, -1, (int)i);
        if (lua_type(cell->L, -1) == LUA_TSTRING) {
            lua_tolstring(cell->L, -1, &len);
            bytes += len;
        }
        lua_pop(cell->L, 1);
    }
    return bytes > cell->limits.memory;
}

/* [-0, +1] */
static void push_value(lua_State *L, lua_State *inner)
{
    size_t len;
    const char *text;

    switch (lua_type(inner, -1)) {
    case LUA_TSTRING:
        text = lua_tolstring(inner, -1, &len);
        lua_pushlstring(L, text, len);
        break;
    case LUA_TNUMBER: lua_pushnumber(L, lua_tonumber(inner, -1)); break;
    default: lua_pushboolean(L, lua_toboolean(inner, -1));
    }
}

static int push_list(lua_State *L, mp_Cell *cell)
{
    size_t count = lua_objlen(cell->L, -1);
    mp_Error err;

    if (is_too_much(cell, count)) {
        mp_cell_close(cell);
        mp_err_set(&err, MP_KIND_LIMIT, "the script said too much in one turn");
        return mp_bind_fail(L, &err);
    }
    lua_createtable(L, (int)count, 0);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(cell->L, -1, (int)i);
        push_value(L, cell->L);
        lua_pop(cell->L, 1);
        lua_rawseti(L, -2, (int)i);
    }
    return 1;
}

/* sandbox_turn(cell, values…) -> list | nil, message, kind */
static int f_sandbox_turn(lua_State *L)
{
    mp_Cell *cell = check_cell(L);
    mp_Error err;

    if (!cell->L) {
        mp_err_set(&err, MP_KIND_CLOSED, "the sandbox was closed%s%s",
                   cell->over ? ": " : "", cell->over ? cell->over : "");
        return mp_bind_fail(L, &err);
    }
    if (mp_cell_turn(cell, L, 2, lua_gettop(L) - 1, &err) != MP_OK)
        return mp_bind_fail(L, &err);
    return push_list(L, cell);
}

/* sandbox_close(cell) */
static int f_sandbox_close(lua_State *L)
{
    mp_cell_close(check_cell(L));
    return 0;
}

/* sandbox_memory(cell) -> bytes in use, bytes that were in use at most */
static int f_sandbox_memory(lua_State *L)
{
    const mp_Cell *cell = check_cell(L);

    lua_pushnumber(L, (lua_Number)cell->used);
    lua_pushnumber(L, (lua_Number)cell->peak);
    return 2;
}

/* sandbox_program() -> path of moonpipe-cell, this process's number, how many
 * processors there are | nil, message, kind */
static int f_sandbox_program(lua_State *L)
{
    char path[MP_NEAR_PATH];
    mp_Error err;

    if (mp_near_find(PROGRAM, path)) {
        lua_pushstring(L, path);
        lua_pushinteger(L, getpid());
        lua_pushinteger(L, sysconf(_SC_NPROCESSORS_ONLN));
        return 3;
    }
    mp_err_set(&err, MP_KIND_UNSUPPORTED,
               "a process for scripts of others needs the program " PROGRAM
               ": there is none near '%s'",
               path);
    return mp_bind_fail(L, &err);
}

void mp_bind_sandbox(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"sandbox_open", f_sandbox_open},
        {"sandbox_turn", f_sandbox_turn},
        {"sandbox_close", f_sandbox_close},
        {"sandbox_memory", f_sandbox_memory},
        {"sandbox_program", f_sandbox_program},
        {NULL, NULL},
    };

    luaL_newmetatable(L, CELL_TYPE);
    lua_pushcfunction(L, f_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_register(L, NULL, functions);
}
