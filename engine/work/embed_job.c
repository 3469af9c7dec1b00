/* embed_job.c: see embed_job.h. */
#include "embed_job.h"

#include "alloc.h"
#include "clock.h"
#include "cpu.h"

#include <stdio.h>

/* Bytes between two looks at the clock: a quarter of a millisecond. */
#define PIECE ((size_t)64 << 10)

typedef struct EmbedJob {
    mp_CpuJob cpu;
    mp_Embed embed;
    mp_Buf body;
    size_t at;
} EmbedJob;

/* Appends a member at [at]; returns where the next one goes. */
static int write_count(char *out, int at, const char *name, int64_t count)
{
    if (count < 0) return at;
    return at + snprintf(out + at, (size_t)(MP_EMBED_USAGE_SIZE - at),
                         "%s\"%s\":%lld", at > 1 ? "," : "", name,
                         (long long)count);
}

void mp_embed_write_usage(const mp_Usage *usage, char out[MP_EMBED_USAGE_SIZE])
{
    int at = 1;

    out[0] = '{';
    at = write_count(out, at, "prompt_tokens", usage->prompt_tokens);
    at = write_count(out, at, "total_tokens", usage->total_tokens);
    out[at] = '}';
    out[at + 1] = '\0';
}

static mp_CpuStep finish(EmbedJob *self)
{
    mp_Event *end = &self->cpu.job.end;
    mp_Error *err = &self->cpu.err;
    char usage[MP_EMBED_USAGE_SIZE];

    if (mp_embed_finish(&self->embed, &end->floats, err) != MP_OK)
        return MP_CPU_FAILED;
    mp_embed_write_usage(&self->embed.usage, usage);
    mp_buf_text(&end->head, usage);
    return mp_buf_check(&end->head, err) == MP_OK ? MP_CPU_DONE : MP_CPU_FAILED;
}

static mp_CpuStep slice(mp_CpuJob *cpu, int64_t until_us)
{
    EmbedJob *self = (EmbedJob *)cpu;

    while (self->at < self->body.len) {
        const char *bytes = self->body.data + self->at;
        size_t len = self->body.len - self->at;

        if (len > PIECE) len = PIECE;
        if (mp_embed_feed(&self->embed, bytes, len, &cpu->err) != MP_OK)
            return MP_CPU_FAILED;
        self->at += len;
        if (mp_clock_us() >= until_us) return MP_CPU_MORE;
    }
    return finish(self);
}

static void term(mp_CpuJob *cpu)
{
    EmbedJob *self = (EmbedJob *)cpu;

    mp_embed_term(&self->embed);
    mp_buf_term(&self->body);
}

static const mp_CpuClass embed_class = {slice, term};

mp_Job *mp_embed_job(mp_Buf *body, size_t expected)
{
    EmbedJob *self = mp_alloc_zero(1, sizeof *self);

    if (!self) return NULL;
    mp_cpu_init(&self->cpu, &embed_class);
    mp_embed_init(&self->embed, expected);
    self->body = *body;
    mp_buf_init(body, body->max);
    return &self->cpu.job;
}
