/*
 * secret_job.c: see secret_job.h.
 *
 * It takes turns on the pool, most of which are waiting: it happens once in a
 * process, and there a cancel is noticed between two of them. What counts is
 * the end of the shell, not that of its output: an agent that the command has
 * started may hold that open for ever.
 */
#include "secret_job.h"

#include "alloc.h"
#include "clock.h"
#include "cpu.h"
#include "process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

/* How long an ended command may go unnoticed. */
#define LOOK_MS 5

struct mp_SecretPlace {
    atomic_int references;
    mp_Secret *secret;
};

typedef struct SecretJob {
    mp_CpuJob cpu;
    mp_ProcessSpec spec;
    mp_Process process;
    mp_Secret *room;
    mp_SecretPlace *place;
    int64_t limit_us;
    int64_t until_us; /* 0: it has not begun */
    bool too_long;    /* what it prints */
} SecretJob;

/* --- the place --- */

mp_Secret *mp_secret_take(mp_SecretPlace *place)
{
    mp_Secret *secret = place->secret;

    place->secret = NULL;
    return secret;
}

void mp_secret_place_free(mp_SecretPlace *place)
{
    if (!place || atomic_fetch_sub(&place->references, 1) > 1) return;
    mp_secret_free(place->secret);
    mp_alloc_free(place);
}

/* --- the command --- */

static mp_Status begin(SecretJob *self)
{
    mp_Error *err = &self->cpu.err;
    mp_Status status;

    self->until_us = mp_clock_us() + self->limit_us;
    self->room = mp_secret_room();
    if (!self->room) return mp_err_memory(err);
    status = mp_process_start(&self->process, &self->spec, err);
    mp_process_close(&self->process.in);
    return status;
}

/* Takes what is there. False: no more comes. */
static bool gather(SecretJob *self)
{
    ssize_t got = 1;

    while (got > 0)
        got = mp_secret_gather(self->room, self->process.out);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
    self->too_long = got < 0 && errno == EFBIG;
    mp_process_close(&self->process.out);
    return false;
}

static void wait_for_output(SecretJob *self)
{
    struct pollfd out = {.fd = self->process.out, .events = POLLIN};

    poll(&out, 1, LOOK_MS); /* of a closed one, -1, it is a pause */
}

static mp_CpuStep finish(SecretJob *self)
{
    mp_Error *err = &self->cpu.err;
    mp_Status status;
    char how[32];
    size_t len;
    const char *bytes;

    if (self->process.out >= 0) gather(self);
    mp_process_close(&self->process.out);
    bytes = mp_secret_bytes(self->room, &len);
    if (self->too_long) { /* which ends it with SIGPIPE */
        status = mp_err_set(err, MP_KIND_CONFIG,
                            "the command printed more than a key");
    } else if (self->process.status != 0) {
        mp_process_describe(&self->process, how, sizeof how);
        status =
            mp_err_set(err, MP_KIND_CONFIG, "the command ended with %s", how);
    } else if (len == 0) {
        status = mp_err_set(err, MP_KIND_CONFIG, "the command printed no key");
    } else {
        status = mp_secret_new(&self->place->secret, "", bytes, len, err);
    }
    return status == MP_OK ? MP_CPU_DONE : MP_CPU_FAILED;
}

static void kill_command(SecretJob *self)
{
    mp_process_signal(&self->process, SIGKILL);
    mp_process_reap(&self->process, true);
}

static mp_CpuStep slice(mp_CpuJob *cpu, int64_t until_us)
{
    SecretJob *self = (SecretJob *)cpu;

    if (self->until_us == 0 && begin(self) != MP_OK) return MP_CPU_FAILED;
    do {
        if (self->process.out >= 0) gather(self);
        if (mp_process_reap(&self->process, false)) return finish(self);
        if (mp_clock_us() >= self->until_us) {
            kill_command(self);
            mp_err_set(&cpu->err, MP_KIND_CONFIG,
                       "the command gave no key within %g s",
                       (double)self->limit_us / 1e6);
            return MP_CPU_FAILED;
        }
        wait_for_output(self);
    } while (mp_clock_us() < until_us);
    return MP_CPU_MORE;
}

static void term(mp_CpuJob *cpu)
{
    SecretJob *self = (SecretJob *)cpu;

    if (self->process.pid > 0) kill_command(self);
    mp_process_close(&self->process.out);
    mp_secret_free(self->room);
    mp_secret_place_free(self->place);
    mp_buf_term(&self->spec.argv);
}

static const mp_CpuClass secret_class = {slice, term};

static mp_Status write_words(mp_Buf *argv, const char *command)
{
    const char *const words[] = {"/bin/sh", "-c", command};

    for (int i = 0; i < 3; i++)
        mp_buf_append(argv, words[i], strlen(words[i]) + 1);
    return argv->status;
}

mp_Job *mp_secret_job(const char *command, int64_t limit_us,
                      mp_SecretPlace **place)
{
    SecretJob *self = mp_alloc_zero(1, sizeof *self);

    *place = NULL;
    if (!self) return NULL;
    mp_cpu_init(&self->cpu, &secret_class);
    mp_buf_init(&self->spec.argv, 0);
    mp_buf_init(&self->spec.env, 0);
    self->spec.familiar = true;
    self->process = (mp_Process){.in = -1, .out = -1, .err = -1};
    self->limit_us = limit_us;
    self->place = mp_alloc_zero(1, sizeof *self->place);
    if (self->place && write_words(&self->spec.argv, command) == MP_OK) {
        atomic_init(&self->place->references, 2);
        *place = self->place;
        return &self->cpu.job;
    }
    if (self->place) atomic_init(&self->place->references, 1);
    self->cpu.job.cls->free(&self->cpu.job);
    return NULL;
}
