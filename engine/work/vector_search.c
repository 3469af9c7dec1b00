/*
 * vector_search.c: the searches of a turn, see vector_index.h.
 *
 * A slice is worked at by several hands: the turn, and tasks that it sends to
 * the pool beside itself. Each takes block after block of the vectors, until
 * there are none or the time is over. Nobody waits for another: the turn takes
 * back the hands that have not begun, and whoever leaves last does the rest,
 * be it the end of the turn.
 *
 *     turn -- send hands -- blocks -- take back -- leave -+
 *               hand -- blocks ------------------- leave -+-> last: end of turn
 */
#include "alloc.h"
#include "clock.h"
#include "vector_index.h"

#include <string.h>

/* Numbers compared that are worth a hand more: waking it takes about 30 us. */
#define HAND_NUMBERS ((size_t)1 << 20)

/* Hits that all hands together may keep room for, beyond those of one. */
#define HITS_MOST ((size_t)1 << 22)

/* --- the beginning --- */

static void end_search(mp_Vector *index)
{
    for (size_t i = 0; i < index->hand_count; i++)
        mp_scan_top_term(&index->hands[i].top);
    mp_alloc_free(index->hands);
    index->hands = NULL;
    index->hand_count = 0;
    mp_scan_term(&index->scan);
}

/* Puts the searches with lists behind the others, as the scan has them. */
static void sort_batch(mp_Vector *index)
{
    mp_LineJob *kinds[2] = {NULL, NULL}, **ends[2] = {&kinds[0], &kinds[1]};

    for (mp_VectorJob *job = index->batch; job; job = mp_vector_next(job)) {
        bool listed = job->list.data != NULL;

        *ends[listed] = &job->line;
        ends[listed] = &job->line.next;
    }
    *ends[1] = NULL;
    *ends[0] = kinds[1];
    index->batch = (mp_VectorJob *)kinds[0];
}

static mp_Status filter_batch(mp_Vector *index, size_t *queries, mp_Error *err)
{
    *queries = 0;
    for (mp_VectorJob *job = index->batch; job; job = mp_vector_next(job)) {
        if (mp_vector_filter(index, job, err) != MP_OK) return -MP_KIND_MEMORY;
        ++*queries;
    }
    sort_batch(index);
    return MP_OK;
}

static mp_Status copy_queries(mp_Vector *index, mp_Error *err)
{
    size_t queries, q = 0, dim = index->shape.dim;

    if (filter_batch(index, &queries, err) != MP_OK ||
        mp_scan_init(&index->scan, index->metric, dim, queries, err) != MP_OK)
        return -MP_KIND_MEMORY;
    for (mp_VectorJob *job = index->batch; job; job = mp_vector_next(job)) {
        if (index->shape.metric == MP_VECTOR_COSINE)
            mp_floats_unit(job->rows.data, dim);
        mp_scan_set(&index->scan, q++, job->rows.data,
                    job->k < job->most ? job->k : job->most,
                    mp_vector_scan_filter(index, job));
    }
    return mp_scan_begin(&index->scan, index->count, err);
}

/* Numbers that are compared. */
static size_t count_numbers(const mp_Scan *scan, size_t rows)
{
    size_t pairs = scan->full * rows;

    for (size_t q = scan->full; q < scan->queries; q++)
        pairs += scan->filters[q].count;
    return pairs * scan->dim;
}

static size_t count_hands(const mp_Vector *index)
{
    const mp_Scan *scan = &index->scan;
    size_t hands = 1 + count_numbers(scan, index->count) / HAND_NUMBERS;
    size_t hits = scan->from[scan->queries] + 1;
    size_t width = mp_pool_width(index->line.pool);

    if (hands > width) hands = width;
    if (hands > HITS_MOST / hits + 1) hands = HITS_MOST / hits + 1;
    return hands;
}

static bool run_hand(mp_PoolTask *task);

static mp_Status make_hands(mp_Vector *index, mp_Error *err)
{
    size_t count = count_hands(index);

    index->hands = mp_alloc_zero(count, sizeof *index->hands);
    if (!index->hands) return mp_err_memory(err);
    for (; index->hand_count < count; index->hand_count++) {
        mp_VectorHand *hand = &index->hands[index->hand_count];

        hand->index = index;
        hand->task.run = run_hand;
        if (mp_scan_top_init(&hand->top, &index->scan, err) != MP_OK)
            return -MP_KIND_MEMORY;
    }
    return MP_OK;
}

