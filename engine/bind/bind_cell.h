/*
 * bind_cell.h: a VM that is locked in: a Lua state for the code of others.
 *
 * What is dangerous is not hidden in it, it is not there: no ffi, no io, no
 * bytecode, and of our natives only those that compute (bind_cell_lib.c). So
 * whoever breaks out of the script's environment inside finds nothing. Keys and
 * models stay in the VM outside: strings are all that crosses.
 *
 * Limits: memory by the allocator; time by a count hook, with the JIT off, for
 * compiled code hears no hook; C functions that may take long ask for the time
 * themselves. Once the time is over each further instruction raises, so no
 * pcall holds it, and the VM is good for nothing but to be freed.
 *
 * Threads: that of the VM outside.
 */
#ifndef MP_BIND_CELL_H
#define MP_BIND_CELL_H

#include "bind.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mp_CellLimits {
    size_t memory;        /* bytes of the VM */
    int64_t span_us;      /* CPU time of a turn */
    int64_t instructions; /* of a turn; 0: no limit */
} mp_CellLimits;

typedef struct mp_Cell {
    lua_State *L; /* NULL: closed */
    mp_CellLimits limits;
    size_t block_max; /* of one allocation, which is what one C call costs */
    size_t used, peak;
    size_t collected; /* what was in use after the last cycle we asked for */
    int64_t began_us; /* thread time at which the turn began */
    int64_t look_us;  /* when to look at that again */
    int64_t left;     /* instructions */
    uintptr_t stack;  /* where the turn began */
    const char *over; /* which limit was passed; NULL: none */
    bool timed;       /* limits of time hold: not while our own code loads */
} mp_Cell;

/* [-0, +1] A fresh cell, without a VM, as a userdata that frees it. */
mp_Cell *mp_cell_push(lua_State *L);

/* Makes the VM of [cell], which is zeroed but for its limits. */
mp_Status mp_cell_open(mp_Cell *cell, mp_Error *err);

void mp_cell_close(mp_Cell *cell);

/* A turn: calls what boot.lua gave with the [count] values at [first] of
 * [outer], which are strings, numbers, booleans or nil. The list that it gives
 * is at the top of the cell's stack then, until the next turn. On failure the
 * cell is closed. */
mp_Status mp_cell_turn(mp_Cell *cell, lua_State *outer, int first, int count,
                       mp_Error *err);

/* The cell whose VM [L] is, or NULL for any other VM. */
mp_Cell *mp_cell_of(lua_State *L);

/* The most that a native function may make for [L] outside of the VM's memory;
 * 0: no limit of its own. */
size_t mp_cell_room(lua_State *L);

/* Whether the turn's time is over. */
bool mp_cell_is_over(mp_Cell *cell);

/* Raises if it is. */
void mp_cell_check(lua_State *L);

/* The program moonpipe-cell: confines the process, makes a cell, and serves the
 * turns that come on standard input until it ends. Its exit code. */
int mp_cell_main(int argc, char **argv);

/* [-0, +1] The table of native functions inside: module "moonpipe.c". */
int mp_cell_natives(lua_State *L);

#endif
