/* hash_job.c: see hash_job.h. */
#include "hash_job.h"

#include "alloc.h"
#include "clock.h"
#include "cpu.h"

/* Bytes between two looks at the clock: about half a millisecond. */
#define PIECE ((size_t)16 << 10)

typedef struct HashJob {
    mp_CpuJob cpu;
    mp_Hash hash;
    mp_Buf texts;
    size_t *ends;
    size_t count;
    size_t row; /* the text that is read */
    size_t at;  /* in it */
} HashJob;

/* Reads up to PIECE bytes of one text, and writes its row at its end. */
static mp_Status step(HashJob *self)
{
    mp_Event *end = &self->cpu.job.end;
    size_t begin = self->row ? self->ends[self->row - 1] : 0;
    size_t len = self->ends[self->row] - begin;
    mp_Status status = mp_hash_read(
        &self->hash, self->texts.data ? self->texts.data + begin : NULL, len,
        &self->at, self->at + PIECE, &self->cpu.err);

    if (status != MP_OK || self->at < len) return status;
    mp_hash_finish(&self->hash, end->floats.data + self->row * MP_HASH_DIM);
    self->row++;
    self->at = 0;
    return MP_OK;
}

static mp_CpuStep slice(mp_CpuJob *cpu, int64_t until_us)
{
    HashJob *self = (HashJob *)cpu;
    mp_Job *job = &cpu->job;

    if (!job->end.floats.data &&
        mp_floats_init(&job->end.floats, self->count, MP_HASH_DIM, &cpu->err))
        return MP_CPU_FAILED;
    while (self->row < self->count) {
        if (step(self) != MP_OK) return MP_CPU_FAILED;
        if (mp_clock_us() >= until_us && self->row < self->count)
            return MP_CPU_MORE;
    }
    return MP_CPU_DONE;
}

static void term(mp_CpuJob *cpu)
{
    HashJob *self = (HashJob *)cpu;

    mp_hash_term(&self->hash);
    mp_buf_term(&self->texts);
    mp_alloc_free(self->ends);
}

static const mp_CpuClass hash_class = {slice, term};

mp_Job *mp_hash_job(mp_Buf *texts, size_t *ends, size_t count)
{
    HashJob *self = mp_alloc_zero(1, sizeof *self);

    if (!self) return NULL;
    mp_cpu_init(&self->cpu, &hash_class);
    mp_hash_init(&self->hash);
    self->texts = *texts;
    mp_buf_init(texts, texts->max);
    self->ends = ends;
    self->count = count;
    return &self->cpu.job;
}
