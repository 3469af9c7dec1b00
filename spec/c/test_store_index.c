/* test_store_index.c: work/store_index: an index that is made of a file answers
 * as the one that was written; files that do not fit are refused. */
#include "test.h"

#include "store_case.h"
#include "torture.h"
#include "vector_case.h"

#include <stdlib.h>
#include <unistd.h>

#define DIM  16
#define ROWS 1000

static char path[] = "/tmp/test_store_index.XXXXXX";

static mp_Status save(mp_Engine *engine, mp_Vector *index, mp_Error *err)
{
    mp_StoreWriter *writer = mp_store_writer_new(path);
    mp_Status status;

    if (!writer) return mp_err_memory(err);
    status = put_texts(engine, writer, "texts", store_texts, 3, err);
    if (status == MP_OK)
        status = run_store_job(engine, mp_store_put_index(writer, index), err);
    if (status == MP_OK) status = put_bytes(engine, writer, "x", "y", err);
    if (status == MP_OK)
        status = run_store_job(engine, mp_store_finish(writer), err);
    mp_store_writer_unref(writer);
    return status;
}

/* Nobody keeps the reader but the index. */
static mp_Status load(mp_Engine *engine, mp_VectorShape shape, size_t next,
                      mp_Vector **index, mp_Error *err)
{
    mp_StoreReader *reader = read_store(engine, path, err);
    mp_Status status;

    *index = NULL;
    if (!reader) return -(mp_Status)err->kind;
    status =
        run_store_job(engine, mp_store_make_index(reader, &shape, next), err);
    if (status == MP_OK) {
        *index = mp_store_take_index(reader);
        CHECK(*index && !mp_store_take_index(reader));
    }
    mp_store_reader_unref(reader);
    return status;
}

static mp_VectorShape shape_of(mp_VectorMetric metric)
{
    mp_VectorShape shape = {.metric = metric, .dim = DIM};

    return shape;
}

/* Both give the same numbers and measures. */
static bool same_answer(mp_Engine *engine, mp_Vector *a, mp_Vector *b,
                        unsigned seed)
{
    mp_Vector *both[] = {a, b};
    mp_Event *events[2];
    bool same;

    for (int i = 0; i < 2; i++) {
        mp_Floats query = random_rows(1, DIM, seed);

        submit_job(engine, mp_vector_search(both[i], &query, 20, NULL));
        events[i] = await_event(engine);
    }
    same = events[0]->floats.dim == 20 && events[1]->floats.dim == 20 &&
           events[0]->head.len == events[1]->head.len &&
           memcmp(events[0]->floats.data, events[1]->floats.data,
                  20 * sizeof(float)) == 0 &&
           memcmp(events[0]->head.data, events[1]->head.data,
                  events[0]->head.len) == 0;
    for (int i = 0; i < 2; i++)
        mp_job_free_event(events[i]);
    return same && mp_vector_count(a) == mp_vector_count(b);
}

static void delete_some(mp_Engine *engine, mp_Vector *index, size_t first,
                        size_t last)
{
    mp_VectorNumbers numbers = {mp_alloc_zero(last - first, sizeof(size_t)), 0};
    mp_Error err;

    CHECK(numbers.data != NULL);
    for (size_t i = first; numbers.data && i < last; i++)
        numbers.data[numbers.count++] = i;
    CHECK(run_store_job(engine, mp_vector_delete(index, &numbers), &err) ==
          MP_OK);
}

/* With [deleted] vectors gone; more than half of them are no rows then. */
static void test_same(mp_Engine *engine, mp_VectorMetric metric, size_t deleted)
{
    mp_Vector *a = new_index(metric, DIM), *b;
    mp_Floats rows = random_rows(ROWS, DIM, 1), more = random_rows(9, DIM, 2);
    mp_Error err;

    add_now(engine, a, &rows);
    if (deleted > 0) delete_some(engine, a, 3, 3 + deleted);
    CHECK(save(engine, a, &err) == MP_OK);
    CHECK(load(engine, shape_of(metric), 0, &b, &err) == MP_OK);
    for (unsigned i = 0; i < 10; i++)
        CHECK(same_answer(engine, a, b, 100 + i));
    add_now(engine, a, &more);
    add_now(engine, b, &more);
    delete_some(engine, a, 900, 990);
    delete_some(engine, b, 900, 990);
    for (unsigned i = 0; i < 10; i++)
        CHECK(same_answer(engine, a, b, 200 + i));
    mp_floats_term(&rows);
    mp_floats_term(&more);
    mp_vector_unref(a);
    mp_vector_unref(b);
}

/* What is lent stays when another file takes the place, and can be saved. */
static void test_over_itself(mp_Engine *engine)
{
    mp_Vector *a = new_index(MP_VECTOR_COSINE, DIM), *b, *c;
    mp_Floats rows = random_rows(ROWS, DIM, 1);
    mp_Error err;

    add_now(engine, a, &rows);
    CHECK(save(engine, a, &err) == MP_OK);
    CHECK(load(engine, shape_of(MP_VECTOR_COSINE), 0, &b, &err) == MP_OK);
    CHECK(save(engine, b, &err) == MP_OK);
    CHECK(same_answer(engine, a, b, 7));
    CHECK(load(engine, shape_of(MP_VECTOR_COSINE), 5000, &c, &err) == MP_OK);
    CHECK(same_answer(engine, a, c, 7));
    add_now(engine, c, &rows);
    delete_some(engine, c, 5000, 5000 + ROWS);
    CHECK(same_answer(engine, a, c, 7));
    mp_floats_term(&rows);
    mp_vector_unref(a);
    mp_vector_unref(b);
    mp_vector_unref(c);
}

