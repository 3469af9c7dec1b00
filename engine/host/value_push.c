/*
 * value_push.c: a value as what Lua has: as JSON would come, but that floats
 * are floats and messages messages (lua/moonpipe/tool/values.lua closes them).
 */
#include "host.h"
#include "value.h"

#include "bind_floats.h"
#include "bind_shape.h"

#include <inttypes.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#define EXACT_MAX ((int64_t)1 << 53)

/* [-0, +1] One beyond 2^53 comes as its digits. */
static void push_integer(lua_State *L, int64_t integer)
{
    char digits[24];

    if (integer >= -EXACT_MAX && integer <= EXACT_MAX) {
        lua_pushnumber(L, (lua_Number)integer);
        return;
    }
    snprintf(digits, sizeof digits, "%" PRId64, integer);
    lua_pushstring(L, digits);
}

/* [-0, +1] */
static void push_floats(lua_State *L, const moonpipe_Value *value)
{
    size_t rows = value->dim ? value->length / value->dim : 0;
    float *room = mp_bind_push_numbers(L, rows, value->dim, value->matrix);

    if (value->length > 0)
        memcpy(room, value->as.floats, value->length * sizeof *room);
}

/* [-0, +1] */
static void push_array(lua_State *L, const moonpipe_Value *value)
{
    lua_createtable(L, (int)value->length, 0);
    luaL_getmetatable(L, MP_SHAPE_ARRAY);
    lua_setmetatable(L, -2);
    for (size_t i = 0; i < value->length; i++) {
        mp_value_push(L, value->as.items[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
}

/* [-0, +1] */
static void push_object(lua_State *L, const moonpipe_Value *value)
{
    lua_createtable(L, 0, (int)value->length);
    for (size_t i = 0; i < value->length; i++) {
        const moonpipe_Value *item = value->as.items[i];

        lua_pushlstring(L, item->key, item->key_length);
        mp_value_push(L, item);
        lua_rawset(L, -3);
    }
}

/* [-1, +1] The fields at the top become what they were. */
static void close_object(lua_State *L, mp_ValueClass class)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "moonpipe.tool.values");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "close");
    lua_replace(L, -2);
    lua_insert(L, -2);
    lua_pushinteger(L, class);
    lua_call(L, 2, 1);
}

/* What recurses is not too deep: mp_host_takes has looked. */
void mp_value_push(lua_State *L, const moonpipe_Value *value)
{
    luaL_checkstack(L, 8, "value");
    switch (value->type) {
    case MOONPIPE_TYPE_BOOLEAN: lua_pushboolean(L, value->as.truth); break;
    case MOONPIPE_TYPE_INTEGER: push_integer(L, value->as.integer); break;
    case MOONPIPE_TYPE_NUMBER: lua_pushnumber(L, value->as.number); break;
    case MOONPIPE_TYPE_STRING:
        lua_pushlstring(L, value->as.text, value->length);
        break;
    case MOONPIPE_TYPE_FLOATS: push_floats(L, value); break;
    case MOONPIPE_TYPE_ARRAY: push_array(L, value); break;
    case MOONPIPE_TYPE_OBJECT:
        push_object(L, value);
        if (value->class != MP_VALUE_PLAIN) close_object(L, value->class);
        break;
    default: lua_pushlightuserdata(L, NULL); /* the null of JSON */
    }
}

static bool is_too_deep(const moonpipe_Value *value, int depth)
{
    bool has_items = value->type == MOONPIPE_TYPE_ARRAY ||
                     value->type == MOONPIPE_TYPE_OBJECT;

    if (!has_items) return false;
    if (depth >= MP_VALUE_DEPTH) return true;
    for (size_t i = 0; i < value->length; i++)
        if (is_too_deep(value->as.items[i], depth + 1)) return true;
    return false;
}

bool mp_host_takes(moonpipe_Engine *engine, const moonpipe_Value *value)
{
    int kind = MOONPIPE_KIND_INPUT;
    const char *message;

    if (!mp_host_is_own(engine)) return false;
    if (!value || value->broken == MOONPIPE_KIND_MEMORY) {
        kind = MOONPIPE_KIND_MEMORY;
        message = "there was no memory for a value";
    } else if (value->broken) {
        message = "a value was put into what is no array or object, or twice";
    } else if (is_too_deep(value, 0)) {
        message = "a value has more than 128 containers in each other";
    } else {
        return true;
    }
    mp_error_set(&engine->error, kind, message);
    return false;
}
