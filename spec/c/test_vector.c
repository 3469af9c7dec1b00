/* test_vector.c: work/vector against a search of its own; the line, cancel,
 * close, fork. */
#include "test.h"
#include "vector_case.h"
#include "vector_index.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- against plain loops --- */

static double score(int metric, const float *a, const float *b, size_t dim)
{
    double sum = 0;

    for (size_t i = 0; i < dim; i++)
        sum += metric == MP_VECTOR_L2 ? ((double)a[i] - b[i]) * (a[i] - b[i])
                                      : (double)a[i] * b[i];
    return sum;
}

/* How many vectors are better than [limit] by more than a rounding. */
static size_t count_better(int metric, const mp_Floats *rows, const float *x,
                           double limit)
{
    double margin = 1e-4 * (1 + fabs(limit));
    size_t count = 0;

    for (size_t i = 0; i < rows->rows; i++) {
        double got = score(metric, rows->data + i * rows->dim, x, rows->dim);

        count += metric == MP_VECTOR_L2 ? got < limit - margin
                                        : got > limit + margin;
    }
    return count;
}

static bool answers(int metric, const mp_Floats *rows, const float *x,
                    const mp_Event *event, size_t k)
{
    const char *at = event->head.data;

    if (event->kind != MP_EVENT_DONE || event->floats.dim != k) return false;
    for (size_t i = 0; i < k; i++) {
        char *end;
        size_t id = strtoul(at, &end, 10);
        double got = event->floats.data[i];
        double real;

        if (end == at || id >= rows->rows) return false;
        real = score(metric, rows->data + id * rows->dim, x, rows->dim);
        if (fabs(got - real) > 1e-4 * (1 + fabs(real))) return false;
        if (count_better(metric, rows, x, real) > i) return false;
        at = end;
    }
    return *at == '\0';
}

/* [count] searches at once, with different k. */
static void check_searches(int metric, size_t total, size_t dim, size_t count)
{
    mp_Engine *engine = new_engine();
    mp_Vector *index = new_index(metric, dim);
    mp_Floats rows = random_rows(total, dim, 7);
    mp_Floats queries = random_rows(count, dim, 99);
    uint64_t first = 0;

    add_now(engine, index, &rows);
    CHECK(mp_vector_count(index) == total);
    for (size_t i = 0; i < count; i++) {
        mp_Floats query = row_of(&queries, i);
        uint64_t id = submit_job(
            engine, mp_vector_search(index, &query, i % 7 + 1, NULL));

        if (i == 0) first = id;
    }
    for (size_t i = 0; i < count; i++) {
        mp_Event *event = await_event(engine);
        size_t row = (size_t)(event->id - first);

        CHECK(answers(metric, &rows, queries.data + row * dim, event,
                      row % 7 + 1));
        mp_job_free_event(event);
    }
    mp_floats_term(&rows);
    mp_floats_term(&queries);
    mp_vector_unref(index);
    mp_engine_free(engine);
}

static void test_searches(void)
{
    check_searches(MP_VECTOR_L2, 100, 3, 1);
    check_searches(MP_VECTOR_L2, 1000, 16, 150); /* several batches */
    check_searches(MP_VECTOR_IP, 1000, 16, 150);
    check_searches(MP_VECTOR_L2, 40000, 1024, 2); /* several hands */
    check_searches(MP_VECTOR_IP, 40000, 1024, 2);
}

/* --- the line --- */

static void test_fewer_than_k(void)
{
    mp_Engine *engine = new_engine();
    mp_Vector *index = new_index(MP_VECTOR_L2, 2);
    mp_Floats rows = random_rows(3, 2, 1), query = row_of(&rows, 1);
    mp_Event *event;

    submit_job(engine, mp_vector_search(index, &query, 5, NULL));
    event = await_event(engine);
    CHECK(event->kind == MP_EVENT_DONE && event->floats.rows == 0);
    CHECK(event->head.len == 0);
    mp_job_free_event(event);
    add_now(engine, index, &rows);
    query = row_of(&rows, 1);
    submit_job(engine, mp_vector_search(index, &query, 5, NULL));
    event = await_event(engine);
    CHECK(event->floats.dim == 3 && event->floats.data[0] == 0);
    CHECK(event->head.data[0] == '1');
    mp_job_free_event(event);
    mp_floats_term(&rows);
    mp_vector_unref(index);
    mp_engine_free(engine);
}