mp_Status mp_vector_begin_search(mp_Vector *index, mp_Error *err)
{
    mp_Status status = mp_vector_borrow(index, &index->rows, err);

    if (status != MP_OK) return status;
    index->at = 0;
    atomic_store(&index->next_row, 0);
    status = copy_queries(index, err);
    if (status == MP_OK) status = make_hands(index, err);
    if (status != MP_OK) end_search(index);
    return status;
}

/* --- the work --- */

static bool is_wanted(mp_VectorJob *job)
{
    while (job && mp_job_is_cancelled(&job->line.cpu.job))
        job = mp_vector_next(job);
    return job != NULL;
}

/* What nobody wants any more, nobody will: all hands see it. */
static void work(mp_Vector *index, mp_VectorHand *hand)
{
    size_t block = mp_scan_block(&index->scan), first;

    while (is_wanted(index->batch) &&
           (first = atomic_fetch_add(&index->next_row, block)) < index->count) {
        size_t count = index->count - first;

        mp_scan_rows(&index->scan, &hand->top,
                     index->rows + first * index->shape.dim, first,
                     count < block ? count : block);
        if (mp_clock_us() >= index->until_us) return;
    }
}

/* --- the end --- */

/* Merges what the hands found for row [row] of the queries into its job. */
static mp_Status answer(mp_Vector *index, mp_VectorJob *job, size_t row)
{
    mp_Event *end = &job->line.cpu.job.end;
    mp_Error *err = &job->line.cpu.err;
    const mp_Scan *scan = &index->scan;
    mp_ScanTop *top = &index->hands[0].top;
    const mp_ScanHit *hits = top->hits + scan->from[row];
    size_t found;

    for (size_t i = 1; i < index->hand_count; i++)
        mp_scan_merge(scan, top, &index->hands[i].top, row);
    job->line.cpu.job.together = (unsigned)scan->queries;
    found = mp_scan_sort(scan, top, row);
    if (found == 0) return MP_OK;
    if (mp_floats_init(&end->floats, 1, found, err) != MP_OK)
        return -MP_KIND_MEMORY;
    for (size_t i = 0; i < found; i++) {
        end->floats.data[i] = mp_scan_distance(scan, &hits[i]);
        mp_buf_printf(&end->head, i ? " %zu" : "%zu",
                      mp_vector_number(index, (size_t)hits[i].id));
    }
    return mp_buf_check(&end->head, err);
}

static void answer_some(mp_Vector *index)
{
    do {
        mp_VectorJob *job = index->batch;
        bool good = answer(index, job, index->at++) == MP_OK;

        index->batch = mp_vector_next(job);
        mp_vector_end_job(index, job, good ? MP_EVENT_DONE : MP_EVENT_FAILED);
    } while (index->batch && mp_clock_us() < index->until_us);
}

/* All hands have left. */
static void end_slice(mp_Vector *index)
{
    if (!is_wanted(index->batch))
        mp_vector_end_batch(index, MP_EVENT_DONE);
    else if (atomic_load(&index->next_row) >= index->count)
        answer_some(index);
    if (!index->batch) end_search(index);
}

/* True for the last one. */
static bool leave(mp_Vector *index, size_t hands)
{
    return atomic_fetch_sub(&index->at_work, hands) == hands;
}

static bool run_hand(mp_PoolTask *task)
{
    mp_VectorHand *hand =
        (mp_VectorHand *)((char *)task - offsetof(mp_VectorHand, task));
    mp_Vector *index = hand->index;

    work(index, hand);
    if (!leave(index, 1)) return false;
    end_slice(index);
    if (mp_vector_end_turn(index))
        mp_pool_send(index->line.pool, &index->line.turn);
    return false;
}

bool mp_vector_search_slice(mp_Vector *index, int64_t until_us)
{
    size_t hands =
        atomic_load(&index->next_row) < index->count ? index->hand_count : 1;
    size_t left = 1;

    index->until_us = until_us;
    atomic_store(&index->at_work, hands);
    for (size_t i = 1; i < hands; i++)
        mp_pool_send(index->line.pool, &index->hands[i].task);
    work(index, &index->hands[0]);
    for (size_t i = 1; i < hands; i++)
        left += mp_pool_take_back(index->line.pool, &index->hands[i].task);
    if (!leave(index, left)) return false;
    end_slice(index);
    return true;
}
