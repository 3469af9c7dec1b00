/*
 * bind_vector.c: indexes of vectors.
 *
 * An index is a userdata that holds a reference; its jobs hold their own, so
 * it may be collected while they run.
 */
#include "bind.h"

#include "bind_floats.h"
#include "vector.h"

#include <string.h>

#define VECTOR_MT "moonpipe.VectorIndex"

static mp_Vector *check_index(lua_State *L, int arg)
{
    mp_Vector **box = luaL_checkudata(L, arg, VECTOR_MT);

    if (!*box) luaL_error(L, "the index is gone: the VM closes");
    return *box;
}

static int f_gc(lua_State *L)
{
    mp_Vector **box = lua_touserdata(L, 1);

    if (*box) mp_vector_unref(*box);
    *box = NULL;
    return 0;
}

/* index_new("l2" | "ip", dim) -> index | nil, message, kind */
static int f_index_new(lua_State *L)
{
    static const char *const metrics[] = {"l2", "ip", NULL};
    int metric = luaL_checkoption(L, 1, NULL, metrics);
    lua_Number dim = luaL_checknumber(L, 2);
    mp_Vector **box;
    mp_Error err;

    luaL_argcheck(L, dim >= 1 && dim <= 1e6, 2, "no number of dimensions");
    box = lua_newuserdata(L, sizeof *box);
    *box = NULL;
    luaL_getmetatable(L, VECTOR_MT);
    lua_setmetatable(L, -2);
    if (mp_vector_new(box, metric == 0 ? MP_FAISS_L2 : MP_FAISS_INNER_PRODUCT,
                      (size_t)dim, &err) != MP_OK)
        return mp_bind_fail(L, &err);
    return 1;
}

/* Copies the checked rows of the Floats at [arg]: jobs own theirs. */
static mp_Status copy_rows(lua_State *L, int arg, mp_Vector *index,
                           mp_Floats *out, mp_Error *err)
{
    const mp_Floats *from = mp_bind_to_floats(L, arg);
    mp_Status status;

    luaL_argcheck(L, from != NULL, arg, "no Floats");
    status = mp_vector_check(index, from, err);
    if (status == MP_OK)
        status = mp_floats_init(out, from->rows, from->dim, err);
    if (status == MP_OK && out->data)
        memcpy(out->data, from->data, from->rows * from->dim * sizeof(float));
    return status;
}

/* index_add(index, rows) -> id of a job that gives the number of the first, as
 * text | nil, message, kind */
static int f_index_add(lua_State *L)
{
    mp_Vector *index = check_index(L, 1);
    mp_Floats rows;
    mp_Error err;
    mp_Job *job;

    if (copy_rows(L, 2, index, &rows, &err) != MP_OK)
        return mp_bind_fail(L, &err);
    job = mp_vector_add(index, &rows);
    mp_floats_term(&rows);
    return mp_bind_submit(L, job);
}

/* index_search(index, query, k) -> id of a job that gives a row of distances,
 * and in its head the numbers of the vectors | nil, message, kind */
static int f_index_search(lua_State *L)
{
    mp_Vector *index = check_index(L, 1);
    const mp_Floats *given = mp_bind_to_floats(L, 2);
    lua_Number k = luaL_checknumber(L, 3);
    mp_Floats query;
    mp_Error err;
    mp_Job *job;

    luaL_argcheck(L, given && given->rows == 1, 2, "not one vector");
    luaL_argcheck(L, k >= 1 && k <= 1e9, 3, "no number of vectors");
    if (copy_rows(L, 2, index, &query, &err) != MP_OK)
        return mp_bind_fail(L, &err);
    job = mp_vector_search(index, &query, (size_t)k);
    mp_floats_term(&query);
    return mp_bind_submit(L, job);
}

/* index_count(index) -> vectors in it */
static int f_index_count(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)mp_vector_count(check_index(L, 1)));
    return 1;
}

static const luaL_Reg functions[] = {
    {"index_new", f_index_new},
    {"index_add", f_index_add},
    {"index_search", f_index_search},
    {"index_count", f_index_count},
    {NULL, NULL},
};

void mp_bind_vector(lua_State *L)
{
    luaL_newmetatable(L, VECTOR_MT);
    lua_pushcfunction(L, f_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_register(L, NULL, functions);
}
