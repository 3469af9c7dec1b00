/*
 * db.h: SQLite: statements are jobs on one thread per file.
 *
 * Everything that stores goes through here. A file has one thread, one
 * connection and one line of jobs in this process, however many engines use
 * it; so no fsync, no lock of another process and no slow statement is ever
 * waited for on a Lua thread, and what was submitted first is stored first.
 *
 *     job -> [ job | job ] -> thread: BEGIN IMMEDIATE .. COMMIT -> settle
 *                ^ withdraw              ^ a cancel is seen every few us
 *
 * A job is a list of statements; an atomic one is done whole or not at all,
 * and is answered only after its commit is on disk. A cancel that comes after
 * the commit answers `cancelled` although it is done: whoever is cancelled
 * does not know.
 *
 * The thread starts at the first job. When nobody holds the file any more it
 * closes the connection and ends; mp_db_join waits for that. A forked child
 * may not use what the parent opened, not even close it: a hold opens the file
 * anew there, with SQLite loaded anew.
 *
 * Statements cross as bytes, numbers in the machine's order; the same for each:
 *
 *     u32 length, its text | u32 count, the values
 *
 * where a value is a tag and what follows it: 'n' nothing, 'i' int64,
 * 'd' double, 't' (text) or 'b' (bytes) u32 length and the bytes. The answer,
 * in `bytes`, for each statement:
 *
 *     i64 rows changed | i64 last rowid | u32 count, u32 length and name each |
 *     'r' and a value for each column, for each row | 'e'
 *
 * Threads: a hold is its engine's; a job may be freed anywhere.
 */
#ifndef MP_DB_H
#define MP_DB_H

#include "job.h"

typedef struct mp_Db mp_Db;

typedef struct mp_DbOptions {
    bool normal;            /* synchronous = NORMAL: a crash of the system (not
                             * of the process) may lose the last commits */
    int64_t busy_us;        /* how long to wait for other processes */
    size_t max_bytes;       /* of one answer; 0: MP_BUF_MAX */
    int32_t application_id; /* of the file; 0: whatever it has */
    const char *steps;      /* step i makes format i out of i - 1; each ends */
    size_t step_count;      /* with its NUL; NULL where there are none */
} mp_DbOptions;

/* Returns a hold of the file at [path], owned, which need not exist yet: it is
 * opened by the first job. Copies all. `io` where the folder does not exist,
 * `unsupported` without SQLite, `memory`. */
mp_Status mp_db_open(mp_Db **db, const char *path, const mp_DbOptions *options,
                     mp_Error *err);

/* Gives the hold back; jobs in flight have their own. */
void mp_db_close(mp_Db *db);

/* The canonical path, borrowed. */
const char *mp_db_path(const mp_Db *db);

/* Returns a job, owned, that does [statements], which it takes and leaves
 * empty; NULL without memory or a thread, then they stay. Before the first of
 * this hold the file is checked, and its format brought up to date. */
mp_Job *mp_db_job(mp_Db *db, mp_Buf *statements, bool atomic, mp_Error *err);

/* Waits for the threads of files that nobody holds any more. */
void mp_db_join(void);

#endif
