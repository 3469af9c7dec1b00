/*
 * value_read.c: reading values. Nothing here fails: what is not there, or of
 * another type, reads as nothing.
 */
#include "value.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define INTEGER_MAX 9223372036854775808.0 /* 2^63: one more than fits */

moonpipe_Type moonpipe_type(const moonpipe_Value *value)
{
    return value ? value->type : MOONPIPE_TYPE_NONE;
}

size_t moonpipe_length(const moonpipe_Value *value)
{
    return value ? value->length : 0;
}

static bool has_items(const moonpipe_Value *value)
{
    return value && (value->type == MOONPIPE_TYPE_ARRAY ||
                     value->type == MOONPIPE_TYPE_OBJECT);
}

const moonpipe_Value *moonpipe_at(const moonpipe_Value *value, size_t index)
{
    if (!has_items(value) || index >= value->length) return NULL;
    return value->as.items[index];
}

const char *moonpipe_key(const moonpipe_Value *value, size_t index)
{
    const moonpipe_Value *item = moonpipe_at(value, index);

    return item && item->key ? item->key : NULL;
}

/* --- paths ------------------------------------------------------------------
 */

static const moonpipe_Value *member(const moonpipe_Value *value,
                                    const char *name, size_t length)
{
    size_t index = 0;
    bool found;

    if (value->type == MOONPIPE_TYPE_OBJECT) {
        index = mp_value_place(value, name, length, &found);
        return found ? value->as.items[index] : NULL;
    }
    if (length == 0 || length > 18) return NULL; /* no index is that long */
    for (size_t i = 0; i < length; i++) {
        if (name[i] < '0' || name[i] > '9') return NULL;
        index = index * 10 + (size_t)(name[i] - '0');
    }
    return moonpipe_at(value, index);
}

const moonpipe_Value *moonpipe_get(const moonpipe_Value *value,
                                   const char *path)
{
    while (path && has_items(value)) {
        const moonpipe_Value *whole = member(value, path, strlen(path));
        size_t length = strcspn(path, ".");

        if (whole || path[length] == '\0') return whole;
        value = member(value, path, length);
        path += length + 1;
    }
    return path ? NULL : value;
}

/* --- content ----------------------------------------------------------------
 */

/* What an object says, where it was a message or a Document. */
static const moonpipe_Value *voice(const moonpipe_Value *value)
{
    static const char *const names[] = {
        [MP_VALUE_PLAIN] = "",
        [MP_VALUE_MESSAGE] = "text",
        [MP_VALUE_DOCUMENT] = "page_content",
    };

    if (!value || value->class == MP_VALUE_PLAIN) return value;
    return member(value, names[value->class], strlen(names[value->class]));
}

const char *moonpipe_get_text(const moonpipe_Value *value, const char *path,
                              size_t *length)
{
    const moonpipe_Value *found = voice(moonpipe_get(value, path));
    bool is_text = found && found->type == MOONPIPE_TYPE_STRING;

    if (length) *length = is_text ? found->length : 0;
    return is_text ? found->as.text : "";
}

int moonpipe_get_boolean(const moonpipe_Value *value, const char *path)
{
    const moonpipe_Value *found = moonpipe_get(value, path);

    return found && found->type == MOONPIPE_TYPE_BOOLEAN && found->as.truth;
}

double moonpipe_get_number(const moonpipe_Value *value, const char *path)
{
    const moonpipe_Value *found = moonpipe_get(value, path);

    if (!found) return 0;
    if (found->type == MOONPIPE_TYPE_INTEGER) return (double)found->as.integer;
    return found->type == MOONPIPE_TYPE_NUMBER ? found->as.number : 0;
}

/* Digits, as integers beyond 2^53 cross Lua. */
static int64_t integer_of_text(const char *text)
{
    char *end;
    long long integer;

    if (*text != '-' && (*text < '0' || *text > '9')) return 0;
    errno = 0;
    integer = strtoll(text, &end, 10);
    return *end == '\0' && errno == 0 ? integer : 0;
}

int64_t moonpipe_get_integer(const moonpipe_Value *value, const char *path)
{
    const moonpipe_Value *found = moonpipe_get(value, path);

    if (!found) return 0;
    switch (found->type) {
    case MOONPIPE_TYPE_INTEGER: return found->as.integer;
    case MOONPIPE_TYPE_STRING: return integer_of_text(found->as.text);
    case MOONPIPE_TYPE_NUMBER:
        if (!(fabs(found->as.number) < INTEGER_MAX)) return 0;
        return (int64_t)found->as.number;
    default: return 0;
    }
}

const float *moonpipe_get_floats(const moonpipe_Value *value, const char *path,
                                 size_t *rows, size_t *dim)
{
    const moonpipe_Value *found = moonpipe_get(value, path);
    bool is_floats = found && found->type == MOONPIPE_TYPE_FLOATS;

    if (dim) *dim = is_floats ? found->dim : 0;
    if (rows) *rows = is_floats && found->dim ? found->length / found->dim : 0;
    return is_floats ? found->as.floats : NULL;
}
