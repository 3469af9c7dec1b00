/* test_db_faults.c: work/db where the disk, the file or another process
 * is against it: what was answered as done is there, nothing is lost half, and
 * the next job works. Other processes are this program, run with arguments. */
#include "test.h"

#include "db_case.h"
#include "thread_case.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define SECOND_US 1000000

static const char *program;

static bool is_long(void)
{
    const char *all = getenv("MOONPIPE_LONG");

    return all && *all;
}

/* --- other processes --- */

typedef struct Other {
    pid_t pid;
    int from; /* what it writes */
} Other;

static Other start(const char *what)
{
    Other other;
    int ends[2];

    CHECK(pipe(ends) == 0);
    other.pid = fork();
    if (other.pid == 0) {
        dup2(ends[1], 1);
        close(ends[0]);
        execl(program, program, what, case_path, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    other.from = ends[0];
    return other;
}

static void end(Other other)
{
    kill(other.pid, SIGKILL);
    waitpid(other.pid, NULL, 0);
    close(other.from);
}

/* As another process: keeps the file locked until it is killed. */
static int lock_file(const char *path)
{
    mp_Engine *engine = new_engine();
    mp_Db *db = case_open(path, SECOND_US);
    mp_Buf out;
    mp_Error err;
    uint64_t id;

    mp_buf_init(&out, 0);
    case_write(&out, "INSERT INTO t (a) VALUES (?)", 1);
    case_write(
        &out,
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
        "SELECT max(x) FROM c",
        -1);
    if (case_count(engine, db) < 0) return 1;
    mp_engine_submit(engine, mp_db_job(db, &out, true, &err), &id, &err);
    if (write(1, "x", 1) != 1) return 1;
    pause();
    return 0;
}

/* Until the other has it; how often it was first. */
static int64_t insert_until_locked(mp_Engine *engine, mp_Db *db, mp_Error *err)
{
    int64_t done = 0;

    err->kind = MP_KIND_NONE;

    while (done < 1000 && case_do(engine, db, "INSERT INTO t (a) VALUES (?)", 1,
                                  NULL, err) == MP_OK) {
        done++;
        usleep(1000);
    }
    CHECK(err->kind == MP_KIND_IO);
    return done;
}

static void test_another_process_has_it_locked(void)
{
    mp_Engine *engine = new_engine();
    mp_Db *db = case_open(case_path, 50000);
    Other other = start("lock");
    mp_Error err;
    uint64_t id;
    mp_Event *event;
    int64_t done;
    char byte;

    CHECK(read(other.from, &byte, 1) == 1);
    done = insert_until_locked(engine, db, &err);
    CHECK(case_count(engine, db) == done); /* who reads does not wait */
    CHECK(strstr(err.message, "locked by another process"));
    CHECK(strstr(err.message, case_path));
    mp_db_close(db);
    db = case_open(case_path, 3600LL * SECOND_US);
    id = case_send(engine, db, "INSERT INTO t (a) VALUES (?)", 1, &err);
    usleep(30000);
    mp_engine_cancel(engine, id); /* while it waits for the other */
    event = await_event(engine);
    CHECK(event->kind == MP_EVENT_CANCELLED);
    mp_job_free_event(event);
    case_send(engine, db, "INSERT INTO t (a) VALUES (?)", 2, &err);
    usleep(10000);
    end(other);
    event = await_event(engine); /* now it has its turn */
    CHECK(event->kind == MP_EVENT_DONE);
    mp_job_free_event(event);
    CHECK(case_count(engine, db) == done + 1);
    mp_db_close(db);
    mp_engine_free(engine);
    case_remove();
}

/* As another process: stores numbers and tells each that is on disk. */
static int write_numbers(const char *path)
{
    mp_Engine *engine = new_engine();
    mp_Db *db = case_open(path, 10 * SECOND_US);
    int64_t number = 0;
    mp_Error err;

    if (case_do(engine, db, "SELECT coalesce(max(a), 0) FROM t", -1, &number,
                &err) != MP_OK)
        return 1;
    while (case_do(engine, db, "INSERT INTO t (a) VALUES (?)", ++number, NULL,
                   &err) == MP_OK)
        if (write(1, &number, sizeof number) != sizeof number) return 1;
    return 1;
}

static int64_t last_told(Other other)
{
    int64_t number, last = -1;

    while (read(other.from, &number, sizeof number) == sizeof number)
        last = number;
    return last;
}

/* Every number that was told is there once, and none is missing before it. */
static void test_killed_in_the_middle_of_writes(void)
{
    int64_t told = 0, max = 0, last;
    mp_Error err;

    srand(7);
    for (int i = 0; i < (is_long() ? 200 : 20); i++) {
        mp_Engine *engine = new_engine();
        Other other = start("write");
        mp_Db *db;

        if (i % 2) CHECK(read(other.from, &told, sizeof told) == sizeof told);
        usleep((useconds_t)(rand() % 60000));
        kill(other.pid, SIGKILL);
        last = last_told(other);
        told = last > told ? last : told;
        end(other);
        db = case_open(case_path, 10 * SECOND_US);
        CHECK(case_do(engine, db, "SELECT coalesce(max(a), 0) FROM t", -1, &max,
                      &err) == MP_OK);
        CHECK(max >= told && case_count(engine, db) == max);
        mp_db_close(db);
        mp_engine_free(engine);
    }
    CHECK(told > 0);
    case_remove();
}

/* --- the disk and the file --- */

static void test_the_disk_is_full(void)
{
    mp_Engine *engine = new_engine();
    mp_Db *db = case_open(case_path, SECOND_US);
    mp_Error err;
    int64_t count;
    int done = 0;

    CHECK(case_do(engine, db, "PRAGMA max_page_count = 10", -1, NULL, &err) ==
          MP_OK);
    while (done < 1000 &&
           case_do(engine, db, "INSERT INTO t (a) VALUES (zeroblob(?))", 1000,
                   NULL, &err) == MP_OK)
        done++;
    CHECK(done > 0 && done < 1000 && err.kind == MP_KIND_IO);
    CHECK(strstr(err.message, "full") && strstr(err.message, case_path));
    count = case_count(engine, db);
    CHECK(count == done);
    CHECK(case_do(engine, db, "INSERT INTO t (a) VALUES (?)", 1, NULL, &err) ==
          MP_OK); /* the limit was the connection's */
    mp_db_close(db);
    mp_engine_free(engine);
    case_remove();
}

/* No file may grow beyond [size] bytes; negative: as usual. */
static void limit_files(long size)
{
    static struct rlimit usual;
    struct rlimit limit;

    if (size >= 0) {
        signal(SIGXFSZ, SIG_IGN);
        getrlimit(RLIMIT_FSIZE, &usual);
        limit = usual;
        limit.rlim_cur = (rlim_t)size;
        setrlimit(RLIMIT_FSIZE, &limit);
    } else {
        setrlimit(RLIMIT_FSIZE, &usual);
    }
}

static void test_a_write_that_fails(void)
{
    mp_Engine *engine = new_engine();
    mp_Db *db = case_open(case_path, SECOND_US);
    mp_Error err;

    CHECK(case_do(engine, db, "INSERT INTO t (a) VALUES (?)", 1, NULL, &err) ==
          MP_OK);
    limit_files(100000);
    CHECK(case_do(engine, db, "INSERT INTO t (a) VALUES (zeroblob(?))", 200000,
                  NULL, &err) == -MP_KIND_IO);
    limit_files(-1);
    CHECK(strstr(err.message, "disk I/O error"));
    CHECK(case_count(engine, db) == 1);
    CHECK(case_do(engine, db, "INSERT INTO t (a) VALUES (?)", 2, NULL, &err) ==
          MP_OK);
    mp_db_close(db);
    mp_engine_free(engine);
    case_remove();
}

static void put(const char *path, long at, const char *bytes, size_t len)
{
    int fd = open(path, O_RDWR | O_CREAT, 0600);

    CHECK(fd >= 0 && pwrite(fd, bytes, len, at) == (ssize_t)len);
    close(fd);
}

static void check_refused(const char *text, const char *why)
{
    mp_Engine *engine = new_engine();
    mp_Db *db = case_open(case_path, SECOND_US);
    mp_Error err;

    CHECK(case_do(engine, db, text, -1, NULL, &err) == -MP_KIND_IO);
    CHECK(strstr(err.message, why) && strstr(err.message, case_path));
    mp_db_close(db);
    mp_engine_free(engine);
}

static void test_what_is_no_database(void)
{
    char junk[4096];

    memset(junk, 'x', sizeof junk);
    put(case_path, 0, junk, sizeof junk);
    check_refused("SELECT 1", "not a database");
    case_remove();
}

static void fill(int64_t rows)
{
    mp_Engine *engine = new_engine();
    mp_Db *db = case_open(case_path, SECOND_US);
    mp_Error err;

    CHECK(case_do(engine, db,
                  "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 "
                  "FROM c LIMIT ?) INSERT INTO t (a) SELECT randomblob(500) "
                  "FROM c",
                  rows, NULL, &err) == MP_OK);
    mp_db_close(db);
    mp_engine_free(engine); /* and the log is in the file */
}

static void test_a_damaged_file(void)
{
    char junk[8192];

    fill(100);
    memset(junk, 0xff, sizeof junk);
    put(case_path, 3 * 4096, junk, sizeof junk);
    check_refused("SELECT sum(length(a)) FROM t", "malformed");
    case_remove();
}

static void test_a_file_of_others_and_one_of_tomorrow(void)
{
    mp_Engine *engine = new_engine();
    mp_DbOptions options = {.busy_us = SECOND_US, .application_id = 78};
    mp_Db *db;
    mp_Error err;

    fill(1);
    CHECK(mp_db_open(&db, case_path, &options, &err) == MP_OK);
    CHECK(case_do(engine, db, "SELECT 1", -1, NULL, &err) == -MP_KIND_IO);
    CHECK(strstr(err.message, "of something else (application id 77, not 78)"));
    mp_db_close(db);
    options.application_id = 77;
    options.steps = TABLE "\0CREATE TABLE u (b)";
    options.step_count = 2;
    CHECK(mp_db_open(&db, case_path, &options, &err) == MP_OK);
    CHECK(case_do(engine, db, "SELECT * FROM u", -1, NULL, &err) == MP_OK);
    CHECK(case_count(engine, db) == 1); /* stepped up, not made anew */
    mp_db_close(db);
    check_refused("SELECT 1", "of format 2, of a newer version");
    mp_engine_free(engine);
    case_remove();
}

static void test_a_file_that_was_moved_away(void)
{
    mp_Engine *engine = new_engine();
    mp_Db *db = case_open(case_path, SECOND_US);
    mp_Error err;

    CHECK(case_do(engine, db, "INSERT INTO t (a) VALUES (?)", 1, NULL, &err) ==
          MP_OK);
    case_remove();
    CHECK(case_do(engine, db, "INSERT INTO t (a) VALUES (?)", 2, NULL, &err) ==
          -MP_KIND_IO);
    CHECK(strstr(err.message, "was moved or deleted while it was in use"));
    CHECK(case_do(engine, db, "INSERT INTO t (a) VALUES (?)", 3, NULL, &err) ==
          MP_OK);
    CHECK(case_count(engine, db) == 1);
    mp_db_close(db);
    mp_engine_free(engine);
    case_remove();
}

static void test_what_may_not_be_written(void)
{
    mp_Engine *engine = new_engine();
    mp_Db *db = case_open(case_path, SECOND_US);
    mp_Error err;

    CHECK(case_do(engine, db, "PRAGMA query_only = 1", -1, NULL, &err) ==
          MP_OK);
    CHECK(case_do(engine, db, "INSERT INTO t (a) VALUES (?)", 1, NULL, &err) ==
          -MP_KIND_IO);
    CHECK(strstr(err.message, "readonly"));
    mp_db_close(db);
    CHECK(mp_db_open(&db, "/nowhere/a.db", &(mp_DbOptions){0}, &err) ==
          -MP_KIND_IO);
    CHECK(strstr(err.message, "'/nowhere/a.db': No such file or directory"));
    mp_engine_free(engine);
    case_remove();
}

static void test_more_rows_than_are_wanted(void)
{
    mp_Engine *engine = new_engine();
    mp_DbOptions options = {.max_bytes = 1000};
    mp_Error err;
    mp_Db *db;

    CHECK(mp_db_open(&db, ":memory:", &options, &err) == MP_OK);
    CHECK(case_do(engine, db, "SELECT zeroblob(?)", 100, NULL, &err) == MP_OK);
    CHECK(case_do(engine, db, "SELECT zeroblob(?)", 1000, NULL, &err) ==
          -MP_KIND_TOO_LARGE);
    CHECK(strstr(err.message, "more than 1000 bytes"));
    CHECK(case_do(engine, db, "SELECT 1", -1, NULL, &err) == MP_OK);
    mp_db_close(db);
    mp_engine_free(engine);
}

static void test_no_thread_to_be_had(void)
{
    mp_Engine *engine = new_engine();
    mp_Db *db = case_open(":memory:", 0);
    mp_Error err;

    starve(true);
    CHECK(case_do(engine, db, "SELECT 1", -1, NULL, &err) == -MP_KIND_MEMORY);
    starve(false);
    CHECK(strcmp(err.message, "cannot start a database thread") == 0);
    CHECK(case_do(engine, db, "SELECT 1", -1, NULL, &err) == MP_OK);
    mp_db_close(db);
    mp_engine_free(engine);
}

static void test_all(void)
{
    test_another_process_has_it_locked();
    test_killed_in_the_middle_of_writes();
    test_the_disk_is_full();
    test_a_write_that_fails();
    test_what_is_no_database();
    test_a_damaged_file();
    test_a_file_of_others_and_one_of_tomorrow();
    test_a_file_that_was_moved_away();
    test_what_may_not_be_written();
    test_more_rows_than_are_wanted();
    test_no_thread_to_be_had();
}

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc == 3 && strcmp(argv[1], "lock") == 0) return lock_file(argv[2]);
    if (argc == 3 && strcmp(argv[1], "write") == 0)
        return write_numbers(argv[2]);
    if (!case_begin()) return TEST_END();
    test_all();
    case_end();
    return TEST_END();
}
