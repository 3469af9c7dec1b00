/*
 * db_stmt.h: statements of one connection: prepared once, kept, fed, read.
 *
 * Threads: the one of the connection.
 */
#ifndef MP_DB_STMT_H
#define MP_DB_STMT_H

#include "buf.h"
#include "cursor.h"
#include "db_lib.h"

#include <stdbool.h>
#include <stdint.h>

#if MP_HAVE_SQLITE

#define MP_DB_STMTS 32 /* as many are kept prepared, the last used */

typedef struct mp_DbStmt {
    char *text; /* NULL: a free place */
    size_t len;
    sqlite3_stmt *stmt;
    uint64_t used; /* the greater, the later */
} mp_DbStmt;

typedef struct mp_DbStmts {
    const mp_Sqlite *lib;
    sqlite3 *conn;
    const char *path; /* borrowed: for messages */
    uint64_t uses;
    mp_DbStmt kept[MP_DB_STMTS];
} mp_DbStmts;

/* Does the statement at [cursor], and moves it behind; appends its answer to
 * [out]. */
mp_Status mp_db_stmt_do(mp_DbStmts *self, mp_Cursor *cursor, mp_Buf *out,
                        mp_Error *err);

/* The same for a text of ours, without values; the first column of its first
 * row goes to [value], 0 where there is none. */
mp_Status mp_db_stmt_ask(mp_DbStmts *self, const char *text, int64_t *value,
                         mp_Error *err);

/* Gives all statements back: before the connection is closed. */
void mp_db_stmt_term(mp_DbStmts *self);

/* The error of result code [rc], about [text] (NULL: about the file). */
mp_Status mp_db_stmt_error(mp_DbStmts *self, int rc, const char *text,
                           size_t len, mp_Error *err);

#endif
#endif
