/* bind_shape.c: see bind_shape.h. */
#include "bind_shape.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

static bool is_int(lua_Number number)
{
    return number >= 0 && number <= INT32_MAX &&
           number == (lua_Number)(int32_t)number;
}

const char *mp_shape_note(lua_State *L, int index, mp_Shape *shape,
                          char room[MP_SHAPE_TEXT])
{
    lua_Number key = lua_tonumber(L, index);

    if (lua_type(L, index) == LUA_TSTRING) {
        shape->strings++;
        return NULL;
    }
    if (lua_type(L, index) != LUA_TNUMBER) {
        snprintf(room, MP_SHAPE_TEXT, "a table with a %s as key",
                 luaL_typename(L, index));
        return room;
    }
    if (key < 1 || !is_int(key)) {
        snprintf(room, MP_SHAPE_TEXT, "a table with the number %.14g as key",
                 key);
        return room;
    }
    shape->count++;
    if (key > shape->max) shape->max = key;
    return NULL;
}

const char *mp_shape_length(lua_State *L, const mp_Shape *shape, int *len)
{
    lua_Number n = shape->max;

    if (shape->strings == 0 && shape->count != shape->max)
        return "an array with holes and no field n";
    if (shape->strings > 0) {
        lua_pushliteral(L, "n");
        lua_rawget(L, -2);
        n = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
        lua_pop(L, 1);
        if (shape->strings > 1 || n < shape->max || !is_int(n))
            return "a table with both integers and strings as keys";
    }
    *len = (int)n;
    return NULL;
}
