/* test_vector_state.c: an index made of what another one's reader copied is the
 * same; what was lent is given back once; memory that fails them. */
#include "alloc.h"
#include "test.h"
#include "torture.h"
#include "vector_case.h"

#include <stdbool.h>

#define ROWS 1100
#define DIM  6

/* A copy of a state: what a file would hold. */
typedef struct Saved {
    mp_VectorState state;
    size_t *numbers;
    uint8_t *alive;
    float *rows;
    char *payload;
    int slices;
    int terms;
    int releases;
} Saved;

static void *copy(const void *from, size_t len)
{
    return from ? mp_alloc_copy(from, len) : NULL;
}

static mp_CpuStep save(void *self, const mp_VectorState *state,
                       int64_t until_us, mp_Error *err)
{
    Saved *saved = self;
    size_t count = state->count;

    (void)until_us;
    if (saved->slices++ == 0) return MP_CPU_MORE;
    saved->state = *state;
    saved->numbers = copy(state->numbers, count * sizeof(size_t));
    saved->alive = copy(state->alive, (count + 7) / 8);
    saved->rows = copy(state->rows, count * state->shape.dim * sizeof(float));
    saved->payload = copy(state->payload, state->payload_len);
    saved->state.numbers = saved->numbers;
    saved->state.alive = saved->alive;
    saved->state.rows = saved->rows;
    saved->state.payload = saved->payload;
    if ((state->numbers && !saved->numbers) ||
        (state->alive && !saved->alive) || (state->rows && !saved->rows) ||
        (state->payload && !saved->payload)) {
        mp_err_memory(err);
        return MP_CPU_FAILED;
    }
    return MP_CPU_DONE;
}

static void end(void *self)
{
    ((Saved *)self)->terms++;
}

static void release(void *owner)
{
    ((Saved *)owner)->releases++;
}

static const mp_VectorReader reader = {save, end};

static void free_saved(Saved *saved)
{
    mp_alloc_free(saved->numbers);
    mp_alloc_free(saved->alive);
    mp_alloc_free(saved->rows);
    mp_alloc_free(saved->payload);
}

static mp_Status add(mp_Engine *engine, mp_Vector *index, size_t count,
                     unsigned seed)
{
    mp_Floats rows;
    mp_Status status = mp_floats_init(&rows, count, DIM, NULL);
    mp_Job *job;

    if (status != MP_OK) return status;
    for (size_t i = 0; i < count * DIM; i++) {
        seed = seed * 1664525u + 1013904223u;
        rows.data[i] = (float)(seed >> 8) / (1 << 23) - 1;
    }
    job = mp_vector_add(index, &rows);
    mp_floats_term(&rows);
    return end_job(engine, job, NULL, NULL);
}

/* Every [step]th of the first [count]. */
static mp_Status delete_some(mp_Engine *engine, mp_Vector *index, size_t count,
                             size_t step)
{
    mp_VectorNumbers numbers = {mp_alloc((count + 1) * sizeof(size_t)), 0};
    mp_Job *job;

    if (!numbers.data) return -MP_KIND_MEMORY;
    for (size_t i = 0; i < count; i += step)
        numbers.data[numbers.count++] = i;
    job = mp_vector_delete(index, &numbers);
    mp_vector_numbers_term(&numbers);
    return end_job(engine, job, NULL, NULL);
}

static mp_Status search(mp_Engine *engine, mp_Vector *index, mp_Event **event)
{
    mp_Floats query;
    mp_Status status = mp_floats_init(&query, 1, DIM, NULL);
    mp_Job *job;

    if (status != MP_OK) return status;
    for (size_t i = 0; i < DIM; i++)
        query.data[i] = 0.1f * (float)i;
    job = mp_vector_search(index, &query, 20, NULL);
    mp_floats_term(&query);
    return end_job(engine, job, event, NULL);
}

static bool is_same(mp_Engine *engine, mp_Vector *one, mp_Vector *other)
{
    mp_Event *a = NULL, *b = NULL;
    bool same;

    CHECK(search(engine, one, &a) == MP_OK);
    CHECK(search(engine, other, &b) == MP_OK);
    same = a->floats.dim == 20 && b->floats.dim == 20 &&
           a->head.len == b->head.len &&
           memcmp(a->head.data, b->head.data, a->head.len) == 0 &&
           memcmp(a->floats.data, b->floats.data, 20 * sizeof(float)) == 0;
    mp_job_free_event(a);
    mp_job_free_event(b);
    return same && mp_vector_count(one) == mp_vector_count(other);
}

/* The same adds and deletes of both lead to the same. */
static void check_both(mp_Engine *engine, mp_Vector *one, mp_Vector *other,
                       Saved *saved)
{
    CHECK(is_same(engine, one, other));
    CHECK(delete_some(engine, one, 90, 7) == MP_OK);
    CHECK(delete_some(engine, other, 90, 7) == MP_OK);
    CHECK(is_same(engine, one, other));
    if (saved->state.shape.kind == MP_FAISS_HNSW) return; /* dice again */
    CHECK(saved->releases == 0 || !saved->state.rows);
    CHECK(add(engine, one, 77, 9) == MP_OK);
    CHECK(add(engine, other, 77, 9) == MP_OK);
    CHECK(saved->releases == 1);
    CHECK(is_same(engine, one, other));
    CHECK(delete_some(engine, one, 350, 1) == MP_OK);
    CHECK(delete_some(engine, other, 350, 1) == MP_OK);
    CHECK(is_same(engine, one, other));
}

