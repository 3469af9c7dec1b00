/*
 * bind_floats.c: mp.Floats, a userdata of float32 values.
 *
 * It is a vector or a matrix, and that is part of the value: a matrix of one
 * row is no vector. Nobody writes to it, so it may be handed around.
 *
 * What is made here has its values inside the userdata. What a job made is
 * moved in and stays where it is, so the collector is told of it: else a few
 * small userdata could keep gigabytes until it found a reason to look.
 */
#include "bind_floats.h"

#include "bind.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#define FLOATS_MT "moonpipe.Floats"

/* How the names of our own Lua sources begin: see bind.c. */
#define OURS "=moonpipe:"

/* So many bytes may be moved in before the collector runs. */
#define COLLECT_AFTER ((lua_Number)(32 << 20))

/* Where the metatable counts them. */
#define SINCE_COLLECT 1

typedef struct Floats {
    mp_Floats values;
    bool matrix;
    bool moved_in; /* the values are freed with it; else they stand behind it */
} Floats;

/* [-0, +0] */
static void tell_collector(lua_State *L, size_t bytes)
{
    lua_Number since;

    luaL_getmetatable(L, FLOATS_MT);
    lua_rawgeti(L, -1, SINCE_COLLECT);
    since = lua_tonumber(L, -1) + (lua_Number)bytes;
    lua_pop(L, 1);
    if (since > COLLECT_AFTER) {
        since = 0;
        lua_gc(L, LUA_GCCOLLECT, 0);
    }
    lua_pushnumber(L, since);
    lua_rawseti(L, -2, SINCE_COLLECT);
    lua_pop(L, 1);
}

/* [-0, +1] With room for values, not set. Raises for want of memory. */
static Floats *push_room(lua_State *L, size_t rows, size_t dim, bool matrix)
{
    Floats *self =
        lua_newuserdata(L, sizeof *self + rows * dim * sizeof(float));

    *self =
        (Floats){.values = {(float *)(self + 1), rows, dim}, .matrix = matrix};
    luaL_getmetatable(L, FLOATS_MT);
    lua_setmetatable(L, -2);
    return self;
}

mp_Floats *mp_bind_push_room(lua_State *L)
{
    Floats *self = push_room(L, 0, 0, true);

    self->values.data = NULL;
    self->moved_in = true;
    return &self->values;
}

void mp_bind_push_floats(lua_State *L, mp_Floats *floats)
{
    mp_Floats *room = mp_bind_push_room(L);

    *room = mp_floats_take(floats);
    tell_collector(L, room->rows * room->dim * sizeof(float));
}

static Floats *to_floats(lua_State *L, int index)
{
    Floats *self = lua_touserdata(L, index);
    bool same;

    if (!self || !lua_getmetatable(L, index)) return NULL;
    luaL_getmetatable(L, FLOATS_MT);
    same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same ? self : NULL;
}

float *mp_bind_push_numbers(lua_State *L, size_t rows, size_t dim, bool matrix)
{
    return push_room(L, rows, dim, matrix)->values.data;
}

const mp_Floats *mp_bind_read_floats(lua_State *L, int index, bool *matrix)
{
    Floats *self = to_floats(L, index);

    if (self && matrix) *matrix = self->matrix;
    return self ? &self->values : NULL;
}

static Floats *check_floats(lua_State *L, int index)
{
    return luaL_checkudata(L, index, FLOATS_MT);
}

/* --- reading ---------------------------------------------------------------
 */

/* [-0, +1] The place in front of a message: the nearest line that is not ours,
 * found also where a tail call left no frame; nothing without one. */
static void push_place(lua_State *L)
{
    lua_Debug info;

    for (int level = 1; lua_getstack(L, level, &info); level++) {
        lua_getinfo(L, "Sl", &info);
        if (info.currentline > 0 &&
            strncmp(info.source, OURS, strlen(OURS)) != 0) {
            lua_pushfstring(L, "%s:%d: ", info.short_src, info.currentline);
            return;
        }
    }
    lua_pushliteral(L, "");
}

/* Raises a programmer's error. */
static int raise(lua_State *L, const char *format, ...)
{
    va_list args;

    push_place(L);
    va_start(args, format);
    lua_pushvfstring(L, format, args);
    va_end(args);
    lua_concat(L, 2);
    return lua_error(L);
}

/* #v: what v[i] counts */
static size_t length(const Floats *self)
{
    return self->matrix ? self->values.rows : self->values.dim;
}

/* [-0, +1] */
static void push_row(lua_State *L, const Floats *self, size_t row)
{
    size_t dim = self->values.dim;
    Floats *copy = push_room(L, 1, dim, false);

    memcpy(copy->values.data, self->values.data + row * dim,
           dim * sizeof(float));
}

