/*
 * bind_load.c: the `|` translator for loader.lua.
 *
 * A translation lives in a userdata with __gc before it is made, since every
 * push may leave by longjmp.
 */
#include "bind.h"
#include "pipe.h"

#define PIPE_MT "mp.pipe"

static int f_free_pipe(lua_State *L)
{
    mp_pipe_term(lua_touserdata(L, 1));
    return 0;
}

/* [-0, +1] */
static mp_Pipe *push_pipe(lua_State *L)
{
    mp_Pipe *pipe = lua_newuserdata(L, sizeof *pipe);

    *pipe = (mp_Pipe){0};
    if (luaL_newmetatable(L, PIPE_MT)) {
        lua_pushcfunction(L, f_free_pipe);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return pipe;
}

/* [-0, +0] Sets a field of the table at the top. */
static void set_text(lua_State *L, const mp_Pipe *pipe, mp_PipeText text,
                     const char *field)
{
    lua_pushlstring(L, text.len ? pipe->texts.data + text.at : "", text.len);
    lua_setfield(L, -2, field);
}

/* [-0, +0] */
static void set_integer(lua_State *L, uint32_t value, const char *field)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, field);
}

/* [-0, +1] `line:column-column`; nil where it is not known. */
static void push_span(lua_State *L, mp_PipeSpan span)
{
    if (span.line == 0)
        lua_pushnil(L);
    else
        lua_pushfstring(L, "%d:%d-%d", (int)span.line, (int)span.column,
                        (int)(span.column + span.width) - 1);
}

/* [-0, +0] */
static void set_span(lua_State *L, mp_PipeSpan span, const char *field)
{
    push_span(L, span);
    lua_setfield(L, -2, field);
}

/* [-0, +1] { line, text, span, and one of key, computed, spread } */
static void push_entry(lua_State *L, const mp_Pipe *pipe,
                       const mp_PipeEntry *entry)
{
    lua_createtable(L, 0, 4);
    set_integer(L, entry->line, "line");
    set_text(L, pipe, entry->value, "text");
    set_span(L, entry->span, "span");
    switch (entry->kind) {
    case MP_PIPE_STRING: set_text(L, pipe, entry->key, "key"); break;
    case MP_PIPE_INDEX: set_integer(L, entry->index, "key"); break;
    case MP_PIPE_COMPUTED: set_text(L, pipe, entry->key, "computed"); break;
    case MP_PIPE_SPREAD: set_integer(L, entry->index, "spread"); break;
    }
}

/* [-0, +1] { line, left, right, left_span, right_span } of an operator,
 * { line, entries } of a map */
static void push_site(lua_State *L, const mp_Pipe *pipe,
                      const mp_PipeSite *site)
{
    lua_createtable(L, 0, site->is_map ? 2 : 5);
    set_integer(L, site->line, "line");
    if (!site->is_map) {
        set_text(L, pipe, site->left, "left");
        set_text(L, pipe, site->right, "right");
        set_span(L, site->left_span, "left_span");
        set_span(L, site->right_span, "right_span");
        return;
    }
    lua_createtable(L, (int)site->count, 0);
    for (uint32_t i = 0; i < site->count; i++) {
        push_entry(L, pipe, &pipe->entries[site->first + i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "entries");
}

/* [-0, +2] */
static void push_result(lua_State *L, const mp_Pipe *pipe)
{
    luaL_checkstack(L, 8, "sites");
    lua_pushlstring(L, pipe->text.data, pipe->text.len);
    lua_createtable(L, (int)pipe->site_count, 0);
    for (uint32_t i = 0; i < pipe->site_count; i++) {
        push_site(L, pipe, &pipe->sites[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
}

/* translate(text, name) -> text, sites, or the text alone if there is
 * nothing to translate, or nil, message, kind. */
static int f_translate(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    const char *name = luaL_checkstring(L, 2);
    mp_Pipe *pipe = push_pipe(L);
    mp_Error err;

    if (mp_pipe_translate(pipe, text, len, name, &err) != MP_OK)
        return mp_bind_fail(L, &err);
    if (pipe->changed) {
        push_result(L, pipe);
    } else {
        lua_pushvalue(L, 1);
        lua_pushnil(L);
    }
    mp_pipe_term(pipe);
    return 2;
}

/* rewrite(text, name) -> text, or nil, message, kind, span of what the message
 * is about: parses any text and does not wrap it. For marks under syntax
 * errors, and for tests of the parser on plain Lua. */
static int f_rewrite(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    const char *name = luaL_checkstring(L, 2);
    mp_Pipe *pipe = push_pipe(L);
    mp_Error err;

    if (mp_pipe_rewrite(pipe, text, len, name, &err) != MP_OK) {
        mp_bind_fail(L, &err);
        push_span(L, pipe->failed);
        return 4;
    }
    lua_pushlstring(L, pipe->text.len ? pipe->text.data : "", pipe->text.len);
    mp_pipe_term(pipe);
    return 1;
}

void mp_bind_load(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"translate", f_translate}, {"rewrite", f_rewrite}, {NULL, NULL}};

    luaL_register(L, NULL, functions);
}
