/*
 * bind_lexical.c: inverted indexes.
 *
 * An index is a userdata that holds a reference; its jobs hold their own, so
 * it may be collected while they run.
 */
#include "bind.h"

#include "alloc.h"
#include "bind_texts.h"
#include "lexical_job.h"

#define LEXICAL_MT "moonpipe.LexicalIndex"

static mp_LexicalIndex *check_index(lua_State *L)
{
    mp_LexicalIndex **box = luaL_checkudata(L, 1, LEXICAL_MT);

    if (!*box) luaL_error(L, "the index is gone: the VM closes");
    return *box;
}

static int f_gc(lua_State *L)
{
    mp_LexicalIndex **box = lua_touserdata(L, 1);

    if (*box) mp_lexical_index_unref(*box);
    *box = NULL;
    return 0;
}

/* lexical_new(k1, b) -> index | nil, message, kind */
static int f_lexical_new(lua_State *L)
{
    lua_Number k1 = luaL_checknumber(L, 1), b = luaL_checknumber(L, 2);
    mp_LexicalIndex **box;
    mp_Error err;

    luaL_argcheck(L, k1 >= 0 && k1 <= 1e9, 1, "no number from 0");
    luaL_argcheck(L, b >= 0 && b <= 1, 2, "no number from 0 to 1");
    box = lua_newuserdata(L, sizeof *box);
    *box = NULL;
    luaL_getmetatable(L, LEXICAL_MT);
    lua_setmetatable(L, -2);
    if (mp_lexical_index_new(box, k1, b, &err) != MP_OK)
        return mp_bind_fail(L, &err);
    return 1;
}

/* lexical_add(index, texts, cut) -> id of a job, the number of the first | nil,
 * message, kind */
static int f_lexical_add(lua_State *L)
{
    mp_LexicalIndex *index = check_index(L);
    size_t *ends, count, first = 0;
    mp_Job *job = NULL;
    mp_Buf texts;
    mp_Error err;

    if (mp_lexical_index_check(index, &err) != MP_OK)
        return mp_bind_fail(L, &err);
    count = mp_bind_copy_texts(L, 2, &texts, &ends);
    if (count == 0) return mp_bind_submit(L, NULL);
    if (mp_lexical_index_number(index, count, &first, &err) == MP_OK) {
        job = mp_lexical_add_job(index, first, &texts, ends, count,
                                 lua_toboolean(L, 3));
        if (!job) mp_err_memory(&err);
    }
    if (!job) {
        mp_buf_term(&texts);
        mp_alloc_free(ends);
        return mp_bind_fail(L, &err);
    }
    if (mp_bind_submit(L, job) != 1) return 3;
    lua_pushnumber(L, (lua_Number)first);
    return 2;
}

/* lexical_delete(index, numbers) -> id of a job | nil, message, kind */
static int f_lexical_delete(lua_State *L)
{
    mp_LexicalIndex *index = check_index(L);
    size_t count = lua_objlen(L, 2);
    uint32_t *docs;
    mp_Error err;
    mp_Job *job;

    luaL_checktype(L, 2, LUA_TTABLE);
    if (mp_lexical_index_check(index, &err) != MP_OK)
        return mp_bind_fail(L, &err);
    docs = mp_alloc_zero(count + 1, sizeof *docs);
    if (!docs) return mp_bind_submit(L, NULL);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 2, (int)i + 1);
        docs[i] = (uint32_t)lua_tonumber(L, -1);
        lua_pop(L, 1);
    }
    job = mp_lexical_delete_job(index, docs, count);
    if (!job) mp_alloc_free(docs);
    return mp_bind_submit(L, job);
}

/* lexical_search(index, query, cut, k) -> id of a job that gives a row of
 * scores, and in its head the numbers of the documents | nil, message, kind */
static int f_lexical_search(lua_State *L)
{
    mp_LexicalIndex *index = check_index(L);
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);
    lua_Number k = luaL_checknumber(L, 4);
    mp_Job *job = NULL;
    mp_Buf query;
    mp_Error err;

    luaL_argcheck(L, k >= 1 && k <= 1e9, 4, "no number of documents");
    if (mp_lexical_index_check(index, &err) != MP_OK)
        return mp_bind_fail(L, &err);
    mp_buf_init(&query, SIZE_MAX / 2);
    if (mp_buf_append(&query, text, len) == MP_OK)
        job = mp_lexical_search_job(index, &query, lua_toboolean(L, 3),
                                    (size_t)k);
    mp_buf_term(&query);
    return mp_bind_submit(L, job);
}

/* lexical_count(index) -> documents in it */
static int f_lexical_count(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)mp_lexical_index_count(check_index(L)));
    return 1;
}

static const luaL_Reg functions[] = {
    {"lexical_new", f_lexical_new},       {"lexical_add", f_lexical_add},
    {"lexical_delete", f_lexical_delete}, {"lexical_search", f_lexical_search},
    {"lexical_count", f_lexical_count},   {NULL, NULL},
};

void mp_bind_lexical(lua_State *L)
{
    luaL_newmetatable(L, LEXICAL_MT);
    lua_pushcfunction(L, f_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_register(L, NULL, functions);
}