/* The index at [arg], from 0, or raises. */
static size_t check_index(lua_State *L, int arg, size_t count, const char *what)
{
    lua_Number index = lua_tonumber(L, arg);

    if (index >= 1 && index <= (lua_Number)count && index == floor(index))
        return (size_t)index - 1;
    if (count == 0) raise(L, "this Floats has no %ss", what);
    raise(L, "this Floats has the %ss 1 to %d, not %f", what, (int)count,
          index);
    return 0;
}

/* v[i] of a vector is a number, of a matrix a row; v.name a method */
static int f_index(lua_State *L)
{
    const Floats *self = check_floats(L, 1);

    if (lua_type(L, 2) != LUA_TNUMBER) {
        lua_rawget(L, lua_upvalueindex(1));
        return 1;
    }
    if (self->matrix)
        push_row(L, self, check_index(L, 2, self->values.rows, "row"));
    else
        lua_pushnumber(
            L,
            self->values.data[check_index(L, 2, self->values.dim, "number")]);
    return 1;
}

static int f_newindex(lua_State *L)
{
    return raise(L, "a Floats cannot be changed");
}

static int f_len(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)length(check_floats(L, 1)));
    return 1;
}

/* v:row(i) -> a vector; row 1 of a vector is itself */
static int f_row(lua_State *L)
{
    const Floats *self = check_floats(L, 1);
    size_t row;

    luaL_checknumber(L, 2);
    row = check_index(L, 2, self->values.rows, "row");
    if (self->matrix)
        push_row(L, self, row);
    else
        lua_settop(L, 1);
    return 1;
}

/* v:shape() -> rows, numbers in each; a vector has one row */
static int f_shape(lua_State *L)
{
    const Floats *self = check_floats(L, 1);

    lua_pushnumber(L, (lua_Number)self->values.rows);
    lua_pushnumber(L, (lua_Number)self->values.dim);
    return 2;
}

/* [-0, +1] */
static void push_table_of_row(lua_State *L, const Floats *self, size_t row)
{
    size_t dim = self->values.dim;

    lua_createtable(L, (int)dim, 0);
    for (size_t i = 0; i < dim; i++) {
        lua_pushnumber(L, self->values.data[row * dim + i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
}

/* v:totable() -> a list of numbers; of a matrix, a list of such lists */
static int f_totable(lua_State *L)
{
    const Floats *self = check_floats(L, 1);

    if (!self->matrix) {
        push_table_of_row(L, self, 0);
        return 1;
    }
    lua_createtable(L, (int)self->values.rows, 0);
    for (size_t row = 0; row < self->values.rows; row++) {
        push_table_of_row(L, self, row);
        lua_rawseti(L, -2, (int)row + 1);
    }
    return 1;
}

/* v:bytes() -> its numbers as float32 in this machine's order */
static int f_bytes(lua_State *L)
{
    const mp_Floats *values = &check_floats(L, 1)->values;

    lua_pushlstring(L, values->data ? (const char *)values->data : "",
                    values->rows * values->dim * sizeof(float));
    return 1;
}

static int f_tostring(lua_State *L)
{
    const Floats *self = check_floats(L, 1);

    if (self->matrix)
        lua_pushfstring(L, "mp.Floats(%d x %d)", (int)self->values.rows,
                        (int)self->values.dim);
    else
        lua_pushfstring(L, "mp.Floats(%d)", (int)self->values.dim);
    return 1;
}

static bool equal(const Floats *a, const Floats *b)
{
    if (a->matrix != b->matrix || a->values.rows != b->values.rows ||
        a->values.dim != b->values.dim)
        return false;
    for (size_t i = 0; i < a->values.rows * a->values.dim; i++)
        if (a->values.data[i] != b->values.data[i]) return false;
    return true;
}

static int f_eq(lua_State *L)
{
    lua_pushboolean(L, equal(check_floats(L, 1), check_floats(L, 2)));
    return 1;
}

static int f_gc(lua_State *L)
{
    Floats *self = check_floats(L, 1);

    if (self->moved_in) mp_floats_term(&self->values);
    return 0;
}

/* --- making ----------------------------------------------------------------
 */

static int refuse(lua_State *L, const char *format, ...)
{
    va_list args;

    lua_pushnil(L);
    va_start(args, format);
    lua_pushvfstring(L, format, args);
    va_end(args);
    lua_pushstring(L, mp_err_name(MP_KIND_INPUT));
    return 3;
}

/* [-0, +1] What the value on top is instead of what it should be. */
static const char *describe(lua_State *L)
{
    if (lua_isnil(L, -1)) return "nil";
    return lua_pushfstring(L, "a %s", luaL_typename(L, -1));
}

/* Of the value on top. [row] 0: of a vector. */
static int refuse_value(lua_State *L, int row, int column)
{
    bool number = lua_type(L, -1) == LUA_TNUMBER;
    const char *what = number ? "no finite float32" : describe(L);

    if (row == 0) return refuse(L, "number %d is %s", column, what);
    return refuse(L, "number %d of row %d is %s", column, row, what);
}

/* How long the list at [index] is if it has no hole; a hole shows when it is
 * read. The border that # gives may be any, and would cut the list. */
static size_t list_length(lua_State *L, int index)
{
    size_t count = 0;

    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        count += lua_type(L, -1) == LUA_TNUMBER;
    }
    return count;
}

/* Reads the list at [index] into [out]: 0, or the place of the first value
 * that is no finite float32, which is left on the stack. */
static int read_numbers(lua_State *L, int index, float *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, index, (int)i + 1);
        out[i] = (float)lua_tonumber(L, -1);
        if (lua_type(L, -1) != LUA_TNUMBER || !isfinite(out[i]))
            return (int)i + 1;
        lua_pop(L, 1);
    }
    return 0;
}

