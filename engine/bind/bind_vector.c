/*
 * bind_vector.c: indexes of vectors.
 *
 * An index is a userdata that holds a reference; its jobs hold their own, so
 * it may be collected while they run.
 */
#include "bind.h"

#include "alloc.h"
#include "bind_floats.h"
#include "bind_store.h"
#include "bind_vector.h"

#include <math.h>

#define VECTOR_MT "moonpipe.VectorIndex"

mp_Vector *mp_bind_check_index(lua_State *L, int arg)
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

/* [-0, +1] */
static mp_Vector **push_box(lua_State *L)
{
    mp_Vector **box = lua_newuserdata(L, sizeof *box);

    *box = NULL;
    luaL_getmetatable(L, VECTOR_MT);
    lua_setmetatable(L, -2);
    return box;
}

static const char *const metrics[] = {"l2", "ip", "cosine", NULL};
static const char *const kinds[] = {"flat", "hnsw", "ivf", "sq", NULL};

/* [-0, +0] The place, from 0, of what the field [name] of the table at 1 says
 * among [names]; 0 where it says nothing. */
static int read_choice(lua_State *L, const char *name, const char *const *names)
{
    int found;

    lua_getfield(L, 1, name);
    found = luaL_checkoption(L, -1, names[0], names);
    lua_pop(L, 1);
    return found;
}

/* [-0, +0] The whole number from 1 to [most] in the field [name] of the table
 * at 1; 0 where it says nothing. */
static size_t read_size(lua_State *L, const char *name, lua_Number most)
{
    lua_Number value;
    bool given;

    lua_getfield(L, 1, name);
    given = !lua_isnil(L, -1);
    value = lua_tonumber(L, -1);
    lua_pop(L, 1);
    if (given && (value < 1 || value > most || value != floor(value)))
        luaL_error(L, "%s is no whole number from 1 to %d", name, (int)most);
    return given ? (size_t)value : 0;
}

/* FAISS's graphs count links in an int: `m` and the lists are bounded so that
 * none of it overflows. */
static mp_VectorShape read_shape(lua_State *L)
{
    mp_VectorShape shape;

    luaL_checktype(L, 1, LUA_TTABLE);
    shape.metric = (mp_VectorMetric)read_choice(L, "metric", metrics);
    shape.kind = (mp_FaissKind)read_choice(L, "kind", kinds);
    shape.dim = read_size(L, "dim", 1e6);
    shape.m = read_size(L, "m", 512);
    shape.ef_construction = read_size(L, "ef_construction", 1e5);
    shape.ef_search = read_size(L, "ef_search", 1e5);
    shape.nlist = read_size(L, "nlist", 1e6);
    shape.nprobe = read_size(L, "nprobe", 1e6);
    luaL_argcheck(L, shape.dim > 0, 1, "no number of dimensions");
    return shape;
}

/* An empty index whose first vector gets the number in the field `next` of the
 * table at 1. */
static mp_Status open_index(lua_State *L, mp_Vector **index,
                            const mp_VectorShape *shape, mp_Error *err)
{
    static const size_t none[1];
    mp_VectorState state = {.shape = *shape, .numbers = none};
    lua_Number next;

    lua_getfield(L, 1, "next");
    next = lua_tonumber(L, -1);
    lua_pop(L, 1);
    if (!(next > 0 && next < 9e15)) return mp_vector_new(index, shape, err);
    state.next = (size_t)next;
    return mp_vector_open(index, &state, NULL, NULL, err);
}

/* index_new { kind =, metric =, dim =, m =, ef_construction =, ef_search =,
 * nlist =, nprobe =, next = } -> index | nil, message, kind */
static int f_index_new(lua_State *L)
{
    mp_VectorShape shape = read_shape(L);
    mp_Vector **box = push_box(L);
    mp_Error err;

    if (open_index(L, box, &shape, &err) != MP_OK) return mp_bind_fail(L, &err);
    return 1;
}

/* Copies the list of numbers at [arg], an allocation of its own; false without
 * memory. What is no number of a vector can be none of the index either. */
static bool copy_numbers(lua_State *L, int arg, mp_VectorNumbers *out)
{
    size_t count = lua_objlen(L, arg);

    out->count = 0;
    out->data = mp_alloc((count + 1) * sizeof *out->data);
    for (size_t i = 0; out->data && i < count; i++) {
        lua_Number number;

        lua_rawgeti(L, arg, (int)i + 1);
        number = lua_tonumber(L, -1);
        lua_pop(L, 1);
        out->data[out->count++] =
            number >= 0 && number < 9e15 ? (size_t)number : SIZE_MAX;
    }
    return out->data != NULL;
}

/* Copies the checked rows of the Floats at [arg]: jobs own theirs. */
static mp_Status copy_rows(lua_State *L, int arg, mp_Vector *index,
                           mp_Floats *out, mp_Error *err)
{
    const mp_Floats *from = mp_bind_to_floats(L, arg);

    luaL_argcheck(L, from != NULL, arg, "no Floats");
    return mp_vector_copy(index, from, out, err);
}

/* index_add(index, rows) -> id of a job that gives the number of the first, as
 * text | nil, message, kind */
