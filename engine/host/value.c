/*
 * value.c: making values: constructors, members, copies, the end.
 */
#include "value.h"

#include "alloc.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 4

/* --- one value --------------------------------------------------------------
 */

moonpipe_Value *mp_value_new(moonpipe_Type type)
{
    moonpipe_Value *value = mp_alloc_zero(1, sizeof *value);

    if (value) value->type = type;
    return value;
}

bool mp_value_set_text(moonpipe_Value *value, const char *text, size_t length)
{
    value->as.text = mp_alloc_copy(text ? text : "", text ? length : 0);
    value->length = value->as.text && text ? length : 0;
    return value->as.text != NULL;
}

bool mp_value_set_floats(moonpipe_Value *value, const float *floats,
                         size_t rows, size_t dim)
{
    if (dim > 0 && rows > SIZE_MAX / sizeof *floats / dim) return false;
    value->as.floats = mp_alloc(rows * dim * sizeof *floats);
    if (!value->as.floats) return false;
    if (rows * dim > 0)
        memcpy(value->as.floats, floats, rows * dim * sizeof *floats);
    value->length = rows * dim;
    value->dim = dim;
    return true;
}

static bool is_container(const moonpipe_Value *value)
{
    return value->type == MOONPIPE_TYPE_ARRAY ||
           value->type == MOONPIPE_TYPE_OBJECT;
}

/* Frees what has no members any more, and is no member. */
static void free_one(moonpipe_Value *value)
{
    if (value->type == MOONPIPE_TYPE_STRING) mp_alloc_free(value->as.text);
    if (value->type == MOONPIPE_TYPE_FLOATS && !value->borrowed)
        mp_alloc_free(value->as.floats);
    if (is_container(value)) mp_alloc_free(value->as.items);
    mp_alloc_free(value->key);
    mp_alloc_free(value);
}

/* Goes down to the last member and back: users may nest deeper than a stack. */
void moonpipe_free(moonpipe_Value *value)
{
    moonpipe_Value *at = value;

    if (!value || value->outer) return;
    while (at) {
        moonpipe_Value *done = at;

        if (is_container(at) && at->length > 0) {
            at = at->as.items[--at->length];
            continue;
        }
        at = done == value ? NULL : done->outer;
        free_one(done);
    }
}

moonpipe_Value *moonpipe_new_null(void)
{
    return mp_value_new(MOONPIPE_TYPE_NULL);
}

moonpipe_Value *moonpipe_new_boolean(int truth)
{
    moonpipe_Value *value = mp_value_new(MOONPIPE_TYPE_BOOLEAN);

    if (value) value->as.truth = truth != 0;
    return value;
}

moonpipe_Value *moonpipe_new_integer(int64_t integer)
{
    moonpipe_Value *value = mp_value_new(MOONPIPE_TYPE_INTEGER);

    if (value) value->as.integer = integer;
    return value;
}

moonpipe_Value *moonpipe_new_number(double number)
{
    moonpipe_Value *value = mp_value_new(MOONPIPE_TYPE_NUMBER);

    if (value) value->as.number = number;
    return value;
}

moonpipe_Value *moonpipe_new_text(const char *text, size_t length)
{
    moonpipe_Value *value = mp_value_new(MOONPIPE_TYPE_STRING);

    if (!value || mp_value_set_text(value, text, length)) return value;
    free_one(value);
    return NULL;
}

moonpipe_Value *moonpipe_new_string(const char *text)
{
    return moonpipe_new_text(text, text ? strlen(text) : 0);
}

moonpipe_Value *moonpipe_new_floats(const float *floats, size_t rows,
                                    size_t dim)
{
    moonpipe_Value *value = mp_value_new(MOONPIPE_TYPE_FLOATS);

    if (!value) return NULL;
    value->matrix = rows != 1 || dim == 0; /* as Lua has what is empty */
    if (mp_value_set_floats(value, floats, rows, dim)) return value;
    free_one(value);
    return NULL;
}

moonpipe_Value *moonpipe_new_array(void)
{
    return mp_value_new(MOONPIPE_TYPE_ARRAY);
}

moonpipe_Value *moonpipe_new_object(void)
{
    return mp_value_new(MOONPIPE_TYPE_OBJECT);
}

/* --- members ----------------------------------------------------------------
 */

static int compare_keys(const char *a, size_t a_length, const char *b,
                        size_t b_length)
{
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);

    if (order != 0) return order;
    return a_length < b_length ? -1 : a_length > b_length;
}

static int compare_items(const void *a, const void *b)
{
    const moonpipe_Value *left = *(moonpipe_Value *const *)a;
    const moonpipe_Value *right = *(moonpipe_Value *const *)b;
    int order = compare_keys(left->key, left->key_length, right->key,
                             right->key_length);

    if (order != 0) return order;
    return left->dim < right->dim ? -1 : left->dim > right->dim;
}

void mp_value_sort(moonpipe_Value *object)
{
    if (object->length > 1)
        qsort(object->as.items, object->length, sizeof *object->as.items,
              compare_items);
}

