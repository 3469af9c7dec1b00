/*
 * value.h: the data behind moonpipe_Value: a tree that knows no engine.
 *
 * A member points to what it is a member of, so that a tree of any depth is
 * freed without recursion, nothing gets in twice, and a failure deep in a tree
 * that is being built is seen at its root (`broken`).
 *
 * Threads: any, one at a time; no state beside the value.
 */
#ifndef MP_VALUE_H
#define MP_VALUE_H

#include "moonpipe.h"

#include <lua.h>
#include <stdbool.h>

/* Containers in each other, as in JSON: what walks a tree may recurse. */
#define MP_VALUE_DEPTH 128

/* What an object was in Lua. */
typedef enum mp_ValueClass {
    MP_VALUE_PLAIN,
    MP_VALUE_MESSAGE, /* as values.lua numbers them */
    MP_VALUE_DOCUMENT
} mp_ValueClass;

struct moonpipe_Value {
    moonpipe_Type type;
    int broken; /* kind of what went wrong while it was built; NONE */
    mp_ValueClass class;
    bool borrowed; /* floats are Lua's */
    bool matrix;   /* floats: rows, of which there may be one */
    struct moonpipe_Value *outer;
    char *key; /* in an object; with a NUL */
    size_t key_length;
    size_t length; /* bytes of text, members, numbers */
    size_t room;   /* for members */
    union {
        bool truth;
        int64_t integer;
        double number;
        char *text;
        float *floats;
        struct moonpipe_Value **items; /* of an object sorted by key */
    } as;
    size_t dim; /* floats: of a row */
};

/* A value of [type] without content; NULL without memory. */
moonpipe_Value *mp_value_new(moonpipe_Type type);

/* Copies [length] bytes into [value], which is a string. False: no memory. */
bool mp_value_set_text(moonpipe_Value *value, const char *text, size_t length);

/* Copies the numbers of [rows] rows. False: no memory. */
bool mp_value_set_floats(moonpipe_Value *value, const float *floats,
                         size_t rows, size_t dim);

/* Takes [item], which is in nothing, as the last member of [outer]: with [key]
 * of an object, which must be sorted afterwards. False without memory: then
 * [item] is still the caller's. */
bool mp_value_append(moonpipe_Value *outer, const char *key, size_t length,
                     moonpipe_Value *item);

/* Sorts the members of an object by the bytes of their keys; equal ones, which
 * JSON may have for a moment, by `dim`. */
void mp_value_sort(moonpipe_Value *object);

/* Where the key of [length] bytes is or belongs in a sorted object; [found]
 * says which. */
size_t mp_value_place(const moonpipe_Value *object, const char *key,
                      size_t length, bool *found);

/* --- to and from Lua --- */

/* [-0, +1] Pushes [value], which mp_host_takes. Raises. */
void mp_value_push(lua_State *L, const moonpipe_Value *value);

/* take(value, open, keep) -> box | nil, message, kind: for Lua. With [keep] the
 * floats are copied, else borrowed as long as the box lives. */
int mp_value_take(lua_State *L);

/* The value in the box at [index]. */
moonpipe_Value *mp_value_in(lua_State *L, int index);

/* Moves it out: owned; the box is empty. */
moonpipe_Value *mp_value_out(lua_State *L, int index);

/* [-0, +0] Makes the metatable of boxes. */
void mp_value_prepare(lua_State *L);

#endif
