/*
 * bind_cell_main.c: a locked-in VM in a process of its own.
 *
 * The process has given up its rights before the VM is there. What is said to
 * it comes as frames (bind_frame.h), one for a turn; each is answered by one:
 * bytes in use, bytes at most, and what sandbox_turn gives. The first answer is
 * that of the opening. A small VM outside, which has nothing but that function,
 * holds the values on their way.
 *
 * Threads: the only one.
 */
#include "bind_cell.h"
#include "bind_frame.h"

#include "clock.h"
#include "confine.h"

#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* What the process may have beside its VM: frames both ways, and what their
 * values take on the way, each at most of the VM's size; and the allocator's
 * own losses. */
#define SHARE 4
#define SPARE ((size_t)32 << 20)

typedef struct Served {
    mp_Cell *cell; /* kept by [L] */
    lua_State *L;  /* the VM outside: sandbox_turn, the cell, values */
    mp_Buf in, out;
} Served;

/* --- turns --- */

static int f_turn(lua_State *L)
{
    Served *self = lua_touserdata(L, 1);
    int count;

    lua_settop(L, 0);
    lua_pushnumber(L, 0);
    lua_pushnumber(L, 0);
    lua_getfield(L, LUA_REGISTRYINDEX, "turn");
    lua_getfield(L, LUA_REGISTRYINDEX, "cell");
    count = mp_frame_push(L, self->in.data, self->in.len);
    if (count < 0) return luaL_error(L, "no frame");
    lua_call(L, count + 1, LUA_MULTRET);
    lua_pushnumber(L, (lua_Number)self->cell->used);
    lua_replace(L, 1);
    lua_pushnumber(L, (lua_Number)self->cell->peak);
    lua_replace(L, 2);
    if (mp_frame_write(L, 1, &self->out) == MP_OK) return 0;
    return luaL_error(L, "no memory for an answer");
}

static bool serve_one(Served *self)
{
    if (!mp_frame_read(STDIN_FILENO, &self->in)) return false;
    mp_buf_clear(&self->out);
    return lua_cpcall(self->L, f_turn, self) == 0 &&
           mp_frame_send(STDOUT_FILENO, &self->out);
}

/* --- opening --- */

static int f_open(lua_State *L)
{
    Served *self = lua_touserdata(L, 1);

    lua_newtable(L);
    mp_bind_sandbox(L);
    lua_getfield(L, -1, "sandbox_turn");
    lua_setfield(L, LUA_REGISTRYINDEX, "turn");
    self->cell = mp_cell_push(L);
    lua_setfield(L, LUA_REGISTRYINDEX, "cell");
    return 0;
}

/* memory, microseconds, instructions, the parent's number */
static bool read_words(mp_CellLimits *limits, char **words)
{
    limits->memory = (size_t)strtoull(words[0], NULL, 10);
    limits->span_us = strtoll(words[1], NULL, 10);
    limits->instructions = strtoll(words[2], NULL, 10);
    return limits->memory > 0 && getppid() == (pid_t)strtol(words[3], NULL, 10);
}

static mp_Status open_cell(Served *self, mp_Error *err)
{
    mp_CellLimits *limits = &self->cell->limits;
    time_t now = time(NULL);
    mp_Status status;

    localtime(&now); /* reads the time zone's file */
    mp_buf_init(&self->in, limits->memory * 2 + SPARE);
    mp_buf_init(&self->out, limits->memory * 2 + SPARE);
    status = mp_confine(limits->memory * SHARE + SPARE, err);
    return status == MP_OK ? mp_cell_open(self->cell, err) : status;
}

typedef struct Greeting {
    Served *self;
    mp_Error err;
} Greeting;

/* The opening's answer: as of a turn that gave nothing, or failed. */
static int f_greet(lua_State *L)
{
    Greeting *greeting = lua_touserdata(L, 1);
    const mp_Cell *cell = greeting->self->cell;

    lua_settop(L, 0);
    lua_pushnumber(L, (lua_Number)cell->used);
    lua_pushnumber(L, (lua_Number)cell->peak);
    if (cell->L)
        lua_newtable(L);
    else
        mp_bind_fail(L, &greeting->err);
    mp_frame_write(L, 1, &greeting->self->out);
    return 0;
}

int mp_cell_main(int argc, char **argv)
{
    Served self = {.L = luaL_newstate()};
    Greeting greeting = {.self = &self};

    if (argc != 5 || !self.L || lua_cpcall(self.L, f_open, &self) != 0 ||
        !read_words(&self.cell->limits, argv + 1))
        return 2;
    open_cell(&self, &greeting.err);
    if (lua_cpcall(self.L, f_greet, &greeting) != 0 ||
        !mp_frame_send(STDOUT_FILENO, &self.out))
        return 1;
    if (!self.cell->L) return 1;
    while (serve_one(&self))
        continue;
    _exit(0); /* what exit does is no longer allowed */
}
