/*
 * http.c: the life of one attempt, on the I/O thread.
 *
 *     start -> own gate -> descriptor gate -> lookup -> launch -> on_done ->
 * end
 *
 * A failure of ours inside a callback of curl (too large, no memory) is noted
 * in `err` and ends the transfer by the callback's return value; curl calls
 * on_done then, which sees it. Outside of callbacks `fail` ends it at once.
 */
#include "http.h"

#include "alloc.h"
#include "clock.h"
#include "gate.h"
#include "http_error.h"
#include "http_job.h"
#include "lookup.h"
#include "os.h"

#include <stddef.h>
#include <string.h>

static mp_HttpJob *of(mp_Job *job)
{
    return (mp_HttpJob *)job;
}

/* Names the options that a handle has: those of a plan and a framing. */
static uint64_t tag_of(const mp_HttpJob *self)
{
    return self->plan->serial * 4 + (uint64_t)self->framing;
}

static const mp_Error exiting = {MP_KIND_CLOSED, 0, "the process is exiting"};

static const mp_Error headless = {
    MP_KIND_TRUNCATED, 0, "the connection was closed inside of the head"};

void mp_http_keep_error(mp_HttpJob *self, const mp_Error *err)
{
    if (!self->failure) self->failure = mp_alloc(sizeof *err);
    self->job.err = self->failure ? self->failure : &mp_err_no_memory;
    if (self->failure) *self->failure = *err;
}

/* --- the end --- */

static void give_back(mp_HttpJob *self)
{
    if (self->transfer.easy) mp_http_io_give(self->transfer.easy, tag_of(self));
    self->transfer.easy = NULL;
}

static void stop_transfer(mp_HttpJob *self)
{
    mp_io_timer_clear(&self->timer);
    if (self->transfer.shard) mp_http_io_remove(&self->transfer);
    give_back(self);
    mp_lookup_leave(&self->lookup, self->looks_up);
    mp_gate_leave(&self->wide);
    mp_gate_leave(&self->own);
}

/* Last of all: the job may be gone on return. */
static void end(mp_HttpJob *self, mp_EventKind kind)
{
    stop_transfer(self);
    mp_job_end(&self->job, kind);
}

/* --- timers --- */

static int64_t earliest(const mp_HttpJob *self)
{
    int64_t at = self->total_at;

    if (self->connect_at < at) at = self->connect_at;
    if (self->first_byte_at < at) at = self->first_byte_at;
    if (self->idle_at < at) at = self->idle_at;
    return at;
}

static int64_t after(int64_t us)
{
    return us > 0 ? mp_clock_us() + us : MP_CLOCK_NEVER;
}

static mp_Status arm(mp_HttpJob *self)
{
    int64_t at = earliest(self);

    if (at == MP_CLOCK_NEVER) return MP_OK;
    return mp_io_timer_set(&self->timer, at);
}

static mp_Status rearm(mp_HttpJob *self)
{
    mp_io_timer_clear(&self->timer);
    return arm(self);
}

static void time_out(mp_HttpJob *self, mp_Kind kind, int64_t us,
                     const char *what)
{
    mp_Error err;

    mp_err_set(&err, kind, "no %s within %g s", what, (double)us / 1e6);
    mp_http_keep_error(self, &err);
    end(self, MP_EVENT_FAILED);
}

/* The idle time moves on with each record, the timer does not: it looks. */
void mp_http_on_time(mp_IoTimer *timer)
{
    mp_HttpJob *self =
        (mp_HttpJob *)((char *)timer - offsetof(mp_HttpJob, timer));
    int64_t now = mp_clock_us();

    if (self->total_at <= now) {
        time_out(self, MP_KIND_TIMEOUT_TOTAL, self->total_us, "answer");
    } else if (self->connect_at <= now) {
        time_out(self, MP_KIND_TIMEOUT_CONNECT, self->plan->spec.connect_us,
                 "connection");
    } else if (self->first_byte_at <= now) {
        time_out(self, MP_KIND_TIMEOUT_FIRST_BYTE,
                 self->plan->spec.first_byte_us, "first byte");
    } else if (self->idle_at <= now) {
        time_out(self, MP_KIND_TIMEOUT_IDLE, self->plan->spec.idle_us,
                 "more data");
    } else if (arm(self) != MP_OK) {
        self->job.err = &mp_err_no_memory;
        end(self, MP_EVENT_FAILED);
    }
}

