/*
 * store_index.c: the state of an index, into the file of a store; see
 * store_write.h.
 *
 * It is written in the index's own turn, from where it stands: nothing is
 * copied, and searches wait meanwhile, about 0.1 s for 100 MB.
 */
#include "alloc.h"
#include "clock.h"
#include "store_write.h"

#include <stdio.h>

/* Bytes between two looks at the clock. */
#define PIECE ((size_t)256 << 10)

#define PARTS 4

_Static_assert(sizeof(size_t) == 8 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "numbers stand in memory as in the file");

typedef struct Part {
    const char *name;
    const void *bytes; /* NULL: there is none */
    size_t len;
} Part;

typedef struct IndexPut {
    mp_StoreWriter *writer;
    unsigned number;
    bool begun; /* the writer is ours */
    size_t part;
    size_t at; /* in it */
} IndexPut;

/* What the file says of the vectors. */
static void write_head(mp_StoreHead *head, const mp_VectorState *state)
{
    static const char *const kinds[] = {[MP_FAISS_FLAT] = "flat",
                                        [MP_FAISS_HNSW] = "hnsw",
                                        [MP_FAISS_IVF] = "ivf",
                                        [MP_FAISS_SQ] = "sq"};
    static const char *const metrics[] = {[MP_VECTOR_L2] = "l2",
                                          [MP_VECTOR_IP] = "ip",
                                          [MP_VECTOR_COSINE] = "cosine"};

    snprintf(head->kind, sizeof head->kind, "%s", kinds[state->shape.kind]);
    snprintf(head->metric, sizeof head->metric, "%s",
             metrics[state->shape.metric]);
    head->dim = (uint32_t)state->shape.dim;
    head->count = state->count;
    head->next = state->next;
}

static void find_parts(const mp_VectorState *state, Part parts[PARTS])
{
    size_t count = state->count, dim = state->shape.dim;

    parts[0] = (Part){"vectors", state->rows, count * dim * sizeof(float)};
    parts[1] = (Part){"numbers", state->numbers, count * sizeof(size_t)};
    parts[2] = (Part){"alive", state->alive, (count + 7) / 8};
    parts[3] = (Part){"index", state->payload, state->payload_len};
}

static mp_Status begin(IndexPut *self, const mp_VectorState *state,
                       mp_Error *err)
{
    mp_Status status = mp_store_write_begin(self->writer, self->number, err);

    if (status != MP_OK) return status;
    self->begun = true;
    write_head(mp_store_write_head_of(self->writer), state);
    return MP_OK;
}

static mp_Status write_piece(IndexPut *self, const Part *part, mp_Error *err)
{
    size_t len = part->len - self->at < PIECE ? part->len - self->at : PIECE;
    mp_Status status = MP_OK;

    if (self->at == 0)
        status = mp_store_write_section(self->writer, part->name, err);
    if (status == MP_OK)
        status = mp_store_write_append(
            self->writer, (const char *)part->bytes + self->at, len, err);
    self->at += len;
    return status;
}

static mp_CpuStep slice(void *userdata, const mp_VectorState *state,
                        int64_t until_us, mp_Error *err)
{
    IndexPut *self = userdata;
    Part parts[PARTS];

    find_parts(state, parts);
    if (!self->begun && begin(self, state, err) != MP_OK) return MP_CPU_FAILED;
    while (self->part < PARTS) {
        const Part *part = &parts[self->part];

        if (part->bytes && part->len > 0 &&
            write_piece(self, part, err) != MP_OK)
            return MP_CPU_FAILED;
        if (!part->bytes || self->at >= part->len) {
            self->part++;
            self->at = 0;
        }
        if (mp_clock_us() >= until_us) return MP_CPU_MORE;
    }
    return MP_CPU_DONE;
}

static void term(void *userdata)
{
    IndexPut *self = userdata;

    if (self->begun) mp_store_write_end(self->writer, self->part == PARTS);
    mp_store_writer_unref(self->writer);
    mp_alloc_free(self);
}

static const mp_VectorReader index_reader = {slice, term};

mp_Job *mp_store_put_index(mp_StoreWriter *writer, mp_Vector *index)
{
    IndexPut *self = mp_alloc_zero(1, sizeof *self);
    mp_Job *job;

    if (!self) return NULL;
    self->writer = mp_store_writer_ref(writer);
    self->number = mp_store_write_number(writer);
    job = mp_vector_read(index, &index_reader, self);
    if (!job) term(self);
    return job;
}
