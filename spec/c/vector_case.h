/*
 * vector_case.h: indexes, jobs and numbers for the tests of work/vector.
 * Include after test.h.
 *
 * Threads: one.
 */
#ifndef MP_VECTOR_CASE_H
#define MP_VECTOR_CASE_H

#include "engine_case.h"
#include "vector.h"

#include <string.h>

static inline mp_Vector *new_index(mp_VectorMetric metric, size_t dim)
{
    mp_VectorShape shape = {.metric = metric, .dim = dim};
    mp_Vector *index = NULL;

    CHECK(mp_vector_new(&index, &shape, NULL) == MP_OK);
    return index;
}

/* The same numbers every time, between -1 and 1. */
static inline mp_Floats random_rows(size_t rows, size_t dim, unsigned seed)
{
    mp_Floats out;

    CHECK(mp_floats_init(&out, rows, dim, NULL) == MP_OK);
    for (size_t i = 0; i < rows * dim; i++) {
        seed = seed * 1664525u + 1013904223u;
        out.data[i] = (float)(seed >> 8) / (1 << 23) - 1;
    }
    return out;
}

static inline void add_now(mp_Engine *engine, mp_Vector *index,
                           const mp_Floats *rows)
{
    mp_Event *event;
    mp_Floats copy;

    CHECK(mp_floats_init(&copy, rows->rows, rows->dim, NULL) == MP_OK);
    memcpy(copy.data, rows->data, rows->rows * rows->dim * sizeof(float));
    submit_job(engine, mp_vector_add(index, &copy));
    event = await_event(engine);
    CHECK(event->kind == MP_EVENT_DONE);
    mp_job_free_event(event);
}

static inline mp_Floats row_of(const mp_Floats *rows, size_t row)
{
    mp_Floats out;

    CHECK(mp_floats_init(&out, 1, rows->dim, NULL) == MP_OK);
    memcpy(out.data, rows->data + row * rows->dim, rows->dim * sizeof(float));
    return out;
}

/* Whether there is FAISS at all; says so if not. */
static inline int has_vectors(void)
{
    mp_VectorShape shape = {.metric = MP_VECTOR_L2, .dim = 1};
    mp_Vector *index = NULL;
    mp_Error err;

    if (mp_vector_new(&index, &shape, &err) == -MP_KIND_UNSUPPORTED) {
        fprintf(stderr, "not tested: %s\n", err.message);
        return 0;
    }
    mp_vector_unref(index);
    return 1;
}

#endif
