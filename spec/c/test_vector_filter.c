/* test_vector_filter.c: random adds, deletes and searches with and without
 * filters, against a list that is looked through; and memory that fails them.
 */
#include "alloc.h"
#include "test.h"
#include "torture.h"
#include "vector_case.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#define MOST 4000

/* What the index should know. */
typedef struct Model {
    mp_Engine *engine;
    mp_Vector *index;
    mp_VectorMetric metric;
    size_t dim, count, live;
    double margin; /* of a distance, as a share */
    size_t found, missed;
    float *rows;
    bool alive[MOST];
    bool allowed[MOST];
} Model;

static unsigned seed = 1;

static unsigned number(unsigned below)
{
    seed = seed * 1664525u + 1013904223u;
    return (unsigned)(((uint64_t)seed * below) >> 32);
}

static double score(const Model *is, const float *a, const float *b)
{
    double sum = 0, aa = 0, bb = 0;

    for (size_t i = 0; i < is->dim; i++) {
        double x = a[i], y = b[i];

        sum += is->metric == MP_VECTOR_L2 ? (x - y) * (x - y) : x * y;
        aa += x * x;
        bb += y * y;
    }
    if (is->metric != MP_VECTOR_COSINE) return sum;
    return aa == 0 || bb == 0 ? 0 : sum / sqrt(aa * bb);
}

/* How many that count are better than [limit] by more than a rounding. */
static size_t count_better(const Model *is, const float *x, double limit)
{
    double margin = 2 * is->margin * (1 + fabs(limit));
    size_t better = 0;

    for (size_t i = 0; i < is->count; i++) {
        double got = score(is, is->rows + i * is->dim, x);

        if (!is->alive[i] || !is->allowed[i]) continue;
        better += is->metric == MP_VECTOR_L2 ? got < limit - margin
                                             : got > limit + margin;
    }
    return better;
}

static mp_VectorNumbers numbers_of(size_t count)
{
    mp_VectorNumbers out = {mp_alloc((count + 1) * sizeof(size_t)), 0};

    CHECK(out.data);
    return out;
}

static void add_some(Model *is, size_t count)
{
    mp_Floats rows = random_rows(count, is->dim, number(1u << 30));

    if (number(4) == 0) memset(rows.data, 0, is->dim * sizeof(float));
    memcpy(is->rows + is->count * is->dim, rows.data,
           count * is->dim * sizeof(float));
    for (size_t i = 0; i < count; i++)
        is->alive[is->count++] = true;
    is->live += count;
    add_now(is->engine, is->index, &rows);
    mp_floats_term(&rows);
    CHECK(mp_vector_count(is->index) == is->live);
}

/* One in [share]; some twice, some that are not there. */
static void delete_some(Model *is, unsigned share)
{
    mp_VectorNumbers numbers = numbers_of(2 * is->count + 1);

    for (size_t i = 0; i < is->count; i++) {
        if (number(share)) continue;
        numbers.data[numbers.count++] = i;
        if (number(9) == 0) numbers.data[numbers.count++] = i;
        is->live -= is->alive[i];
        is->alive[i] = false;
    }
    numbers.data[numbers.count++] = is->count + number(99);
    submit_job(is->engine, mp_vector_delete(is->index, &numbers));
    mp_job_free_event(await_event(is->engine));
    CHECK(mp_vector_count(is->index) == is->live);
}

static void check_found(Model *is, const float *x, size_t k, mp_Event *event)
{
    const char *at = event->head.data;
    size_t can = 0;

    for (size_t i = 0; i < is->count; i++)
        can += is->alive[i] && is->allowed[i];
    CHECK(event->kind == MP_EVENT_DONE);
    CHECK(event->floats.dim == (k < can ? k : can));
    for (size_t i = 0; i < event->floats.dim; i++) {
        char *end;
        size_t id = strtoul(at, &end, 10);
        double real;

        CHECK(end != at && id < is->count && is->alive[id] && is->allowed[id]);
        real = score(is, is->rows + id * is->dim, x);
        CHECK(fabs(event->floats.data[i] - real) <=
              is->margin * (1 + fabs(real)));
        if (i > 0 && is->metric == MP_VECTOR_L2)
            CHECK(event->floats.data[i] >= event->floats.data[i - 1]);
        if (i > 0 && is->metric != MP_VECTOR_L2)
            CHECK(event->floats.data[i] <= event->floats.data[i - 1]);
        is->found++;
        is->missed += count_better(is, x, real) >= event->floats.dim;
        at = end;
    }
    mp_job_free_event(event);
}

