/*
 * bind_embed.c: answers with embeddings, decoded here or on the pool.
 *
 * Short ones are decoded at once: 7 us for a row of 1,536 in base64. The caller
 * chooses, for only a task can await a job.
 */
#include "bind.h"

#include "bind_floats.h"
#include "embed_job.h"

/* The number of texts at [arg], or raises. */
static size_t check_count(lua_State *L, int arg)
{
    lua_Number count = luaL_checknumber(L, arg);

    luaL_argcheck(L, count >= 1 && count <= 1e9, arg, "no number of texts");
    return (size_t)count;
}

/* embed_decode(body, texts) -> Floats, usage as JSON | nil, message, kind */
static int f_embed_decode(lua_State *L)
{
    size_t len, count = check_count(L, 2);
    const char *body = luaL_checklstring(L, 1, &len);
    mp_Floats *rows = mp_bind_push_room(L);
    char text[MP_EMBED_USAGE_SIZE];
    mp_Usage usage;
    mp_Error err;

    if (mp_embed_decode(body, len, count, rows, &usage, &err) != MP_OK)
        return mp_bind_fail(L, &err);
    mp_embed_write_usage(&usage, text);
    lua_pushstring(L, text);
    return 2;
}

/* embed(body, texts) -> id of a job that gives the same | nil, message, kind */
static int f_embed(lua_State *L)
{
    size_t len, count = check_count(L, 2);
    const char *body = luaL_checklstring(L, 1, &len);
    mp_Job *job = NULL;
    mp_Buf copy;

    mp_buf_init(&copy, len);
    if (mp_buf_append(&copy, body, len) == MP_OK)
        job = mp_embed_job(&copy, count);
    mp_buf_term(&copy);
    return mp_bind_submit(L, job);
}

static const luaL_Reg functions[] = {
    {"embed_decode", f_embed_decode},
    {"embed", f_embed},
    {NULL, NULL},
};

void mp_bind_embed(lua_State *L)
{
    luaL_register(L, NULL, functions);
}
