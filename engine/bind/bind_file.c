/*
 * bind_file.c: small files, read and written whole.
 */
#include "bind.h"

#include "file.h"

#include <string.h>

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

static const luaL_Reg functions[] = {
    {"read_file", f_read_file},
    {"write_file", f_write_file},
    {NULL, NULL},
};

void mp_bind_file(lua_State *L)
{
    luaL_register(L, NULL, functions);
}
