/* test_db_memory.c: work/db with every allocation failing in turn, ours and
 * SQLite's: the caller gets `memory`, nothing leaks, the next use works. */
#include "test.h"

#include "db_case.h"
#include "fork_case.h"

#include <dlfcn.h>
#include <stdbool.h>

#define SECOND_US 1000000
#define LIBRARY   "libsqlite3.so.0"

static bool is_long(void)
{
    const char *all = getenv("MOONPIPE_LONG");

    return all && *all;
}

/* --- SQLite's memory is ours too, here --- */

/* As SQLite's header has them: it is not linked. */
typedef struct MemMethods {
    void *(*alloc)(int);
    void (*free)(void *);
    void *(*resize)(void *, int);
    int (*size)(void *);
    int (*round_up)(int);
    int (*init)(void *);
    void (*shutdown)(void *);
    void *data;
} MemMethods;

#define SQLITE_CONFIG_MALLOC 4
#define HEAD                 16 /* holds the size; keeps the alignment */

static void *take_memory(int size)
{
    char *block = mp_alloc((size_t)size + HEAD);

    if (!block) return NULL;
    memcpy(block, &size, sizeof size);
    return block + HEAD;
}

static void give_memory(void *ptr)
{
    if (ptr) mp_alloc_free((char *)ptr - HEAD);
}

static void *resize_memory(void *ptr, int size)
{
    char *block = mp_alloc_resize((char *)ptr - HEAD, (size_t)size + HEAD);

    if (!block) return NULL;
    memcpy(block, &size, sizeof size);
    return block + HEAD;
}

static int size_of(void *ptr)
{
    int size = 0;

    if (ptr) memcpy(&size, (char *)ptr - HEAD, sizeof size);
    return size;
}

static int round_up(int size)
{
    return (size + 7) & ~7;
}

static int init_nothing(void *data)
{
    (void)data;
    return 0;
}

static void shutdown_nothing(void *data)
{
    (void)data;
}

/* Before anybody opens a file. */
static bool share_memory_with_sqlite(void)
{
    static MemMethods methods = {take_memory,      give_memory, resize_memory,
                                 size_of,          round_up,    init_nothing,
                                 shutdown_nothing, NULL};
    void *library = dlopen(LIBRARY, RTLD_NOW), *found;
    int (*config)(int, ...);

    if (!library || !(found = dlsym(library, "sqlite3_config"))) return false;
    memcpy(&config, &found, sizeof config);
    CHECK(config(SQLITE_CONFIG_MALLOC, &methods) == 0);
    return true;
}

typedef struct Life {
    const char *path;
    int64_t inserted; /* what the second statement answered; 0: not reached */
} Life;

static mp_Status use_engine(mp_Engine *engine, Life *life, mp_Error *err)
{
    mp_DbOptions options = {.busy_us = SECOND_US,
                            .normal = true,
                            .application_id = 77,
                            .steps = TABLE,
                            .step_count = 1};
    mp_Db *db = NULL;
    mp_Status status = mp_db_open(&db, life->path, &options, err);

    if (status != MP_OK) return status;
    status = case_do(engine, db, "INSERT INTO t (a) VALUES (?)", 7, NULL, err);
    if (status == MP_OK)
        status = case_do(engine, db, "SELECT a FROM t ORDER BY id DESC LIMIT 1",
                         -1, &life->inserted, err);
    mp_db_close(db);
    return status;
}

static mp_Status whole_life(void *userdata)
{
    mp_Engine *engine;
    mp_Error err;
    mp_Status status = mp_engine_new(&engine, &err);

    if (status != MP_OK) return status;
    status = use_engine(engine, userdata, &err);
    mp_engine_free(engine);
    return status;
}

/* SQLite does without some of what it asks for, so a failure may pass. */
static void fail_at(Life *life, int64_t nth, bool forever)
{
    int64_t before = mp_alloc_live();
    mp_Status status;

    life->inserted = 0;
    mp_alloc_fail_at(nth, forever);
    status = whole_life(life);
    mp_alloc_fail_at(0, false);
    CHECK(status == -MP_KIND_MEMORY || status == MP_OK);
    CHECK(status != MP_OK || life->inserted == 7);
    CHECK(mp_alloc_live() == before);
}

static void test_every_allocation_failing_in_turn(const char *path)
{
    Life life = {path, 0};
    int64_t count;

    CHECK(whole_life(&life) == MP_OK); /* what SQLite keeps for ever */
    mp_alloc_fail_at(0, false);
    CHECK(whole_life(&life) == MP_OK && life.inserted == 7);
    count = mp_alloc_count();
    CHECK(count > 50);
    for (int64_t nth = 1; nth <= count; nth += nth < 20 || is_long() ? 1 : 23) {
        fail_at(&life, nth, false);
        fail_at(&life, nth, true);
    }
    CHECK(whole_life(&life) == MP_OK && life.inserted == 7);
    case_remove();
}

static bool is_refused(void *path)
{
    mp_Error err;
    mp_Db *db;

    return mp_db_open(&db, path, &(mp_DbOptions){0}, &err) == -MP_KIND_CLOSED &&
           strstr(err.message, "in use when the process forked");
}

static bool is_refused_twice(void *path)
{
    return is_refused(path) && is_refused(path);
}

/* Above, the library was opened besides: it cannot be loaded anew, and what it
 * knows of locks is the parent's. */
static void test_a_child_of_a_host_that_uses_sqlite_too(void)
{
    CHECK(fork_finds(is_refused_twice, case_path));
}

int main(void)
{
    if (!case_begin()) return TEST_END();
    mp_db_join();
    CHECK(share_memory_with_sqlite());
    test_every_allocation_failing_in_turn(":memory:");
    if (is_long()) test_every_allocation_failing_in_turn(case_path);
    if (FORKS) test_a_child_of_a_host_that_uses_sqlite_too();
    case_end();
    return TEST_END();
}
