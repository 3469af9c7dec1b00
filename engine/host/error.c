/*
 * error.c: errors as hosts see them.
 *
 * An error's strings live in Lua: while a callback runs, on its stack; those
 * of the last error, in the registry. So nothing is copied, and failing needs
 * no memory of ours.
 */
#include "host.h"

#include <string.h>

static const char error_key; /* in the registry, by its address */

/* The numbers of the header are those of err.h. */
#define SAME_NUMBER(name, text)                                                \
    _Static_assert((int)MOONPIPE_KIND_##name == (int)MP_KIND_##name, text);
MP_KINDS(SAME_NUMBER)
_Static_assert(MP_KIND_COUNT == (int)MOONPIPE_KIND_UNSUPPORTED + 1,
               "a kind is missing in moonpipe.h");

static int kind_of(const char *name)
{
    for (int kind = 0; kind < MP_KIND_COUNT; kind++)
        if (strcmp(name, mp_err_name((mp_Kind)kind)) == 0) return kind;
    return MOONPIPE_KIND_INTERNAL;
}

void mp_error_set(moonpipe_Error *error, int kind, const char *message)
{
    *error = (moonpipe_Error){.kind = kind,
                              .text = message,
                              .name = mp_err_name((mp_Kind)kind),
                              .message = message,
                              .path = "",
                              .where = "",
                              .json = "{}"};
}

static const char *string_at(lua_State *L, int list, int at)
{
    const char *text;

    lua_rawgeti(L, list, at);
    text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    lua_pop(L, 1); /* the list still holds it */
    return text;
}

void mp_error_read(lua_State *L, int index, moonpipe_Error *error)
{
    error->text = string_at(L, index, 1);
    error->name = string_at(L, index, 2);
    error->kind = kind_of(error->name);
    error->message = string_at(L, index, 3);
    error->path = string_at(L, index, 4);
    error->where = string_at(L, index, 5);
    error->json = string_at(L, index, 6);
}

void mp_error_prepare(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)&error_key);
    lua_pushboolean(L, 0);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

/* The key is there since mp_error_prepare, so this allocates nothing. */
void mp_error_keep(lua_State *L, moonpipe_Engine *engine)
{
    mp_error_read(L, lua_gettop(L), &engine->error);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&error_key);
    lua_insert(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

/* Nothing of the engine may be written on a thread that is not its own. */
static const moonpipe_Error wrong_thread = {
    .kind = MOONPIPE_KIND_UNSUPPORTED,
    .text = "unsupported: the engine belongs to another thread",
    .name = "unsupported",
    .message = "the engine belongs to another thread",
    .path = "",
    .where = "",
    .json = "{}",
};

static const moonpipe_Error no_engine = {
    .kind = MOONPIPE_KIND_MEMORY,
    .text = "memory: no engine was opened",
    .name = "memory",
    .message = "no engine was opened",
    .path = "",
    .where = "",
    .json = "{}",
};

const moonpipe_Error *moonpipe_error(const moonpipe_Engine *engine)
{
    if (!engine) return &no_engine;
    return mp_host_is_own(engine) ? &engine->error : &wrong_thread;
}

int moonpipe_error_kind(const moonpipe_Error *error)
{
    return error->kind;
}

const char *moonpipe_error_text(const moonpipe_Error *error)
{
    return error->text;
}

const char *moonpipe_error_name(const moonpipe_Error *error)
{
    return error->name;
}

const char *moonpipe_error_message(const moonpipe_Error *error)
{
    return error->message;
}

const char *moonpipe_error_path(const moonpipe_Error *error)
{
    return error->path;
}

const char *moonpipe_error_where(const moonpipe_Error *error)
{
    return error->where;
}

const char *moonpipe_error_json(const moonpipe_Error *error)
{
    return error->json;
}
