/*
 * pg_link.h: one connection as libpq has it, and waiting for it.
 *
 * libpq never waits here: whatever it wants to read or write is waited for
 * together with a cancel and the time that is left.
 *
 * Threads: the one of the connection.
 */
#ifndef MP_PG_LINK_H
#define MP_PG_LINK_H

#include "pg_conn.h"
#include "pg_lib.h"

#if MP_HAVE_LIBPQ

typedef struct mp_PgLink {
    const mp_Libpq *lib;
    PGconn *conn;
    const mp_PgWatch *watch; /* of what runs */
    bool broken;
} mp_PgLink;

/* Waits until the socket can do one of [events] of poll(2), which are 0 after
 * an error of the socket. `cancelled`, or watch->late; then the link is broken:
 * the server's answer may come at any time. */
mp_Status mp_pg_link_wait(mp_PgLink *link, short events, mp_Error *err);

/* Until all is sent, reading what comes meanwhile. */
mp_Status mp_pg_link_flush(mp_PgLink *link, mp_Error *err);

/* Until PQgetResult does not wait. */
mp_Status mp_pg_link_settle(mp_PgLink *link, mp_Error *err);

/* What libpq says of the connection: while it is made, or after it is lost. */
mp_Status mp_pg_link_failed(mp_PgLink *link, bool connecting, mp_Error *err);

/* What the server says of a statement. */
mp_Status mp_pg_link_refused(mp_PgLink *link, const PGresult *result,
                             mp_Error *err);

#endif
#endif
