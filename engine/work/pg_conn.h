/*
 * pg_conn.h: a connection to PostgreSQL: made, used, closed; by one thread,
 * which never waits longer than it may.
 *
 * A cancel, or a time that is over, closes the connection, whatever it is at:
 * nothing is waited for then, and the server, which looks after it every
 * tenth of a second (from version 14 on), gives up what it does.
 *
 * Threads: one, that of the connection.
 */
#ifndef MP_PG_CONN_H
#define MP_PG_CONN_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mp_PgConn mp_PgConn;

/* Who waits for what is done. */
typedef struct mp_PgWatch {
    bool (*cancelled)(void *userdata);
    void *userdata;
    int waker;        /* of os.h: readable after a cancel */
    int64_t until_us; /* of clock.h */
    mp_Kind late;     /* what it is when that is over */
} mp_PgWatch;

typedef struct mp_PgWork {
    const char *statements; /* as db.h says */
    size_t len;
    bool atomic;
} mp_PgWork;

/* `unsupported` without libpq; `config` if [info] is no connection string. */
mp_Status mp_pg_conn_check(const char *info, mp_Error *err);

/* Connects as the connection string [info] says. */
mp_Status mp_pg_conn_open(mp_PgConn **conn, const char *info,
                          const mp_PgWatch *watch, mp_Error *err);

/* Closes without waiting; NULL is fine. */
void mp_pg_conn_close(mp_PgConn *conn);

/* Of one that did nothing for a while: whether the server still holds it. */
bool mp_pg_conn_lives(mp_PgConn *conn);

/* Does all of [work]; where it is atomic, all or nothing. The answer goes to
 * [out], as db.h says; a real[] is 'b' with the floats of the machine. */
mp_Status mp_pg_conn_do(mp_PgConn *conn, const mp_PgWork *work,
                        const mp_PgWatch *watch, mp_Buf *out, mp_Error *err);

/* Whether it must be closed. */
bool mp_pg_conn_is_broken(const mp_PgConn *conn);

#endif
