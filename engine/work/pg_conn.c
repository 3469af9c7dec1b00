/* pg_conn.c: see pg_conn.h. */
#include "pg_conn.h"

#include "pg_lib.h"

#if MP_HAVE_LIBPQ

#include "alloc.h"
#include "pg_link.h"
#include "pg_stmt.h"

#include <poll.h>
#include <sys/socket.h>

/* The server looks whether we are still there while it works for us. */
#define LOOKS_FROM 140000 /* its version */
#define LOOK_AFTER "SET client_connection_check_interval = '100ms'"

struct mp_PgConn {
    mp_PgLink link;
};

/* --- open and close --- */

/* Its own words may hold a password. */
mp_Status mp_pg_conn_check(const char *info, mp_Error *err)
{
    const mp_Libpq *lib = mp_pg_lib(err);
    PQconninfoOption *options;
    char *message = NULL;

    if (!lib) return -(mp_Status)err->kind;
    options = lib->conninfoParse(info, &message);
    if (message) lib->freemem(message);
    if (!options)
        return mp_err_set(err, MP_KIND_CONFIG,
                          "the connection is not as PostgreSQL wants it: "
                          "postgresql://user:password@host:5432/database");
    lib->conninfoFree(options);
    return MP_OK;
}

/* It would write them to stderr. */
static void ignore_notice(void *userdata, const PGresult *result)
{
    (void)userdata, (void)result;
}

static PGconn *begin(const mp_Libpq *lib, const char *info)
{
    const char *const names[] = {"dbname", "client_encoding",
                                 "fallback_application_name", NULL};
    const char *const values[] = {info, "UTF8", "moonpipe", NULL};
    PGconn *conn = lib->connectStartParams(names, values, 1);

    if (!conn) return NULL;
    lib->setErrorVerbosity(conn, PQERRORS_VERBOSE);
    lib->setNoticeReceiver(conn, ignore_notice, NULL);
    return conn;
}

static mp_Status shake_hands(mp_PgLink *link, mp_Error *err)
{
    PostgresPollingStatusType step = PGRES_POLLING_WRITING;

    if (link->lib->status(link->conn) == CONNECTION_BAD)
        return mp_pg_link_failed(link, true, err);
    while (step != PGRES_POLLING_OK) {
        short events = step == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        mp_Status status = mp_pg_link_wait(link, events, err);

        if (status != MP_OK) return status;
        step = link->lib->connectPoll(link->conn);
        if (step == PGRES_POLLING_FAILED)
            return mp_pg_link_failed(link, true, err);
    }
    if (link->lib->setnonblocking(link->conn, 1) != 0)
        return mp_pg_link_failed(link, true, err);
    if (link->lib->serverVersion(link->conn) < LOOKS_FROM) return MP_OK;
    return mp_pg_stmt_tell(link, LOOK_AFTER, err);
}

mp_Status mp_pg_conn_open(mp_PgConn **out, const char *info,
                          const mp_PgWatch *watch, mp_Error *err)
{
    const mp_Libpq *lib = mp_pg_lib(err);
    mp_PgConn *self = lib ? mp_alloc_zero(1, sizeof *self) : NULL;
    mp_Status status;

    if (!lib) return -(mp_Status)err->kind;
    if (!self) return mp_err_memory(err);
    self->link.lib = lib;
    self->link.watch = watch;
    self->link.conn = begin(lib, info);
    status =
        self->link.conn ? shake_hands(&self->link, err) : mp_err_memory(err);
    self->link.watch = NULL;
    if (status == MP_OK)
        *out = self;
    else
        mp_pg_conn_close(self);
    return status;
}

/* A forked child may hold the socket too: closing it would not tell the server.
 */
void mp_pg_conn_close(mp_PgConn *self)
{
    if (!self) return;
    if (self->link.broken && self->link.conn) {
        int fd = self->link.lib->socket(self->link.conn);

        if (fd >= 0) shutdown(fd, SHUT_RDWR);
    }
    self->link.lib->finish(self->link.conn); /* NULL is fine */
    mp_alloc_free(self);
}

bool mp_pg_conn_is_broken(const mp_PgConn *self)
{
    return self->link.broken;
}

/* A server that goes away says so, or closes. */
bool mp_pg_conn_lives(mp_PgConn *self)
{
    const mp_Libpq *lib = self->link.lib;
    struct pollfd fd = {lib->socket(self->link.conn), POLLIN, 0};

    if (poll(&fd, 1, 0) > 0) {
        if (!lib->consumeInput(self->link.conn)) self->link.broken = true;
        while (!self->link.broken && !lib->isBusy(self->link.conn)) {
            PGresult *result = lib->getResult(self->link.conn);

            if (!result) break;
            lib->clear(result);
        }
        if (lib->status(self->link.conn) != CONNECTION_OK)
            self->link.broken = true;
        if (poll(&fd, 1, 0) > 0) self->link.broken = true;
    }
    return !self->link.broken;
}

/* --- work --- */

static bool is_idle(mp_PgLink *link)
{
    return link->lib->transactionStatus(link->conn) == PQTRANS_IDLE;
}

static mp_Status do_all(mp_PgLink *link, const mp_PgWork *work, mp_Buf *out,
                        mp_Error *err)
{
    mp_Cursor cursor = {work->statements, work->statements + work->len};
    mp_Status status = MP_OK;

    while (status == MP_OK && cursor.at < cursor.end) {
        status = mp_pg_stmt_do(link, &cursor, out, err);
        if (status == MP_OK && is_idle(link) == work->atomic)
            status = mp_err_set(err, MP_KIND_INPUT,
                                "PostgreSQL: a statement may not begin or end "
                                "a transaction");
    }
    return status;
}

static mp_Status work_through(mp_PgLink *link, const mp_PgWork *work,
                              mp_Buf *out, mp_Error *err)
{
    mp_Status status = MP_OK;

    if (work->atomic) status = mp_pg_stmt_tell(link, "BEGIN", err);
    if (status == MP_OK) status = do_all(link, work, out, err);
    if (status == MP_OK && work->atomic)
        status = mp_pg_stmt_tell(link, "COMMIT", err);
    return status;
}

/* What is not good for another job is closed. */
static void tidy(mp_PgLink *link)
{
    if (!link->broken && !is_idle(link) &&
        mp_pg_stmt_tell(link, "ROLLBACK", NULL) != MP_OK)
        link->broken = true;
    if (link->lib->status(link->conn) != CONNECTION_OK || !is_idle(link))
        link->broken = true;
}

mp_Status mp_pg_conn_do(mp_PgConn *self, const mp_PgWork *work,
                        const mp_PgWatch *watch, mp_Buf *out, mp_Error *err)
{
    mp_Status status;

    self->link.watch = watch;
    status = work_through(&self->link, work, out, err);
    if (status == -MP_KIND_RESET) self->link.broken = true;
    tidy(&self->link);
    self->link.watch = NULL;
    return status;
}

#endif
