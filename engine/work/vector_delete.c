/*
 * vector_delete.c: numbers and rows, and what is deleted; see vector_index.h.
 *
 * A deleted vector loses its bit. Once more than half of the rows are without
 * one, the others move together, slice by slice, before the delete is
 * answered.
 *
 * Limit: the rows of HNSW stay, for its graph leads through them; a save and a
 * load do not help either, a new index does.
 */
#include "alloc.h"
#include "clock.h"
#include "vector_index.h"

#include <string.h>

/* Fewer deleted rows are not worth a compaction. */
#define DEAD_LEAST 64

/* Rows that move between two looks at the clock. */
#define MOVED 256

/* --- rows and numbers --- */

static bool is_alive(const mp_Vector *index, size_t row)
{
    return !index->alive || (index->alive[row / 8] >> row % 8 & 1);
}

/* The row whose number is [number] or the next one. */
static size_t find_row(const mp_Vector *index, size_t number)
{
    size_t low = 0, high = index->count;

    if (!index->numbers) return number;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (index->numbers[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t mp_vector_find(const mp_Vector *index, size_t number)
{
    size_t row = find_row(index, number);

    if (row >= index->count || mp_vector_number(index, row) != number ||
        !is_alive(index, row))
        return SIZE_MAX;
    return row;
}

mp_Status mp_vector_reserve(mp_Vector *index, size_t rows, mp_Error *err)
{
    void *fresh;

    if (rows <= index->room) return MP_OK;
    if (rows < index->room + index->room / 2)
        rows = index->room + index->room / 2;
    if (index->numbers) {
        fresh = mp_alloc_resize(index->numbers, rows * sizeof(size_t));
        if (!fresh) return mp_err_memory(err);
        index->numbers = fresh;
    }
    if (index->alive) {
        fresh = mp_alloc_resize(index->alive, rows / 8 + 1);
        if (!fresh) return mp_err_memory(err);
        index->alive = fresh;
    }
    index->room = rows;
    return MP_OK;
}

static mp_Status name_rows(mp_Vector *index, mp_Error *err)
{
    if (index->numbers) return MP_OK;
    index->numbers = mp_alloc((index->room + 1) * sizeof *index->numbers);
    if (!index->numbers) return mp_err_memory(err);
    for (size_t row = 0; row < index->count; row++)
        index->numbers[row] = row;
    return MP_OK;
}

mp_Status mp_vector_allow_gaps(mp_Vector *index, mp_Error *err)
{
    size_t whole = index->count / 8;

    if (name_rows(index, err) != MP_OK) return -MP_KIND_MEMORY;
    if (index->alive) return MP_OK;
    index->alive = mp_alloc_zero(index->room / 8 + 1, 1);
    if (!index->alive) return mp_err_memory(err);
    memset(index->alive, 0xff, whole);
    index->alive[whole] = (uint8_t)((1u << index->count % 8) - 1);
    return MP_OK;
}

void mp_vector_admit(mp_Vector *index, size_t count, bool alive)
{
    size_t added = count - index->count;

    for (size_t row = index->count; row < count; row++) {
        if (index->numbers)
            index->numbers[row] = index->next + row - index->count;
        if (index->alive && row % 8 == 0) index->alive[row / 8] = 0;
        if (index->alive && alive)
            index->alive[row / 8] |= (uint8_t)(1u << row % 8);
    }
    index->count = count;
    index->next += added;
    if (alive) mp_vector_set_live(index, index->live + added);
}

/* --- deleting --- */

static void begin_compaction(mp_Vector *index)
{
    size_t dead = index->count - index->live;

    if (index->lent || index->form == MP_FAISS_HNSW || dead < DEAD_LEAST ||
        dead <= index->count / 2)
        return;
    index->compacting = true;
    index->from = index->to = 0;
}

mp_Status mp_vector_do_delete(mp_Vector *index, mp_Error *err)
{
    mp_VectorJob *job = index->batch;
    size_t live = index->live;

    if (mp_vector_allow_gaps(index, err) != MP_OK) return -MP_KIND_MEMORY;
    mp_vector_take_job(index);
    if (!mp_vector_end_job(index, job, MP_EVENT_DONE)) return MP_OK;
    for (size_t i = 0; i < job->numbers.count; i++) {
        size_t row = mp_vector_find(index, job->numbers.data[i]);

        if (row == SIZE_MAX) continue;
        index->alive[row / 8] &= (uint8_t) ~(1u << row % 8);
        live--;
    }
    mp_vector_set_live(index, live);
    begin_compaction(index);
    return MP_OK;
}

/* --- compaction --- */

static void end_compaction(mp_Vector *index)
{
    char message[MP_FAISS_TEXT];

    index->lib->cut(index->faiss, index->to, message);
    index->count = index->to;
    index->compacting = false;
    mp_alloc_free(index->alive);
    index->alive = NULL;
}

static void move_row(mp_Vector *index)
{
    char message[MP_FAISS_TEXT];

    if (!is_alive(index, index->from)) return;
    index->lib->move(index->faiss, index->from, index->to, message);
    index->numbers[index->to++] = index->numbers[index->from];
}

void mp_vector_compact_slice(mp_Vector *index, int64_t until_us)
{
    do {
        for (size_t i = 0; i < MOVED && index->from < index->count; i++) {
            move_row(index);
            index->from++;
        }
    } while (index->from < index->count && mp_clock_us() < until_us);
    if (index->from == index->count) end_compaction(index);
}

/* --- giving vectors --- */

mp_Status mp_vector_give_rows(mp_Vector *index, mp_Error *err)
{
    mp_VectorJob *job = index->batch;
    mp_Floats *out = &job->line.cpu.job.end.floats;
    size_t dim = index->shape.dim;

    if (mp_floats_init(out, job->numbers.count, dim, err) != MP_OK)
        return -MP_KIND_MEMORY;
    for (size_t i = 0; i < job->numbers.count; i++) {
        size_t row = mp_vector_find(index, job->numbers.data[i]);
        mp_Status status;

        if (row == SIZE_MAX)
            return mp_err_set(err, MP_KIND_INPUT, "there is no vector %zu",
                              job->numbers.data[i]);
        status = mp_vector_copy_row(index, row, out->data + i * dim, err);
        if (status != MP_OK) return status;
    }
    mp_vector_end_batch(index, MP_EVENT_DONE);
    return MP_OK;
}
