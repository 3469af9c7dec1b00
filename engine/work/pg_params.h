/*
 * pg_params.h: the values of a statement, as PostgreSQL's binary form has them.
 *
 * Threads: one owner at a time.
 */
#ifndef MP_PG_PARAMS_H
#define MP_PG_PARAMS_H

#include "buf.h"
#include "cursor.h"
#include "pg_lib.h"

#if MP_HAVE_LIBPQ

/* Its numbers of types; they are the same in every installation. */
enum {
    MP_PG_BOOL = 16,
    MP_PG_BYTEA = 17,
    MP_PG_INT8 = 20,
    MP_PG_INT2 = 21,
    MP_PG_INT4 = 23,
    MP_PG_TEXT = 25,
    MP_PG_FLOAT4 = 700,
    MP_PG_FLOAT8 = 701,
    MP_PG_FLOAT4_ARRAY = 1021,
    MP_PG_JSONB = 3802
};

/* How an array of real begins, in int32: dimensions, whether there are NULLs,
 * the type; then for its only dimension how many, and the first index. Each
 * value has its length before it. */
#define MP_PG_ARRAY_HEAD 20
#define MP_PG_ARRAY_STEP 8

typedef struct mp_PgParams {
    int count;
    Oid *types;
    const char **values;
    int *lengths;
    int *formats;
    mp_Buf cargo; /* what the values point into */
} mp_PgParams;

/* Reads the values at [cursor], and moves it behind. Texts and bytes are
 * borrowed from it. `memory`, `too_large`, and then it is empty. */
mp_Status mp_pg_params_init(mp_PgParams *params, mp_Cursor *cursor,
                            mp_Error *err);

void mp_pg_params_term(mp_PgParams *params);

#endif
#endif
