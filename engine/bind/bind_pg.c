/*
 * bind_pg.c: PostgreSQL.
 *
 * A hold of a server is a userdata; its jobs have holds of their own, so it may
 * be collected while they run. Answers are read by db_answers of bind_db.c.
 */
#include "bind.h"
#include "bind_rows.h"

#include "clock.h"
#include "pg.h"

#define PG_MT "moonpipe.Pg"

/* pg_close(pg): gives the hold back. Idempotent; also __gc. */
static int f_pg_close(lua_State *L)
{
    mp_Pg **box = luaL_checkudata(L, 1, PG_MT);
    mp_Pg *pg = *box;

    *box = NULL;
    mp_pg_close(pg);
    return 0;
}

/* pg_open(secret, connections, connect_seconds, seconds, max_bytes)
 * -> pg | nil, message, kind */
static int f_pg_open(lua_State *L)
{
    size_t len;
    const char *info = mp_bind_secret(L, 1, &len);
    mp_PgOptions options = {
        .limits = {.connections = (unsigned)luaL_checkinteger(L, 2),
                   .connect_us = mp_clock_span(luaL_checknumber(L, 3))},
        .timeout_us = mp_clock_span(luaL_checknumber(L, 4)),
        .max_bytes = (size_t)luaL_checknumber(L, 5),
    };
    mp_Pg **box;
    mp_Error err;

    luaL_argcheck(L, info, 1, "a secret expected");
    luaL_argcheck(L, options.limits.connections > 0, 2, "none");
    box = lua_newuserdata(L, sizeof *box);
    *box = NULL;
    luaL_getmetatable(L, PG_MT);
    lua_setmetatable(L, -2);
    return mp_pg_open(box, info, &options, &err) == MP_OK
               ? 1
               : mp_bind_fail(L, &err);
}

/* pg_do(pg, statements, atomic) -> id of a job that gives the answers as bytes
 * | nil, message, kind */
static int f_pg_do(lua_State *L)
{
    mp_Pg **box = luaL_checkudata(L, 1, PG_MT);
    mp_Job *job = NULL;
    mp_Buf out;
    mp_Error err;

    if (!*box) return luaL_error(L, "the connection is closed");
    if (mp_bind_write_statements(L, 2, &out, &err) == MP_OK)
        job = mp_pg_job(*box, &out, lua_toboolean(L, 3), &err);
    mp_buf_term(&out);
    return job ? mp_bind_submit(L, job) : mp_bind_fail(L, &err);
}

static const luaL_Reg functions[] = {
    {"pg_open", f_pg_open},
    {"pg_close", f_pg_close},
    {"pg_do", f_pg_do},
    {NULL, NULL},
};

void mp_bind_pg(lua_State *L)
{
    luaL_newmetatable(L, PG_MT);
    lua_pushcfunction(L, f_pg_close);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_register(L, NULL, functions);
}
