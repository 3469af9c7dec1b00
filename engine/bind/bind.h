/*
 * bind.h: what the binding files share.
 *
 * Each bind_<x>.c adds its Lua-callable C functions (f_name) to one table,
 * which only lua/moonpipe/native.lua sees. A function that can fail returns
 * its value, or nil, message, kind; it raises only for wrong arguments.
 *
 * Threads: the thread of the lua_State.
 */
#ifndef MP_BIND_H
#define MP_BIND_H

#include "err.h"

#include <lauxlib.h>
#include <lua.h>

/* [-0, +0] Makes all modules of ours known to require. */
void mp_bind_preload(lua_State *L);

/* [-0, +1] The loader of the table of all native functions, module
 * "moonpipe.c". */
int mp_bind_open(lua_State *L);

/* The engine of this VM, borrowed; NULL before "moonpipe.c" was loaded and
 * while the VM closes. */
struct mp_Engine *mp_bind_engine(lua_State *L);

/* [-0, +1 or 3] Moves [job] (NULL: no memory) down; gives its id, or nil,
 * message, kind. Returns how many it pushed. */
struct mp_Job;
int mp_bind_submit(lua_State *L, struct mp_Job *job);

/* [-0, +0] Each adds its functions to the table at the top of the stack. */
void mp_bind_children(lua_State *L);
void mp_bind_db(lua_State *L);
void mp_bind_embed(lua_State *L);
void mp_bind_floats(lua_State *L);
void mp_bind_frames(lua_State *L);
void mp_bind_hash(lua_State *L);
void mp_bind_html(lua_State *L);
void mp_bind_http(lua_State *L);
void mp_bind_file(lua_State *L);
void mp_bind_json(lua_State *L);
void mp_bind_lane(lua_State *L);
void mp_bind_lexical(lua_State *L);
void mp_bind_load(lua_State *L);
void mp_bind_pg(lua_State *L);
void mp_bind_picks(lua_State *L);
void mp_bind_task(lua_State *L);
void mp_bind_job(lua_State *L);
void mp_bind_sys(lua_State *L);
void mp_bind_sandbox(lua_State *L);
void mp_bind_secrets(lua_State *L);
void mp_bind_store(lua_State *L);
void mp_bind_text(lua_State *L);
void mp_bind_vector(lua_State *L);
void mp_bind_watch(lua_State *L);

/* [-0, +0] The bytes of the secret at [index], with what stands before the key
 * in a header; borrowed while it is on the stack. NULL where it is none. Only
 * for who sends it to its origin. */
const char *mp_bind_secret(lua_State *L, int index, size_t *len);

/* The program moonpipe-cell as the process of a lane: reads what lane_main.lua
 * takes from standard input, answers on standard output. Its exit code. */
int mp_lane_main(int argc, char **argv);

/* [-0, +3] Pushes nil, message, kind; returns 3 for `return`. */
int mp_bind_fail(lua_State *L, const mp_Error *err);

#endif
