/*
 * floats.h: a matrix of float32, the one shape in which vectors travel.
 *
 * Always moved, never shared: whoever holds it frees it. Row after row, no
 * padding.
 *
 * Threads: one owner at a time.
 */
#ifndef MP_FLOATS_H
#define MP_FLOATS_H

#include "err.h"

#include <stddef.h>

typedef struct mp_Floats {
    float *data; /* rows * dim values; NULL only where that is 0 */
    size_t rows;
    size_t dim;
} mp_Floats;

/* Makes room for [rows] times [dim] values, not set. `memory`; then [floats]
 * is empty. */
mp_Status mp_floats_init(mp_Floats *floats, size_t rows, size_t dim,
                         mp_Error *err);

/* Frees the values and leaves an empty matrix. */
void mp_floats_term(mp_Floats *floats);

/* Moves the matrix out of [from], which is empty then. */
mp_Floats mp_floats_take(mp_Floats *from);

/* The square of the length of the vector of [dim] numbers at [x]. */
double mp_floats_square(const float *x, size_t dim);

/* Makes the [dim] numbers at [x] a vector of length 1; one of zeros stays. */
void mp_floats_unit(float *x, size_t dim);

#endif
