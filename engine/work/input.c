/*
 * input.c: see input.h.
 *
 * The descriptor may be shared with other programs, so it is left blocking, and
 * is read only when epoll says that something is there. A regular file is none
 * of epoll's: there always is.
 */
#include "input.h"

#include "alloc.h"
#include "io.h"
#include "os.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define CANNOT "cannot read the standard input"

typedef struct InputJob {
    mp_Job job;
    mp_Error err; /* what job.err is */
    size_t max;
} InputJob;

static void on_ready(mp_IoSource *source, int fd, unsigned events);

static struct {
    mp_IoSource source;
    InputJob *job;       /* the one that reads, or NULL */
    unsigned generation; /* plus one; 0: not known to the I/O thread */
} reading = {.source = {.ready = on_ready}};

static void forget_source(void)
{
    reading.generation = 0;
}

static mp_Status know_source(mp_Error *err)
{
    unsigned generation = mp_os_generation() + 1;

    if (reading.generation == generation) return MP_OK;
    reading.job = NULL; /* in a forked child it is the parent's */
    if (mp_io_source_add(&reading.source) != MP_OK)
        return mp_err_set(err, MP_KIND_LIMIT, "too many kinds of descriptors");
    mp_io_at_end(forget_source);
    reading.generation = generation;
    return MP_OK;
}

static void let_go(void)
{
    mp_io_unwatch(STDIN_FILENO);
    reading.job = NULL;
}

static void end(InputJob *self, mp_Status status)
{
    if (reading.job == self) let_go();
    mp_job_end(&self->job, status == MP_OK ? MP_EVENT_DONE : MP_EVENT_FAILED);
}

/* Another program may have taken what epoll has seen: then it is waited for
 * anew, unless the read itself waits, as one of a blocking descriptor does. */
static void take(InputJob *self)
{
    mp_Buf *bytes = &self->job.end.bytes;
    mp_Status status;
    ssize_t got;

    mp_buf_reserve(bytes, self->max);
    status = mp_buf_check(bytes, &self->err);
    if (status != MP_OK) {
        end(self, status);
        return;
    }
    do {
        got = read(STDIN_FILENO, bytes->data, self->max);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN) return;
    if (got < 0) {
        end(self, mp_err_os(&self->err, errno, CANNOT));
        return;
    }
    bytes->len = (size_t)got;
    end(self, MP_OK);
}

static void on_ready(mp_IoSource *source, int fd, unsigned events)
{
    (void)source, (void)fd, (void)events;
    if (reading.job) take(reading.job);
}

static mp_Status begin(InputJob *self)
{
    mp_Status status = know_source(&self->err);
    int failed;

    if (status != MP_OK) return status;
    if (reading.job)
        return mp_err_set(&self->err, MP_KIND_LIMIT,
                          "the standard input is being read already");
    failed = mp_io_watch(&reading.source, STDIN_FILENO, EPOLLIN);
    if (failed && failed != EPERM) return mp_err_os(&self->err, failed, CANNOT);
    reading.job = self;
    if (failed) take(self);
    return MP_OK;
}

/* --- the job --- */

static void start(mp_Job *job)
{
    InputJob *self = (InputJob *)job;

    mp_Status status = begin(self);

    if (status != MP_OK) end(self, status);
}

static void cancel(mp_Job *job)
{
    if (reading.job == (InputJob *)job) let_go();
    mp_job_cancelled(job);
}

static void free_job(mp_Job *job)
{
    if (!mp_job_is_inherited(job)) mp_buf_term(&job->end.bytes);
    mp_alloc_free(job);
}

static const mp_JobClass input_class = {"input",  start, cancel, NULL,
                                        free_job, NULL,  NULL};

mp_Job *mp_input_job(size_t max)
{
    InputJob *self = mp_alloc_zero(1, sizeof *self);

    if (!self) return NULL;
    mp_job_init(&self->job, &input_class);
    mp_buf_init(&self->job.end.bytes, max);
    self->job.err = &self->err;
    self->max = max;
    return &self->job;
}
