/* test_scan.c: work/scan against FAISS, and against itself: every width of
 * vectors, alone and among others, in one piece and in many. */
#include "alloc.h"
#include "faiss_shim.h"
#include "scan.h"
#include "test.h"
#include "torture.h"
#include "vector_lib.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct Case {
    int metric;
    size_t dim, rows, queries, k;
    const float *y, *x;
} Case;

static unsigned seed = 1;

static unsigned number(unsigned below)
{
    seed = seed * 1664525u + 1013904223u;
    return (unsigned)(((uint64_t)seed * below) >> 32);
}

/* Between -1 and 1. */
static float *random_floats(size_t count)
{
    float *out = malloc((count + 1) * sizeof *out);

    for (size_t i = 0; out && i < count; i++)
        out[i] = (float)(number(1u << 24)) / (1 << 23) - 1;
    return out;
}

static void free_case(Case *is)
{
    free((void *)is->y);
    free((void *)is->x);
}

static Case random_case(size_t dim_most, size_t numbers)
{
    Case is = {.metric = (int)number(2)};

    is.dim = 1 + number((unsigned)dim_most);
    is.rows = 1 + number((unsigned)(numbers / is.dim));
    is.queries = 1 + number(70);
    is.k = 1 + (number(4) ? number(10) : number((unsigned)is.rows * 2));
    is.y = random_floats(is.rows * is.dim);
    is.x = random_floats(is.queries * is.dim);
    return is;
}

/* --- a whole search --- */

typedef struct Found {
    mp_Scan scan;
    mp_ScanTop top;
} Found;

static void begin(mp_Scan *scan, const Case *is, size_t q, size_t queries)
{
    CHECK(mp_scan_init(scan, is->metric, is->dim, queries, NULL) == MP_OK);
    for (size_t i = 0; i < queries; i++)
        mp_scan_set(scan, i, is->x + (q + i) * is->dim,
                    is->k < is->rows ? is->k : is->rows,
                    (mp_ScanFilter){NULL, NULL, 0});
    CHECK(mp_scan_begin(scan, is->rows, NULL) == MP_OK);
}

static void free_found(Found *found)
{
    mp_scan_top_term(&found->top);
    mp_scan_term(&found->scan);
}

static void sort_all(Found *found)
{
    for (size_t q = 0; q < found->scan.queries; q++)
        found->top.counts[q] = mp_scan_sort(&found->scan, &found->top, q);
}

/* All queries over all rows in one piece. */
static Found search(const Case *is)
{
    Found found;

    begin(&found.scan, is, 0, is->queries);
    CHECK(mp_scan_top_init(&found.top, &found.scan, NULL) == MP_OK);
    mp_scan_rows(&found.scan, &found.top, is->y, 0, is->rows);
    sort_all(&found);
    return found;
}

/* The same, rows dealt out to two tops in pieces of random size. */
static Found search_split(const Case *is)
{
    Found found;
    mp_ScanTop other;
    size_t at = 0, count;

    begin(&found.scan, is, 0, is->queries);
    CHECK(mp_scan_top_init(&found.top, &found.scan, NULL) == MP_OK);
    CHECK(mp_scan_top_init(&other, &found.scan, NULL) == MP_OK);
    for (; at < is->rows; at += count) {
        count = 1 + number(50);
        if (count > is->rows - at) count = is->rows - at;
        mp_scan_rows(&found.scan, number(2) ? &found.top : &other,
                     is->y + at * is->dim, at, count);
    }
    for (size_t q = 0; q < is->queries; q++)
        mp_scan_merge(&found.scan, &found.top, &other, q);
    mp_scan_top_term(&other);
    sort_all(&found);
    return found;
}

/* Query [q] of [found] and the first of [other] have the same hits. */
static bool is_same(const Found *found, size_t q, const Found *other,
                    size_t other_q)
{
    const mp_ScanHit *a = found->top.hits + found->scan.from[q];
    const mp_ScanHit *b = other->top.hits + other->scan.from[other_q];

    if (found->top.counts[q] != other->top.counts[other_q]) return false;
    for (size_t i = 0; i < found->top.counts[q]; i++)
        if (memcmp(&a[i].key, &b[i].key, sizeof(float)) != 0 ||
            a[i].id != b[i].id)
            return false;
    return true;
}

