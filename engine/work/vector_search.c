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
    for (size_t i = 0; i < index->hand_count; i++)
        mp_alloc_free(index->hands[i].decoded);
    mp_alloc_free(index->hands);
    mp_alloc_free(index->alone);
    index->hands = NULL;
    index->alone = NULL;
    index->alone_count = 0;
    index->hand_count = 0;
    mp_scan_term(&index->scan);
}

/* Full ones, those with lists, those that one hand does: so the scan has them.
 */
static int place_of(const mp_VectorJob *job)
{
    return job->alone ? 2 : job->list.data != NULL;
}

static void sort_batch(mp_Vector *index)
{
    mp_LineJob *kinds[3], **ends[3] = {&kinds[0], &kinds[1], &kinds[2]};

    for (mp_VectorJob *job = index->batch; job; job = mp_vector_next(job)) {
        int place = place_of(job);

        *ends[place] = &job->line;
        ends[place] = &job->line.next;
    }
    *ends[2] = NULL;
    *ends[1] = kinds[2];
    *ends[0] = kinds[1];
    index->batch = (mp_VectorJob *)kinds[0];
}

static mp_Status prepare(mp_Vector *index, mp_VectorJob *job, mp_Error *err)
{
    if (mp_vector_filter(index, job, err) != MP_OK) return -MP_KIND_MEMORY;
    if (index->shape.metric == MP_VECTOR_COSINE)
        mp_floats_unit(job->rows.data, index->shape.dim);
    job->alone = mp_vector_is_alone(index, job);
    return MP_OK;
}

static mp_Status prepare_batch(mp_Vector *index, size_t *queries, mp_Error *err)
{
    size_t all = 0, alone = 0;

    for (mp_VectorJob *job = index->batch; job; job = mp_vector_next(job)) {
        if (prepare(index, job, err) != MP_OK) return -MP_KIND_MEMORY;
        all++;
        alone += job->alone;
    }
    *queries = all - alone;
    sort_batch(index);
    index->alone = mp_alloc((alone + 1) * sizeof(mp_VectorJob *));
    if (!index->alone) return mp_err_memory(err);
    for (mp_VectorJob *job = index->batch; job; job = mp_vector_next(job))
        if (job->alone) index->alone[index->alone_count++] = job;
    return MP_OK;
}

static mp_Status copy_queries(mp_Vector *index, mp_Error *err)
{
    size_t queries, q = 0;

    if (prepare_batch(index, &queries, err) != MP_OK) return -MP_KIND_MEMORY;
    if (queries == 0) return MP_OK;
    if (mp_scan_init(&index->scan, index->metric, index->shape.dim, queries,
                     err) != MP_OK)
        return -MP_KIND_MEMORY;
    for (mp_VectorJob *job = index->batch; q < queries;
         job = mp_vector_next(job))
        mp_scan_set(&index->scan, q++, job->rows.data,
                    job->k < job->most ? job->k : job->most,
                    mp_vector_scan_filter(index, job));
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
    size_t numbers = count_numbers(scan, index->count);
    size_t hands = numbers / HAND_NUMBERS + index->alone_count;
    size_t hits = scan->queries > 0 ? scan->from[scan->queries] + 1 : 1;
    size_t width = mp_pool_width(index->line.pool);

    if (scan->queries > 0) hands++;
    if (hands > width) hands = width;
    if (hands > HITS_MOST / hits + 1) hands = HITS_MOST / hits + 1;
    return hands;
}

static bool run_hand(mp_PoolTask *task);

/* What the hand needs for the scan, if there is one. */
static mp_Status equip(mp_Vector *index, mp_VectorHand *hand, mp_Error *err)
{
    const mp_Scan *scan = &index->scan;

    if (scan->queries == 0) return MP_OK;
    if (mp_scan_top_init(&hand->top, scan, err) != MP_OK)
        return -MP_KIND_MEMORY;
    if (index->form != MP_FAISS_SQ) return MP_OK;
    hand->decoded =
        mp_alloc(mp_scan_block(scan) * scan->dim * sizeof *hand->decoded);
    return hand->decoded ? MP_OK : mp_err_memory(err);
}

static mp_Status make_hands(mp_Vector *index, mp_Error *err)
{
    size_t count = count_hands(index);
    mp_Status status = MP_OK;

    index->hands = mp_alloc_zero(count, sizeof *index->hands);
    if (!index->hands) return mp_err_memory(err);
    while (status == MP_OK && index->hand_count < count) {
        mp_VectorHand *hand = &index->hands[index->hand_count++];

        hand->index = index;
        hand->task.run = run_hand;
        status = equip(index, hand, err);
    }
    return status;
}

