/* pg_stmt.c: see pg_stmt.h. */
#include "pg_stmt.h"

#if MP_HAVE_LIBPQ

#include "alloc.h"
#include "pg_params.h"

#include <arpa/inet.h>
#include <endian.h>
#include <stdlib.h>

typedef struct Answer {
    mp_Buf *out;  /* NULL: the rows are not wanted */
    size_t place; /* in it, of what was changed */
    bool named;   /* the columns are written */
} Answer;

/* --- rows in --- */

static void write_u32(mp_Buf *out, uint32_t value)
{
    mp_buf_append(out, &value, sizeof value);
}

static void write_i64(mp_Buf *out, int64_t value)
{
    mp_buf_append(out, &value, sizeof value);
}

static void write_bytes(mp_Buf *out, char tag, const char *bytes, size_t len)
{
    mp_buf_char(out, tag);
    write_u32(out, (uint32_t)len);
    mp_buf_append(out, bytes, len);
}

static uint32_t read_u32(const char *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return ntohl(value);
}

static uint64_t read_u64(const char *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof value);
    return be64toh(value);
}

static void write_integer(mp_Buf *out, const char *at, size_t len)
{
    int64_t value = *at;

    if (len == 2)
        value = (int16_t)((unsigned char)at[0] << 8 | (unsigned char)at[1]);
    else if (len == 4)
        value = (int32_t)read_u32(at);
    else if (len == 8)
        value = (int64_t)read_u64(at);
    mp_buf_char(out, 'i');
    write_i64(out, value);
}

static void write_number(mp_Buf *out, const char *at, size_t len)
{
    uint32_t bits = len == 4 ? read_u32(at) : 0;
    uint64_t wide = len == 8 ? read_u64(at) : 0;
    float narrow;
    double value;

    memcpy(&narrow, &bits, sizeof narrow);
    memcpy(&value, &wide, sizeof value);
    if (len == 4) value = narrow;
    mp_buf_char(out, 'd');
    mp_buf_append(out, &value, sizeof value);
}

/* As bytes of floats of the machine. A NULL among them, which has no bytes, or
 * more than one dimension is none of ours: nothing is given then. */
static void write_floats(mp_Buf *out, const char *at, size_t len)
{
    size_t count =
        len > MP_PG_ARRAY_HEAD && read_u32(at) == 1 ? read_u32(at + 12) : 0;

    if (len != MP_PG_ARRAY_HEAD + count * MP_PG_ARRAY_STEP) count = 0;
    mp_buf_char(out, 'b');
    write_u32(out, (uint32_t)(count * sizeof(float)));
    for (size_t i = 0; i < count; i++)
        write_u32(out,
                  read_u32(at + MP_PG_ARRAY_HEAD + 4 + i * MP_PG_ARRAY_STEP));
}

static void write_value(mp_Buf *out, Oid type, const char *at, size_t len)
{
    switch (type) {
    case MP_PG_BOOL:
    case MP_PG_INT2:
    case MP_PG_INT4:
    case MP_PG_INT8: write_integer(out, at, len); break;
    case MP_PG_FLOAT4:
    case MP_PG_FLOAT8: write_number(out, at, len); break;
    case MP_PG_FLOAT4_ARRAY: write_floats(out, at, len); break;
    case MP_PG_JSONB: /* a version stands before it */
        write_bytes(out, 't', at + 1, len - 1);
        break;
    default: write_bytes(out, type == MP_PG_BYTEA ? 'b' : 't', at, len);
    }
}

static void write_names(mp_PgLink *link, const PGresult *result, mp_Buf *out)
{
    int count = link->lib->nfields(result);

    write_u32(out, (uint32_t)count);
    for (int i = 0; i < count; i++) {
        const char *name = link->lib->fname(result, i);

        write_u32(out, (uint32_t)strlen(name));
        mp_buf_text(out, name);
    }
}

static void write_row(mp_PgLink *link, const PGresult *result, int row,
                      mp_Buf *out)
{
    const mp_Libpq *lib = link->lib;
    int count = lib->nfields(result);

    mp_buf_char(out, 'r');
    for (int i = 0; i < count; i++) {
        if (lib->getisnull(result, row, i))
            mp_buf_char(out, 'n');
        else
            write_value(out, lib->ftype(result, i),
                        lib->getvalue(result, row, i),
                        (size_t)lib->getlength(result, row, i));
    }
}

