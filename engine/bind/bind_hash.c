/*
 * bind_hash.c: vectors of texts without a model.
 *
 * One short text is done at once, about 30 us for a kilobyte; many are a job,
 * which only a task can await.
 */
#include "bind.h"

#include "alloc.h"
#include "bind_floats.h"
#include "bind_texts.h"
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

/* hash(texts) -> id of a job that gives a row for each | nil, message, kind */
static int f_hash(lua_State *L)
{
    size_t *ends;
    mp_Buf texts;
    size_t count = mp_bind_copy_texts(L, 1, &texts, &ends);
    mp_Job *job = count ? mp_hash_job(&texts, ends, count) : NULL;

    if (count && !job) {
        mp_alloc_free(ends);
        mp_buf_term(&texts);
    }
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