static void test_same(mp_VectorShape shape, size_t deleted)
{
    mp_Engine *engine = new_engine();
    mp_Vector *index = NULL, *other = NULL;
    Saved saved = {0};

    CHECK(mp_vector_new(&index, &shape, NULL) == MP_OK);
    CHECK(add(engine, index, ROWS, 1) == MP_OK);
    if (deleted > 0) CHECK(delete_some(engine, index, deleted, 1) == MP_OK);
    CHECK(end_job(engine, mp_vector_read(index, &reader, &saved), NULL, NULL) ==
          MP_OK);
    CHECK(saved.slices == 2 && saved.terms == 1);
    CHECK(saved.state.next == ROWS);
    CHECK(mp_vector_open(&other, &saved.state, release, &saved, NULL) == MP_OK);
    check_both(engine, index, other, &saved);
    mp_vector_unref(index);
    mp_vector_unref(other);
    CHECK(saved.releases == 1);
    mp_engine_free(engine);
    free_saved(&saved);
}

/* It goes without ever having changed; or has nothing. */
static void test_release(void)
{
    static const float rows[2 * DIM];
    mp_VectorState state = {
        .shape = {.dim = DIM}, .next = 2, .count = 2, .rows = rows};
    mp_Vector *index = NULL;
    Saved saved = {0};

    CHECK(mp_vector_open(&index, &state, release, &saved, NULL) == MP_OK);
    CHECK(saved.releases == 0 && mp_vector_count(index) == 2);
    mp_vector_unref(index);
    CHECK(saved.releases == 1);
    state.count = 0;
    CHECK(mp_vector_open(&index, &state, release, &saved, NULL) == MP_OK);
    CHECK(saved.releases == 2);
    mp_vector_unref(index);
    CHECK(saved.releases == 2);
}

static void refuse(const mp_VectorState *state)
{
    mp_Vector *index = NULL;
    Saved saved = {0};

    CHECK(mp_vector_open(&index, state, release, &saved, NULL) ==
          -MP_KIND_INPUT);
    CHECK(saved.releases == 0);
}

static void test_refuses(void)
{
    static const float rows[2 * DIM];
    static const size_t down[] = {1, 0}, high[] = {0, 2};
    const mp_VectorState good = {
        .shape = {.dim = DIM}, .next = 2, .count = 2, .rows = rows};
    mp_VectorState state = good;

    state.next = 1;
    refuse(&state);
    state = good, state.rows = NULL;
    refuse(&state);
    state = good, state.numbers = down;
    refuse(&state);
    state = good, state.numbers = high;
    refuse(&state);
    state = good, state.shape.dim = 0;
    refuse(&state);
}

/* --- memory --- */

static mp_Status reopen(mp_Engine *engine, mp_Vector *index, Saved *saved)
{
    mp_Vector *other = NULL;
    mp_Job *job = mp_vector_read(index, &reader, saved);
    mp_Status status = end_job(engine, job, NULL, NULL);

    if (status == MP_OK)
        status = mp_vector_open(&other, &saved->state, NULL, NULL, NULL);
    if (status == MP_OK) status = add(engine, other, 3, 1);
    if (other) mp_vector_unref(other);
    return status;
}

static mp_Status work_once(void *shape)
{
    mp_Engine *engine = NULL;
    mp_Vector *index = NULL;
    Saved saved = {0};
    mp_Status status = mp_engine_new(&engine, NULL);

    if (status == MP_OK) status = mp_vector_new(&index, shape, NULL);
    if (status == MP_OK) status = add(engine, index, ROWS, 1);
    if (status == MP_OK) status = delete_some(engine, index, 50, 1);
    if (status == MP_OK) status = reopen(engine, index, &saved);
    if (engine) mp_engine_free(engine);
    if (index) mp_vector_unref(index);
    free_saved(&saved);
    return status;
}

int main(void)
{
    static mp_VectorShape flat = {.dim = DIM};

    static mp_VectorShape lists = {
        .dim = DIM, .kind = MP_FAISS_IVF, .nlist = 7, .nprobe = 2};

    if (!has_vectors()) return 0;
    test_same(flat, 0);
    test_same(flat, 50);
    test_same(flat, 200);
    test_same((mp_VectorShape){.dim = DIM, .kind = MP_FAISS_HNSW}, 50);
    test_same(lists, 0);
    test_same(lists, 50);
    test_same((mp_VectorShape){.dim = DIM, .kind = MP_FAISS_SQ}, 10);
    test_release();
    test_refuses();
    CHECK(torture(work_once, &flat) > 12);
    CHECK(torture(work_once, &lists) > 12);
    return TEST_END();
}