size_t mp_value_place(const moonpipe_Value *object, const char *key,
                      size_t length, bool *found)
{
    size_t low = 0, high = object->length;

    *found = false;
    while (low < high && !*found) {
        size_t middle = low + (high - low) / 2;
        const moonpipe_Value *item = object->as.items[middle];
        int order = compare_keys(key, length, item->key, item->key_length);

        *found = order == 0;
        if (order > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return *found ? high : low;
}

static bool grow(moonpipe_Value *outer)
{
    size_t room = outer->room ? outer->room * 2 : FIRST_ROOM;
    moonpipe_Value **items;

    if (outer->length < outer->room) return true;
    items = mp_alloc_resize(outer->as.items, room * sizeof *items);
    if (!items) return false;
    outer->as.items = items;
    outer->room = room;
    return true;
}

bool mp_value_append(moonpipe_Value *outer, const char *key, size_t length,
                     moonpipe_Value *item)
{
    if (!grow(outer)) return false;
    if (key) {
        item->key = mp_alloc_copy(key, length);
        if (!item->key) return false;
        item->key_length = length;
    }
    item->outer = outer;
    outer->as.items[outer->length++] = item;
    return true;
}

/* Makes [value] and all around it useless, for whoever starts with it. */
static int break_value(moonpipe_Value *value, int kind)
{
    for (; value; value = value->outer)
        if (!value->broken) value->broken = kind;
    return 0;
}

static bool contains(const moonpipe_Value *item, const moonpipe_Value *outer)
{
    while (outer && outer != item)
        outer = outer->outer;
    return outer != NULL;
}

/* Whether [item] cannot become a member of [outer], which is a container of
 * [type] or broken by this; then nothing is left to do. */
static bool refuse(moonpipe_Value *outer, moonpipe_Type type,
                   moonpipe_Value *item)
{
    bool misused = item && (item->outer || contains(item, outer));

    if (outer && outer->type == type && item && !misused) return false;
    break_value(outer, item ? MOONPIPE_KIND_INPUT : MOONPIPE_KIND_MEMORY);
    if (!misused) moonpipe_free(item);
    return true;
}

/* Moves the last member to [place]. */
static void move_last(moonpipe_Value *object, size_t place)
{
    moonpipe_Value **items = object->as.items;
    moonpipe_Value *item = items[object->length - 1];

    memmove(items + place + 1, items + place,
            (object->length - 1 - place) * sizeof *items);
    items[place] = item;
}

static void replace(moonpipe_Value *object, size_t place, moonpipe_Value *item)
{
    moonpipe_Value *old = object->as.items[place];

    item->key = old->key;
    item->key_length = old->key_length;
    item->outer = object;
    object->as.items[place] = item;
    old->key = NULL;
    old->outer = NULL;
    moonpipe_free(old);
}

int moonpipe_set(moonpipe_Value *object, const char *key, moonpipe_Value *item)
{
    size_t length = key ? strlen(key) : 0, place;
    bool found;

    if (refuse(object, MOONPIPE_TYPE_OBJECT, item)) return 0;
    place = mp_value_place(object, key ? key : "", length, &found);
    if (found) {
        replace(object, place, item);
    } else if (mp_value_append(object, key ? key : "", length, item)) {
        move_last(object, place);
    } else {
        moonpipe_free(item);
        return break_value(object, MOONPIPE_KIND_MEMORY);
    }
    return item->broken ? break_value(object, item->broken) : 1;
}

int moonpipe_add(moonpipe_Value *array, moonpipe_Value *item)
{
    if (refuse(array, MOONPIPE_TYPE_ARRAY, item)) return 0;
    if (!mp_value_append(array, NULL, 0, item)) {
        moonpipe_free(item);
        return break_value(array, MOONPIPE_KIND_MEMORY);
    }
    return item->broken ? break_value(array, item->broken) : 1;
}

/* --- copies -----------------------------------------------------------------
 */

static bool copy_items(moonpipe_Value *to, const moonpipe_Value *from,
                       int depth);

/* What [from] holds, into a value of its type. */
static bool copy_content(moonpipe_Value *to, const moonpipe_Value *from,
                         int depth)
{
    to->class = from->class;
    to->matrix = from->matrix;
    switch (from->type) {
    case MOONPIPE_TYPE_STRING:
        return mp_value_set_text(to, from->as.text, from->length);
    case MOONPIPE_TYPE_FLOATS:
        return mp_value_set_floats(to, from->as.floats,
                                   from->dim ? from->length / from->dim : 0,
                                   from->dim);
    case MOONPIPE_TYPE_ARRAY:
    case MOONPIPE_TYPE_OBJECT:
        return depth < MP_VALUE_DEPTH && copy_items(to, from, depth + 1);
    default: to->as = from->as; return true;
    }
}

static bool copy_items(moonpipe_Value *to, const moonpipe_Value *from,
                       int depth)
{
    for (size_t i = 0; i < from->length; i++) {
        const moonpipe_Value *item = from->as.items[i];
        moonpipe_Value *copy = mp_value_new(item->type);

        if (!copy) return false;
        if (!mp_value_append(to, item->key, item->key_length, copy)) {
            moonpipe_free(copy);
            return false;
        }
        if (!copy_content(copy, item, depth)) return false;
    }
    return true;
}

moonpipe_Value *moonpipe_copy(const moonpipe_Value *value)
{
    moonpipe_Value *copy = value ? mp_value_new(value->type) : NULL;

    if (!copy) return NULL;
    copy->broken = value->broken;
    if (copy_content(copy, value, 0)) return copy;
    moonpipe_free(copy);
    return NULL;
}
