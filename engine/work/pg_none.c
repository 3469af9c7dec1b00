/* pg_none.c: in the place of pg_conn.c where libpq's header was not there at
 * the build: no connection can be made. */
#include "pg_conn.h"

#include "pg_lib.h"

#if !MP_HAVE_LIBPQ

mp_Status mp_pg_conn_check(const char *info, mp_Error *err)
{
    (void)info;
    return mp_err_set(err, MP_KIND_UNSUPPORTED,
                      "PostgreSQL needs libpq: install libpq-dev and build "
                      "anew");
}

mp_Status mp_pg_conn_open(mp_PgConn **conn, const char *info,
                          const mp_PgWatch *watch, mp_Error *err)
{
    (void)conn, (void)watch;
    return mp_pg_conn_check(info, err);
}

void mp_pg_conn_close(mp_PgConn *conn)
{
    (void)conn;
}

bool mp_pg_conn_lives(mp_PgConn *conn)
{
    (void)conn;
    return false;
}

mp_Status mp_pg_conn_do(mp_PgConn *conn, const mp_PgWork *work,
                        const mp_PgWatch *watch, mp_Buf *out, mp_Error *err)
{
    (void)conn, (void)work, (void)watch, (void)out;
    return mp_pg_conn_check("", err);
}

bool mp_pg_conn_is_broken(const mp_PgConn *conn)
{
    (void)conn;
    return true;
}

#endif
