/*
 * embed.c: see embed.h.
 *
 * A sink of the JSON decoder that knows six places in the answer and reads
 * over all others. Rows are kept as they come and brought into the order of
 * their indices at the end, in place; nearly always nothing has to move.
 */
#include "embed.h"

#include "alloc.h"
#include "base64.h"

#include <math.h>
#include <string.h>

/* A body within its limit cannot hold more: a value of 4 bytes stands for at
 * least two characters. */
#define VALUES_MAX (2 * MP_BUF_MAX)

/* 2^53: counts beyond it are no counts. */
#define MAX_USAGE 9007199254740992.0

typedef enum Place { OUTSIDE, ROOT, DATA, ITEM, VECTOR, USAGE } Place;

typedef enum Key {
    OTHER_KEY,
    DATA_KEY,
    LIST_KEY,
    USAGE_KEY,
    INDEX_KEY,
    EMBEDDING_KEY,
    PROMPT_KEY,
    TOTAL_KEY
} Key;

static const struct {
    Place place;
    Key key;
    const char *name;
} keys[] = {
    {ROOT, DATA_KEY, "data"},
    {ROOT, LIST_KEY, "embeddings"},
    {ROOT, USAGE_KEY, "usage"},
    {ITEM, INDEX_KEY, "index"},
    {ITEM, EMBEDDING_KEY, "embedding"},
    {ITEM, EMBEDDING_KEY, "values"},
    {USAGE, PROMPT_KEY, "prompt_tokens"},
    {USAGE, TOTAL_KEY, "total_tokens"},
};

static const Place parents[] = {OUTSIDE, OUTSIDE, ROOT, DATA, ITEM, ROOT};

static Key key_of(Place place, const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i].place == place && strlen(keys[i].name) == len &&
            memcmp(keys[i].name, name, len) == 0)
            return keys[i].key;
    return OTHER_KEY;
}

#define REFUSE(err, ...) mp_err_set(err, MP_KIND_DECODE, __VA_ARGS__)

/* The list in which the rows stand, for messages. */
static const char *list_of(const mp_Embed *embed)
{
    return embed->ordered ? "embeddings" : "data";
}

/* --- rows ------------------------------------------------------------------
 */

static size_t row_len(const mp_Embed *embed)
{
    return (embed->values.len - embed->row_start) / sizeof(float);
}

static mp_Status refuse_value(const mp_Embed *embed, size_t at, mp_Error *err)
{
    return REFUSE(err, "%s[%zu].embedding[%zu] is no finite float32",
                  list_of(embed), embed->rows, at);
}

static mp_Status add_number(mp_Embed *embed, double number, mp_Error *err)
{
    float value = (float)number;

    if (!isfinite(value)) return refuse_value(embed, row_len(embed), err);
    mp_buf_append(&embed->values, &value, sizeof value);
    return mp_buf_check(&embed->values, err);
}

