/*
 * scan_kernel.h: the inner loops of scan.c as tables of functions, one for each
 * width of vectors: plain C, AVX2, AVX-512.
 *
 * Threads: any.
 */
#ifndef MP_SCAN_KERNEL_H
#define MP_SCAN_KERNEL_H

#include <stddef.h>

enum {
    MP_SCAN_QUERIES = 4, /* of the large tile, by two rows */
    MP_SCAN_SUMS = 2 * MP_SCAN_QUERIES,
    MP_SCAN_LANES = 32, /* of a probe, at most */
    MP_SCAN_ROWS = 12
};

/* Squared distances or inner products of queries, [step] numbers apart, with
 * rows: out[query * rows + row]. */
typedef void (*mp_ScanTile)(const float *x, size_t step, const float *y,
                            size_t dim, float *out);

/* MP_SCAN_QUERIES by 2, 1 by 4, 1 by 1. */
enum { MP_SCAN_MANY, MP_SCAN_FOUR, MP_SCAN_ONE, MP_SCAN_TILES };

typedef struct mp_ScanKernel {
    mp_ScanTile tiles[2][MP_SCAN_TILES]; /* by metric */
    /* Inner products of a panel's queries with at most [rows] rows of the
     * kernel's: out[row * lanes + query]. A panel is queries number by number.
     */
    void (*probe)(const float *panel, const float *y, size_t rows, size_t dim,
                  float *out);
    float (*norm)(const float *y, size_t dim); /* the squared length */
    size_t lanes;                              /* queries in a panel */
    size_t rows;
} mp_ScanKernel;

/* The fastest that this machine has. */
const mp_ScanKernel *mp_scan_kernel(void);

#endif