/* Allows one in [share], 0: all, without saying so. */
static mp_VectorNumbers *allow(Model *is, unsigned share,
                               mp_VectorNumbers *numbers)
{
    for (size_t i = 0; i < is->count; i++)
        is->allowed[i] = share == 0 || number(share) == 0;
    if (share == 0) return NULL;
    *numbers = numbers_of(is->count);
    for (size_t i = is->count; i > 0; i--)
        if (is->allowed[i - 1]) numbers->data[numbers->count++] = i - 1;
    return numbers;
}

static void search_some(Model *is, unsigned share)
{
    mp_VectorNumbers numbers, *allowed = allow(is, share, &numbers);
    mp_Floats query = random_rows(1, is->dim, number(1u << 30));
    float *x = malloc(is->dim * sizeof *x);
    size_t k = 1 + number(30);

    CHECK(x != NULL);
    memcpy(x, query.data, is->dim * sizeof *x);
    submit_job(is->engine, mp_vector_search(is->index, &query, k, allowed));
    check_found(is, x, k, await_event(is->engine));
    free(x);
}

static bool is_near(const float *a, const float *b, size_t dim)
{
    for (size_t i = 0; i < dim; i++)
        if (fabs(a[i] - b[i]) > 0.005) return false;
    return true;
}

static void check_rows(const Model *is)
{
    mp_VectorNumbers numbers = numbers_of(20);
    size_t asked[20];
    mp_Event *event;

    for (size_t i = 0; i < is->count && numbers.count < 20; i++) {
        size_t id = number((unsigned)is->count);

        if (!is->alive[id]) continue;
        asked[numbers.count] = id;
        numbers.data[numbers.count++] = id;
    }
    submit_job(is->engine, mp_vector_rows(is->index, &numbers));
    event = await_event(is->engine);
    CHECK(event->kind == MP_EVENT_DONE);
    for (size_t i = 0; i < event->floats.rows; i++) {
        const float *row = is->rows + asked[i] * is->dim;
        const float *got = event->floats.data + i * is->dim;

        if (is->margin > 1e-3)
            CHECK(is_near(got, row, is->dim));
        else if (is->metric != MP_VECTOR_COSINE)
            CHECK(memcmp(got, row, is->dim * sizeof *row) == 0);
        else
            CHECK(fabs(score(is, got, row) - (score(is, row, row) > 0)) < 1e-5);
    }
    mp_job_free_event(event);
}

static void begin_model(Model *is, mp_VectorShape shape, double margin)
{
    memset(is, 0, sizeof *is);
    is->engine = new_engine();
    CHECK(mp_vector_new(&is->index, &shape, NULL) == MP_OK);
    is->metric = shape.metric;
    is->dim = shape.dim;
    is->margin = margin;
    is->rows = malloc(MOST * shape.dim * sizeof(float));
}

static void end_model(Model *is)
{
    free(is->rows);
    mp_vector_unref(is->index);
    mp_engine_free(is->engine);
}

static void check_index(mp_VectorShape shape, double margin, double most_missed)
{
    static Model is;
    static const unsigned shares[] = {0, 1, 2, 4, 30, 5000};

    begin_model(&is, shape, margin);
    for (int round = 0; round < 12; round++) {
        size_t room = MOST - is.count;

        add_some(&is, 1 + number((unsigned)(room > 600 ? 600 : room - 1)));
        if (number(2)) delete_some(&is, number(4) ? 10 : 2);
        for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
            search_some(&is, shares[i]);
        check_rows(&is);
        if (round % 5 == 4) delete_some(&is, 1);
    }
    CHECK((double)is.missed <= most_missed * (double)is.found);
    end_model(&is);
}

