/* test_pg.c: work/pg against a PostgreSQL of its own: connections side by side,
 * cancelling, closing, forking, and what becomes of it where the server, the
 * network or memory is against it. */
#include "test.h"

#include "fork_case.h"
#include "pg_case.h"
#include "torture.h"

#define SIDE_BY_SIDE 6
#define SLEEPERS                                                               \
    "SELECT count(*) AS n FROM pg_stat_activity "                              \
    "WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
#define SLEEP "SELECT pg_sleep(600)"

/* What [text] gives until it is [wanted]; the server sees things late. */
static bool comes_to(mp_Engine *engine, mp_Pg *pg, const char *text,
                     int64_t wanted)
{
    for (int i = 0; i < 3000; i++) {
        if (case_ask(engine, pg, text) == wanted) return true;
        usleep(10000);
    }
    return false;
}

static void test_values_go_there_and_come_back(void)
{
    mp_Engine *engine = new_engine();
    mp_Pg *pg = case_open(1);
    int64_t value = 0;
    mp_Error err;

    CHECK(case_do(engine, pg, "SELECT $1 + 1 AS n", INT64_C(1) << 40, &value,
                  &err) == MP_OK);
    CHECK(value == (INT64_C(1) << 40) + 1);
    CHECK(case_ask(engine, pg, "SELECT (-2)::int2 + 3::int2 AS n") == 1);
    CHECK(case_ask(engine, pg, "SELECT true AS n") == 1);
    mp_pg_close(pg);
    mp_engine_free(engine);
}

static void cancel_one(mp_Engine *engine, uint64_t id)
{
    uint64_t ended;

    mp_engine_cancel(engine, id);
    CHECK(await_kind(engine, &ended) == MP_EVENT_CANCELLED && ended == id);
}

static void test_jobs_run_side_by_side_and_are_cancelled(void)
{
    mp_Engine *engine = new_engine(), *other = new_engine();
    mp_Pg *pg = case_open(SIDE_BY_SIDE + 1);
    uint64_t ids[SIDE_BY_SIDE];
    mp_Error err;

    for (int i = 0; i < SIDE_BY_SIDE; i++)
        ids[i] = case_send(engine, pg, SLEEP, -1, &err);
    CHECK(comes_to(other, pg, SLEEPERS, SIDE_BY_SIDE));
    for (int i = 0; i < SIDE_BY_SIDE; i++)
        cancel_one(engine, ids[i]);
    CHECK(comes_to(other, pg, SLEEPERS, 0)); /* the server gave them up, too */
    mp_pg_close(pg);
    mp_engine_free(engine);
    mp_engine_free(other);
}

static void test_one_that_waits_is_cancelled_at_once(void)
{
    mp_Engine *engine = new_engine();
    mp_Pg *pg = case_open(1);
    mp_Error err;
    uint64_t runs = case_send(engine, pg, SLEEP, -1, &err);
    uint64_t waits = case_send(engine, pg, SLEEP, -1, &err);

    cancel_one(engine, waits);
    cancel_one(engine, runs);
    CHECK(case_ask(engine, pg, "SELECT 5 AS n") == 5);
    mp_pg_close(pg);
    mp_engine_free(engine);
}

static void test_closing_waits_for_no_statement(void)
{
    mp_Engine *engine = new_engine();
    mp_Pg *pg = case_open(2);
    int64_t begun = mp_clock_us();
    mp_Error err;

    case_send(engine, pg, SLEEP, -1, &err);
    case_send(engine, pg, SLEEP, -1, &err);
    case_send(engine, pg, SLEEP, -1, &err);
    usleep(50000);
    mp_pg_close(pg);
    mp_engine_free(engine);
    CHECK(mp_clock_us() - begun < 60 * SECOND_US);
}

/* --- a server that goes away --- */

static void test_a_server_that_is_killed_and_comes_back(void)
{
    mp_Engine *engine = new_engine();
    mp_Pg *pg = case_open(3);
    mp_Error err;

    case_send(engine, pg, SLEEP, -1, &err);
    CHECK(comes_to(engine, pg, SLEEPERS, 1));
    case_tell("crash");
    CHECK(case_await(engine, NULL, &err) == -MP_KIND_RESET);
    CHECK(case_do(engine, pg, "SELECT 1 AS n", -1, NULL, &err) ==
          -MP_KIND_CONNECT);
    case_tell("start");
    CHECK(case_ask(engine, pg, "SELECT 7 AS n") == 7);
    case_tell("stop"); /* while the connections are idle */
    case_tell("start");
    CHECK(case_ask(engine, pg, "SELECT 8 AS n") == 8);
    mp_pg_close(pg);
    mp_engine_free(engine);
}

