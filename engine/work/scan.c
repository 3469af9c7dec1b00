/* scan.c: see scan.h. */
#include "scan.h"

#include "alloc.h"
#include "faiss_shim.h"
#include "scan_kernel.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum {
    PROBE_K = 16,    /* one row in so many wanted: more and probes are waste */
    PATIENCE = 4096, /* pairs before a top judges its probes */
    CACHED_NUMBERS = 49152 /* of rows that a group of queries goes through */
};

/* --- the heaps --- */

static bool is_worse(const mp_ScanHit *a, const mp_ScanHit *b)
{
    return a->key > b->key || (a->key == b->key && a->id > b->id);
}

/* Moves hits[at] down to its place. */
static void sink(mp_ScanHit *hits, size_t count, size_t at)
{
    mp_ScanHit hit = hits[at];
    size_t child;

    while ((child = 2 * at + 1) < count) {
        if (child + 1 < count && is_worse(&hits[child + 1], &hits[child]))
            child++;
        if (!is_worse(&hits[child], &hit)) break;
        hits[at] = hits[child];
        at = child;
    }
    hits[at] = hit;
}

static void rise(mp_ScanHit *hits, size_t at)
{
    mp_ScanHit hit = hits[at];

    while (at > 0 && is_worse(&hit, &hits[(at - 1) / 2])) {
        hits[at] = hits[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    hits[at] = hit;
}

/* Probes of query [q] with a row are compared if twice their product is not
 * below bases[q] plus the row's share. The smallest normal number stands for
 * what gets lost below it. */
static void set_limit(const mp_Scan *scan, mp_ScanTop *top, size_t q, float key)
{
    float norm = scan->norms[q];

    top->limits[q] = key;
    if (scan->metric == MP_FAISS_L2)
        top->bases[q] = norm - scan->error * norm - key - FLT_MIN;
    else
        top->bases[q] = -2 * key - scan->error * norm - FLT_MIN;
}

static void insert(const mp_Scan *scan, mp_ScanTop *top, size_t q,
                   mp_ScanHit hit)
{
    mp_ScanHit *hits = top->hits + scan->from[q];
    size_t k = scan->from[q + 1] - scan->from[q];

    if (k == 0) return;
    if (top->counts[q] < k) {
        hits[top->counts[q]] = hit;
        rise(hits, top->counts[q]++);
    } else if (is_worse(&hits[0], &hit)) {
        hits[0] = hit;
        sink(hits, k, 0);
    }
    if (top->counts[q] == k) set_limit(scan, top, q, hits[0].key);
}

static inline bool may_have(const mp_Scan *scan, size_t q, size_t id)
{
    const uint8_t *bits = scan->filters[q].bits;

    return !bits || (bits[id / 8] >> id % 8 & 1);
}

/* As in FAISS, what is not below the largest float is nobody's neighbour. */
static inline void offer(const mp_Scan *scan, mp_ScanTop *top, size_t q,
                         float sum, size_t id)
{
    float key = scan->metric == MP_FAISS_L2 ? sum : -sum;

    if (key < top->limits[q] && may_have(scan, q, id))
        insert(scan, top, q, (mp_ScanHit){key, (int64_t)id});
}

void mp_scan_merge(const mp_Scan *scan, mp_ScanTop *top,
                   const mp_ScanTop *other, size_t q)
{
    const mp_ScanHit *hits = other->hits + scan->from[q];

    for (size_t i = 0; i < other->counts[q]; i++)
        insert(scan, top, q, hits[i]);
}

size_t mp_scan_sort(const mp_Scan *scan, mp_ScanTop *top, size_t q)
{
    mp_ScanHit *hits = top->hits + scan->from[q];
    size_t count = top->counts[q];

    for (size_t left = count; left > 1; left--) {
        mp_ScanHit worst = hits[0];

        hits[0] = hits[left - 1];
        hits[left - 1] = worst;
        sink(hits, left - 1, 0);
    }
    return count;
}

float mp_scan_distance(const mp_Scan *scan, const mp_ScanHit *hit)
{
    return scan->metric == MP_FAISS_L2 ? hit->key : -hit->key;
}

mp_Status mp_scan_top_init(mp_ScanTop *top, const mp_Scan *scan, mp_Error *err)
{
    size_t queries = scan->queries;

    memset(top, 0, sizeof *top);
    top->hits = mp_alloc_zero(scan->from[queries] + 1, sizeof *top->hits);
    top->counts = mp_alloc_zero(queries, sizeof *top->counts);
    top->limits = mp_alloc_zero(2 * queries, sizeof *top->limits);
    if (!top->hits || !top->counts || !top->limits) {
        mp_scan_top_term(top);
        return mp_err_memory(err);
    }
    top->bases = top->limits + queries;
    for (size_t q = 0; q < queries; q++)
        set_limit(scan, top, q, FLT_MAX);
    return MP_OK;
}

void mp_scan_top_term(mp_ScanTop *top)
{
    mp_alloc_free(top->hits);
    mp_alloc_free(top->counts);
    mp_alloc_free(top->limits);
    memset(top, 0, sizeof *top);
}

/* --- a scan --- */

/* Room for [count] floats, at a border of 64 bytes. */
static float *carve(void **memory, size_t count)
{
    uintptr_t at;

    if (count > (SIZE_MAX - 64) / sizeof(float)) return NULL;
    *memory = mp_alloc_zero(1, count * sizeof(float) + 64);
    if (!*memory) return NULL;
    at = ((uintptr_t)*memory + 63) & ~(uintptr_t)63;
    return (float *)((char *)*memory + (at - (uintptr_t)*memory));
}

mp_Status mp_scan_init(mp_Scan *scan, int metric, size_t dim, size_t queries,
                       mp_Error *err)
{
    memset(scan, 0, sizeof *scan);
    scan->kernel = mp_scan_kernel();
    scan->metric = metric;
    scan->dim = dim;
    scan->step = (dim + 15) & ~(size_t)15;
    scan->queries = queries;
    scan->error = 5 * ((float)dim + 8) * (FLT_EPSILON / 2);
    scan->x = carve(&scan->memory, queries * (scan->step + 1));
    scan->from = mp_alloc_zero(queries + 1, sizeof *scan->from);
    scan->filters = mp_alloc_zero(queries, sizeof *scan->filters);
    if (!scan->x || !scan->from || !scan->filters) {
        mp_scan_term(scan);
        return mp_err_memory(err);
    }
    scan->norms = scan->x + queries * scan->step;
    return MP_OK;
}

void mp_scan_set(mp_Scan *scan, size_t q, const float *x, size_t k,
                 mp_ScanFilter filter)
{
    memcpy(scan->x + q * scan->step, x, scan->dim * sizeof *x);
    scan->from[q + 1] = scan->from[q] + k;
    scan->norms[q] = scan->kernel->norm(x, scan->dim);
    scan->filters[q] = filter;
    if (!filter.list) scan->full = q + 1;
}

/* Number by number, so that a probe reads on and on. */
static void pack_panels(mp_Scan *scan)
{
    size_t lanes = scan->kernel->lanes;

    for (size_t q = 0; q < scan->full; q++) {
        float *to = scan->panel + q / lanes * lanes * scan->dim + q % lanes;

        for (size_t i = 0; i < scan->dim; i++)
            to[i * lanes] = scan->x[q * scan->step + i];
    }
}

static bool probing_pays(const mp_Scan *scan, size_t count)
{
    size_t lanes = scan->panels * scan->kernel->lanes;

    if (2 * lanes > 3 * scan->full || scan->error > 0.25f) return false;
    for (size_t q = 0; q < scan->full; q++) {
        if (scan->from[q + 1] - scan->from[q] > count / PROBE_K) return false;
        if (!isfinite(scan->norms[q])) return false;
    }
    return true;
}

mp_Status mp_scan_begin(mp_Scan *scan, size_t count, mp_Error *err)
{
    scan->panels = (scan->full + scan->kernel->lanes - 1) / scan->kernel->lanes;
    if (scan->full == 0 || !probing_pays(scan, count)) return MP_OK;
    scan->panel = carve(&scan->panel_memory,
                        scan->panels * scan->kernel->lanes * scan->dim);
    if (!scan->panel) return mp_err_memory(err);
    pack_panels(scan);
    return MP_OK;
}

void mp_scan_term(mp_Scan *scan)
{
    mp_alloc_free(scan->memory);
    mp_alloc_free(scan->panel_memory);
    mp_alloc_free(scan->from);
    mp_alloc_free(scan->filters);
    memset(scan, 0, sizeof *scan);
}

/* --- comparing --- */

typedef struct Block {
    const float *rows;
    size_t first;
    size_t count;
    const int64_t *ids; /* NULL: from `first` on */
} Block;

static inline size_t id_of(const Block *block, size_t row)
{
    return block->ids ? (size_t)block->ids[row] : block->first + row;
}

static void compare_many(const mp_Scan *scan, mp_ScanTop *top, size_t q,
                         const Block *block)
{
    const mp_ScanTile *tiles = scan->kernel->tiles[scan->metric];
    const float *x = scan->x + q * scan->step;
    float sums[MP_SCAN_SUMS];
    size_t r = 0;

    for (; r + 2 <= block->count; r += 2) {
        tiles[MP_SCAN_MANY](x, scan->step, block->rows + r * scan->dim,
                            scan->dim, sums);
        for (size_t i = 0; i < MP_SCAN_SUMS; i++)
            offer(scan, top, q + i / 2, sums[i], block->first + r + i % 2);
    }
    for (size_t i = 0; r < block->count && i < MP_SCAN_QUERIES; i++) {
        tiles[MP_SCAN_ONE](x + i * scan->step, 0, block->rows + r * scan->dim,
                           scan->dim, sums);
        offer(scan, top, q + i, sums[0], block->first + r);
    }
}

static void compare_one(const mp_Scan *scan, mp_ScanTop *top, size_t q,
                        const Block *block)
{
    const mp_ScanTile *tiles = scan->kernel->tiles[scan->metric];
    const float *x = scan->x + q * scan->step;
    float sums[4];
    size_t r = 0;

    for (; r + 4 <= block->count; r += 4) {
        tiles[MP_SCAN_FOUR](x, 0, block->rows + r * scan->dim, scan->dim, sums);
        for (size_t i = 0; i < 4; i++)
            offer(scan, top, q, sums[i], id_of(block, r + i));
    }
    for (; r < block->count; r++) {
        tiles[MP_SCAN_ONE](x, 0, block->rows + r * scan->dim, scan->dim, sums);
        offer(scan, top, q, sums[0], id_of(block, r));
    }
}

static void compare_block(const mp_Scan *scan, mp_ScanTop *top,
                          const Block *block)
{
    size_t q = 0;

    for (; q + MP_SCAN_QUERIES <= scan->full; q += MP_SCAN_QUERIES)
        compare_many(scan, top, q, block);
    for (; q < scan->full; q++)
        compare_one(scan, top, q, block);
}

/* Where in the list at [filter] the first row is that is not below [row]. */
static size_t find_listed(const mp_ScanFilter *filter, size_t row)
{
    size_t low = 0, high = filter->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (filter->list[middle] < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void compare_listed(const mp_Scan *scan, mp_ScanTop *top, size_t q,
                           const Block *block)
{
    const mp_ScanFilter *filter = &scan->filters[q];
    mp_ScanTile compare = scan->kernel->tiles[scan->metric][MP_SCAN_ONE];
    float sum;

    for (size_t i = find_listed(filter, block->first);
         i < filter->count && filter->list[i] < block->first + block->count;
         i++) {
        compare(scan->x + q * scan->step, 0,
                block->rows + (filter->list[i] - block->first) * scan->dim,
                scan->dim, &sum);
        offer(scan, top, q, sum, filter->list[i]);
    }
}

/* --- probing --- */

/* A row's share of what twice its product must reach. */
static float share_of(const mp_Scan *scan, const float *row)
{
    float norm = scan->kernel->norm(row, scan->dim);

    if (!isfinite(norm)) return -INFINITY;
    if (scan->metric == MP_FAISS_L2) return norm - scan->error * norm;
    return -scan->error * norm;
}

/* [products]: of the queries from [q] on with one row. What is not surely too
 * far, NaN too, is compared. */
static void sift(const mp_Scan *scan, mp_ScanTop *top, size_t q,
                 const float *products, const float *row, size_t id,
                 float share)
{
    const mp_ScanTile *tiles = scan->kernel->tiles[scan->metric];
    size_t end = q + scan->kernel->lanes;
    float sum;

    if (end > scan->full) end = scan->full;
    for (; q < end; q++, products++) {
        if (2 * *products < top->bases[q] + share) continue;
        if (!may_have(scan, q, id)) continue;
        tiles[MP_SCAN_ONE](scan->x + q * scan->step, 0, row, scan->dim, &sum);
        offer(scan, top, q, sum, id);
        top->compared++;
    }
}

static void probe_block(const mp_Scan *scan, mp_ScanTop *top,
                        const Block *block)
{
    const mp_ScanKernel *kernel = scan->kernel;
    float products[MP_SCAN_LANES * MP_SCAN_ROWS], shares[MP_SCAN_ROWS];

    for (size_t at = 0; at < block->count; at += kernel->rows) {
        const float *rows = block->rows + at * scan->dim;
        size_t count = block->count - at;

        if (count > kernel->rows) count = kernel->rows;
        for (size_t r = 0; r < count; r++)
            shares[r] = share_of(scan, rows + r * scan->dim);
        for (size_t q = 0; q < scan->full; q += kernel->lanes) {
            kernel->probe(scan->panel + q * scan->dim, rows, count, scan->dim,
                          products);
            for (size_t r = 0; r < count; r++)
                sift(scan, top, q, products + r * kernel->lanes,
                     rows + r * scan->dim, block->first + at + r, shares[r]);
        }
    }
    top->probed += block->count * scan->full;
}

static bool is_useless(const mp_ScanTop *top)
{
    return top->probed > PATIENCE && top->compared > top->probed / 4;
}

size_t mp_scan_block(const mp_Scan *scan)
{
    size_t probes = CACHED_NUMBERS / scan->dim / MP_SCAN_ROWS;

    return (probes + 1) * MP_SCAN_ROWS;
}

void mp_scan_rows(const mp_Scan *scan, mp_ScanTop *top, const float *rows,
                  size_t first, size_t count)
{
    size_t most = mp_scan_block(scan);
    Block block = {rows, first, 0, NULL};

    for (; count > 0; count -= block.count) {
        block.count = count < most ? count : most;
        if (scan->panel && !is_useless(top))
            probe_block(scan, top, &block);
        else
            compare_block(scan, top, &block);
        for (size_t q = scan->full; q < scan->queries; q++)
            compare_listed(scan, top, q, &block);
        block.rows += block.count * scan->dim;
        block.first += block.count;
    }
}

void mp_scan_some(const mp_Scan *scan, mp_ScanTop *top, size_t q,
                  const float *rows, const int64_t *ids, size_t count)
{
    Block block = {rows, 0, count, ids};

    compare_one(scan, top, q, &block);
}
