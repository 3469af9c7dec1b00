/* test_vector_hands.c: searches that several threads of the pool are at, and
 * memory that fails them. */
#include "test.h"
#include "torture.h"
#include "vector_case.h"

#include <stdbool.h>
#include <unistd.h>

#define WIDE_ROWS 9000 /* times 128 numbers: enough for a second hand */
#define WIDE_DIM  128

static bool is_same(const mp_Event *a, const mp_Event *b)
{
    return a->floats.dim == b->floats.dim && a->head.len == b->head.len &&
           memcmp(a->head.data, b->head.data, a->head.len) == 0 &&
           memcmp(a->floats.data, b->floats.data,
                  a->floats.dim * sizeof(float)) == 0;
}

/* To the last bit the same, alone or in a batch. */
static void test_same_alone(void)
{
    mp_Engine *engine = new_engine();
    mp_Vector *index = new_index(MP_VECTOR_L2, WIDE_DIM);
    mp_Floats rows = random_rows(WIDE_ROWS, WIDE_DIM, 1), query;
    mp_Event *alone, *event;
    uint64_t first = 0;

    add_now(engine, index, &rows);
    query = row_of(&rows, 77);
    submit_job(engine, mp_vector_search(index, &query, 10, NULL));
    alone = await_event(engine);
    for (size_t i = 0; i < 64; i++) {
        uint64_t id;

        query = row_of(&rows, i == 40 ? 77 : i);
        id = submit_job(engine,
                        mp_vector_search(index, &query, i % 20 + 10, NULL));
        if (i == 0) first = id;
    }
    for (size_t i = 0; i < 64; i++) {
        event = await_event(engine);
        CHECK(event->floats.dim == (event->id - first) % 20 + 10);
        CHECK(event->job->together >= 1 && event->job->together <= 64);
        if (event->id - first == 40) CHECK(is_same(event, alone));
        mp_job_free_event(event);
    }
    mp_job_free_event(alone);
    mp_floats_term(&rows);
    mp_vector_unref(index);
    mp_engine_free(engine);
}

/* Searches that two threads are at are cancelled, or closed on, at any time;
 * [ended] gets how many were in time. */
static void stop_searches(mp_Vector *index, const mp_Floats *rows, int delay_us,
                          bool cancels, int *ended)
{
    mp_Engine *engine = new_engine();
    uint64_t ids[40];

    for (size_t i = 0; i < 40; i++) {
        mp_Floats query = row_of(rows, i);

        ids[i] = submit_job(engine, mp_vector_search(index, &query, 100, NULL));
    }
    if (delay_us > 0) usleep((useconds_t)delay_us);
    for (size_t i = 0; cancels && i < 40; i++)
        mp_engine_cancel(engine, ids[i]);
    for (size_t i = 0; cancels && i < 40; i++) {
        mp_Event *event = await_event(engine);

        CHECK(event->kind == MP_EVENT_DONE ||
              event->kind == MP_EVENT_CANCELLED);
        *ended += event->kind == MP_EVENT_DONE;
        mp_job_free_event(event);
    }
    mp_engine_free(engine);
}

static void test_stop(void)
{
    mp_Engine *engine = new_engine();
    mp_Vector *index = new_index(MP_VECTOR_IP, WIDE_DIM);
    mp_Floats rows = random_rows(WIDE_ROWS, WIDE_DIM, 1);
    int ended = 0, asked = 10 * 40;

    add_now(engine, index, &rows);
    mp_engine_free(engine);
    for (int i = 0; i < 20; i++)
        stop_searches(index, &rows, i * 300, i % 2, &ended);
    /* A machine that runs one thread at a time may have let all of them end. */
    for (; ended == asked && asked < 200 * 40; asked += 40)
        stop_searches(index, &rows, 0, true, &ended);
    CHECK(ended < asked);
    mp_floats_term(&rows);
    mp_vector_unref(index);
}

/* --- memory --- */

/* Adds [rows] equal vectors, or searches one. */
static mp_Status run_one(mp_Engine *engine, mp_Vector *index, size_t rows,
                         bool adds)
{
    mp_Floats floats;
    mp_Status status =
        mp_floats_init(&floats, rows, mp_vector_shape(index)->dim, NULL);
    mp_Job *job;

    if (status != MP_OK) return status;
    memset(floats.data, 0, rows * mp_vector_shape(index)->dim * sizeof(float));
    job = adds ? mp_vector_add(index, &floats)
               : mp_vector_search(index, &floats, 2, NULL);
    mp_floats_term(&floats);
    return end_job(engine, job, NULL, NULL);
}

static mp_Status work_once(void *rows)
{
    mp_Engine *engine = NULL;
    mp_Vector *index = NULL;
    mp_Status status = mp_engine_new(&engine, NULL);

    if (status == MP_OK)
        status =
            mp_vector_new(&index, &(mp_VectorShape){.dim = WIDE_DIM}, NULL);
    if (status == MP_OK) status = run_one(engine, index, *(size_t *)rows, true);
    if (status == MP_OK) status = run_one(engine, index, 1, false);
    if (engine) mp_engine_free(engine);
    if (index) mp_vector_unref(index);
    return status;
}

int main(void)
{
    size_t few = 1, many = WIDE_ROWS;

    if (!has_vectors()) return 0;
    test_same_alone();
    test_stop();
    CHECK(torture(work_once, &few) > 8);
    CHECK(torture(work_once, &many) > 8);
    return TEST_END();
}
