/* test_vector_threads.c: engines on threads of their own add to one index,
 * delete from it and search it at the same time. */
#include "alloc.h"
#include "test.h"
#include "vector_case.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define DIM     8
#define THREADS 3
#define ROUNDS  25
#define ROWS    20

typedef struct Part {
    pthread_t thread;
    mp_Vector *index;
    unsigned seed;
    size_t kept;
    int failures; /* CHECK counts on one thread only */
} Part;

static mp_Event *run(Part *part, mp_Engine *engine, mp_Job *job)
{
    mp_Event *event;
    uint64_t id;

    part->failures += mp_engine_submit(engine, job, &id, NULL) != MP_OK;
    while (!(event = mp_engine_next(engine)))
        mp_engine_wait(engine, -1);
    part->failures += event->kind != MP_EVENT_DONE;
    return event;
}

/* Adds ROWS vectors that are far from others' and returns the first number. */
static size_t add_own(Part *part, mp_Engine *engine)
{
    mp_Floats rows;
    mp_Event *event;
    size_t first;

    part->failures += mp_floats_init(&rows, ROWS, DIM, NULL) != MP_OK;
    for (size_t i = 0; i < ROWS * DIM; i++) {
        part->seed = part->seed * 1664525u + 1013904223u;
        rows.data[i] = (float)(part->seed >> 8) / (1 << 24);
    }
    event = run(part, engine, mp_vector_add(part->index, &rows));
    mp_buf_char(&event->bytes, '\0');
    first = strtoul(event->bytes.data, NULL, 10);
    mp_job_free_event(event);
    return first;
}

static mp_VectorNumbers own_numbers(Part *part, size_t first, size_t count)
{
    mp_VectorNumbers numbers = {mp_alloc(count * sizeof(size_t)), count};

    part->failures += !numbers.data;
    for (size_t i = 0; i < count; i++)
        numbers.data[i] = first + i;
    return numbers;
}

static void delete_own(Part *part, mp_Engine *engine, size_t first,
                       size_t count)
{
    mp_VectorNumbers numbers = own_numbers(part, first, count);

    mp_job_free_event(
        run(part, engine, mp_vector_delete(part->index, &numbers)));
}

/* Of its own it must find those that it has not deleted, all of them. */
static void search_own(Part *part, mp_Engine *engine, size_t first,
                       size_t deleted)
{
    mp_VectorNumbers numbers = own_numbers(part, first, ROWS);
    mp_Floats query;
    mp_Event *event;
    char *at;

    part->failures += mp_floats_init(&query, 1, DIM, NULL) != MP_OK;
    memset(query.data, 0, DIM * sizeof *query.data);
    event = run(part, engine,
                mp_vector_search(part->index, &query, 2 * ROWS, &numbers));
    part->failures += event->floats.dim != ROWS - deleted;
    mp_buf_char(&event->head, '\0');
    at = event->head.data;
    for (size_t i = 0; i < event->floats.dim; i++) {
        size_t id = strtoul(at, &at, 10);

        part->failures += id < first + deleted || id >= first + ROWS;
    }
    mp_job_free_event(event);
}

/* Whatever the others do, the nearest come back. */
static void search_all(Part *part, mp_Engine *engine)
{
    mp_Floats query;
    mp_Event *event;

    part->failures += mp_floats_init(&query, 1, DIM, NULL) != MP_OK;
    memset(query.data, 0, DIM * sizeof *query.data);
    event = run(part, engine, mp_vector_search(part->index, &query, 3, NULL));
    part->failures += event->floats.dim != 3;
    mp_job_free_event(event);
}

static void *work(void *arg)
{
    Part *part = arg;
    mp_Engine *engine = NULL;

    part->failures += mp_engine_new(&engine, NULL) != MP_OK;
    for (int round = 0; round < ROUNDS; round++) {
        size_t first = add_own(part, engine), deleted = round % 4 ? 15 : 0;

        if (deleted > 0) delete_own(part, engine, first, deleted);
        search_own(part, engine, first, deleted);
        search_all(part, engine);
        part->kept += ROWS - deleted;
    }
    mp_engine_free(engine);
    return NULL;
}

static void check_kind(mp_VectorShape shape)
{
    Part parts[THREADS] = {{0}};
    mp_Vector *index = NULL;
    size_t kept = 0;

    CHECK(mp_vector_new(&index, &shape, NULL) == MP_OK);
    for (unsigned i = 0; i < THREADS; i++) {
        parts[i].index = index;
        parts[i].seed = i;
        CHECK(pthread_create(&parts[i].thread, NULL, work, &parts[i]) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(parts[i].thread, NULL);
        CHECK(parts[i].failures == 0);
        kept += parts[i].kept;
    }
    CHECK(mp_vector_count(index) == kept);
    mp_vector_unref(index);
}

int main(void)
{
    if (!has_vectors()) return 0;
    check_kind((mp_VectorShape){.dim = DIM});
    check_kind((mp_VectorShape){
        .dim = DIM, .metric = MP_VECTOR_COSINE, .kind = MP_FAISS_HNSW, .m = 8});
    check_kind((mp_VectorShape){.dim = DIM, .kind = MP_FAISS_IVF, .nlist = 4});
    check_kind((mp_VectorShape){.dim = DIM, .kind = MP_FAISS_SQ});
    return TEST_END();
}