/* The index is let go of at once: its jobs keep it. */
static void test_order(void)
{
    mp_Engine *engine = new_engine();
    mp_Vector *index = new_index(MP_VECTOR_L2, 2);
    int found = 0;

    for (int i = 0; i < 200; i++) {
        mp_Floats rows = random_rows(1, 2, (unsigned)i), query;

        query = row_of(&rows, 0);
        submit_job(engine, mp_vector_add(index, &rows));
        submit_job(engine, mp_vector_search(index, &query, 1, NULL));
    }
    mp_vector_unref(index);
    for (int i = 0; i < 400; i++) {
        mp_Event *event = await_event(engine);

        CHECK(event->kind == MP_EVENT_DONE);
        found += event->floats.rows > 0;
        mp_job_free_event(event);
    }
    CHECK(found > 0);
    mp_engine_free(engine);
}

/* Cancels a large add a moment after it began. It is all there or not at all,
 * by who was faster; the event says which. Returns whether it was cancelled. */
static bool cancel_add(mp_Engine *engine, int delay_us)
{
    mp_Vector *index = new_index(MP_VECTOR_L2, 1024);
    mp_Floats rows = random_rows(20000, 1024, 3);
    uint64_t id = submit_job(engine, mp_vector_add(index, &rows));
    mp_Event *event;
    bool cancelled;

    if (delay_us > 0) usleep((useconds_t)delay_us);
    mp_engine_cancel(engine, id);
    event = await_event(engine);
    cancelled = event->kind == MP_EVENT_CANCELLED;
    CHECK(cancelled || event->kind == MP_EVENT_DONE);
    CHECK(mp_vector_count(index) == (cancelled ? 0 : 20000));
    mp_job_free_event(event);
    mp_vector_unref(index);
    return cancelled;
}

/* A scheduler may run an add to its end before the cancel: it gets tries. */
static void test_cancel(void)
{
    mp_Engine *engine = new_engine();
    mp_Vector *index = new_index(MP_VECTOR_L2, 1024);
    mp_Floats few = random_rows(3, 1024, 4);
    int cancelled = 0;
    mp_Event *event;

    for (int i = 0; i < 20 && cancelled == 0; i++)
        cancelled += cancel_add(engine, i % 4 * 1000);
    CHECK(cancelled > 0);
    add_now(engine, index, &few);
    CHECK(mp_vector_count(index) == 3);
    for (int i = 0; i < 50; i++) {
        mp_Floats query = row_of(&few, 0);
        uint64_t id =
            submit_job(engine, mp_vector_search(index, &query, 1, NULL));

        if (i % 2) mp_engine_cancel(engine, id);
    }
    for (int i = 0; i < 50; i++) {
        event = await_event(engine);
        CHECK(event->kind == MP_EVENT_DONE ||
              event->kind == MP_EVENT_CANCELLED);
        mp_job_free_event(event);
    }
    mp_floats_term(&few);
    mp_vector_unref(index);
    mp_engine_free(engine);
}

/* Closing with jobs in every state, again and again. */
static void test_close(void)
{
    mp_Vector *index = new_index(MP_VECTOR_L2, 64);

    for (int round = 0; round < 50; round++) {
        mp_Engine *engine = new_engine();

        for (int i = 0; i < 20; i++) {
            mp_Floats rows = random_rows(50, 64, (unsigned)i), query;

            query = row_of(&rows, 0);
            submit_job(engine, mp_vector_add(index, &rows));
            submit_job(engine, mp_vector_search(index, &query, 3, NULL));
        }
        if (round % 3) usleep((useconds_t)round * 20);
        mp_engine_free(engine);
    }
    mp_vector_unref(index);
}

