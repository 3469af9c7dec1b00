/*
 * pg.h: PostgreSQL: statements are jobs on a few connections per server.
 *
 * As db.h has it for SQLite, with the same bytes for statements and answers; so
 * no network, no lock and no slow statement is ever waited for on a Lua thread.
 * But jobs run beside one another, as many as there are connections, so their
 * order is not that of their submission.
 *
 * One kind of value more: 'f', u32 count and as many floats of the machine, is
 * a real[]. It comes back as 'b', its floats in bytes. There is no last rowid:
 * 0.
 *
 * A cancel closes the connection that the job is at, so it needs no word of the
 * server's; what it has committed by then stays.
 *
 * Threads: a hold is its engine's; a job may be freed anywhere.
 */
#ifndef MP_PG_H
#define MP_PG_H

#include "job.h"
#include "pg_pool.h"

typedef struct mp_Pg mp_Pg;

typedef struct mp_PgOptions {
    mp_PgLimits limits;
    int64_t timeout_us; /* of one job, once it runs */
    size_t max_bytes;   /* of one answer; 0: MP_BUF_MAX */
} mp_PgOptions;

/* Returns a hold of the server that [info] names, owned; the first job
 * connects. Copies all. `config` where [info] is no connection string,
 * `unsupported` without libpq, `memory`. */
mp_Status mp_pg_open(mp_Pg **pg, const char *info, const mp_PgOptions *options,
                     mp_Error *err);

/* Gives the hold back; jobs in flight have their own. */
void mp_pg_close(mp_Pg *pg);

/* Returns a job, owned, that does [statements], which it takes and leaves
 * empty; NULL without memory or a thread, then they stay. */
mp_Job *mp_pg_job(mp_Pg *pg, mp_Buf *statements, bool atomic, mp_Error *err);

/* Waits for the threads of servers that nobody holds any more. */
void mp_pg_join(void);

#endif
