/* test_db.c: work/db: the line of a file, cancelling, closing, forking, and
 * what becomes of it where memory, the disk or another process is against it.
 */
#include "test.h"

#include "clock.h"
#include "db_case.h"
#include "fork_case.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#define MANY 200
#define ENDLESS                                                                \
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "         \
    "SELECT max(x) FROM c"
#define SECOND_US 1000000

/* --- order --- */

static void test_what_was_submitted_first_is_done_first(void)
{
    mp_Engine *engine = new_engine();
    mp_Db *db = case_open(case_path, SECOND_US);
    uint64_t first = 0, id;
    int64_t sum = 0;
    mp_Error err;

    for (int i = 0; i < MANY; i++) {
        id = case_send(engine, db, "INSERT INTO t (a) VALUES (?)", i, &err);
        if (i == 0) first = id;
    }
    for (int i = 0; i < MANY; i++) {
        mp_Event *event = await_event(engine);

        CHECK(event->kind == MP_EVENT_DONE && event->id == first + (unsigned)i);
        mp_job_free_event(event);
    }
    CHECK(case_do(engine, db, "SELECT count(*) FROM t WHERE id = a + 1", -1,
                  &sum, &err) == MP_OK);
    CHECK(sum == MANY);
    mp_db_close(db);
    mp_engine_free(engine);
    case_remove();
}

static void test_the_file_is_its_owners_alone(void)
{
    mp_Engine *engine = new_engine();
    mp_Db *db = case_open(case_path, SECOND_US);
    struct stat stat_;

    CHECK(case_count(engine, db) == 0);
    CHECK(stat(case_path, &stat_) == 0 && (stat_.st_mode & 0777) == 0600);
    mp_db_close(db);
    mp_engine_free(engine);
    case_remove();
}

static void test_engines_share_the_file(void)
{
    mp_Engine *a = new_engine(), *b = new_engine();
    mp_Db *one = case_open(case_path, SECOND_US), *other;
    char path[sizeof case_path + 8];
    mp_Error err;

    snprintf(path, sizeof path, "%s/./a.db", case_folder);
    other = case_open(path, SECOND_US);
    CHECK(strcmp(mp_db_path(one), mp_db_path(other)) == 0);
    CHECK(case_do(a, one, "CREATE TEMP TABLE here (x)", -1, NULL, &err) ==
          MP_OK); /* seen by one connection alone */
    CHECK(case_do(b, other, "INSERT INTO here VALUES (?)", 1, NULL, &err) ==
          MP_OK);
    mp_db_close(one);
    mp_engine_free(a);
    CHECK(case_count(b, other) == 0);
    mp_db_close(other);
    mp_engine_free(b);
    case_remove();
}

static mp_Job *transaction(mp_Db *db, const char *last, mp_Error *err)
{
    mp_Job *job;
    mp_Buf out;

    mp_buf_init(&out, 0);
    case_write(&out, "INSERT INTO t (a) VALUES (?)", 1);
    case_write(&out, last, -1);
    job = mp_db_job(db, &out, true, err);
    CHECK(out.data == NULL);
    return job;
}

static void test_a_transaction_is_done_whole_or_not_at_all(void)
{
    mp_Engine *engine = new_engine();
    mp_Db *db = case_open(case_path, SECOND_US);
    mp_Event *event;
    uint64_t id;
    mp_Error err;

    mp_engine_submit(engine, transaction(db, "SELECT 1", &err), &id, &err);
    event = await_event(engine);
    CHECK(event->kind == MP_EVENT_DONE);
    mp_job_free_event(event);
    CHECK(case_count(engine, db) == 1);
    mp_engine_submit(engine,
                     transaction(db, "INSERT INTO nothing VALUES (1)", &err),
                     &id, &err);
    event = await_event(engine);
    CHECK(event->kind == MP_EVENT_FAILED && !event->bytes.data);
    CHECK(event->job->err->kind == MP_KIND_INPUT);
    mp_job_free_event(event);
    CHECK(case_count(engine, db) == 1);
    mp_db_close(db);
    mp_engine_free(engine);
    case_remove();
}

/* --- cancelled and closed --- */

static void test_what_runs_and_what_waits_is_cancelled(void)
{
    mp_Engine *engine = new_engine();
    mp_Db *db = case_open(case_path, SECOND_US);
    uint64_t runs, waits;
    mp_Event *event;
    mp_Error err;

    CHECK(case_count(engine, db) == 0);
    runs = case_send(engine, db, ENDLESS, -1, &err);
    waits = case_send(engine, db, "INSERT INTO t (a) VALUES (?)", 1, &err);
    usleep(20000); /* it surely runs */
    mp_engine_cancel(engine, waits);
    event = await_event(engine); /* at once, for all that stands before it */
    CHECK(event->kind == MP_EVENT_CANCELLED && event->id == waits);
    mp_job_free_event(event);
    mp_engine_cancel(engine, runs);
    event = await_event(engine);
    CHECK(event->kind == MP_EVENT_CANCELLED && event->id == runs);
    mp_job_free_event(event);
    CHECK(case_count(engine, db) == 0);
    mp_db_close(db);
    mp_engine_free(engine);
    case_remove();
}

