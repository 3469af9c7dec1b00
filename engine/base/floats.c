/* floats.c: see floats.h. */
#include "floats.h"

#include "alloc.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

mp_Status mp_floats_init(mp_Floats *floats, size_t rows, size_t dim,
                         mp_Error *err)
{
    memset(floats, 0, sizeof *floats);
    if (dim > 0 && rows > SIZE_MAX / sizeof(float) / dim)
        return mp_err_memory(err);
    if (rows > 0 && dim > 0) {
        floats->data = mp_alloc(rows * dim * sizeof(float));
        if (!floats->data) return mp_err_memory(err);
    }
    floats->rows = rows;
    floats->dim = dim;
    return MP_OK;
}

void mp_floats_term(mp_Floats *floats)
{
    mp_alloc_free(floats->data);
    memset(floats, 0, sizeof *floats);
}

mp_Floats mp_floats_take(mp_Floats *from)
{
    mp_Floats taken = *from;

    memset(from, 0, sizeof *from);
    return taken;
}

/* In doubles, where the square of no float is too large or too small. */
double mp_floats_square(const float *x, size_t dim)
{
    double sum = 0;

    for (size_t i = 0; i < dim; i++)
        sum += (double)x[i] * x[i];
    return sum;
}

void mp_floats_unit(float *x, size_t dim)
{
    double square = mp_floats_square(x, dim), factor;

    if (square == 0) return;
    factor = 1 / sqrt(square);
    for (size_t i = 0; i < dim; i++)
        x[i] = (float)(x[i] * factor);
}
