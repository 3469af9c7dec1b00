/*
 * bind_cell.c: the locked-in VM: its memory, its time, its turns.
 */
#include "bind_cell.h"

#include "alloc.h"
#include "clock.h"

#include <luajit.h>
#include <lualib.h>
#include <string.h>

#define ENTER_KEY "moonpipe.enter"
#define OUT_KEY   "moonpipe.out"

/* Instructions between two looks at the time. The worst that one can cost is
 * work on the largest block (a comparison of strings, a copy), so the two
 * numbers bound by how much a turn can be late. */
#define LOOK_EVERY  100
#define BLOCK_SHARE 8
#define BLOCK_LEAST ((size_t)512 << 10)

/* --- memory --- */

static void *cell_alloc(void *userdata, void *ptr, size_t old, size_t size)
{
    mp_Cell *cell = userdata;
    void *block;

    if (size == 0) {
        mp_alloc_free(ptr);
        cell->used -= old;
        return NULL;
    }
    if (size > old && (cell->used - old + size > cell->limits.memory ||
                       size > cell->block_max))
        return NULL;
    block = mp_alloc_resize(ptr, size);
    if (!block) return NULL;
    cell->used += size - old;
    if (cell->used > cell->peak) cell->peak = cell->used;
    return block;
}

mp_Cell *mp_cell_of(lua_State *L)
{
    void *userdata;

    return lua_getallocf(L, &userdata) == cell_alloc ? userdata : NULL;
}

size_t mp_cell_room(lua_State *L)
{
    const mp_Cell *cell = mp_cell_of(L);

    return cell ? cell->block_max : 0;
}

/* LuaJIT does not collect where an allocation fails, so a VM that makes garbage
 * would hit its limit with little alive. */
static void collect(lua_State *L, mp_Cell *cell)
{
    size_t memory = cell->limits.memory;

    if (cell->used < memory / 2 || cell->used < cell->collected + memory / 8)
        return;
    lua_gc(L, LUA_GCCOLLECT, 0);
    cell->collected = cell->used;
}

/* --- time --- */

/* CPU time never runs faster than the clock, which costs less to ask. */
bool mp_cell_is_over(mp_Cell *cell)
{
    int64_t now, used;

    if (cell->over || !cell->timed) return cell->over != NULL;
    now = mp_clock_us();
    if (now < cell->look_us) return false;
    used = mp_clock_thread_us() - cell->began_us;
    cell->look_us = now + cell->limits.span_us - used;
    if (used >= cell->limits.span_us)
        cell->over = "the script computed for too long without waiting";
    return cell->over != NULL;
}

static void on_count(lua_State *L, lua_Debug *ar)
{
    mp_Cell *cell = mp_cell_of(L);

    (void)ar;
    cell->left -= LOOK_EVERY;
    if (!cell->over && cell->limits.instructions > 0 && cell->left <= 0)
        cell->over = "the script used up its instructions";
    mp_cell_check(L);
    collect(L, cell);
}

/* From now on each instruction ends in the hook: what catches the error gets no
 * further. */
void mp_cell_check(lua_State *L)
{
    mp_Cell *cell = mp_cell_of(L);

    if (!mp_cell_is_over(cell)) return;
    lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
    luaL_error(L, "%s", cell->over);
}

static void start_time(mp_Cell *cell)
{
    char here;

    cell->timed = true;
    cell->stack = (uintptr_t)&here;
    cell->left = cell->limits.instructions;
    cell->began_us = mp_clock_thread_us();
    cell->look_us = mp_clock_us() + cell->limits.span_us;
    lua_sethook(cell->L, on_count, LUA_MASKCOUNT, LOOK_EVERY);
}

/* --- turns --- */

typedef struct Turn {
    lua_State *outer;
    int first, count;
} Turn;

/* [-0, +1] Reads without making anything outside: an error there would leave
 * through this VM. */
static void push_copy(lua_State *L, lua_State *outer, int index)
{
    size_t len;
    const char *text;

    switch (lua_type(outer, index)) {
    case LUA_TSTRING:
        text = lua_tolstring(outer, index, &len);
        lua_pushlstring(L, text, len);
        break;
    case LUA_TNUMBER: lua_pushnumber(L, lua_tonumber(outer, index)); break;
    case LUA_TBOOLEAN: lua_pushboolean(L, lua_toboolean(outer, index)); break;
    default: lua_pushnil(L);
    }
}

