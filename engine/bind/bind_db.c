/*
 * bind_db.c: databases.
 *
 * A hold of a file is a userdata; its jobs have holds of their own, so it may
 * be collected while they run. lua/moonpipe/db.lua has checked what it hands
 * over.
 */
#include "bind.h"
#include "bind_rows.h"

#include "clock.h"
#include "db.h"

#define DB_MT "moonpipe.Db"

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

/* --- statements --- */

/* db_do(db, statements, atomic) -> id of a job that gives the answers as bytes
 * | nil, message, kind */
static int f_db_do(lua_State *L)
{
    mp_Db *db = check_db(L, 1);
    mp_Job *job = NULL;
    mp_Buf out;
    mp_Error err;

    if (mp_bind_write_statements(L, 2, &out, &err) == MP_OK)
        job = mp_db_job(db, &out, lua_toboolean(L, 3), &err);
    mp_buf_term(&out);
    return job ? mp_bind_submit(L, job) : mp_bind_fail(L, &err);
}

/* db_answers(bytes) -> a list with one for each statement */
static int f_db_answers(lua_State *L)
{
    size_t len;
    const char *bytes = luaL_checklstring(L, 1, &len);

    mp_bind_push_answers(L, bytes, len);
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