static mp_Status write_result(mp_PgLink *link, PGresult *result, Answer *answer,
                              mp_Error *err)
{
    mp_Buf *out = answer->out;
    int64_t changes = strtoll(link->lib->cmdTuples(result), NULL, 10);
    mp_Status status;

    if (!out) return MP_OK;
    if (!answer->named) write_names(link, result, out);
    answer->named = true;
    for (int i = 0; i < link->lib->ntuples(result); i++)
        write_row(link, result, i, out);
    status = mp_buf_check(out, err);
    if (status == -MP_KIND_TOO_LARGE)
        return mp_err_set(err, MP_KIND_TOO_LARGE,
                          "PostgreSQL: the rows are more than %zu bytes",
                          out->max);
    if (status == MP_OK)
        memcpy(out->data + answer->place, &changes, sizeof changes);
    return status;
}

static mp_Status read_result(mp_PgLink *link, PGresult *result, Answer *answer,
                             mp_Error *err)
{
    switch (link->lib->resultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_SINGLE_TUPLE: return write_result(link, result, answer, err);
    case PGRES_EMPTY_QUERY:
        return mp_err_set(err, MP_KIND_INPUT, "PostgreSQL: an empty statement");
    case PGRES_FATAL_ERROR:
    case PGRES_BAD_RESPONSE: return mp_pg_link_refused(link, result, err);
    default: /* such as COPY, which goes on */
        link->broken = true;
        return mp_err_set(err, MP_KIND_UNSUPPORTED,
                          "PostgreSQL: the statement gives no rows");
    }
}

/* To the end, whatever comes first: what is left would be the next one's. Too
 * many rows are not waited for. */
static mp_Status read_all(mp_PgLink *link, Answer *answer, mp_Error *err)
{
    mp_Status status = MP_OK;

    for (;;) {
        mp_Status now = mp_pg_link_settle(link, status == MP_OK ? err : NULL);
        PGresult *result;

        if (now != MP_OK) return status == MP_OK ? now : status;
        result = link->lib->getResult(link->conn);
        if (!result) break;
        if (status == MP_OK) status = read_result(link, result, answer, err);
        link->lib->clear(result);
        if (status == -MP_KIND_TOO_LARGE || status == -MP_KIND_MEMORY)
            link->broken = true;
        if (link->broken) return status;
    }
    return status;
}

/* --- values out --- */

static mp_Status run(mp_PgLink *link, const char *text,
                     const mp_PgParams *params, Answer *answer, mp_Error *err)
{
    mp_Status status;

    if (!link->lib->sendQueryParams(link->conn, text, params->count,
                                    params->types, params->values,
                                    params->lengths, params->formats, 1))
        return mp_pg_link_failed(link, false, err);
    link->lib->setSingleRowMode(link->conn);
    status = mp_pg_link_flush(link, err);
    return status == MP_OK ? read_all(link, answer, err) : status;
}

static mp_Status answer_one(mp_PgLink *link, const char *text,
                            mp_Cursor *cursor, mp_Buf *out, mp_Error *err)
{
    Answer answer = {out, out->len, false};
    mp_PgParams params;
    mp_Status status = mp_pg_params_init(&params, cursor, err);

    if (status != MP_OK) return status;
    write_i64(out, 0);
    write_i64(out, 0);
    status = mp_buf_check(out, err);
    if (status == MP_OK) status = run(link, text, &params, &answer, err);
    mp_pg_params_term(&params);
    if (status != MP_OK) return status;
    mp_buf_char(out, 'e');
    return mp_buf_check(out, err);
}

/* libpq wants a NUL behind the text. */
mp_Status mp_pg_stmt_do(mp_PgLink *link, mp_Cursor *cursor, mp_Buf *out,
                        mp_Error *err)
{
    uint32_t len = mp_cursor_u32(cursor);
    char *text = mp_alloc_copy(mp_cursor_take(cursor, len), len);
    mp_Status status;

    if (!text) return mp_err_memory(err);
    status = answer_one(link, text, cursor, out, err);
    mp_alloc_free(text);
    return status;
}

mp_Status mp_pg_stmt_tell(mp_PgLink *link, const char *text, mp_Error *err)
{
    Answer answer = {NULL, 0, true};
    mp_PgParams none = {0};

    return run(link, text, &none, &answer, err);
}

#endif
