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

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static mp_HttpJob *of(mp_Job *job)
{
    return (mp_HttpJob *)job;
}

/* Names the options that a handle has: those of a plan and a framing. */
static uint64_t tag_of(const mp_HttpJob *self)
{
    return self->plan->serial * 4 + (uint64_t)self->framing;
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
    mp_err_set(&self->job.err, kind, "no %s within %g s", what,
               (double)us / 1e6);
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
        mp_err_memory(&self->job.err);
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

static mp_HttpJob *job_of(CURL *easy)
{
    mp_HttpTransfer *transfer;

    mp_http_curl(NULL)->easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
    return job_of_transfer(transfer);
}

/* Curl does not tell why it got no socket, and lets children inherit it, which
 * keeps connections open that we close. */
static curl_socket_t open_socket(void *easy, curlsocktype purpose,
                                 struct curl_sockaddr *address)
{
    mp_HttpJob *self = job_of(easy);
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC,
                    address->protocol);

    (void)purpose;
    self->connect_at = MP_CLOCK_NEVER; /* from here on curl keeps it */
    mp_lookup_known(&self->lookup);
    self->job.err.kind = MP_KIND_NONE; /* that of an address tried before */
    if (fd >= 0 && mp_io_opened(fd) == MP_OK) return fd;
    self->no_descriptor = fd < 0 && (errno == EMFILE || errno == ENFILE);
    if (fd < 0) return CURL_SOCKET_BAD;
    mp_err_memory(&self->job.err);
    close(fd);
    return CURL_SOCKET_BAD;
}

/* Of a connection, at its end: the call that opened it may be long gone. */
static int close_socket(void *unused, curl_socket_t fd)
{
    (void)unused;
    mp_io_closing(fd);
    return close(fd);
}

/* Called before a name is looked up that is not in curl's cache. */
static int on_lookup(void *resolver, void *reserved, void *easy)
{
    (void)resolver, (void)reserved;
    job_of(easy)->looks_up = true;
    return 0;
}

/* Parsed once for all calls of a plan; what does not parse curl itself shall
 * complain of. */
static void set_address(mp_HttpJob *self, const mp_Curl *curl)
{
    mp_HttpPlan *plan = self->plan;

    if (!plan->address) plan->address = mp_http_address(curl, plan->spec.url);
    curl->easy_setopt(self->transfer.easy, CURLOPT_CURLU, plan->address);
    if (!plan->address)
        curl->easy_setopt(self->transfer.easy, CURLOPT_URL, plan->spec.url);
}

/* Where there is none curl need not look for one at each call. */
static void set_proxy(mp_HttpJob *self, const mp_Curl *curl)
{
    const char *proxy = self->plan->spec.proxy;
    bool none = proxy ? !proxy[0] : !mp_http_has_proxy();

    curl->easy_setopt(self->transfer.easy, CURLOPT_PROXY, proxy);
    curl->easy_setopt(self->transfer.easy, CURLOPT_NOPROXY, none ? "*" : NULL);
}

/* What is the same for each call of one plan and framing: a handle that had the
 * same before keeps it. */
