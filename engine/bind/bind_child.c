/*
 * bind_child.c: programs that run beside ours, seen from Lua.
 *
 * The handle that Lua holds is for writing; the job is cancelled by its id.
 */
#include "bind.h"

#include "bind_inbox.h"
#include "child.h"

#include <string.h>

#define CHILD "moonpipe.child"

/* [-0, +0] Checks the list at [index]; raises, so before anything is owned. */
static void check_texts(lua_State *L, int index)
{
    luaL_checktype(L, index, LUA_TTABLE);
    for (int i = 1; i <= (int)lua_objlen(L, index); i++) {
        size_t len;
        const char *text;

        lua_rawgeti(L, index, i);
        text =
            lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
        luaL_argcheck(L, text && strlen(text) == len, index,
                      "not all strings without NUL");
        lua_pop(L, 1);
    }
}

/* [-0, +0] Copies them, each with its NUL. */
static void copy_texts(lua_State *L, int index, mp_Buf *texts)
{
    mp_buf_init(texts, 0);
    for (int i = 1; i <= (int)lua_objlen(L, index); i++) {
        size_t len;
        const char *text;

        lua_rawgeti(L, index, i);
        text = lua_tolstring(L, -1, &len);
        mp_buf_append(texts, text, len + 1);
        lua_pop(L, 1);
    }
}

/* child(argv, env, cwd or nil, raw, worthless, familiar)
 *     -> id, inbox, handle | nil, message, kind: env is all that it gets,
 * unless it is familiar: then it has ours, and our standard error */
static int f_child(lua_State *L)
{
    mp_ProcessSpec spec = {.cwd = luaL_optstring(L, 3, NULL),
                           .worthless = lua_toboolean(L, 5),
                           .familiar = lua_toboolean(L, 6)};
    mp_Child **box;
    mp_Job *job = NULL;
    bool raw = lua_toboolean(L, 4);

    check_texts(L, 1);
    check_texts(L, 2);
    lua_settop(L, 3);
    mp_bind_inbox_new(L);
    box = lua_newuserdata(L, sizeof *box);
    *box = NULL;
    luaL_getmetatable(L, CHILD);
    lua_setmetatable(L, -2);
    copy_texts(L, 1, &spec.argv);
    copy_texts(L, 2, &spec.env);
    if (spec.argv.status == MP_OK && spec.env.status == MP_OK)
        job = mp_child_new(&spec, raw, box);
    mp_buf_term(&spec.argv);
    mp_buf_term(&spec.env);
    if (mp_bind_submit(L, job) != 1) return 3;
    mp_bind_inbox_attach(L, 4, job);
    lua_pushvalue(L, 4);
    lua_pushvalue(L, 5);
    return 3;
}

/* child_write(handle, bytes, last) -> id | nil, message, kind */
static int f_child_write(lua_State *L)
{
    mp_Child **box = luaL_checkudata(L, 1, CHILD);
    size_t len;
    const char *bytes = luaL_checklstring(L, 2, &len);
    mp_Error err;

    if (*box)
        return mp_bind_submit(
            L, mp_child_write(*box, bytes, len, lua_toboolean(L, 3)));
    mp_err_set(&err, MP_KIND_CLOSED, "the engine is closed");
    return mp_bind_fail(L, &err);
}

/* child_cpu(handle) -> seconds of CPU time that the program has used, or nil */
static int f_child_cpu(lua_State *L)
{
    mp_Child **box = luaL_checkudata(L, 1, CHILD);
    int64_t used_us = *box ? mp_child_cpu_us(*box) : -1;

    if (used_us < 0) return 0;
    lua_pushnumber(L, (lua_Number)used_us / 1e6);
    return 1;
}

static int f_gc(lua_State *L)
{
    mp_Child **box = luaL_checkudata(L, 1, CHILD);

    mp_child_free(*box);
    *box = NULL;
    return 0;
}

static const luaL_Reg functions[] = {
    {"child", f_child},
    {"child_write", f_child_write},
    {"child_cpu", f_child_cpu},
    {NULL, NULL},
};

void mp_bind_children(lua_State *L)
{
    luaL_newmetatable(L, CHILD);
    lua_pushcfunction(L, f_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_register(L, NULL, functions);
}