static bool is_mapped(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    bool found = false;
    char line[512];

    CHECK(maps != NULL);
    while (maps && fgets(line, sizeof line, maps))
        found = found || strstr(line, path);
    if (maps) fclose(maps);
    return found;
}

/* One that was made for somebody who has gone meanwhile goes too. */
static void test_not_taken(mp_Engine *engine)
{
    mp_Vector *a = new_index(MP_VECTOR_L2, DIM), *b;
    mp_VectorShape shape = shape_of(MP_VECTOR_L2);
    mp_Floats rows = random_rows(10, DIM, 1);
    mp_StoreReader *reader;
    mp_Error err;

    add_now(engine, a, &rows);
    CHECK(save(engine, a, &err) == MP_OK);
    reader = read_store(engine, path, &err);
    CHECK(reader && is_mapped());
    CHECK(run_store_job(engine, mp_store_make_index(reader, &shape, 0), &err) ==
          MP_OK);
    mp_store_reader_unref(reader);
    CHECK(!is_mapped());
    CHECK(load(engine, shape, 0, &b, &err) == MP_OK && is_mapped());
    mp_vector_unref(b);
    CHECK(!is_mapped());
    mp_floats_term(&rows);
    mp_vector_unref(a);
}

/* Sections that are none of an index of this shape. */
static void test_refused(mp_Engine *engine)
{
    mp_Vector *a = new_index(MP_VECTOR_L2, DIM), *b;
    mp_Floats rows = random_rows(10, DIM, 1);
    mp_VectorShape other = {.metric = MP_VECTOR_L2, .dim = DIM + 1};
    mp_StoreWriter *writer;
    mp_Error err;

    add_now(engine, a, &rows);
    CHECK(save(engine, a, &err) == MP_OK);
    CHECK(load(engine, other, 0, &b, &err) == -MP_KIND_IO);
    CHECK(strstr(err.message, "do not fit together") != NULL);
    for (int i = 0; i < 4; i++) {
        static const char *const names[] = {"vectors", "numbers", "alive"};

        writer = new_writer(path);
        mp_store_write_head_of(writer)->dim = DIM;
        mp_store_write_head_of(writer)->count = 2;
        mp_store_write_head_of(writer)->next = 2;
        for (int j = 0; j < 3 && i < 3; j++)
            CHECK(put_floats(engine, writer, names[j], 0,
                             j == 0 ? 2u + (i == 0) : 1u,
                             j == 0   ? DIM
                             : i == 1 ? 3
                                      : 4,
                             &err) == MP_OK);
        CHECK(run_store_job(engine, mp_store_finish(writer), &err) == MP_OK);
        mp_store_writer_unref(writer);
        CHECK(load(engine, shape_of(MP_VECTOR_L2), 0, &b, &err) < 0);
        CHECK(err.kind == MP_KIND_IO || err.kind == MP_KIND_INPUT);
    }
    mp_floats_term(&rows);
    mp_vector_unref(a);
}

/* One that is cancelled or fails leaves the old file. */
static void test_given_up(mp_Engine *engine)
{
    mp_Vector *a = new_index(MP_VECTOR_L2, DIM);
    mp_Floats rows = random_rows(10, DIM, 1);
    mp_StoreWriter *writer = new_writer("/nonexistent/x");
    mp_Error err;
    uint64_t id, at;

    add_now(engine, a, &rows);
    CHECK(run_store_job(engine, mp_store_put_index(writer, a), &err) ==
          -MP_KIND_IO);
    CHECK(run_store_job(engine, mp_store_put_index(writer, a), &err) ==
          -MP_KIND_CLOSED);
    mp_store_writer_unref(writer);
    writer = new_writer(path);
    id = submit_job(engine, mp_store_put_index(writer, a));
    mp_engine_cancel(engine, id);
    await_kind(engine, &at);
    CHECK(put_bytes(engine, writer, "x", "y", &err) == MP_OK ||
          err.kind == MP_KIND_CLOSED);
    mp_store_writer_unref(writer);
    mp_floats_term(&rows);
    mp_vector_unref(a);
}

static mp_Status save_and_load(void *userdata)
{
    mp_Engine *engine = NULL;
    mp_Vector *index = NULL;
    mp_Error err;
    mp_Status status = mp_engine_new(&engine, &err);

    if (status != MP_OK) return status;
    status = save(engine, userdata, &err);
    if (status == MP_OK)
        status = load(engine, shape_of(MP_VECTOR_L2), 0, &index, &err);
    if (index) mp_vector_unref(index);
    mp_engine_free(engine);
    return status;
}

static void test_memory(mp_Engine *engine)
{
    mp_Vector *a = new_index(MP_VECTOR_L2, DIM);
    mp_Floats rows = random_rows(100, DIM, 1);

    add_now(engine, a, &rows);
    delete_some(engine, a, 3, 7);
    CHECK(torture(save_and_load, a) > 0);
    mp_floats_term(&rows);
    mp_vector_unref(a);
}

int main(void)
{
    mp_Engine *engine;
    int file = mkstemp(path);

    if (!has_vectors()) return TEST_END();
    CHECK(file >= 0);
    close(file);
    engine = new_engine();
    test_same(engine, MP_VECTOR_L2, 0);
    test_same(engine, MP_VECTOR_COSINE, 100);
    test_same(engine, MP_VECTOR_IP, 700);
    test_over_itself(engine);
    test_not_taken(engine);
    test_refused(engine);
    test_given_up(engine);
    test_memory(engine);
    mp_engine_free(engine);
    unlink(path);
    return TEST_END();
}
