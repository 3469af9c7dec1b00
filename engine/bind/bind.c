/*
 * bind.c: the table of native functions, and the Lua sources in it.
 *
 * mp_bind_preload makes every module of ours known to `require`, so the same
 * call serves the binary, an embedding host and a guest. The sources are text
 * baked into the library; MOONPIPE_LUA_PATH names a directory to read them from
 * instead while they are being worked on.
 */
#include "bind.h"

#include "baked.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "lua/moonpipe/"

int mp_bind_fail(lua_State *L, const mp_Error *err)
{
    lua_pushnil(L);
    lua_pushstring(L, err->message);
    lua_pushstring(L, mp_err_name(err->kind));
    return 3;
}

int mp_bind_open(lua_State *L)
{
    lua_newtable(L);
    mp_bind_file(L);
    mp_bind_sys(L);
    mp_bind_sandbox(L);
    mp_bind_secrets(L);
    mp_bind_text(L);
    mp_bind_task(L);
    mp_bind_watch(L);
    mp_bind_job(L);
    mp_bind_http(L);
    mp_bind_json(L);
    mp_bind_load(L);
    mp_bind_floats(L);
    mp_bind_frames(L);
    mp_bind_embed(L);
    mp_bind_hash(L);
    mp_bind_lane(L);
    mp_bind_lexical(L);
    mp_bind_html(L);
    mp_bind_store(L);
    mp_bind_vector(L);
    mp_bind_children(L);
    mp_bind_db(L);
    mp_bind_pg(L);
    mp_bind_picks(L);
    return 1;
}

/* [-0, +1] The name in messages is `moonpipe:steps/runnable.lua`: a user's own
 * file of the same name is never taken for ours. */
static const char *push_name(lua_State *L, const mp_Baked *baked)
{
    return lua_pushfstring(L, "=moonpipe:%s", baked->path + strlen(PREFIX));
}

typedef struct Disk {
    FILE *file;
    char piece[4096];
} Disk;

static const char *read_piece(lua_State *L, void *disk_, size_t *len)
{
    Disk *disk = disk_;

    (void)L;
    *len = fread(disk->piece, 1, sizeof disk->piece, disk->file);
    return disk->piece;
}

/* [-0, +2] Loads the source from [directory], in which moonpipe/ stands. */
static int load_from_disk(lua_State *L, const char *directory,
                          const mp_Baked *baked)
{
    const char *path =
        lua_pushfstring(L, "%s/%s", directory, baked->path + strlen("lua/"));
    Disk disk = {.file = fopen(path, "rb")};
    int failed;

    if (!disk.file) return luaL_error(L, "cannot open %s", path);
    failed = lua_load(L, read_piece, &disk, push_name(L, baked));
    fclose(disk.file);
    return failed;
}

/* [-0, +2] */
static int load_baked(lua_State *L, const mp_Baked *baked)
{
    return luaL_loadbuffer(L, (const char *)baked->text, baked->len,
                           push_name(L, baked));
}

/* The loader that `require` finds in package.preload. */
static int f_load_module(lua_State *L)
{
    const mp_Baked *baked = lua_touserdata(L, lua_upvalueindex(1));
    const char *directory = getenv("MOONPIPE_LUA_PATH");
    int failed =
        directory ? load_from_disk(L, directory, baked) : load_baked(L, baked);

    if (failed) return lua_error(L);
    lua_pushstring(L, baked->module);
    lua_call(L, 1, 1);
    return 1;
}

void mp_bind_preload(lua_State *L)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    for (const mp_Baked *baked = mp_baked; baked->module; baked++) {
        lua_pushlightuserdata(L, (void *)(uintptr_t)baked);
        lua_pushcclosure(L, f_load_module, 1);
        lua_setfield(L, -2, baked->module);
    }
    lua_pushcfunction(L, mp_bind_open);
    lua_setfield(L, -2, "moonpipe.c");
    lua_pop(L, 2);
}
