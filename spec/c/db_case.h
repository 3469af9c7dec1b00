/* db_case.h: what the tests of work/db share: files that go away, statements
 * written down, jobs awaited. Include after test.h. */
#ifndef MP_DB_CASE_H
#define MP_DB_CASE_H

#include "alloc.h"
#include "db.h"
#include "statement_case.h"

#include "engine_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TABLE "CREATE TABLE t (id INTEGER PRIMARY KEY, a)"

/* A folder of its own for the test, with the name of a file in it. */
static char case_folder[4000];
static char case_path[sizeof case_folder + 8];

/* False, with the check that it says so, where the build has no SQLite. */
static inline bool case_has_sqlite(void)
{
    mp_Db *db;
    mp_Error err;

    if (mp_db_open(&db, ":memory:", &(mp_DbOptions){0}, &err) == MP_OK) {
        mp_db_close(db);
        return true;
    }
    CHECK(err.kind == MP_KIND_UNSUPPORTED);
    return false;
}

/* False where there is nothing to test. */
static inline bool case_begin(void)
{
    const char *temporary = getenv("TMPDIR");

    if (!case_has_sqlite()) return false;
    snprintf(case_folder, sizeof case_folder, "%s/test_db_XXXXXX",
             temporary ? temporary : "/tmp");
    CHECK(mkdtemp(case_folder) != NULL);
    snprintf(case_path, sizeof case_path, "%s/a.db", case_folder);
    return true;
}

static inline void case_remove(void)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    char path[sizeof case_path + 8];

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(path, sizeof path, "%s%s", case_path, ends[i]);
        unlink(path);
    }
}

static inline void case_end(void)
{
    case_remove();
    rmdir(case_folder);
}

/* A hold of [path] with the table t. */
static inline mp_Db *case_open(const char *path, int64_t busy_us)
{
    mp_DbOptions options = {.busy_us = busy_us,
                            .normal = true,
                            .application_id = 77,
                            .steps = TABLE,
                            .step_count = 1};
    mp_Db *db = NULL;
    mp_Error err;

    CHECK(mp_db_open(&db, path, &options, &err) == MP_OK);
    return db;
}

/* Submits one statement; the id, or 0 with the reason in [err]. */
static inline uint64_t case_send(mp_Engine *engine, mp_Db *db, const char *text,
                                 int64_t value, mp_Error *err)
{
    uint64_t id = 0;
    mp_Job *job = NULL;
    mp_Buf out;

    mp_buf_init(&out, 0);
    case_write(&out, text, value);
    if (mp_buf_check(&out, err) == MP_OK) job = mp_db_job(db, &out, false, err);
    mp_buf_term(&out);
    if (job && mp_engine_submit(engine, job, &id, err) != MP_OK) return 0;
    return id;
}

/* The first integer of the first row of the first answer; -1 without a row. */
static inline int64_t case_first(const mp_Buf *answer)
{
    const char *at = answer->data + 16;
    uint32_t columns, len;
    int64_t value = -1;

    memcpy(&columns, at, sizeof columns);
    at += sizeof columns;
    for (; columns > 0; columns--) {
        memcpy(&len, at, sizeof len);
        at += sizeof len + len;
    }
    if (*at++ == 'r' && *at++ == 'i') memcpy(&value, at, sizeof value);
    return value;
}

/* Does one statement; its integer, as case_first, goes to [first]. */
static inline mp_Status case_do(mp_Engine *engine, mp_Db *db, const char *text,
                                int64_t value, int64_t *first, mp_Error *err)
{
    mp_Event *event;
    mp_EventKind kind;

    if (!case_send(engine, db, text, value, err)) return -(mp_Status)err->kind;
    event = await_event(engine);
    kind = event->kind;
    if (kind == MP_EVENT_DONE && first) *first = case_first(&event->bytes);
    if (kind == MP_EVENT_FAILED) *err = *event->job->err;
    if (kind == MP_EVENT_CANCELLED) err->kind = MP_KIND_CANCELLED;
    mp_job_free_event(event);
    return kind == MP_EVENT_DONE ? MP_OK : -(mp_Status)err->kind;
}

static inline int64_t case_count(mp_Engine *engine, mp_Db *db)
{
    int64_t count = -1;
    mp_Error err;

    CHECK(case_do(engine, db, "SELECT count(*) FROM t", -1, &count, &err) ==
          MP_OK);
    return count;
}

#endif