static void set_plan_options(mp_HttpJob *self)
{
    const mp_Curl *curl = mp_http_curl(NULL);
    const mp_HttpSpec *spec = &self->plan->spec;
    CURL *easy = self->transfer.easy;
    bool whole = self->framing == MP_HTTP_WHOLE;

    set_address(self, curl);
    set_proxy(self, curl);
    curl->easy_setopt(easy, CURLOPT_HTTPHEADER, self->plan->headers);
    curl->easy_setopt(easy, CURLOPT_CAINFO, spec->ca_file);
    curl->easy_setopt(easy, CURLOPT_IPRESOLVE,
                      spec->ip == 4   ? (long)CURL_IPRESOLVE_V4
                      : spec->ip == 6 ? (long)CURL_IPRESOLVE_V6
                                      : (long)CURL_IPRESOLVE_WHATEVER);
    curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                      (long)((spec->connect_us + 999) / 1000));
    /* a compressed stream would come late, in blocks */
    curl->easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, whole ? "" : NULL);
    /* wait for a connection that may be shared; without TLS none may, and the
     * second call would wait for the first one's answer */
    curl->easy_setopt(easy, CURLOPT_PIPEWAIT, self->plan->tls ? 1L : 0L);
    curl->easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl->easy_setopt(easy, CURLOPT_OPENSOCKETDATA, easy);
    curl->easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    curl->easy_setopt(easy, CURLOPT_RESOLVER_START_FUNCTION,
                      self->plan->has_name ? on_lookup : NULL);
    curl->easy_setopt(easy, CURLOPT_RESOLVER_START_DATA, easy);
    curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, mp_http_on_body);
    curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, mp_http_on_header);
}

static void set_call_options(mp_HttpJob *self)
{
    const mp_Curl *curl = mp_http_curl(NULL);
    CURL *easy = self->transfer.easy;

    if (self->body) {
        curl->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                          (curl_off_t)self->body_len);
        curl->easy_setopt(easy, CURLOPT_POSTFIELDS, self->body);
    } else {
        curl->easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    curl->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, self->plan->spec.method);
    curl->easy_setopt(easy, CURLOPT_WRITEDATA, self);
    curl->easy_setopt(easy, CURLOPT_HEADERDATA, self);
    curl->easy_setopt(easy, CURLOPT_ERRORBUFFER, self->curl_text);
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
        mp_err_set(&self->job.err, MP_KIND_CLOSED, "the process is exiting");
        end(self, MP_EVENT_FAILED);
        return;
    }
    self->transfer.easy = mp_http_io_take(tag_of(self), &had_options);
    if (self->transfer.easy) {
        if (!had_options) set_plan_options(self);
        set_call_options(self);
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
    mp_err_memory(&self->job.err);
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

    self->job.err = *err;
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
    mp_err_memory(&self->job.err);
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

/* Waits, as if it had not begun, until others end. */
static void begin_again(mp_HttpJob *self)
{
    mp_Gate *gate = self->wide.gate;

    mp_io_timer_clear(&self->timer);
    give_back(self);
    mp_lookup_leave(&self->lookup, false);
    self->no_descriptor = false;
    self->curl_text[0] = '\0';
    self->job.err.kind = MP_KIND_NONE;
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
        mp_err_set(&self->job.err, MP_KIND_TRUNCATED,
                   "the connection was closed inside of the head");
    }
    if (result == CURLE_OK) {
        learn_version(self);
        end(self, MP_EVENT_DONE);
        return;
    }
    if (self->job.err.kind == MP_KIND_NONE)
        mp_http_error(transfer->easy, result, self->curl_text, &self->job.err);
    if (lacks_descriptors(self, result)) {
        begin_again(self);
        return;
    }
    if (self->job.err.kind == MP_KIND_DNS)
        mp_lookup_fail(&self->lookup, &self->job.err);
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
        mp_err_memory(&self->job.err);
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
    const mp_Curl *curl = mp_http_curl(&job->err);
    mp_Gate *gate = NULL;

    if (!curl || mp_http_io_open(curl, on_done, &job->err) != MP_OK) {
        mp_job_end(job, MP_EVENT_FAILED);
        return;
    }
    if (!self->plan->spec.gate) {
        mp_http_enter_own(&self->own);
        return;
    }
    gate = mp_gate_get(self->plan->spec.gate, self->plan->spec.gate_slots);
    if (!gate) {
        mp_err_memory(&job->err);
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
    if (job->err.kind == MP_KIND_NONE)
        mp_http_error(self->transfer.easy, result, self->curl_text, &job->err);
    end(self, MP_EVENT_FAILED);
}

const mp_JobClass mp_http_class = {"http",           start, cancel, resume,
                                   mp_http_free_job, NULL,  NULL};