/* Either end is right; two are not, and what was answered as done is there. */
static void test_cancel_races_with_the_end(void)
{
    mp_Engine *engine = new_engine();
    mp_Db *db = case_open(case_path, SECOND_US);
    int done = 0;
    int64_t count;
    mp_Error err;

    for (int i = 0; i < MANY; i++) {
        uint64_t id =
            case_send(engine, db, "INSERT INTO t (a) VALUES (?)", i, &err);
        mp_Event *event;

        usleep((useconds_t)(i % 8) * 100);
        mp_engine_cancel(engine, id);
        event = await_event(engine);
        CHECK(event->id == id);
        done += event->kind == MP_EVENT_DONE;
        mp_job_free_event(event);
        CHECK(mp_engine_live(engine) == 0 && !mp_engine_next(engine));
    }
    count = case_count(engine, db);
    CHECK(count >= done && count <= MANY);
    mp_db_close(db);
    mp_engine_free(engine);
    case_remove();
}

static void test_closing_in_flight_joins(void)
{
    int64_t before = mp_alloc_live();
    mp_Error err;

    for (int i = 0; i < 10; i++) {
        mp_Engine *engine = new_engine();
        mp_Db *db = case_open(case_path, SECOND_US);

        case_send(engine, db, "INSERT INTO t (a) VALUES (?)", i, &err);
        case_send(engine, db, ENDLESS, -1, &err);
        case_send(engine, db, "INSERT INTO t (a) VALUES (?)", i, &err);
        if (i % 2) mp_db_close(db);
        usleep((useconds_t)i * 1000);
        mp_engine_free(engine);
        if (i % 2 == 0) mp_db_close(db); /* and the next engine joins it */
    }
    mp_db_join();
    CHECK(mp_alloc_live() == before);
    case_remove();
}

/* --- fork --- */

typedef struct Fork {
    mp_Engine *engine;
    mp_Db *db;
} Fork;

static bool opens_anew(void *fork_)
{
    mp_Engine *engine = ((Fork *)fork_)->engine;
    mp_Db *db = ((Fork *)fork_)->db;
    mp_Event *event = await_event(engine);
    bool right = event->kind == MP_EVENT_FAILED &&
                 event->job->err->kind == MP_KIND_CLOSED;
    int64_t count = 0;
    mp_Error err;

    mp_job_free_event(event);
    right &= case_do(engine, db, "INSERT INTO t (a) VALUES (?)", 2, NULL,
                     &err) == MP_OK;
    right &= case_do(engine, db, "SELECT count(*) FROM t", -1, &count, &err) ==
             MP_OK;
    mp_db_close(db);
    mp_engine_free(engine);
    return right && count == 2;
}

/* The parent's thread stands in the middle of a statement when it forks. */
static void test_a_forked_child_opens_the_file_anew(void)
{
    mp_Engine *engine = new_engine();
    mp_Db *db = case_open(case_path, 10 * SECOND_US);
    Fork self = {engine, db};
    mp_Error err;
    uint64_t id;

    CHECK(case_do(engine, db, "INSERT INTO t (a) VALUES (?)", 1, NULL, &err) ==
          MP_OK);
    id = case_send(engine, db, ENDLESS, -1, &err);
    usleep(20000);
    CHECK(fork_finds(opens_anew, &self));
    mp_engine_cancel(engine, id);
    mp_job_free_event(await_event(engine));
    CHECK(case_count(engine, db) == 2);
    CHECK(case_do(engine, db, "INSERT INTO t (a) VALUES (?)", 3, NULL, &err) ==
          MP_OK);
    mp_db_close(db);
    mp_engine_free(engine);
    case_remove();
}

/* --- threads --- */

/* The counters of test.h are the main thread's. */
typedef struct Writer {
    pthread_t thread;
    mp_Engine *engine;
    mp_Db *db;
    int done;
} Writer;

static void *write_some(void *writer_)
{
    Writer *writer = writer_;
    mp_Error err;

    for (int i = 0; i < 20; i++)
        writer->done +=
            case_do(writer->engine, writer->db, "INSERT INTO t (a) VALUES (?)",
                    i, NULL, &err) == MP_OK;
    mp_db_close(writer->db);
    mp_engine_free(writer->engine);
    return NULL;
}

static void test_many_engines_on_many_threads(void)
{
    mp_Engine *engine = new_engine();
    mp_Db *db;
    Writer writers[4];

    for (int i = 0; i < 4; i++) {
        writers[i].engine = new_engine();
        writers[i].db = case_open(case_path, 30 * SECOND_US);
        writers[i].done = 0;
        pthread_create(&writers[i].thread, NULL, write_some, &writers[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(writers[i].thread, NULL);
        CHECK(writers[i].done == 20);
    }
    db = case_open(case_path, SECOND_US);
    CHECK(case_count(engine, db) == 80);
    mp_db_close(db);
    mp_engine_free(engine);
    case_remove();
}

int main(void)
{
    if (!case_begin()) return TEST_END();
    test_what_was_submitted_first_is_done_first();
    test_the_file_is_its_owners_alone();
    test_engines_share_the_file();
    test_a_transaction_is_done_whole_or_not_at_all();
    test_what_runs_and_what_waits_is_cancelled();
    test_cancel_races_with_the_end();
    test_closing_in_flight_joins();
    if (FORKS_BUSY) test_a_forked_child_opens_the_file_anew();
    test_many_engines_on_many_threads();
    case_end();
    return TEST_END();
}