static void test_a_wrong_password_fails_all_that_wait(void)
{
    mp_PgOptions options = {.limits = {4, 20 * SECOND_US},
                            .timeout_us = 20 * SECOND_US};
    mp_Engine *engine = new_engine();
    char url[sizeof case_url];
    mp_Pg *pg = NULL;
    mp_Error err;

    memcpy(url, case_url, sizeof url);
    strstr(url, "tester:")[7] ^= 1;
    CHECK(mp_pg_open(&pg, url, &options, &err) == MP_OK);
    for (int i = 0; i < 5; i++)
        case_send(engine, pg, "SELECT 1 AS n", -1, &err);
    for (int i = 0; i < 5; i++) {
        CHECK(case_await(engine, NULL, &err) == -MP_KIND_AUTH);
        CHECK(strstr(err.message, "28P01") && !strstr(err.message, "://"));
    }
    mp_pg_close(pg);
    mp_engine_free(engine);
}

/* --- times and sizes --- */

static void test_a_time_that_is_over(void)
{
    mp_PgOptions options = {.limits = {1, 20 * SECOND_US},
                            .timeout_us = SECOND_US / 10};
    mp_Engine *engine = new_engine();
    mp_Pg *pg = NULL;
    mp_Error err;

    CHECK(mp_pg_open(&pg, case_url, &options, &err) == MP_OK);
    CHECK(case_do(engine, pg, SLEEP, -1, NULL, &err) == -MP_KIND_TIMEOUT_TOTAL);
    mp_pg_close(pg);
    mp_engine_free(engine);
}

static void test_more_rows_than_wanted(void)
{
    mp_PgOptions options = {.limits = {1, 20 * SECOND_US},
                            .timeout_us = 100 * SECOND_US,
                            .max_bytes = 4096};
    mp_Engine *engine = new_engine();
    mp_Pg *pg = NULL;
    mp_Error err;

    CHECK(mp_pg_open(&pg, case_url, &options, &err) == MP_OK);
    CHECK(case_do(engine, pg, "SELECT generate_series(1, 100000000) AS n", -1,
                  NULL, &err) == -MP_KIND_TOO_LARGE);
    CHECK(case_ask(engine, pg, "SELECT 3 AS n") == 3);
    mp_pg_close(pg);
    mp_engine_free(engine);
}

/* --- forking, memory --- */

static bool asks_anew(void *pg)
{
    mp_Engine *engine = new_engine();
    int64_t value = case_ask(engine, pg, "SELECT 4 AS n");

    mp_pg_close(pg);
    mp_engine_free(engine);
    return value == 4;
}

static void test_a_child_connects_anew(void)
{
    mp_Engine *engine = new_engine();
    mp_Pg *pg = case_open(2);

    CHECK(case_ask(engine, pg, "SELECT 4 AS n") == 4);
    CHECK(fork_finds(asks_anew, pg));
    CHECK(case_ask(engine, pg, "SELECT 6 AS n") == 6);
    mp_pg_close(pg);
    mp_engine_free(engine);
}

static mp_Status use_engine(mp_Engine *engine, mp_Error *err)
{
    mp_PgOptions options = {.limits = {2, 20 * SECOND_US},
                            .timeout_us = 100 * SECOND_US};
    mp_Pg *pg = NULL;
    mp_Status status = mp_pg_open(&pg, case_url, &options, err);
    int64_t value = 0;

    if (status != MP_OK) return status;
    status = case_do(engine, pg, "SELECT $1 + 2 AS n", 3, &value, err);
    CHECK(status != MP_OK || value == 5);
    mp_pg_close(pg);
    return status;
}

static mp_Status whole_life(void *userdata)
{
    mp_Engine *engine;
    mp_Error err;
    mp_Status status = mp_engine_new(&engine, &err);

    (void)userdata;
    if (status != MP_OK) return status;
    status = use_engine(engine, &err);
    mp_engine_free(engine);
    return status;
}

int main(void)
{
    if (!case_begin()) return TEST_END();
    test_values_go_there_and_come_back();
    test_jobs_run_side_by_side_and_are_cancelled();
    test_one_that_waits_is_cancelled_at_once();
    test_closing_waits_for_no_statement();
    test_a_server_that_is_killed_and_comes_back();
    test_a_wrong_password_fails_all_that_wait();
    test_a_time_that_is_over();
    test_more_rows_than_wanted();
    if (FORKS_BUSY) test_a_child_connects_anew();
    CHECK(torture(whole_life, NULL) > 5);
    case_end();
    return TEST_END();
}