/* A timer set for later than [at] would come too late. */
static void sooner(mp_HttpJob *self, int64_t at)
{
    if (self->timer.place && self->timer.at_us <= at) return;
    rearm(self);
}

void mp_http_note_data(mp_HttpJob *self)
{
    self->idle_at = after(self->plan->spec.idle_us);
    if (self->idle_at != MP_CLOCK_NEVER) sooner(self, self->idle_at);
}

/* --- the transfer --- */

static mp_HttpJob *job_of_transfer(mp_HttpTransfer *transfer)
{
    return (mp_HttpJob *)((char *)transfer - offsetof(mp_HttpJob, transfer));
}

/* Whether the one who may look the name up does: it may find it in the cache,
 * or a connection that is open. Others must not wait for it then. */
static void find_out(mp_HttpJob *self)
{
    self->looks_up = false;
    mp_http_io_run(&self->transfer);
    if (self->looks_up) return;
    self->connect_at = MP_CLOCK_NEVER;
    mp_lookup_leave(&self->lookup, false);
}

static void launch(mp_HttpJob *self)
{
    bool had_options;
    mp_Status status = -MP_KIND_MEMORY;

    if (mp_http_io_is_over()) {
        self->job.err = &exiting;
        end(self, MP_EVENT_FAILED);
        return;
    }
    self->transfer.easy = mp_http_io_take(tag_of(self), &had_options);
    if (self->transfer.easy) {
        mp_http_set_options(self, had_options);
        status = mp_http_io_add(&self->transfer, self->plan->origin,
                                self->plan->tls);
    }
    self->first_byte_at = self->framing == MP_HTTP_WHOLE
                              ? MP_CLOCK_NEVER
                              : after(self->plan->spec.first_byte_us);
    if (!self->lookup.lookup) self->connect_at = MP_CLOCK_NEVER;
    if (status == MP_OK && rearm(self) == MP_OK) {
        if (self->lookup.lookup) find_out(self);
        return;
    }
    self->job.err = &mp_err_no_memory;
    end(self, MP_EVENT_FAILED);
}

void mp_http_on_name(mp_LookupEntry *entry)
{
    launch((mp_HttpJob *)((char *)entry - offsetof(mp_HttpJob, lookup)));
}

void mp_http_on_no_name(mp_LookupEntry *entry, const mp_Error *err)
{
    mp_HttpJob *self =
        (mp_HttpJob *)((char *)entry - offsetof(mp_HttpJob, lookup));

    mp_http_keep_error(self, err);
    end(self, MP_EVENT_FAILED);
}

/* From here on it waits, unless it does already. */
static void queue(mp_HttpJob *self)
{
    if (self->queued_at == 0) self->queued_at = mp_clock_us();
}

static void leave_queue(mp_HttpJob *self)
{
    if (self->queued_at == 0) return;
    self->job.waited_us += mp_clock_us() - self->queued_at;
    self->queued_at = 0;
}

/* Through all gates: the time of the attempt begins. */
static void begin(mp_HttpJob *self)
{
    leave_queue(self);
    self->total_at = after(self->total_us);
    self->connect_at = self->first_byte_at = self->idle_at = MP_CLOCK_NEVER;
    if (!self->plan->has_name ||
        mp_lookup_enter(self->plan->origin, &self->lookup)) {
        launch(self);
        return;
    }
    self->connect_at = after(self->plan->spec.connect_us);
    if (arm(self) == MP_OK) return;
    self->job.err = &mp_err_no_memory;
    end(self, MP_EVENT_FAILED);
}

/* Whether a failure is a lack of descriptors. The thread of a lookup needs two
 * of them, and curl does not tell why it could not start. */
static bool lacks_descriptors(const mp_HttpJob *self, CURLcode result)
{
    int fd;

    if (result == CURLE_COULDNT_CONNECT) return self->no_descriptor;
    if (!strstr(self->curl_text, "thread failed to start")) return false;
    if (mp_os_waker(&fd, NULL) != MP_OK) return true;
    mp_os_close(fd);
    return false;
}

static void keep_curl_error(mp_HttpJob *self, CURLcode result)
{
    mp_Error err;

    mp_http_error(self->transfer.easy, result, self->curl_text, &err);
    mp_http_keep_error(self, &err);
}