static int f_turn(lua_State *L)
{
    const Turn *turn = lua_touserdata(L, 1);

    luaL_checkstack(L, turn->count + 4, "turn");
    lua_getfield(L, LUA_REGISTRYINDEX, ENTER_KEY);
    for (int i = 0; i < turn->count; i++)
        push_copy(L, turn->outer, turn->first + i);
    lua_call(L, turn->count, 1);
    luaL_checktype(L, -1, LUA_TTABLE);
    lua_setfield(L, LUA_REGISTRYINDEX, OUT_KEY);
    return 0;
}

static mp_Status fail_turn(const mp_Cell *cell, int status, mp_Error *err)
{
    const char *text;

    if (cell->over) return mp_err_set(err, MP_KIND_LIMIT, "%s", cell->over);
    if (status == LUA_ERRMEM)
        return mp_err_set(err, MP_KIND_MEMORY, "the script's memory is full");
    text = lua_type(cell->L, -1) == LUA_TSTRING ? lua_tostring(cell->L, -1)
                                                : "no text";
    return mp_err_set(err, MP_KIND_LUA, "%s", text);
}

mp_Status mp_cell_turn(mp_Cell *cell, lua_State *outer, int first, int count,
                       mp_Error *err)
{
    Turn turn = {outer, first, count};
    mp_Status result;
    int status;

    lua_settop(cell->L, 0);
    start_time(cell);
    status = lua_cpcall(cell->L, f_turn, &turn);
    if (status == 0 && !cell->over) {
        lua_getfield(cell->L, LUA_REGISTRYINDEX, OUT_KEY); /* makes nothing */
        return MP_OK;
    }
    result = fail_turn(cell, status, err);
    mp_cell_close(cell);
    return result;
}

/* --- opening and closing --- */

static void open_library(lua_State *L, lua_CFunction open, const char *name)
{
    lua_pushcfunction(L, open);
    lua_pushstring(L, name);
    lua_call(L, 1, 0);
}

/* `package` is a table of ours alone: there is no loader of files or C. */
static void open_package(lua_State *L)
{
    lua_newtable(L);
    lua_newtable(L);
    lua_setfield(L, -2, "preload");
    lua_newtable(L);
    lua_setfield(L, -2, "loaded");
    lua_setglobal(L, "package");
    mp_bind_preload(L);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, mp_cell_natives);
    lua_setfield(L, -2, "moonpipe.c");
    lua_pop(L, 2);
}

/* What is left in is taken out by boot.lua, before anything else runs. */
static int f_open(lua_State *L)
{
    open_library(L, luaopen_base, "");
    open_library(L, luaopen_table, LUA_TABLIBNAME);
    open_library(L, luaopen_string, LUA_STRLIBNAME);
    open_library(L, luaopen_math, LUA_MATHLIBNAME);
    open_library(L, luaopen_bit, LUA_BITLIBNAME);
    open_library(L, luaopen_os, LUA_OSLIBNAME);
    open_library(L, luaopen_debug, LUA_DBLIBNAME);
    open_package(L);
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_getfield(L, -1, "moonpipe.cell.boot");
    lua_call(L, 0, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, ENTER_KEY);
    lua_gc(L, LUA_GCCOLLECT, 0);
    return 0;
}

mp_Status mp_cell_open(mp_Cell *cell, mp_Error *err)
{
    lua_State *L;
    mp_Status result;
    int status;

    cell->block_max = cell->limits.memory / BLOCK_SHARE;
    if (cell->block_max < BLOCK_LEAST) cell->block_max = BLOCK_LEAST;
    cell->L = L = lua_newstate(cell_alloc, cell);
    if (!L) return mp_err_memory(err);
    cell->stack = (uintptr_t)&status;
    status = lua_cpcall(L, f_open, NULL);
    if (status == 0) return MP_OK;
    result = fail_turn(cell, status, err);
    mp_cell_close(cell);
    return result;
}

void mp_cell_close(mp_Cell *cell)
{
    lua_State *L = cell->L;

    cell->L = NULL;
    if (L) lua_close(L);
}
