/* pg_case.h: a PostgreSQL of the test's own, statements written down, jobs
 * awaited. Include after test.h. */
#ifndef MP_PG_CASE_H
#define MP_PG_CASE_H

#include "alloc.h"
#include "clock.h"
#include "pg.h"
#include "statement_case.h"

#include "engine_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND_US 1000000

static char case_folder[] = "/tmp/test_pg_XXXXXX";
static char case_url[256]; /* of the database */
static FILE *case_server;  /* it ends when this is closed */

/* The script beside this file. */
static inline void case_command(char out[1024], const char *words)
{
    const char *file = __FILE__, *end = strstr(file, "c/pg_case.h");

    snprintf(out, 1024, "%.*ssupport/postgres %s %s", (int)(end - file), file,
             case_folder, words);
}

static inline bool case_read(const char *name, char *out, int size)
{
    char path[64];
    FILE *file;
    bool done;

    snprintf(path, sizeof path, "%s/%s", case_folder, name);
    file = fopen(path, "r");
    done = file && fgets(out, size, file);
    if (file) fclose(file);
    return done;
}

/* False, with the check that it says so, where the build has no libpq. */
static inline bool case_has_libpq(void)
{
    mp_PgOptions options = {.limits = {1, SECOND_US}};
    mp_Error err;
    mp_Pg *pg;

    if (mp_pg_open(&pg, "postgresql://", &options, &err) == MP_OK) {
        mp_pg_close(pg);
        return true;
    }
    CHECK(err.kind == MP_KIND_UNSUPPORTED);
    return false;
}

/* False where there is nothing to test. */
static inline bool case_begin(void)
{
    char command[1024], words[64], port[16] = "", password[64] = "";

    if (!case_has_libpq()) return false;
    CHECK(mkdtemp(case_folder) != NULL);
    snprintf(words, sizeof words, "serve --port-file %s/port", case_folder);
    case_command(command, words);
    case_server = popen(command, "we");
    for (int i = 0; i < 6000 && !case_read("port", port, sizeof port); i++)
        usleep(10000);
    CHECK(atoi(port) > 0 && case_read("password", password, sizeof password));
    snprintf(case_url, sizeof case_url,
             "postgresql://tester:%s@127.0.0.1:%d/postgres", password,
             atoi(port));
    return true;
}

static inline void case_end(void)
{
    CHECK(pclose(case_server) == 0);
}

/* start, stop or crash. */
static inline void case_tell(const char *word)
{
    char command[1024];

    case_command(command, word);
    CHECK(system(command) == 0);
}

static inline mp_Pg *case_open(unsigned connections)
{
    mp_PgOptions options = {.limits = {connections, 20 * SECOND_US},
                            .timeout_us = 100 * SECOND_US};
    mp_Pg *pg = NULL;

    CHECK(mp_pg_open(&pg, case_url, &options, NULL) == MP_OK);
    return pg;
}

/* Submits one statement; the id, or 0 with the reason in [err]. */
static inline uint64_t case_send(mp_Engine *engine, mp_Pg *pg, const char *text,
                                 int64_t value, mp_Error *err)
{
    uint64_t id = 0;
    mp_Job *job = NULL;
    mp_Buf out;

    mp_buf_init(&out, 0);
    case_write(&out, text, value);
    if (mp_buf_check(&out, err) == MP_OK) job = mp_pg_job(pg, &out, false, err);
    mp_buf_term(&out);
    if (job && mp_engine_submit(engine, job, &id, err) != MP_OK) return 0;
    return id;
}

/* The first integer of the first row, whose only column is named "n". */
static inline int64_t case_first(const mp_Buf *answer)
{
    const char *at = answer->data + 16 + 4 + 4 + 1;
    int64_t value = -1;

    if (*at++ == 'r' && *at++ == 'i') memcpy(&value, at, sizeof value);
    return value;
}

/* Waits for one answer; its integer goes to [first], why it failed to [err]. */
static inline mp_Status case_await(mp_Engine *engine, int64_t *first,
                                   mp_Error *err)
{
    mp_Event *event = await_event(engine);
    mp_EventKind kind = event->kind;

    if (kind == MP_EVENT_DONE && first) *first = case_first(&event->bytes);
    if (kind == MP_EVENT_FAILED) *err = *event->job->err;
    if (kind == MP_EVENT_CANCELLED) err->kind = MP_KIND_CANCELLED;
    mp_job_free_event(event);
    return kind == MP_EVENT_DONE ? MP_OK : -(mp_Status)err->kind;
}

/* Does one statement. */
static inline mp_Status case_do(mp_Engine *engine, mp_Pg *pg, const char *text,
                                int64_t value, int64_t *first, mp_Error *err)
{
    if (!case_send(engine, pg, text, value, err)) return -(mp_Status)err->kind;
    return case_await(engine, first, err);
}

/* The same, where it must succeed: its integer. */
static inline int64_t case_ask(mp_Engine *engine, mp_Pg *pg, const char *text)
{
    int64_t value = -1;
    mp_Error err = {.message = ""};

    CHECK(case_do(engine, pg, text, -1, &value, &err) == MP_OK);
    if (value < 0) fprintf(stderr, "%s: %s\n", text, err.message);
    return value;
}

#endif
