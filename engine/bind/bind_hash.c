/*
 * bind_hash.c: vectors of texts without a model.
 *
 * One short text is done at once, about 30 us for a kilobyte; many are a job,
 * which only a task can await.
 */
#include "bind.h"

#include "alloc.h"
#include "bind_floats.h"
#include "hash_job.h"

/* hash_vector(text) -> Floats, one row | nil, message, kind */
static int f_hash_vector(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    mp_Floats *row = mp_bind_push_room(L);
    mp_Error err;

    if (mp_floats_init(row, 1, MP_HASH_DIM, &err) != MP_OK ||
        mp_hash_text(text, len, row->data, &err) != MP_OK)
        return mp_bind_fail(L, &err);
    return 1;
}

/* Copies the list at 1; raises nothing. [ends] has room for all. */
static mp_Status copy_texts(lua_State *L, mp_Buf *texts, size_t *ends,
                            size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len;
        const char *text;

        lua_rawgeti(L, 1, (int)i + 1);
        text = lua_tolstring(L, -1, &len);
        mp_buf_append(texts, text, len);
        ends[i] = texts->len;
        lua_pop(L, 1);
    }
    return texts->status;
}

/* hash(texts) -> id of a job that gives a row for each | nil, message, kind */
static int f_hash(lua_State *L)
{
    size_t count = lua_objlen(L, 1), *ends;
    mp_Job *job = NULL;
    mp_Buf texts;

    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argcheck(L, count > 0, 1, "no texts");
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, 1, (int)i);
        luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, 1, "not all strings");
        lua_pop(L, 1);
    }
    mp_buf_init(&texts, SIZE_MAX / 2);
    ends = mp_alloc_zero(count, sizeof *ends);
    if (ends && copy_texts(L, &texts, ends, count) == MP_OK)
        job = mp_hash_job(&texts, ends, count);
    if (!job) mp_alloc_free(ends);
    mp_buf_term(&texts);
    return mp_bind_submit(L, job);
}

static const luaL_Reg functions[] = {
    {"hash_vector", f_hash_vector},
    {"hash", f_hash},
    {NULL, NULL},
};

void mp_bind_hash(lua_State *L)
{
    luaL_register(L, NULL, functions);
}