mp_Status mp_vector_begin_search(mp_Vector *index, mp_Error *err)
{
    mp_Status status = mp_vector_borrow(index, &index->rows, err);

    if (status != MP_OK) return status;
    index->at = 0;
    status = copy_queries(index, err);
    atomic_store(&index->next_alone, 0);
    atomic_store(&index->next_row, index->scan.queries > 0 ? 0 : index->count);
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

static void look(mp_Vector *index, mp_VectorHand *hand, size_t first,
                 size_t count)
{
    const float *rows = hand->decoded;
    char message[MP_FAISS_TEXT];
    int code = MP_FAISS_OK;

    if (rows)
        code =
            index->lib->get(index->faiss, first, count, hand->decoded, message);
    else
        rows = index->rows + first * index->shape.dim;
    if (code == MP_FAISS_OK)
        mp_scan_rows(&index->scan, &hand->top, rows, first, count);
    else
        mp_vector_fail(&hand->err, code, message);
}

static bool is_late(const mp_Vector *index)
{
    return mp_clock_us() >= index->until_us;
}

static void scan(mp_Vector *index, mp_VectorHand *hand)
{
    size_t block = mp_scan_block(&index->scan), first;

    while (is_wanted(index->batch) && !is_late(index) &&
           (first = atomic_fetch_add(&index->next_row, block)) < index->count)
        look(index, hand, first,
             index->count - first < block ? index->count - first : block);
}

static void find_alone(mp_Vector *index)
{
    size_t i;

    while (!is_late(index) &&
           (i = atomic_fetch_add(&index->next_alone, 1)) < index->alone_count) {
        mp_VectorJob *job = index->alone[i];

        if (!mp_job_is_cancelled(&job->line.cpu.job))
            mp_vector_find_alone(index, job);
    }
}

/* What nobody wants any more, nobody will: all hands see it. */
static void work(mp_Vector *index, mp_VectorHand *hand)
{
    if (index->scan.queries > 0) scan(index, hand);
    find_alone(index);
}

static bool is_done(mp_Vector *index)
{
    return atomic_load(&index->next_row) >= index->count &&
           atomic_load(&index->next_alone) >= index->alone_count;
}

/* --- the end --- */

/* Merges what the hands found for row [row] of the queries. */
static const mp_ScanHit *merge(mp_Vector *index, size_t row, size_t *found)
{
    const mp_Scan *scan = &index->scan;
    mp_ScanTop *top = &index->hands[0].top;

    for (size_t i = 1; i < index->hand_count; i++)
        mp_scan_merge(scan, top, &index->hands[i].top, row);
    *found = mp_scan_sort(scan, top, row);
    return top->hits + scan->from[row];
}

static mp_Status answer(mp_Vector *index, mp_VectorJob *job, size_t row)
{
    mp_Event *end = &job->line.cpu.job.end;
    mp_Error *err = &job->line.cpu.err;
    const mp_ScanHit *hits = job->hits;
    size_t found = job->hit_count;

    job->line.cpu.job.together =
        (unsigned)(index->scan.queries + index->alone_count);
    if (job->failed) return -(mp_Status)err->kind;
    if (!job->alone) hits = merge(index, row, &found);
    if (found == 0) return MP_OK;
    if (mp_floats_init(&end->floats, 1, found, err) != MP_OK)
        return -MP_KIND_MEMORY;
    for (size_t i = 0; i < found; i++) {
        float key = hits[i].key;

        end->floats.data[i] = index->metric == MP_FAISS_L2 ? key : -key;
        mp_buf_printf(&end->head, i ? " %zu" : "%zu",
                      mp_vector_number(index, (size_t)hits[i].id));
    }
    return mp_buf_check(&end->head, err);
}

/* Keeps [job] for a look at all there is. */
static void put_off(mp_Vector *index, mp_VectorJob *job)
{
    mp_alloc_free(job->hits);
    job->hits = NULL;
    job->line.next = index->again ? &index->again->line : NULL;
    index->again = job;
}

static void answer_some(mp_Vector *index)
{
    do {
        mp_VectorJob *job = index->batch;
        bool short_of = job->alone && job->exact;
        bool good = short_of || answer(index, job, index->at++) == MP_OK;

        index->batch = mp_vector_next(job);
        if (short_of)
            put_off(index, job);
        else
            mp_vector_end_job(index, job,
                              good ? MP_EVENT_DONE : MP_EVENT_FAILED);
    } while (index->batch && !is_late(index));
}

/* What came too short is searched for once more; the index cannot change in
 * between, nor can they come too short again. */
static void begin_again(mp_Vector *index)
{
    mp_Error err;

    index->batch = index->again;
    index->again = NULL;
    if (index->batch && mp_vector_begin_search(index, &err) != MP_OK)
        mp_vector_fail_batch(index, &err);
}

static const mp_Error *failure(const mp_Vector *index)
{
    for (size_t i = 0; i < index->hand_count; i++)
        if (index->hands[i].err.kind != MP_KIND_NONE)
            return &index->hands[i].err;
    return NULL;
}

/* All hands have left. */
static void end_slice(mp_Vector *index)
{
    const mp_Error *err = failure(index);

    if (!is_wanted(index->batch))
        mp_vector_end_batch(index, MP_EVENT_DONE);
    else if (err)
        mp_vector_fail_batch(index, err);
    else if (is_done(index))
        answer_some(index);
    if (index->batch) return;
    end_search(index);
    begin_again(index);
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
    size_t hands = is_done(index) ? 1 : index->hand_count;
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
