/*
 * value_json.c: values of JSON text, and its text of values.
 */
#include "value.h"

#include "alloc.h"
#include "json.h"
#include "json_write.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define EXACT_MAX 9007199254740992.0 /* 2^53 */

/* --- reading ----------------------------------------------------------------
 */

/* What is being built: [at] is the innermost open container, [key] waits for
 * its value there. */
typedef struct Builder {
    moonpipe_Value *root;
    moonpipe_Value *at;
    char *key;
    size_t key_length;
} Builder;

static mp_Status add(Builder *b, moonpipe_Value *item, mp_Error *err)
{
    bool added = item != NULL;

    if (added && b->at)
        added = mp_value_append(b->at, b->key, b->key_length, item);
    else if (added)
        b->root = item;
    if (added && b->key) item->dim = b->at->length; /* see close_object */
    mp_alloc_free(b->key);
    b->key = NULL;
    if (added) return MP_OK;
    moonpipe_free(item);
    return mp_err_memory(err);
}

static mp_Status open_container(Builder *b, moonpipe_Value *item, mp_Error *err)
{
    mp_Status status = add(b, item, err);

    if (status == MP_OK) b->at = item;
    return status;
}

static bool same_key(const moonpipe_Value *a, const moonpipe_Value *b)
{
    return a->key_length == b->key_length &&
           memcmp(a->key, b->key, a->key_length) == 0;
}

/* Sorts the members; of equal keys the last in the text wins, whose place `dim`
 * holds meanwhile: nothing here is floats. */
static void close_object(moonpipe_Value *object)
{
    moonpipe_Value **items = object->as.items;
    size_t kept = 0;

    mp_value_sort(object);
    for (size_t i = 0; i < object->length; i++) {
        if (kept > 0 && same_key(items[kept - 1], items[i])) {
            items[--kept]->outer = NULL;
            moonpipe_free(items[kept]);
        }
        items[i]->dim = 0;
        items[kept++] = items[i];
    }
    object->length = kept;
}

static moonpipe_Value *new_number(double number)
{
    if (number == floor(number) && fabs(number) <= EXACT_MAX)
        return moonpipe_new_integer((int64_t)number);
    return moonpipe_new_number(number);
}

static mp_Status build(void *userdata, const mp_JsonEvent *event, mp_Error *err)
{
    Builder *b = userdata;

    switch (event->kind) {
    case MP_JSON_NULL: return add(b, moonpipe_new_null(), err);
    case MP_JSON_FALSE: return add(b, moonpipe_new_boolean(0), err);
    case MP_JSON_TRUE: return add(b, moonpipe_new_boolean(1), err);
    case MP_JSON_NUMBER: return add(b, new_number(event->number), err);
    case MP_JSON_INTEGER:
    case MP_JSON_STRING:
        return add(b, moonpipe_new_text(event->text, event->len), err);
    case MP_JSON_KEY:
        b->key = mp_alloc_copy(event->text, event->len);
        b->key_length = event->len;
        return b->key ? MP_OK : mp_err_memory(err);
    case MP_JSON_BEGIN_ARRAY:
        return open_container(b, moonpipe_new_array(), err);
    case MP_JSON_BEGIN_OBJECT:
        return open_container(b, moonpipe_new_object(), err);
    default:
        if (event->kind == MP_JSON_END_OBJECT) close_object(b->at);
        b->at = b->at->outer;
        return MP_OK;
    }
}

moonpipe_Value *moonpipe_new_json(const char *text, size_t length)
{
    Builder builder = {0};
    mp_Json json;
    mp_Error err;
    mp_Status status;

    mp_json_init(&json, build, &builder, false, 0);
    status = mp_json_feed(&json, text ? text : "", text ? length : 0, &err);
    if (status == MP_OK) status = mp_json_finish(&json, &err);
    mp_json_term(&json);
    mp_alloc_free(builder.key);
    if (status == MP_OK) return builder.root;
    moonpipe_free(builder.root);
    return NULL;
}

/* --- writing ----------------------------------------------------------------
 */

static void write_value(mp_Buf *out, const moonpipe_Value *value, int depth);

static void write_number(mp_Buf *out, double number)
{
    mp_Error err;

    if (mp_json_write_number(out, number, &err) == -MP_KIND_INPUT)
        mp_buf_text(out, "null");
}

static void write_row(mp_Buf *out, const float *row, size_t dim)
{
    mp_buf_char(out, '[');
    for (size_t i = 0; i < dim; i++) {
        if (i > 0) mp_buf_char(out, ',');
        write_number(out, row[i]);
    }
    mp_buf_char(out, ']');
}

static void write_floats(mp_Buf *out, const moonpipe_Value *value)
{
    if (value->matrix) mp_buf_char(out, '[');
    for (size_t at = 0; at < value->length; at += value->dim) {
        if (at > 0) mp_buf_char(out, ',');
        write_row(out, value->as.floats + at, value->dim);
    }
    if (value->matrix) mp_buf_char(out, ']');
}

static void write_items(mp_Buf *out, const moonpipe_Value *value, int depth)
{
    bool object = value->type == MOONPIPE_TYPE_OBJECT;

    if (depth > MP_VALUE_DEPTH) out->status = -MP_KIND_INPUT;
    mp_buf_char(out, object ? '{' : '[');
    for (size_t i = 0; i < value->length && out->status == MP_OK; i++) {
        const moonpipe_Value *item = value->as.items[i];

        if (i > 0) mp_buf_char(out, ',');
        if (object) mp_json_write_text(out, item->key, item->key_length);
        if (object) mp_buf_char(out, ':');
        write_value(out, item, depth);
    }
    mp_buf_char(out, object ? '}' : ']');
}

static void write_value(mp_Buf *out, const moonpipe_Value *value, int depth)
{
    switch (value->type) {
    case MOONPIPE_TYPE_BOOLEAN:
        mp_buf_text(out, value->as.truth ? "true" : "false");
        break;
    case MOONPIPE_TYPE_INTEGER:
        mp_buf_printf(out, "%" PRId64, value->as.integer);
        break;
    case MOONPIPE_TYPE_NUMBER: write_number(out, value->as.number); break;
    case MOONPIPE_TYPE_STRING:
        mp_json_write_text(out, value->as.text, value->length);
        break;
    case MOONPIPE_TYPE_FLOATS: write_floats(out, value); break;
    case MOONPIPE_TYPE_ARRAY:
    case MOONPIPE_TYPE_OBJECT: write_items(out, value, depth + 1); break;
    default: mp_buf_text(out, "null");
    }
}

moonpipe_Value *moonpipe_to_json(const moonpipe_Value *value)
{
    moonpipe_Value *text = NULL;
    mp_Buf out;

    if (!value || value->broken) return NULL;
    mp_buf_init(&out, 0);
    write_value(&out, value, 0);
    if (out.status == MP_OK) text = moonpipe_new_text(out.data, out.len);
    mp_buf_term(&out);
    return text;
}