/* Few are left of as many as fill whole bytes: behind these stands nothing. */
static void test_few_left(void)
{
    static Model is;

    begin_model(&is, (mp_VectorShape){.dim = 3}, 1e-4);
    add_some(&is, 24);
    delete_some(&is, 1);
    add_some(&is, 8);
    search_some(&is, 0);
    end_model(&is);
}

static void check_indexes(void)
{
    mp_VectorShape shape = {.metric = MP_VECTOR_L2, .dim = 3};

    check_index(shape, 1e-4, 0);
    shape = (mp_VectorShape){.metric = MP_VECTOR_IP, .dim = 24};
    check_index(shape, 1e-4, 0);
    shape = (mp_VectorShape){.metric = MP_VECTOR_COSINE, .dim = 17};
    check_index(shape, 1e-4, 0);
    shape.kind = MP_FAISS_HNSW;
    check_index(shape, 1e-4, 0.02);
    shape = (mp_VectorShape){.dim = 16, .kind = MP_FAISS_HNSW, .m = 8};
    check_index(shape, 1e-4, 0.02);
    shape = (mp_VectorShape){
        .dim = 16, .kind = MP_FAISS_IVF, .nlist = 9, .nprobe = 9};
    check_index(shape, 1e-4, 0);
    shape.nprobe = 1;
    shape.metric = MP_VECTOR_COSINE;
    check_index(shape, 1e-4, 0.8);
    shape = (mp_VectorShape){.dim = 19, .kind = MP_FAISS_SQ};
    check_index(shape, 0.02, 0);
}

/* --- together, and what is not there --- */

/* Search [nth] may have the multiples of a number, or all others. */
static bool is_allowed(size_t nth, size_t row)
{
    if (nth % 9 == 0) return true;
    return (row % (nth + 1) == 0) == (nth % 2 == 0);
}

static size_t count_allowed(size_t nth, size_t rows)
{
    size_t count = 0;

    for (size_t row = 0; row < rows; row++)
        count += is_allowed(nth, row);
    return count;
}

static void check_allowed(const mp_Event *event, size_t nth)
{
    char *at = event->head.data;

    for (size_t i = 0; i < event->floats.dim; i++)
        CHECK(is_allowed(nth, strtoul(at, &at, 10)));
}

/* Searches of one batch, each with a filter of its own; for few of many they
 * are probed. */
static void check_together(size_t k)
{
    mp_Engine *engine = new_engine();
    mp_Vector *index = new_index(MP_VECTOR_L2, 8);
    mp_Floats rows = random_rows(900, 8, 5);
    uint64_t first = 0;

    add_now(engine, index, &rows);
    for (size_t i = 0; i < 64; i++) {
        mp_VectorNumbers numbers = numbers_of(900);
        mp_Floats query = row_of(&rows, i);
        uint64_t id;

        for (size_t row = 0; row < 900; row++)
            if (is_allowed(i, row)) numbers.data[numbers.count++] = row;
        id = submit_job(engine, mp_vector_search(index, &query, k,
                                                 i % 9 ? &numbers : NULL));
        mp_vector_numbers_term(&numbers);
        if (i == 0) first = id;
    }
    for (size_t i = 0; i < 64; i++) {
        mp_Event *event = await_event(engine);
        size_t nth = (size_t)(event->id - first), can = count_allowed(nth, 900);

        CHECK(event->floats.dim == (k < can ? k : can));
        check_allowed(event, nth);
        mp_job_free_event(event);
    }
    mp_floats_term(&rows);
    mp_vector_unref(index);
    mp_engine_free(engine);
}

