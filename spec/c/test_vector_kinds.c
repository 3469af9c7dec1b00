/* test_vector_kinds.c: HNSW, IVF and SQ beside FAISS's own search of the same
 * index; exceptions in C++ at every step, memory that fails in C. */
#include "alloc.h"
#include "test.h"
#include "torture.h"
#include "vector_case.h"
#include "vector_index.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#define DIM     24
#define K       10
#define QUERIES 40

static const mp_VectorShape shapes[] = {
    {.dim = DIM, .kind = MP_FAISS_HNSW, .m = 16, .ef_search = 50},
    {.dim = DIM, .kind = MP_FAISS_HNSW, .metric = MP_VECTOR_IP},
    {.dim = DIM, .kind = MP_FAISS_IVF, .nlist = 12, .nprobe = 3},
    {.dim = DIM,
     .kind = MP_FAISS_IVF,
     .nlist = 9,
     .nprobe = 2,
     .metric = MP_VECTOR_COSINE},
    {.dim = DIM, .kind = MP_FAISS_SQ},
    {.dim = DIM, .kind = MP_FAISS_SQ, .metric = MP_VECTOR_IP},
};

#define SHAPES (sizeof shapes / sizeof *shapes)

static mp_Vector *make(const mp_VectorShape *shape)
{
    mp_Vector *index = NULL;

    CHECK(mp_vector_new(&index, shape, NULL) == MP_OK);
    return index;
}

/* --- beside FAISS --- */

static size_t effort_of(const mp_VectorShape *shape)
{
    return shape->kind == MP_FAISS_IVF ? shape->nprobe : shape->ef_search;
}

static mp_Floats unit_rows(const mp_Vector *index, size_t count, unsigned seed)
{
    mp_Floats rows = random_rows(count, DIM, seed);

    if (index->shape.metric == MP_VECTOR_COSINE)
        for (size_t i = 0; i < count; i++)
            mp_floats_unit(rows.data + i * DIM, DIM);
    return rows;
}

/* How many of [event]'s are not FAISS's, ties within 1e-5 aside. */
static size_t count_others(mp_Event *event, const float *distances,
                           const int64_t *ids)
{
    const char *at = event->head.data;
    size_t others = 0;

    CHECK(event->kind == MP_EVENT_DONE && event->floats.dim == K);
    for (size_t i = 0; i < K; i++) {
        char *end;
        int64_t id = strtol(at, &end, 10);
        double apart = fabs((double)event->floats.data[i] - distances[i]);
        double size = 1 + fabs((double)distances[i]);

        others += apart > 1e-4 * size || (id != ids[i] && apart > 1e-5 * size);
        at = end;
    }
    mp_job_free_event(event);
    return others;
}

static void check_beside_faiss(const mp_VectorShape *shape)
{
    mp_Engine *engine = new_engine();
    mp_Vector *index = make(shape);
    mp_Floats rows = random_rows(1600, DIM, 3);
    mp_Floats queries = unit_rows(index, QUERIES, 5);
    char message[MP_FAISS_TEXT];
    float distances[QUERIES * K];
    int64_t ids[QUERIES * K];
    size_t others = 0;

    add_now(engine, index, &rows);
    CHECK(index->form == shape->kind);
    CHECK(index->lib->search(index->faiss, queries.data, QUERIES, K,
                             effort_of(&index->shape), distances, ids,
                             message) == MP_FAISS_OK);
    for (size_t i = 0; i < QUERIES; i++) {
        mp_Floats query = row_of(&queries, i);

        submit_job(engine, mp_vector_search(index, &query, K, NULL));
        others +=
            count_others(await_event(engine), distances + i * K, ids + i * K);
    }
    /* Ours keeps more candidates, and so finds more, now and then. */
    CHECK(others <= (shape->kind == MP_FAISS_HNSW ? QUERIES * K / 50 : 0));
    mp_floats_term(&rows);
    mp_floats_term(&queries);
    mp_vector_unref(index);
    mp_engine_free(engine);
}

/* --- few vectors --- */

/* What is to be trained is flat and exact until there are enough. */
static void test_training(void)
{
    mp_Engine *engine = new_engine();
    mp_Vector *lists =
        make(&(mp_VectorShape){.dim = DIM, .kind = MP_FAISS_IVF, .nlist = 4});
    mp_Vector *many = make(&(mp_VectorShape){.dim = DIM, .kind = MP_FAISS_IVF});
    mp_Floats rows = random_rows(155, DIM, 3), one = random_rows(1, DIM, 4);
    mp_Floats crowd = random_rows(4096, DIM, 5);

    add_now(engine, lists, &rows);
    CHECK(lists->form == MP_FAISS_FLAT);
    add_now(engine, lists, &one);
    CHECK(lists->form == MP_FAISS_IVF && mp_vector_count(lists) == 156);
    add_now(engine, many, &crowd);
    CHECK(many->form == MP_FAISS_IVF && many->nlist == 64);
    mp_floats_term(&rows);
    mp_floats_term(&one);
    mp_floats_term(&crowd);
    mp_vector_unref(lists);
    mp_vector_unref(many);
    mp_engine_free(engine);
}

