/*
 * scan.h: the nearest of many vectors, by looking at each of them.
 *
 * A scan is a set of queries; tops gather the best rows for each. Rows come
 * block by block, in any split over any number of tops, for a top belongs to
 * one thread: what the merged tops hold at the end depends neither on the split
 * nor on the other queries, to the last bit. Of equal distances the lower
 * number is in front.
 *
 * The loops are written for AVX2 and for AVX-512, chosen at run time, and for
 * plain C. Few queries are compared one by one; many are probed: inner
 * products, which cost half of a squared distance and less to load, tell with a
 * bound of their error which rows can be among the best, and those alone are
 * compared.
 *
 * A query may leave rows out. Where it leaves most of them out it brings a list
 * of the others, and looks at nothing else; else it goes through all with the
 * rest, and what it may not have is dropped where it would be kept.
 *
 * Limit: vectors that lie much farther from the origin than from one another
 * probe badly; such a scan notices and compares all, at about half the speed.
 *
 * Threads: a scan is only read once it has begun; one thread for each top.
 */
#ifndef MP_SCAN_H
#define MP_SCAN_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

typedef struct mp_ScanHit {
    float key; /* less is better: the distance, or minus the product */
    int64_t id;
} mp_ScanHit;

/* The rows that a query may have: all, those of a bitmap, or those of a list,
 * which goes up. Borrowed while the scan lasts. */
typedef struct mp_ScanFilter {
    const uint8_t *bits; /* bit row % 8 of byte row / 8; NULL: all */
    const size_t *list;  /* NULL: see bits */
    size_t count;        /* of the list */
} mp_ScanFilter;

typedef struct mp_Scan {
    const struct mp_ScanKernel *kernel;
    int metric; /* MP_FAISS_ of faiss_shim.h */
    size_t dim;
    size_t step; /* from one query to the next */
    size_t queries;
    size_t full; /* of them; the others have lists, and are the last */
    size_t panels;
    float error; /* of a probe, as a share of both squared lengths */
    float *x;
    float *panel; /* NULL: no probes */
    float *norms;
    mp_ScanFilter *filters;
    size_t *from; /* a query's hits in a top: from[q] to from[q + 1] */
    void *memory;
    void *panel_memory;
} mp_Scan;

/* The best rows of each query so far: a heap, the worst on top. */
typedef struct mp_ScanTop {
    mp_ScanHit *hits;
    size_t *counts;
    float *limits; /* what a key must be below */
    float *bases;  /* the same for a probe, without the row's share */
    size_t probed;
    size_t compared;
} mp_ScanTop;

/* Makes room for [queries] >= 1 queries of [dim] >= 1 numbers. `memory`; then
 * [scan] is empty. */
mp_Status mp_scan_init(mp_Scan *scan, int metric, size_t dim, size_t queries,
                       mp_Error *err);

/* Copies query [q], which wants the [k] best of what [filter] lets through; q
 * goes up from 0, and behind one with a list come only such. */
void mp_scan_set(mp_Scan *scan, size_t q, const float *x, size_t k,
                 mp_ScanFilter filter);

/* After all queries: makes the scan ready for [count] rows. `memory`. */
mp_Status mp_scan_begin(mp_Scan *scan, size_t count, mp_Error *err);

void mp_scan_term(mp_Scan *scan);

/* An empty top. `memory`; then there is nothing to free. */
mp_Status mp_scan_top_init(mp_ScanTop *top, const mp_Scan *scan, mp_Error *err);

void mp_scan_top_term(mp_ScanTop *top);

/* How many rows fit in a cache together: good for one call of mp_scan_rows. */
size_t mp_scan_block(const mp_Scan *scan);

/* Looks at [count] rows that begin with number [first]; numbers go up from call
 * to call. */
void mp_scan_rows(const mp_Scan *scan, mp_ScanTop *top, const float *rows,
                  size_t first, size_t count);

/* Looks for query [q] alone at [count] rows with the numbers [ids]. */
void mp_scan_some(const mp_Scan *scan, mp_ScanTop *top, size_t q,
                  const float *rows, const int64_t *ids, size_t count);

/* Puts what [other] holds for query [q] into [top]. */
void mp_scan_merge(const mp_Scan *scan, mp_ScanTop *top,
                   const mp_ScanTop *other, size_t q);

/* Sorts the hits of query [q], best first, in place, and returns how many there
 * are. Last of all for this query. */
size_t mp_scan_sort(const mp_Scan *scan, mp_ScanTop *top, size_t q);

/* The distance, or the product. */
float mp_scan_distance(const mp_Scan *scan, const mp_ScanHit *hit);

/* Test hook: later scans have at most this many floats in a vector: 4 is plain
 * C, 8 AVX2, 16 AVX-512. Returns how many they have. */
size_t mp_scan_limit(size_t floats);

#endif