static void test_check(void)
{
    mp_Vector *index = new_index(MP_VECTOR_L2, 2);
    mp_Floats rows = random_rows(2, 3, 1), copy;
    mp_Error err;

    CHECK(mp_vector_check(index, &rows, &err) == -MP_KIND_INPUT);
    CHECK(strcmp(err.message, "the index holds vectors of 2 numbers, got 3") ==
          0);
    mp_floats_term(&rows);
    rows = random_rows(2, 2, 1);
    CHECK(mp_vector_check(index, &rows, &err) == MP_OK);
    rows.data[3] = NAN;
    CHECK(mp_vector_check(index, &rows, &err) == -MP_KIND_INPUT);
    CHECK(strcmp(err.message, "number 2 of vector 2 is not finite") == 0);
    CHECK(mp_vector_copy(index, &rows, &copy, &err) == -MP_KIND_INPUT);
    CHECK(strcmp(err.message, "number 2 of vector 2 is not finite") == 0);
    rows.data[3] = 3e38f; /* whose square is not finite */
    CHECK(mp_vector_copy(index, &rows, &copy, &err) == MP_OK);
    CHECK(copy.rows == 2 && memcmp(copy.data, rows.data, 16) == 0);
    mp_floats_term(&copy);
    mp_floats_term(&rows);
    CHECK(mp_vector_shape(index)->dim == 2);
    mp_vector_unref(index);
}

/* --- a forked child --- */

static int search_in_child(mp_Vector *index, mp_Floats query)
{
    mp_Engine *engine = new_engine();
    mp_Event *event;

    CHECK(mp_vector_check(index, &query, NULL) == MP_OK);
    submit_job(engine, mp_vector_search(index, &query, 1, NULL));
    event = await_event(engine);
    CHECK(event->floats.dim == 1 && event->head.data[0] == '4');
    mp_job_free_event(event);
    mp_engine_free(engine);
    return test_failed;
}

static int wait_for(pid_t child)
{
    int status = -1;

    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_fork(void)
{
    mp_Vector *index = new_index(MP_VECTOR_L2, 2);
    mp_Floats rows = random_rows(5, 2, 1);
    mp_Engine *engine = new_engine();
    pid_t child;

    add_now(engine, index, &rows);
    mp_engine_free(engine);
    child = fork();
    if (child == 0) {
        int code = search_in_child(index, row_of(&rows, 4));

        mp_floats_term(&rows);
        mp_vector_unref(index);
        _exit(code);
    }
    CHECK(wait_for(child) == 0);
    mp_floats_term(&rows);
    mp_vector_unref(index);
}

/* As if a thread of the pool stood in the index, with its lock. */
static void test_fork_while_it_is_locked(void)
{
    mp_Vector *index = new_index(MP_VECTOR_L2, 2);
    int status = -1;
    pid_t child;

    pthread_mutex_lock(&index->line.lock);
    index->line.active = true;
    child = fork();
    if (child == 0) {
        size_t count;

        alarm(10); /* instead of waiting for ever */
        count = mp_vector_count(index);
        pthread_mutex_unlock(&index->line.lock);
        mp_vector_unref(index);
        _exit(count == 0 ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    index->line.active = false;
    pthread_mutex_unlock(&index->line.lock);
    mp_vector_unref(index);
}

/* Right after an answer nothing of the index is in use. */
static void fork_at_once(void)
{
    mp_Vector *index = new_index(MP_VECTOR_L2, 2);
    mp_Floats rows = random_rows(5, 2, 1);
    static mp_Engine *engine; /* the child's stays: its pool is the parent's */
    pid_t child;
    bool good;

    engine = new_engine();
    add_now(engine, index, &rows);
    child = fork();
    good = mp_vector_check(index, &rows, NULL) == MP_OK;
    mp_floats_term(&rows);
    mp_vector_unref(index);
    if (child == 0) _exit(good ? 0 : 1);
    mp_engine_free(engine);
    CHECK(wait_for(child) == 0);
}

int main(void)
{
    if (!has_vectors()) return 0;
    test_fork();
    test_fork_while_it_is_locked();
    for (int i = 0; i < 20; i++)
        fork_at_once();
    test_searches();
    test_fewer_than_k();
    test_order();
    test_cancel();
    test_close();
    test_check();
    return TEST_END();
}
