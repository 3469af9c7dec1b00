/* child_write.c: what a program is told: see child.h. */
#include "child_job.h"

#include "alloc.h"
#include "os.h"

typedef struct WriteJob {
    mp_Job job;
    mp_Error err;
    mp_Child *child;
    mp_Buf bytes;
    bool last;
} WriteJob;

static mp_Status hand_over(WriteJob *self)
{
    mp_Child *child = self->child;
    mp_ChildJob *job = child->job;

    if (child->generation != mp_os_generation() || !job || job->process.in < 0)
        return mp_err_set(&self->err, MP_KIND_CLOSED,
                          "the program takes no input any more");
    if (mp_buf_append(&child->input, self->bytes.data, self->bytes.len) !=
        MP_OK) {
        mp_Status status = mp_buf_check(&child->input, &self->err);

        child->input.status = MP_OK; /* what is there is whole */
        return status;
    }
    child->ends = child->ends || self->last;
    mp_child_write_input(job);
    return MP_OK;
}

static void start_write(mp_Job *job)
{
    mp_job_end(job, hand_over((WriteJob *)job) == MP_OK ? MP_EVENT_DONE
                                                        : MP_EVENT_FAILED);
}

static void free_write(mp_Job *job)
{
    WriteJob *self = (WriteJob *)job;

    if (!mp_job_is_inherited(job)) mp_buf_term(&self->bytes);
    mp_child_free(self->child);
    mp_alloc_free(self);
}

static const mp_JobClass write_class = {
    "child_write", start_write, mp_job_cancelled, NULL, free_write, NULL, NULL};

mp_Job *mp_child_write(mp_Child *child, const char *bytes, size_t len,
                       bool last)
{
    WriteJob *self = mp_alloc_zero(1, sizeof *self);

    if (!self) return NULL;
    mp_job_init(&self->job, &write_class);
    self->job.err = &self->err;
    self->child = mp_child_keep(child);
    self->last = last;
    mp_buf_init(&self->bytes, MP_CHILD_INPUT_MAX);
    if (mp_buf_append(&self->bytes, bytes, len) == MP_OK) return &self->job;
    free_write(&self->job);
    return NULL;
}
