/*
 * pg_stmt.h: one statement of a connection: its values out, its rows in.
 *
 * All values are bound, and all of them and all columns are in PostgreSQL's
 * binary form: nothing is quoted, and no digit is lost.
 *
 * Threads: the one of the connection.
 */
#ifndef MP_PG_STMT_H
#define MP_PG_STMT_H

#include "cursor.h"
#include "pg_link.h"

#if MP_HAVE_LIBPQ

/* Does the statement at [cursor], and moves it behind; appends its answer to
 * [out]. */
mp_Status mp_pg_stmt_do(mp_PgLink *link, mp_Cursor *cursor, mp_Buf *out,
                        mp_Error *err);

/* The same for a text of ours without values, whose rows are not wanted. */
mp_Status mp_pg_stmt_tell(mp_PgLink *link, const char *text, mp_Error *err);

#endif
#endif
