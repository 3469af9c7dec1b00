/* pg_params.c: see pg_params.h. */
#include "pg_params.h"

#if MP_HAVE_LIBPQ

#include "alloc.h"

#include <arpa/inet.h>
#include <endian.h>

/* Of one in the cargo, which may move as it grows, the place is kept. */
typedef struct Param {
    Oid type;
    const char *bytes;
    bool in_cargo;
    size_t place;
    size_t len;
} Param;

static void write_u32(mp_Buf *out, uint32_t value)
{
    value = htonl(value);
    mp_buf_append(out, &value, sizeof value);
}

/* An int64 or a double: eight bytes of the machine at [from]. */
static void write_u64(mp_Buf *out, const char *from)
{
    uint64_t value;

    memcpy(&value, from, sizeof value);
    value = htobe64(value);
    mp_buf_append(out, &value, sizeof value);
}

static uint32_t float_bits(const char *floats, uint32_t i)
{
    uint32_t bits;

    memcpy(&bits, floats + i * sizeof bits, sizeof bits);
    return bits;
}

static void write_array(mp_Buf *out, const char *floats, uint32_t count)
{
    write_u32(out, count > 0);
    write_u32(out, 0);
    write_u32(out, MP_PG_FLOAT4);
    if (count == 0) return;
    write_u32(out, count);
    write_u32(out, 1);
    mp_buf_reserve(out, (size_t)count * MP_PG_ARRAY_STEP);
    for (uint32_t i = 0; i < count; i++) {
        write_u32(out, sizeof(float));
        write_u32(out, float_bits(floats, i));
    }
}

static Param borrowed(mp_Cursor *cursor, Oid type)
{
    uint32_t len = mp_cursor_u32(cursor);

    return (Param){
        .type = type, .bytes = mp_cursor_take(cursor, len), .len = len};
}

static Param in_cargo(const mp_Buf *cargo, size_t place, Oid type)
{
    return (Param){.type = type,
                   .in_cargo = true,
                   .place = place,
                   .len = cargo->len - place};
}

static Param read_floats(mp_Cursor *cursor, mp_Buf *cargo)
{
    size_t place = cargo->len;
    uint32_t count = mp_cursor_u32(cursor);
    const char *floats = mp_cursor_take(cursor, count * sizeof(float));

    write_array(cargo, floats, count);
    return in_cargo(cargo, place, MP_PG_FLOAT4_ARRAY);
}

static Param read_number(mp_Cursor *cursor, mp_Buf *cargo, Oid type)
{
    size_t place = cargo->len;

    write_u64(cargo, mp_cursor_take(cursor, sizeof(uint64_t)));
    return in_cargo(cargo, place, type);
}

static Param read_param(mp_Cursor *cursor, mp_Buf *cargo)
{
    switch (*mp_cursor_take(cursor, 1)) {
    case 'i': return read_number(cursor, cargo, MP_PG_INT8);
    case 'd': return read_number(cursor, cargo, MP_PG_FLOAT8);
    case 't': return borrowed(cursor, MP_PG_TEXT);
    case 'b': return borrowed(cursor, MP_PG_BYTEA);
    case 'f': return read_floats(cursor, cargo);
    default: return (Param){.bytes = NULL};
    }
}

static void place_all(mp_PgParams *params, const Param *list)
{
    for (int i = 0; i < params->count; i++) {
        const Param *one = &list[i];

        params->types[i] = one->type;
        params->values[i] =
            one->in_cargo ? params->cargo.data + one->place : one->bytes;
        params->lengths[i] = (int)one->len;
        params->formats[i] = 1;
    }
}

static mp_Status read_all(mp_PgParams *params, Param *list, mp_Cursor *cursor,
                          mp_Error *err)
{
    mp_Status status;

    for (int i = 0; i < params->count; i++)
        list[i] = read_param(cursor, &params->cargo);
    status = mp_buf_check(&params->cargo, err);
    if (status == MP_OK) place_all(params, list);
    return status;
}

static bool make_room(mp_PgParams *params, size_t count)
{
    params->types = mp_alloc_zero(count, sizeof *params->types);
    params->values = mp_alloc_zero(count, sizeof *params->values);
    params->lengths = mp_alloc_zero(count, sizeof *params->lengths);
    params->formats = mp_alloc_zero(count, sizeof *params->formats);
    return params->types && params->values && params->lengths &&
           params->formats;
}

mp_Status mp_pg_params_init(mp_PgParams *params, mp_Cursor *cursor,
                            mp_Error *err)
{
    uint32_t count = mp_cursor_u32(cursor);
    mp_Status status = MP_OK;
    Param *list;

    *params = (mp_PgParams){.count = (int)count};
    mp_buf_init(&params->cargo, SIZE_MAX / 2);
    if (count == 0) return MP_OK;
    list = mp_alloc_zero(count, sizeof *list);
    if (list && make_room(params, count))
        status = read_all(params, list, cursor, err);
    else
        status = mp_err_memory(err);
    mp_alloc_free(list);
    if (status != MP_OK) mp_pg_params_term(params);
    return status;
}

void mp_pg_params_term(mp_PgParams *params)
{
    mp_alloc_free(params->types);
    mp_alloc_free(params->values);
    mp_alloc_free(params->lengths);
    mp_alloc_free(params->formats);
    mp_buf_term(&params->cargo);
    *params = (mp_PgParams){0};
}

#endif