/* Turns [count] little-endian float32 into the machine's own, in place. */
static mp_Status read_floats(const mp_Embed *embed, char *bytes, size_t count,
                             mp_Error *err)
{
    for (size_t i = 0; i < count; i++, bytes += sizeof(float)) {
        const unsigned char *at = (const unsigned char *)bytes;
        uint32_t bits = (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 |
                        (uint32_t)at[1] << 8 | (uint32_t)at[0];

        if ((bits & 0x7f800000u) == 0x7f800000u)
            return refuse_value(embed, i, err);
        memcpy(bytes, &bits, sizeof bits);
    }
    return MP_OK;
}

static mp_Status add_base64(mp_Embed *embed, const char *text, size_t len,
                            mp_Error *err)
{
    mp_Buf *values = &embed->values;
    mp_Error why;
    size_t used;
    char *room;

    mp_buf_reserve(values, MP_BASE64_ROOM(len));
    if (values->status != MP_OK) return mp_buf_check(values, err);
    room = values->data + values->len;
    if (mp_base64_decode(text, len, room, &used, &why) != MP_OK)
        return REFUSE(err, "%s[%zu].embedding: %s", list_of(embed), embed->rows,
                      why.message);
    if (used % sizeof(float) != 0)
        return REFUSE(err, "%s[%zu].embedding has %zu bytes, no float32s",
                      list_of(embed), embed->rows, used);
    values->len += used;
    return read_floats(embed, room, used / sizeof(float), err);
}

static mp_Status begin_row(mp_Embed *embed, mp_Error *err)
{
    if (embed->has_row)
        return REFUSE(err, "%s[%zu] has two embeddings", list_of(embed),
                      embed->rows);
    embed->has_row = true;
    embed->row_start = embed->values.len;
    return MP_OK;
}

static mp_Status read_index(mp_Embed *embed, const mp_JsonEvent *event,
                            mp_Error *err)
{
    double number = event->kind == MP_JSON_NUMBER ? event->number : -1;

    if (!(number >= 0 && number < (double)embed->expected) ||
        number != floor(number))
        return REFUSE(err, "%s[%zu].index is no integer from 0 to %zu",
                      list_of(embed), embed->rows, embed->expected - 1);
    embed->index = (size_t)number;
    embed->has_index = true;
    return MP_OK;
}

/* --- items -----------------------------------------------------------------
 */

static mp_Status begin_data(mp_Embed *embed, mp_Error *err)
{
    if (embed->slots) return REFUSE(err, "the answer has two 'data'");
    embed->slots = mp_alloc_zero(embed->expected, sizeof *embed->slots);
    return embed->slots ? MP_OK : mp_err_memory(err);
}

static mp_Status begin_item(mp_Embed *embed, mp_Error *err)
{
    if (embed->rows == embed->expected)
        return REFUSE(err, "the answer has more embeddings than texts (%zu)",
                      embed->expected);
    embed->has_row = embed->has_index = false;
    return MP_OK;
}

static mp_Status check_dim(mp_Embed *embed, mp_Error *err)
{
    size_t dim = row_len(embed);

    if (dim == 0)
        return REFUSE(err, "%s[%zu].embedding is empty", list_of(embed),
                      embed->rows);
    if (embed->dim == 0) embed->dim = dim;
    if (dim == embed->dim) return MP_OK;
    return REFUSE(err, "%s[%zu].embedding has %zu numbers, the first one %zu",
                  list_of(embed), embed->rows, dim, embed->dim);
}

static mp_Status end_item(mp_Embed *embed, mp_Error *err)
{
    mp_Status status;

    if (!embed->has_row)
        return REFUSE(err, "%s[%zu] has no 'embedding'", list_of(embed),
                      embed->rows);
    if (embed->ordered) embed->index = embed->rows;
    if (!embed->has_index && !embed->ordered)
        return REFUSE(err, "%s[%zu] has no 'index'", list_of(embed),
                      embed->rows);
    status = check_dim(embed, err);
    if (status != MP_OK) return status;
    if (embed->slots[embed->index].taken)
        return REFUSE(err, "%s[%zu] has the index %zu of an earlier one",
                      list_of(embed), embed->rows, embed->index);
    embed->slots[embed->index].taken = true;
    embed->slots[embed->rows++].index = embed->index;
    return MP_OK;
}

/* --- events ----------------------------------------------------------------
 */

static mp_Status misplaced(const mp_Embed *embed, mp_Error *err)
{
    switch ((Place)embed->place) {
    case OUTSIDE: return REFUSE(err, "expected an object");
    case ROOT: return REFUSE(err, "'%s' is no array", list_of(embed));
    case DATA:
        return REFUSE(err, "%s[%zu] is no object", list_of(embed), embed->rows);
    case ITEM:
        return REFUSE(err, "%s[%zu].embedding is neither text nor an array",
                      list_of(embed), embed->rows);
    default: return refuse_value(embed, row_len(embed), err);
    }
}

static bool is_list(uint8_t key)
{
    return key == DATA_KEY || key == LIST_KEY;
}

/* Which place a container opens, or OUTSIDE where it is of no interest. */
static Place entered(const mp_Embed *embed, bool object)
{
    switch ((Place)embed->place) {
    case OUTSIDE: return object ? ROOT : OUTSIDE;
    case ROOT:
        if (is_list(embed->key) && !object) return DATA;
        return embed->key == USAGE_KEY && object ? USAGE : OUTSIDE;
    case DATA:
        if (object) return ITEM;
        return embed->ordered ? VECTOR : OUTSIDE;
    case ITEM: return embed->key == EMBEDDING_KEY && !object ? VECTOR : OUTSIDE;
    default: return OUTSIDE;
    }
}

/* Whether a value of the wrong kind is an error where it stands. */
static bool matters(const mp_Embed *embed)
{
    return embed->place == OUTSIDE || embed->place == DATA ||
           embed->place == VECTOR || is_list(embed->key) ||
           embed->key == EMBEDDING_KEY;
}

/* One that stands in the list itself is an item too. */
static mp_Status begin_vector(mp_Embed *embed, mp_Error *err)
{
    mp_Status status = embed->bare ? begin_item(embed, err) : MP_OK;

    return status == MP_OK ? begin_row(embed, err) : status;
}

static mp_Status begin(mp_Embed *embed, bool object, mp_Error *err)
{
    Place place = entered(embed, object);

    if (place == OUTSIDE && embed->key == INDEX_KEY)
        return read_index(embed, &(mp_JsonEvent){.kind = MP_JSON_NULL}, err);
    if (place == OUTSIDE && matters(embed)) return misplaced(embed, err);
    if (place == OUTSIDE) {
        embed->skipping = 1;
        return MP_OK;
    }
    embed->bare = place == VECTOR && embed->place == DATA;
    embed->place = (uint8_t)place;
    embed->key = OTHER_KEY;
    if (place == DATA) return begin_data(embed, err);
    if (place == ITEM) return begin_item(embed, err);
    if (place == VECTOR) return begin_vector(embed, err);
    return MP_OK;
}

static mp_Status end(mp_Embed *embed, mp_Error *err)
{
    Place place = embed->place;

    if (place == VECTOR && embed->bare) place = ITEM;
    embed->place = (uint8_t)parents[place];
    embed->key = OTHER_KEY;
    return place == ITEM ? end_item(embed, err) : MP_OK;
}

static void read_usage(int64_t *usage, const mp_JsonEvent *event)
{
    if (event->kind == MP_JSON_NUMBER && event->number >= 0 &&
        event->number <= MAX_USAGE)
        *usage = (int64_t)event->number;
}

static mp_Status scalar(mp_Embed *embed, const mp_JsonEvent *event,
                        mp_Error *err)
{
    mp_Status status;

    if (embed->place == VECTOR && event->kind == MP_JSON_NUMBER)
        return add_number(embed, event->number, err);
    switch ((Key)embed->key) {
    case INDEX_KEY: return read_index(embed, event, err);
    case EMBEDDING_KEY:
        if (event->kind != MP_JSON_STRING) break;
        status = begin_row(embed, err);
        if (status != MP_OK) return status;
        return add_base64(embed, event->text, event->len, err);
    case PROMPT_KEY: read_usage(&embed->usage.prompt_tokens, event); break;
    case TOTAL_KEY: read_usage(&embed->usage.total_tokens, event); break;
    default: break;
    }
    return matters(embed) ? misplaced(embed, err) : MP_OK;
}

/* Follows the containers of what is read over. */
static void skip(mp_Embed *embed, mp_JsonKind kind)
{
    if (kind == MP_JSON_BEGIN_ARRAY || kind == MP_JSON_BEGIN_OBJECT)
        embed->skipping++;
    if (kind == MP_JSON_END_ARRAY || kind == MP_JSON_END_OBJECT)
        embed->skipping--;
}

static mp_Status take_event(void *userdata, const mp_JsonEvent *event,
                            mp_Error *err)
{
    mp_Embed *embed = userdata;

    if (embed->skipping > 0) {
        skip(embed, event->kind);
        return MP_OK;
    }
    switch (event->kind) {
    case MP_JSON_KEY:
        embed->key = (uint8_t)key_of(embed->place, event->text, event->len);
        if (embed->key == LIST_KEY) embed->ordered = true;
        return MP_OK;
    case MP_JSON_BEGIN_ARRAY: return begin(embed, false, err);
    case MP_JSON_BEGIN_OBJECT: return begin(embed, true, err);
    case MP_JSON_END_ARRAY:
    case MP_JSON_END_OBJECT: return end(embed, err);
    default: return scalar(embed, event, err);
    }
}

/* --- the end ---------------------------------------------------------------
 */

static void swap_rows(float *a, float *b, size_t dim)
{
    for (size_t i = 0; i < dim; i++) {
        float value = a[i];

        a[i] = b[i];
        b[i] = value;
    }
}

/* Each swap brings one row to its place. */
static void sort_rows(mp_Embed *embed)
{
    float *values = (float *)(void *)embed->values.data;
    mp_EmbedSlot *slots = embed->slots;
    size_t dim = embed->dim;

    for (size_t at = 0; at < embed->rows; at++) {
        while (slots[at].index != at) {
            size_t to = slots[at].index;

            swap_rows(values + at * dim, values + to * dim, dim);
            slots[at].index = slots[to].index;
            slots[to].index = to;
        }
    }
}

static mp_Status check_rows(const mp_Embed *embed, mp_Error *err)
{
    size_t index = 0;

    if (!embed->slots)
        return REFUSE(err, "the answer has no '%s'", list_of(embed));
    if (embed->rows == embed->expected) return MP_OK;
    while (embed->slots[index].taken)
        index++;
    return REFUSE(err,
                  "the answer has no embedding with index %zu (%zu of %zu)",
                  index, embed->rows, embed->expected);
}

/* Gives back the room that the buffer has too much. */
static mp_Status take_rows(mp_Embed *embed, mp_Floats *out, mp_Error *err)
{
    size_t len;
    char *data = mp_buf_take(&embed->values, &len);
    float *values = mp_alloc_resize(data, len);

    if (!values) {
        mp_alloc_free(data);
        return mp_err_memory(err);
    }
    *out = (mp_Floats){values, embed->rows, embed->dim};
    return MP_OK;
}

void mp_embed_init(mp_Embed *embed, size_t expected)
{
    memset(embed, 0, sizeof *embed);
    mp_json_init(&embed->json, take_event, embed, false, 0);
    mp_buf_init(&embed->values, VALUES_MAX);
    embed->expected = expected;
    embed->usage = (mp_Usage){-1, -1};
}

void mp_embed_term(mp_Embed *embed)
{
    mp_json_term(&embed->json);
    mp_buf_term(&embed->values);
    mp_alloc_free(embed->slots);
    embed->slots = NULL;
}

mp_Status mp_embed_feed(mp_Embed *embed, const char *bytes, size_t len,
                        mp_Error *err)
{
    return mp_json_feed(&embed->json, bytes, len, err);
}

mp_Status mp_embed_finish(mp_Embed *embed, mp_Floats *out, mp_Error *err)
{
    mp_Status status = mp_json_finish(&embed->json, err);

    if (status == MP_OK) status = check_rows(embed, err);
    if (status != MP_OK) return status;
    sort_rows(embed);
    return take_rows(embed, out, err);
}

mp_Status mp_embed_decode(const char *bytes, size_t len, size_t expected,
                          mp_Floats *out, mp_Usage *usage, mp_Error *err)
{
    mp_Embed embed;
    mp_Status status;

    *out = (mp_Floats){NULL, 0, 0};
    mp_embed_init(&embed, expected);
    status = mp_embed_feed(&embed, bytes, len, err);
    if (status == MP_OK) status = mp_embed_finish(&embed, out, err);
    if (usage) *usage = embed.usage;
    mp_embed_term(&embed);
    return status;
}