static int f_index_add(lua_State *L)
{
    mp_Vector *index = mp_bind_check_index(L, 1);
    mp_Floats rows;
    mp_Error err;
    mp_Job *job;

    if (copy_rows(L, 2, index, &rows, &err) != MP_OK)
        return mp_bind_fail(L, &err);
    job = mp_vector_add(index, &rows);
    mp_floats_term(&rows);
    return mp_bind_submit(L, job);
}

/* index_search(index, query, k, allowed?) -> id of a job that gives a row of
 * distances, and in its head the numbers of the vectors | nil, message, kind */
static int f_index_search(lua_State *L)
{
    mp_Vector *index = mp_bind_check_index(L, 1);
    const mp_Floats *given = mp_bind_to_floats(L, 2);
    lua_Number k = luaL_checknumber(L, 3);
    bool limited = !lua_isnoneornil(L, 4);
    mp_VectorNumbers allowed = {NULL, 0};
    mp_Floats query;
    mp_Error err;
    mp_Job *job = NULL;

    luaL_argcheck(L, given && given->rows == 1, 2, "not one vector");
    luaL_argcheck(L, k >= 1 && k <= 1e9, 3, "no number of vectors");
    if (limited) luaL_checktype(L, 4, LUA_TTABLE);
    if (copy_rows(L, 2, index, &query, &err) != MP_OK)
        return mp_bind_fail(L, &err);
    if (!limited || copy_numbers(L, 4, &allowed))
        job = mp_vector_search(index, &query, (size_t)k,
                               limited ? &allowed : NULL);
    mp_floats_term(&query);
    mp_vector_numbers_term(&allowed);
    return mp_bind_submit(L, job);
}

/* Submits the job that [make] makes of the numbers at 2. */
static int submit_numbers(lua_State *L,
                          mp_Job *(*make)(mp_Vector *index,
                                          mp_VectorNumbers *numbers))
{
    mp_Vector *index = mp_bind_check_index(L, 1);
    const mp_Floats none = {NULL, 0, 0};
    mp_VectorNumbers numbers;
    mp_Job *job = NULL;
    mp_Error err;

    luaL_checktype(L, 2, LUA_TTABLE);
    if (mp_vector_check(index, &none, &err) != MP_OK)
        return mp_bind_fail(L, &err);
    if (copy_numbers(L, 2, &numbers)) job = make(index, &numbers);
    mp_vector_numbers_term(&numbers);
    return mp_bind_submit(L, job);
}

/* index_delete(index, numbers) -> id of a job | nil, message, kind */
static int f_index_delete(lua_State *L)
{
    return submit_numbers(L, mp_vector_delete);
}

/* index_rows(index, numbers) -> id of a job that gives a row for each | nil,
 * message, kind */
static int f_index_rows(lua_State *L)
{
    return submit_numbers(L, mp_vector_rows);
}

/* index_make(shape, reader, next) -> id of a job that makes an index of the
 * file, for index_take | nil, message, kind */
static int f_index_make(lua_State *L)
{
    mp_VectorShape shape = read_shape(L);
    mp_StoreReader *reader = mp_bind_check_reader(L, 2);
    lua_Number next = luaL_checknumber(L, 3);

    luaL_argcheck(L, next >= 0 && next < 9e15, 3, "no number of a vector");
    return mp_bind_submit(L, mp_store_make_index(reader, &shape, (size_t)next));
}

/* index_take(reader) -> the index that was made, once */
static int f_index_take(lua_State *L)
{
    mp_StoreReader *reader = mp_bind_check_reader(L, 1);
    mp_Vector **box = push_box(L);

    *box = mp_store_take_index(reader);
    luaL_argcheck(L, *box != NULL, 1, "no index was made of it");
    return 1;
}

/* index_count(index) -> vectors in it */
static int f_index_count(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)mp_vector_count(mp_bind_check_index(L, 1)));
    return 1;
}

/* index_info(index) -> a table: kind, metric, dim */
static int f_index_info(lua_State *L)
{
    const mp_VectorShape *shape = mp_vector_shape(mp_bind_check_index(L, 1));

    lua_createtable(L, 0, 3);
    lua_pushstring(L, kinds[shape->kind]);
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, metrics[shape->metric]);
    lua_setfield(L, -2, "metric");
    lua_pushnumber(L, (lua_Number)shape->dim);
    lua_setfield(L, -2, "dim");
    return 1;
}

/* vector_square(vector) -> the square of its length */
static int f_vector_square(lua_State *L)
{
    const mp_Floats *given = mp_bind_to_floats(L, 1);

    luaL_argcheck(L, given && given->rows == 1, 1, "not one vector");
    lua_pushnumber(L, mp_floats_square(given->data, given->dim));
    return 1;
}

static const luaL_Reg functions[] = {
    {"vector_square", f_vector_square},
    {"index_new", f_index_new},
    {"index_add", f_index_add},
    {"index_search", f_index_search},
    {"index_delete", f_index_delete},
    {"index_rows", f_index_rows},
    {"index_make", f_index_make},
    {"index_take", f_index_take},
    {"index_count", f_index_count},
    {"index_info", f_index_info},
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
