/*
 * bind_file.c: small files, read and written whole, and jobs that read others,
 * and the standard input, piece by piece.
 */
#include "bind.h"

#include "file.h"
#include "file_job.h"
#include "input.h"

#include <string.h>

#define FILE_TYPE "moonpipe.File"

/* [-0, +0] A path; raises for one with a NUL, which would be cut there. */
static const char *check_path(lua_State *L, int index)
{
    size_t len;
    const char *path = luaL_checklstring(L, index, &len);

    luaL_argcheck(L, strlen(path) == len, index, "NUL in a path");
    return path;
}

/* read_file(path, root | nil, max) -> text | nil, message, kind
 * The room is the VM's: nothing leaks where the text cannot be made. */
static int f_read_file(lua_State *L)
{
    const char *path = check_path(L, 1);
    const char *root = lua_isnoneornil(L, 2) ? NULL : check_path(L, 2);
    lua_Integer max = luaL_checkinteger(L, 3);
    size_t len = 0;
    mp_Error err;
    char *room;

    luaL_argcheck(L, max > 0, 3, "no room");
    room = lua_newuserdata(L, (size_t)max);
    if (mp_file_read(root, path, room, (size_t)max, &len, &err) != MP_OK)
        return mp_bind_fail(L, &err);
    lua_pushlstring(L, room, len);
    return 1;
}

/* write_file(path, bytes) -> true | nil, message, kind: whole or not at all,
 * for its owner alone */
static int f_write_file(lua_State *L)
{
    const char *path = check_path(L, 1);
    size_t len;
    const char *bytes = luaL_checklstring(L, 2, &len);
    mp_Error err;

    if (mp_file_replace(path, bytes, len, &err) != MP_OK)
        return mp_bind_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* file_open(path, root | nil) -> handle | nil, message, kind */
static int f_file_open(lua_State *L)
{
    const char *path = check_path(L, 1);
    const char *root = lua_isnoneornil(L, 2) ? NULL : check_path(L, 2);
    mp_File **box = lua_newuserdata(L, sizeof *box);
    mp_Error err;

    *box = NULL;
    luaL_getmetatable(L, FILE_TYPE);
    lua_setmetatable(L, -2);
    if (mp_file_new(root, path, box, &err) != MP_OK)
        return mp_bind_fail(L, &err);
    return 1;
}

/* file_read(handle, at, max) -> id of a job that gives the bytes from [at] on,
 * counted from 0; fewer than [max] only at the end | nil, message, kind */
static int f_file_read(lua_State *L)
{
    mp_File **box = luaL_checkudata(L, 1, FILE_TYPE);
    lua_Number at = luaL_checknumber(L, 2);
    lua_Integer max = luaL_checkinteger(L, 3);
    mp_Error err;

    luaL_argcheck(L, at >= 0, 2, "before the file");
    luaL_argcheck(L, max > 0, 3, "no room");
    if (*box)
        return mp_bind_submit(L, mp_file_job(*box, (off_t)at, (size_t)max));
    mp_err_set(&err, MP_KIND_CLOSED, "the file is closed");
    return mp_bind_fail(L, &err);
}

/* file_close(handle): reads on their way still end; idempotent */
static int f_file_close(lua_State *L)
{
    mp_File **box = luaL_checkudata(L, 1, FILE_TYPE);

    mp_file_free(*box);
    *box = NULL;
    return 0;
}

/* folder(path, root | nil) -> id of a job that gives what is in it, as
 * file_job.h writes it | nil, message, kind */
static int f_folder(lua_State *L)
{
    const char *path = check_path(L, 1);
    const char *root = lua_isnoneornil(L, 2) ? NULL : check_path(L, 2);

    return mp_bind_submit(L, mp_folder_job(root, path));
}

/* input_read(max) -> id of a job that gives what comes from the standard input,
 * nothing at its end | nil, message, kind */
static int f_input_read(lua_State *L)
{
    lua_Integer max = luaL_checkinteger(L, 1);

    luaL_argcheck(L, max > 0, 1, "no room");
    return mp_bind_submit(L, mp_input_job((size_t)max));
}

static const luaL_Reg functions[] = {
    {"file_close", f_file_close}, {"file_open", f_file_open},
    {"file_read", f_file_read},   {"folder", f_folder},
    {"input_read", f_input_read}, {"read_file", f_read_file},
    {"write_file", f_write_file}, {NULL, NULL},
};

void mp_bind_file(lua_State *L)
{
    luaL_newmetatable(L, FILE_TYPE);
    lua_pushcfunction(L, f_file_close);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_register(L, NULL, functions);
}