static bool is_sorted(const Found *found, size_t q)
{
    const mp_ScanHit *hits = found->top.hits + found->scan.from[q];

    for (size_t i = 1; i < found->top.counts[q]; i++)
        if (!(hits[i - 1].key < hits[i].key ||
              (hits[i - 1].key == hits[i].key && hits[i - 1].id < hits[i].id)))
            return false;
    return true;
}

/* --- against itself --- */

static void check_alone_and_split(const Case *is)
{
    Found found = search(is), split = search_split(is), alone;
    size_t q = number((unsigned)is->queries);
    Case one = *is;

    one.queries = 1;
    one.x = is->x + q * is->dim;
    alone = search(&one);
    CHECK(is_same(&found, q, &alone, 0));
    for (q = 0; q < is->queries; q++)
        CHECK(is_sorted(&found, q) && is_same(&found, q, &split, q));
    free_found(&found);
    free_found(&split);
    free_found(&alone);
}

/* --- against FAISS --- */

static double dot(const float *a, const float *b, size_t dim)
{
    double sum = 0;

    for (size_t i = 0; i < dim; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

/* What rounding may make of sums of these two: a share of their lengths. FAISS
 * takes many queries' distances from three such sums. */
static double rounding(const Case *is, const float *x, const float *y)
{
    return 1e-6 * (dot(x, x, is->dim) + dot(y, y, is->dim));
}

/* One place of an answer. */
static bool agrees(const Case *is, const Found *found, size_t q, size_t place,
                   float distance, int64_t id)
{
    const mp_ScanHit *hit = found->top.hits + found->scan.from[q] + place;
    double ours = mp_scan_distance(&found->scan, hit);
    double apart = fabs(ours - distance), size = fabs(distance), slack;

    if (place >= found->top.counts[q] || id < 0) return false;
    slack = rounding(is, is->x + q * is->dim, is->y + (size_t)id * is->dim);
    if (hit->id != id && apart > 1e-5 * size + slack) return false;
    return apart <= 1e-4 * size + slack;
}

static void check_against_faiss(const Case *is)
{
    const mp_VectorLib *lib = mp_vector_lib(NULL);
    size_t k = is->k < is->rows ? is->k : is->rows, bad = 0;
    float *distances = malloc(is->queries * k * sizeof *distances);
    int64_t *ids = malloc(is->queries * k * sizeof *ids);
    mp_FaissShape shape = {.metric = is->metric, .dim = is->dim};
    char message[MP_FAISS_TEXT];
    void *index = NULL;
    Found found = search(is);

    CHECK(lib->make(&index, &shape, NULL, 0, message) == MP_FAISS_OK);
    CHECK(lib->add(index, is->y, NULL, is->rows, message) == MP_FAISS_OK);
    CHECK(lib->search(index, is->x, is->queries, k, 0, distances, ids,
                      message) == MP_FAISS_OK);
    for (size_t q = 0; q < is->queries; q++) {
        CHECK(found.top.counts[q] == k);
        for (size_t i = 0; i < k; i++)
            bad +=
                !agrees(is, &found, q, i, distances[q * k + i], ids[q * k + i]);
    }
    CHECK(bad == 0);
    lib->drop(index, message);
    free_found(&found);
    free(distances);
    free(ids);
}

static void test_random_cases(int count, size_t dim_most, size_t numbers)
{
    for (int i = 0; i < count; i++) {
        Case is = random_case(dim_most, numbers);

        check_alone_and_split(&is);
        if (mp_vector_lib(NULL)) check_against_faiss(&is);
        free_case(&is);
    }
}

/* --- ties, and what is no number --- */

/* Ten rows again and again: the lowest numbers win. */
static void test_ties(size_t queries)
{
    Case is = {MP_FAISS_L2, 20, 1000, queries, 7, NULL, NULL};
    float *y = random_floats(is.rows * is.dim);
    Found found;

    for (size_t i = 10; i < is.rows; i++)
        memcpy(y + i * is.dim, y + i % 10 * is.dim, is.dim * sizeof *y);
    is.y = y;
    is.x = random_floats(queries * is.dim);
    memcpy((float *)is.x, y + 3 * is.dim, is.dim * sizeof *y);
    found = search(&is);
    for (size_t i = 0; i < is.k; i++) {
        CHECK(found.top.hits[i].id == (int64_t)(10 * i + 3));
        CHECK(found.top.hits[i].key == 0);
    }
    check_alone_and_split(&is);
    free_found(&found);
    free_case(&is);
}

/* Rows with such a number in them are found by nobody, and hide no other. */
static void test_no_numbers(int metric, size_t queries, float bad)
{
    Case is = {metric, 37, 200, queries, 200, NULL, NULL};
    float *y = random_floats(is.rows * is.dim);
    Found found;

    is.y = y;
    is.x = random_floats(queries * is.dim);
    for (is.k = 3; is.k <= 200; is.k += 197) {
        for (size_t i = 0; i < is.rows; i += 2)
            y[i * is.dim + i % is.dim] = bad;
        found = search(&is);
        for (size_t q = 0; q < queries; q++) {
            CHECK(found.top.counts[q] == (is.k < 100 ? is.k : 100));
            for (size_t i = 0; i < found.top.counts[q]; i++)
                CHECK(found.top.hits[found.scan.from[q] + i].id % 2 == 1);
        }
        check_alone_and_split(&is);
        free_found(&found);
    }
    free_case(&is);
}

/* Far from the origin and near to one another: probes tell nothing there, and
 * only the comparison does. */
static void test_far_away(float offset)
{
    Case is = {MP_FAISS_L2, 48, 3000, 64, 5, NULL, NULL};
    float *y = random_floats(is.rows * is.dim);
    float *x = random_floats(is.queries * is.dim);
    Found found;

    for (size_t i = 0; i < is.rows * is.dim; i++)
        y[i] += offset;
    for (size_t q = 0; q < is.queries; q++) /* almost row 7 * q */
        for (size_t i = 0; i < is.dim; i++)
            x[q * is.dim + i] = y[7 * q * is.dim + i] + (i == 0) * 0.125f;
    is.y = y;
    is.x = x;
    found = search(&is);
    for (size_t q = 0; q < is.queries; q++)
        CHECK(found.top.hits[found.scan.from[q]].id == (int64_t)(7 * q));
    check_alone_and_split(&is);
    free_found(&found);
    free_case(&is);
}

/* --- memory --- */

static mp_Status search_once(void *case_)
{
    const Case *is = case_;
    mp_Status status;
    mp_ScanTop top;
    mp_Scan scan;

    status = mp_scan_init(&scan, is->metric, is->dim, is->queries, NULL);
    if (status != MP_OK) return status;
    for (size_t q = 0; q < is->queries; q++)
        mp_scan_set(&scan, q, is->x + q * is->dim, is->k,
                    (mp_ScanFilter){NULL, NULL, 0});
    status = mp_scan_begin(&scan, is->rows, NULL);
    if (status == MP_OK) status = mp_scan_top_init(&top, &scan, NULL);
    if (status == MP_OK) mp_scan_top_term(&top);
    mp_scan_term(&scan);
    return status;
}

static void test_memory(void)
{
    Case is = {MP_FAISS_L2, 3, 1000, 64, 2, NULL, random_floats(64 * 3)};

    CHECK(torture(search_once, &is) == 7);
    free_case(&is);
}

static void test_all(size_t floats)
{
    const char *longer = getenv("MOONPIPE_LONG");
    int times = longer && *longer ? 10 : 1;

    if (mp_scan_limit(floats) != floats) {
        fprintf(stderr, "not tested: %zu floats at once\n", floats);
        return;
    }
    test_random_cases(40 * times, 40, 20000);
    test_random_cases(4 * times, 2048, 60000);
    test_ties(1);
    test_ties(64);
    test_no_numbers(MP_FAISS_L2, 3, NAN);
    test_no_numbers(MP_FAISS_L2, 64, NAN);
    test_no_numbers(MP_FAISS_L2, 64, INFINITY);
    test_no_numbers(MP_FAISS_L2, 64, FLT_MAX); /* squared: infinite */
    test_no_numbers(MP_FAISS_INNER_PRODUCT, 3, NAN);
    test_no_numbers(MP_FAISS_INNER_PRODUCT, 64, NAN);
    test_far_away(0);
    test_far_away(1000);
    test_memory();
}

int main(void)
{
    test_all(4);
    test_all(8);
    test_all(16);
    return TEST_END();
}
