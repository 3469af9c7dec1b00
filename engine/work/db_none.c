/* db_none.c: in the place of db_sql.c, db_stmt.c and db_lib.c where SQLite's
 * header was not there at the build: no file can be opened. */
#include "db_sql.h"

#include "db_have.h"

#if !MP_HAVE_SQLITE

mp_Status mp_db_sql_available(mp_Error *err)
{
    return mp_err_set(err, MP_KIND_UNSUPPORTED,
                      "what is stored needs SQLite: install libsqlite3-dev and "
                      "build anew");
}

mp_Status mp_db_sql_open(mp_DbSql **sql, const char *path,
                         const mp_DbWatch *watch, mp_Error *err)
{
    (void)sql, (void)path, (void)watch;
    return mp_db_sql_available(err);
}

void mp_db_sql_close(mp_DbSql *sql)
{
    (void)sql;
}

mp_Status mp_db_sql_format(mp_DbSql *sql, const mp_DbFormat *format,
                           const mp_DbWatch *watch, mp_Error *err)
{
    (void)sql, (void)format, (void)watch;
    return mp_db_sql_available(err);
}

mp_Status mp_db_sql_do(mp_DbSql *sql, const mp_DbWork *work,
                       const mp_DbWatch *watch, mp_Buf *out, mp_Error *err)
{
    (void)sql, (void)work, (void)watch, (void)out;
    return mp_db_sql_available(err);
}

bool mp_db_sql_is_broken(const mp_DbSql *sql)
{
    (void)sql;
    return false;
}

mp_Status mp_db_sql_check_place(mp_DbSql *sql, mp_Error *err)
{
    (void)sql;
    return mp_db_sql_available(err);
}

#endif