/* The number of values of the row at [index]; SIZE_MAX where it is none. */
static size_t row_length(lua_State *L, int index)
{
    const Floats *row = to_floats(L, index);

    if (row) return row->matrix ? SIZE_MAX : row->values.dim;
    return lua_istable(L, index) ? list_length(L, index) : SIZE_MAX;
}

static int make_vector(lua_State *L)
{
    size_t count = list_length(L, 1);
    Floats *self = push_room(L, 1, count, false);
    int bad = read_numbers(L, 1, self->values.data, count);

    return bad ? refuse_value(L, 0, bad) : 1;
}

/* Reads the row on top of the stack. 0, or how many values were pushed. */
static int read_row(lua_State *L, Floats *self, size_t row)
{
    size_t dim = self->values.dim, count = row_length(L, lua_gettop(L));
    float *out = self->values.data + row * dim;
    const Floats *given = to_floats(L, -1);
    int bad = 0;

    if (count == SIZE_MAX)
        return refuse(L, "row %d is %s, no row", (int)row + 1,
                      given ? "a matrix" : describe(L));
    if (count != dim)
        return refuse(L, "row %d has %d numbers, row 1 has %d", (int)row + 1,
                      (int)count, (int)dim);
    if (given)
        memcpy(out, given->values.data, dim * sizeof *out);
    else
        bad = read_numbers(L, lua_gettop(L), out, dim);
    return bad ? refuse_value(L, (int)row + 1, bad) : 0;
}

static int make_matrix(lua_State *L)
{
    size_t rows = list_length(L, 1), dim;
    Floats *self;

    lua_rawgeti(L, 1, 1);
    dim = row_length(L, lua_gettop(L));
    lua_pop(L, 1);
    if (dim == 0) return refuse(L, "row 1 has no numbers");
    if (dim == SIZE_MAX) return refuse(L, "row 1 is a matrix");
    self = push_room(L, rows, dim, true);
    for (size_t row = 0; row < rows; row++) {
        int pushed;

        lua_rawgeti(L, 1, (int)row + 1);
        pushed = read_row(L, self, row);
        if (pushed) return pushed;
        lua_pop(L, 1);
    }
    return 1;
}

/* floats(table) -> Floats | nil, message, kind. A list of numbers is a vector,
 * a list of lists or vectors a matrix; the empty list is a matrix of no rows.
 */
static int f_floats(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_rawgeti(L, 1, 1);
    if (lua_istable(L, -1) || to_floats(L, -1)) return make_matrix(L);
    if (list_length(L, 1) > 0) return make_vector(L);
    push_room(L, 0, 0, true);
    return 1;
}

/* floats_of_bytes(bytes) -> a vector | nil, message, kind: of v:bytes() */
static int f_floats_of_bytes(lua_State *L)
{
    size_t len;
    const char *bytes = luaL_checklstring(L, 1, &len);
    Floats *self;

    if (len == 0 || len % sizeof(float) != 0)
        return refuse(L, "%d bytes are no float32s", (int)len);
    self = push_room(L, 1, len / sizeof(float), false);
    memcpy(self->values.data, bytes, len);
    return 1;
}

/* is_floats(value) -> boolean */
static int f_is_floats(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, to_floats(L, 1) != NULL);
    return 1;
}

/* --- opening ---------------------------------------------------------------
 */

static const luaL_Reg methods[] = {
    {"bytes", f_bytes},     {"row", f_row}, {"shape", f_shape},
    {"totable", f_totable}, {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__newindex", f_newindex},
    {"__len", f_len},
    {"__tostring", f_tostring},
    {"__eq", f_eq},
    {"__gc", f_gc},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"floats", f_floats},
    {"floats_of_bytes", f_floats_of_bytes},
    {"is_floats", f_is_floats},
    {NULL, NULL},
};

void mp_bind_floats(lua_State *L)
{
    luaL_newmetatable(L, FLOATS_MT);
    luaL_register(L, NULL, metamethods);
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_pushcclosure(L, f_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, FLOATS_MT);
    lua_setfield(L, -2, "__name");
    lua_pop(L, 1);
    luaL_register(L, NULL, functions);
}
