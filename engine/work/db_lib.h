/*
 * db_lib.h: SQLite, opened at first use.
 *
 * Its functions are reached through a table, filled by one dlopen when the
 * first file is opened: a program that stores nothing does not pay for it.
 *
 * In a forked child it is closed and opened anew: SQLite keeps the locks of
 * all open files in its own variables, and the parent's are not the child's.
 *
 * Threads: any.
 */
#ifndef MP_DB_LIB_H
#define MP_DB_LIB_H

#include "db_have.h"
#include "err.h"

#if MP_HAVE_SQLITE

#include <sqlite3.h>

#define MP_SQLITE_FUNCTIONS(X)                                                 \
    X(bind_blob64)                                                             \
    X(bind_double)                                                             \
    X(bind_int64)                                                              \
    X(bind_null)                                                               \
    X(bind_parameter_count)                                                    \
    X(bind_text64)                                                             \
    X(busy_handler)                                                            \
    X(changes)                                                                 \
    X(clear_bindings)                                                          \
    X(close)                                                                   \
    X(column_blob)                                                             \
    X(column_bytes)                                                            \
    X(column_count)                                                            \
    X(column_double)                                                           \
    X(column_int64)                                                            \
    X(column_name)                                                             \
    X(column_text)                                                             \
    X(column_type)                                                             \
    X(db_config)                                                               \
    X(errmsg)                                                                  \
    X(errstr)                                                                  \
    X(exec)                                                                    \
    X(extended_result_codes)                                                   \
    X(file_control)                                                            \
    X(finalize)                                                                \
    X(get_autocommit)                                                          \
    X(last_insert_rowid)                                                       \
    X(open_v2)                                                                 \
    X(prepare_v3)                                                              \
    X(progress_handler)                                                        \
    X(reset)                                                                   \
    X(step)                                                                    \
    X(system_errno)                                                            \
    X(threadsafe)                                                              \
    X(total_changes)

typedef struct mp_Sqlite {
#define MP_SQLITE_MEMBER(name) __typeof__(sqlite3_##name) *name;
    MP_SQLITE_FUNCTIONS(MP_SQLITE_MEMBER)
#undef MP_SQLITE_MEMBER
} mp_Sqlite;

/* The functions of SQLite, or NULL with kind `unsupported`: not installed or
 * too old; `closed` in a forked child whose host uses SQLite too, so that it
 * cannot be loaded anew. */
const mp_Sqlite *mp_db_lib(mp_Error *err);

#endif
#endif
