/*
 * db_sql.h: the connection of a file: how it is opened, checked and used.
 *
 * The one place besides db_stmt.c that speaks to SQLite. A connection that
 * broke (a damaged file, a failing disk, a file that was moved away) is of no
 * more use: close it and open another.
 *
 * A cancel is asked for every few hundred steps of SQLite's machine, and while
 * it waits for another process. It is not sqlite3_interrupt: that may strike
 * between two statements, and is forgotten there.
 *
 * Threads: one, the file's.
 */
#ifndef MP_DB_SQL_H
#define MP_DB_SQL_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MP_DB_MEMORY ":memory:" /* of SQLite: no file, and nobody shares it */

typedef struct mp_DbSql mp_DbSql;

/* Who waits for what is done. */
typedef struct mp_DbWatch {
    bool (*cancelled)(void *userdata);
    void (*sleep)(void *userdata, int64_t us); /* a cancel wakes it */
    void *userdata;
    int64_t busy_us; /* how long to wait for another process */
} mp_DbWatch;

/* What a file must be: see mp_DbOptions. */
typedef struct mp_DbFormat {
    int32_t application_id;
    size_t step_count;
    const char *steps;
} mp_DbFormat;

typedef struct mp_DbWork {
    const char *statements;
    size_t len;
    bool atomic;
    bool normal;
} mp_DbWork;

/* Opens the file, and makes it, readable for its owner alone, where it is not
 * there. [path] is borrowed until mp_db_sql_close. */
mp_Status mp_db_sql_open(mp_DbSql **sql, const char *path,
                         const mp_DbWatch *watch, mp_Error *err);

/* Closes; NULL is fine. */
void mp_db_sql_close(mp_DbSql *sql);

/* Makes sure that the file is of [format], and steps it up where it is older.
 */
mp_Status mp_db_sql_format(mp_DbSql *sql, const mp_DbFormat *format,
                           const mp_DbWatch *watch, mp_Error *err);

/* Does all of [work], or nothing where it is atomic. The answer goes to [out].
 */
mp_Status mp_db_sql_do(mp_DbSql *sql, const mp_DbWork *work,
                       const mp_DbWatch *watch, mp_Buf *out, mp_Error *err);

/* Whether it must be closed. */
bool mp_db_sql_is_broken(const mp_DbSql *sql);

/* `io` if the file was moved or deleted since it was opened: what would be
 * written now, nobody would find. Then it is broken. */
mp_Status mp_db_sql_check_place(mp_DbSql *sql, mp_Error *err);

/* Whether SQLite can be had at all: `unsupported`. */
mp_Status mp_db_sql_available(mp_Error *err);

#endif