/* Of two lists one is farther away than a float can say. */
static void test_too_far(void)
{
    mp_Engine *engine = new_engine();
    mp_Vector *index =
        make(&(mp_VectorShape){.dim = DIM, .kind = MP_FAISS_IVF, .nlist = 2});
    mp_Floats rows = random_rows(80, DIM, 3), query = random_rows(1, DIM, 4);
    mp_Event *event;

    for (size_t i = 1; i < 80; i += 2)
        rows.data[i * DIM] = 3e19f;
    add_now(engine, index, &rows);
    CHECK(index->form == MP_FAISS_IVF);
    submit_job(engine, mp_vector_search(index, &query, 80, NULL));
    event = await_event(engine);
    CHECK(event->kind == MP_EVENT_DONE && event->floats.dim == 40);
    mp_job_free_event(event);
    mp_floats_term(&rows);
    mp_vector_unref(index);
    mp_engine_free(engine);
}

/* A cancelled add leaves nothing: also of an index that cannot forget rows. */
static void check_cancel(const mp_VectorShape *shape)
{
    mp_Engine *engine = new_engine();
    mp_Vector *index = make(shape);
    mp_Floats few = random_rows(30, DIM, 1), query = row_of(&few, 7);
    mp_Event *event;

    add_now(engine, index, &few);
    for (int i = 0; i < 6; i++) {
        mp_Floats rows = random_rows(900, DIM, (unsigned)i);
        uint64_t id = submit_job(engine, mp_vector_add(index, &rows));
        size_t count = mp_vector_count(index);

        if (i > 0) usleep((useconds_t)(1000 << i / 2));
        mp_engine_cancel(engine, id);
        event = await_event(engine);
        CHECK(event->kind == MP_EVENT_CANCELLED ||
              event->kind == MP_EVENT_DONE);
        if (event->kind == MP_EVENT_CANCELLED)
            CHECK(mp_vector_count(index) == count);
        mp_job_free_event(event);
    }
    submit_job(engine, mp_vector_search(index, &query, 1, NULL));
    event = await_event(engine);
    CHECK(event->floats.dim == 1 && event->head.data[0] == '7');
    mp_job_free_event(event);
    mp_floats_term(&few);
    mp_vector_unref(index);
    mp_engine_free(engine);
}

/* --- exceptions --- */

static mp_Status add_rows(mp_Engine *engine, mp_Vector *index, size_t count,
                          mp_Error *err)
{
    mp_Floats rows;
    mp_Job *job;

    if (mp_floats_init(&rows, count, DIM, NULL) != MP_OK)
        return -MP_KIND_MEMORY;
    for (size_t i = 0; i < count * DIM; i++)
        rows.data[i] = (float)(i * i % 101);
    job = mp_vector_add(index, &rows);
    mp_floats_term(&rows);
    return end_job(engine, job, NULL, err);
}

static mp_Status search_one(mp_Engine *engine, mp_Vector *index, mp_Error *err)
{
    mp_Floats query;
    mp_Job *job;

    if (mp_floats_init(&query, 1, DIM, NULL) != MP_OK) return -MP_KIND_MEMORY;
    memset(query.data, 0, DIM * sizeof *query.data);
    job = mp_vector_search(index, &query, 3, NULL);
    mp_floats_term(&query);
    return end_job(engine, job, NULL, err);
}

static mp_Status delete_first(mp_Engine *engine, mp_Vector *index, size_t count)
{
    mp_VectorNumbers numbers = {mp_alloc(count * sizeof(size_t)), count};
    mp_Job *job;

    if (!numbers.data) return -MP_KIND_MEMORY;
    for (size_t i = 0; i < count; i++)
        numbers.data[i] = i;
    job = mp_vector_delete(index, &numbers);
    mp_vector_numbers_term(&numbers);
    return end_job(engine, job, NULL, NULL);
}

/* Trained by the second add. */
static size_t before_training(const mp_VectorShape *shape)
{
    if (shape->kind == MP_FAISS_HNSW) return 20;
    return shape->kind == MP_FAISS_SQ ? 1000 : 39 * shape->nlist - 10;
}