static void check_missing(mp_Engine *engine, mp_Vector *index, size_t row)
{
    mp_VectorNumbers numbers = numbers_of(1);
    mp_Event *event;

    numbers.data[numbers.count++] = row;
    submit_job(engine, mp_vector_rows(index, &numbers));
    event = await_event(engine);
    CHECK(event->kind == MP_EVENT_FAILED);
    CHECK(event->job->err->kind == MP_KIND_INPUT);
    CHECK(strstr(event->job->err->message, "there is no vector"));
    mp_job_free_event(event);
}

static void test_missing(void)
{
    mp_Engine *engine = new_engine();
    mp_Vector *index = new_index(MP_VECTOR_L2, 2);
    mp_Floats rows = random_rows(3, 2, 5);
    mp_VectorNumbers numbers = numbers_of(1);

    check_missing(engine, index, 0);
    add_now(engine, index, &rows);
    numbers.data[numbers.count++] = 1;
    submit_job(engine, mp_vector_delete(index, &numbers));
    mp_job_free_event(await_event(engine));
    check_missing(engine, index, 1);
    check_missing(engine, index, 3);
    mp_floats_term(&rows);
    mp_vector_unref(index);
    mp_engine_free(engine);
}

/* --- memory --- */

/* The first [count] numbers: all of [job]'s kind. */
static mp_Status with_numbers(mp_Engine *engine, mp_Vector *index, size_t count,
                              mp_Job *(*make)(mp_Vector *, mp_VectorNumbers *))
{
    mp_VectorNumbers numbers = {mp_alloc(count * sizeof(size_t)), count};
    mp_Job *job;

    if (!numbers.data) return -MP_KIND_MEMORY;
    for (size_t i = 0; i < count; i++)
        numbers.data[i] = i + 40;
    job = make(index, &numbers);
    mp_vector_numbers_term(&numbers);
    return end_job(engine, job, NULL, NULL);
}

static mp_Job *search_job(mp_Vector *index, mp_VectorNumbers *numbers)
{
    mp_Floats query;
    mp_Job *job;

    if (mp_floats_init(&query, 1, 2, NULL) != MP_OK) return NULL;
    memset(query.data, 0, 2 * sizeof *query.data);
    job = mp_vector_search(index, &query, 3, numbers);
    mp_floats_term(&query);
    return job;
}

static mp_Status add_zeros(mp_Engine *engine, mp_Vector *index, size_t count)
{
    mp_Floats rows;
    mp_Job *job;

    if (mp_floats_init(&rows, count, 2, NULL) != MP_OK) return -MP_KIND_MEMORY;
    memset(rows.data, 0, count * 2 * sizeof *rows.data);
    job = mp_vector_add(index, &rows);
    mp_floats_term(&rows);
    return end_job(engine, job, NULL, NULL);
}

static mp_Status work_once(void *arg)
{
    mp_VectorShape shape = {.metric = MP_VECTOR_COSINE, .dim = 2};
    mp_Engine *engine = NULL;
    mp_Vector *index = NULL;
    mp_Status status = mp_engine_new(&engine, NULL);

    (void)arg;
    if (status == MP_OK) status = mp_vector_new(&index, &shape, NULL);
    if (status == MP_OK) status = add_zeros(engine, index, 200);
    if (status == MP_OK) status = with_numbers(engine, index, 160, search_job);
    if (status == MP_OK) status = with_numbers(engine, index, 9, search_job);
    if (status == MP_OK)
        status = with_numbers(engine, index, 140, mp_vector_delete);
    if (status == MP_OK) status = add_zeros(engine, index, 300);
    if (status == MP_OK)
        status = with_numbers(engine, index, 9, mp_vector_delete);
    if (status == MP_OK) status = add_zeros(engine, index, 900);
    if (engine) mp_engine_free(engine);
    if (index) mp_vector_unref(index);
    return status;
}

int main(void)
{
    if (!has_vectors()) return 0;
    check_indexes();
    test_few_left();
    check_together(900);
    check_together(20);
    test_missing();
    CHECK(torture(work_once, NULL) > 12);
    return TEST_END();
}
