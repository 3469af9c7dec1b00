/*
 * pg_pool.h: what the process shares of a database server: a line of tasks and
 * a few connections, each with a thread of its own.
 *
 *     task -> [ task | task ] -> thread, connection
 *                             -> thread, connection     as many as work at once
 *
 * A connection is made when a task waits and none is free, one at a time. While
 * it is made the tasks stay in the line, where they can be taken back. Where
 * none can be made the tasks fail; beside others that work it is no matter,
 * such as where the server takes no more of them.
 *
 * A task is part of what it works on, so sending one cannot fail. The threads
 * end with the pool, and are joined later, by mp_pg_pool_join, or in passing
 * when another is acquired.
 *
 * Threads: any.
 */
#ifndef MP_PG_POOL_H
#define MP_PG_POOL_H

#include "list.h"
#include "pg_conn.h"

typedef struct mp_PgPool mp_PgPool;
typedef struct mp_PgWorker mp_PgWorker;

typedef struct mp_PgTask {
    mp_Link link; /* the pool's, as the next two */
    bool waits;
    mp_PgWorker *worker;
    /* On the connection's thread, which has [waker] of mp_PgWatch for it. The
     * task may be gone on return. */
    void (*run)(struct mp_PgTask *task, mp_PgConn *conn, int waker);
    /* The same, where there is no connection. */
    void (*fail)(struct mp_PgTask *task, const mp_Error *err);
} mp_PgTask;

typedef struct mp_PgLimits {
    unsigned connections; /* at once, at least 1 */
    int64_t connect_us;
} mp_PgLimits;

/* Gives the pool of the connection string [info]; starts nothing. The limits
 * are those of who came first. `config` where [info] cannot be kept; `memory`.
 */
mp_Status mp_pg_pool_acquire(const char *info, size_t len,
                             const mp_PgLimits *limits, mp_PgPool **pool,
                             mp_Error *err);

/* Its tasks must have ended. Never in a forked child with the parent's. */
void mp_pg_pool_release(mp_PgPool *pool);

/* Makes sure that there is a thread: before a task. `memory`, `fds`. */
mp_Status mp_pg_pool_start(mp_PgPool *pool, mp_Error *err);

/* Moves [task], of which only `run` and `fail` need be set, to the end of the
 * line. */
void mp_pg_pool_send(mp_PgPool *pool, mp_PgTask *task);

/* True if [task] still waited: it never runs, and is the caller's. False: it
 * runs or has ended; if it waits for the server it is woken. */
bool mp_pg_pool_take_back(mp_PgPool *pool, mp_PgTask *task);

/* Joins the threads of pools that nobody holds any more. */
void mp_pg_pool_join(void);

#endif