/* Waits, as if it had not begun, until others end. */
static void begin_again(mp_HttpJob *self)
{
    mp_Gate *gate = self->wide.gate;

    mp_io_timer_clear(&self->timer);
    give_back(self);
    mp_lookup_leave(&self->lookup, false);
    self->no_descriptor = false;
    self->curl_text[0] = '\0';
    self->job.err = NULL;
    mp_gate_leave(&self->wide);
    mp_gate_hold(gate, mp_clock_us() + 50000);
    queue(self);
    if (mp_gate_enter(gate, &self->wide)) begin(self);
}

static void learn_version(mp_HttpJob *self)
{
    long version = 0;

    if (!self->plan->tls) return;
    mp_http_curl(NULL)->easy_getinfo(self->transfer.easy, CURLINFO_HTTP_VERSION,
                                     &version);
    if (version == CURL_HTTP_VERSION_1_1) mp_http_io_plain(self->plan->origin);
}

static void on_done(mp_HttpTransfer *transfer, CURLcode result)
{
    mp_HttpJob *self = job_of_transfer(transfer);

    if (result != CURLE_OPERATION_TIMEDOUT) self->looks_up = false;
    if (result == CURLE_OK && self->streaming &&
        mp_http_feed(self, NULL, 0) != MP_OK)
        result = CURLE_WRITE_ERROR;
    if (result == CURLE_OK && !self->head_ended) {
        result = CURLE_PARTIAL_FILE;
        self->job.err = &headless;
    }
    if (result == CURLE_OK) {
        learn_version(self);
        end(self, MP_EVENT_DONE);
        return;
    }
    if (!self->job.err) keep_curl_error(self, result);
    if (lacks_descriptors(self, result)) {
        begin_again(self);
        return;
    }
    if (self->job.err->kind == MP_KIND_DNS)
        mp_lookup_fail(&self->lookup, self->job.err);
    end(self, MP_EVENT_FAILED);
}

/* --- the job --- */

void mp_http_enter_wide(mp_GateEntry *entry)
{
    mp_HttpJob *self =
        (mp_HttpJob *)((char *)entry - offsetof(mp_HttpJob, wide));

    begin(self);
}

/* The gate of all descriptors of the process. */
static _Thread_local mp_Gate *wide;

void mp_http_enter_own(mp_GateEntry *entry)
{
    mp_HttpJob *self =
        (mp_HttpJob *)((char *)entry - offsetof(mp_HttpJob, own));

    if (!wide) wide = mp_gate_get("", mp_http_io_room());
    if (!wide) {
        self->job.err = &mp_err_no_memory;
        end(self, MP_EVENT_FAILED);
        return;
    }
    if (mp_gate_enter(wide, &self->wide))
        begin(self);
    else
        queue(self);
}

static void start(mp_Job *job)
{
    mp_HttpJob *self = of(job);
    mp_Error err;
    const mp_Curl *curl = mp_http_curl(&err);
    mp_Gate *gate = NULL;

    if (!curl || mp_http_io_open(curl, on_done, &err) != MP_OK) {
        mp_http_keep_error(self, &err);
        mp_job_end(job, MP_EVENT_FAILED);
        return;
    }
    if (!self->plan->spec.gate) {
        mp_http_enter_own(&self->own);
        return;
    }
    gate = mp_gate_get(self->plan->spec.gate, self->plan->spec.gate_slots);
    if (!gate) {
        job->err = &mp_err_no_memory;
        mp_job_end(job, MP_EVENT_FAILED);
        return;
    }
    if (mp_gate_enter(gate, &self->own))
        mp_http_enter_own(&self->own);
    else
        queue(self);
}

static void cancel(mp_Job *job)
{
    stop_transfer(of(job));
    mp_job_cancelled(job);
}

/* Curl hands over what it held back at once, and when that fails the transfer
 * goes on behind a hole: it must be ended here. */
static void resume(mp_Job *job)
{
    mp_HttpJob *self = of(job);
    CURLcode result;

    if (!mp_job_resumed(job) || !self->paused) return;
    self->paused = false;
    mp_http_note_data(self);
    result =
        mp_http_curl(NULL)->easy_pause(self->transfer.easy, CURLPAUSE_CONT);
    if (result == CURLE_OK) return;
    if (!job->err) keep_curl_error(self, result);
    end(self, MP_EVENT_FAILED);
}

const mp_JobClass mp_http_class = {"http",           start, cancel, resume,
                                   mp_http_free_job, NULL,  NULL};