/* The [nth] step of C++ throws in the second add, or in a search: the job
 * says so, the index is as it was and works. Returns how many there were. */
static int64_t throw_once(const mp_VectorShape *shape, int64_t nth,
                          int as_faiss)
{
    mp_Engine *engine = new_engine();
    mp_Vector *index = make(shape);
    size_t few = before_training(shape);
    mp_Status status, expected = as_faiss ? -MP_KIND_INTERNAL : -MP_KIND_MEMORY;
    mp_Error err = {0};
    int64_t since;

    CHECK(add_rows(engine, index, few, NULL) == MP_OK);
    index->lib->fail_at(nth, as_faiss, &since);
    status = add_rows(engine, index, 60, &err);
    if (status == MP_OK) status = search_one(engine, index, &err);
    index->lib->fail_at(0, 0, &since);
    CHECK(status == (since >= nth ? expected : MP_OK));
    if (since >= nth && as_faiss)
        CHECK(strstr(err.message, "FAISS: ") && strstr(err.message, "asked"));
    CHECK(mp_vector_count(index) == few || mp_vector_count(index) == few + 60);
    CHECK(add_rows(engine, index, 60, NULL) == MP_OK);
    CHECK(search_one(engine, index, NULL) == MP_OK);
    mp_vector_unref(index);
    mp_engine_free(engine);
    return since;
}

static void check_exceptions(const mp_VectorShape *shape)
{
    int64_t nth = 1;
    int tried = 0;

    while (throw_once(shape, nth, nth % 2) >= nth && ++tried < 16)
        nth = torture_next(nth + nth / 4);
    CHECK(tried > 3);
}

/* What an add that came to nothing found right is not what the next one needs.
 */
static void test_training_again(void)
{
    mp_Engine *engine = new_engine();
    mp_Vector *index =
        make(&(mp_VectorShape){.dim = DIM, .kind = MP_FAISS_IVF});
    int64_t since;

    index->lib->fail_at(2, 1, &since); /* after training */
    CHECK(add_rows(engine, index, 6000, NULL) == -MP_KIND_INTERNAL);
    index->lib->fail_at(0, 1, &since);
    CHECK(since == 2 && index->nlist == 0 && mp_vector_count(index) == 0);
    CHECK(add_rows(engine, index, 4096, NULL) == MP_OK);
    CHECK(index->form == MP_FAISS_IVF && index->nlist == 64);
    mp_vector_unref(index);
    mp_engine_free(engine);
}

/* What FAISS and the library really throw: at bytes that are no index, and at
 * more than a vector can ever hold. */
static void test_real_exceptions(void)
{
    mp_VectorState state = {.shape = shapes[0],
                            .next = 3,
                            .count = 3,
                            .payload = "no index at all",
                            .payload_len = 15};
    mp_Vector *index = NULL;
    char message[MP_FAISS_TEXT];
    mp_Error err;

    CHECK(mp_vector_open(&index, &state, NULL, NULL, &err) ==
          -MP_KIND_INTERNAL);
    CHECK(strncmp(err.message, "FAISS: ", 7) == 0);
    index = make(&(mp_VectorShape){.dim = DIM});
    CHECK(index->lib->cut(index->faiss, SIZE_MAX / DIM / 5, message) ==
          MP_FAISS_MEMORY);
    mp_vector_unref(index);
}

/* --- memory --- */

static mp_Status work_once(void *shape)
{
    mp_Engine *engine = NULL;
    mp_Vector *index = NULL;
    mp_Status status = mp_engine_new(&engine, NULL);
    size_t few = before_training(shape);

    if (status == MP_OK) status = mp_vector_new(&index, shape, NULL);
    if (status == MP_OK) status = add_rows(engine, index, few, NULL);
    if (status == MP_OK) status = add_rows(engine, index, 60, NULL);
    if (status == MP_OK) status = search_one(engine, index, NULL);
    if (status == MP_OK) status = delete_first(engine, index, few);
    if (status == MP_OK) status = search_one(engine, index, NULL);
    if (engine) mp_engine_free(engine);
    if (index) mp_vector_unref(index);
    return status;
}

int main(void)
{
    if (!has_vectors()) return 0;
    for (size_t i = 0; i < SHAPES; i++)
        check_beside_faiss(&shapes[i]);
    test_training();
    test_too_far();
    test_training_again();
    test_real_exceptions();
    for (size_t i = 0; i < SHAPES; i += 2) {
        mp_VectorShape shape = shapes[i];

        if (shape.kind == MP_FAISS_IVF) shape.nlist = 5;
        check_cancel(&shape);
        check_exceptions(&shape);
        CHECK(torture(work_once, &shape) > 20);
    }
    return TEST_END();
}
