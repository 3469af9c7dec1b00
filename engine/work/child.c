/*
 * child.c: see child.h.
 *
 * Ending has two parts. First the job lets go: its outcome is known, and the
 * child is asked to end; a timer looks every few milliseconds whether it has,
 * and asks more strongly. When the child is reaped the job is answered.
 */
#include "child_job.h"

#include "alloc.h"
#include "clock.h"
#include "os.h"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>

/* Read at once; a longer line of standard error is cut. */
#define PIECE       ((size_t)64 << 10)
#define ERR_PIECE   ((size_t)4 << 10)
#define LAST_PIECES 64   /* of standard error, read at the end */
#define TICK_US     5000 /* between two looks at one that ends */
#define EXIT_LOOKS  60   /* ... when the process exits */
#define STDERR      "stderr"

/* --- the handle --- */

mp_Child *mp_child_keep(mp_Child *child)
{
    atomic_fetch_add(&child->references, 1);
    return child;
}

void mp_child_free(mp_Child *child)
{
    if (!child || child->generation != mp_os_generation()) return;
    if (atomic_fetch_sub(&child->references, 1) > 1) return;
    mp_buf_term(&child->input);
    mp_alloc_free(child);
}

int64_t mp_child_cpu_us(mp_Child *child)
{
    return mp_process_cpu_us(atomic_load(&child->pid));
}

static mp_Child *new_child(void)
{
    mp_Child *child = mp_alloc_zero(1, sizeof *child);

    if (!child) return NULL;
    atomic_init(&child->references, 1);
    child->generation = mp_os_generation();
    mp_buf_init(&child->input, MP_CHILD_INPUT_MAX);
    return child;
}

/* --- those that run: who a descriptor belongs to --- */

static void on_ready(mp_IoSource *source, int fd, unsigned events);

static struct {
    mp_IoSource source;
    mp_ChildJob *first;
    unsigned generation; /* plus one; 0: not known to the I/O thread */
} running = {.source = {.ready = on_ready}};

static void forget_source(void)
{
    running.generation = 0;
}

/* The process exits with programs that nobody closed. Those that are asked and
 * stay are killed, or they would outlive it. */
static void end_all(void)
{
    mp_ChildJob *self;
    bool some = true;

    for (self = running.first; self; self = self->next) {
        mp_process_close(&self->process.in);
        mp_process_signal(&self->process,
                          self->spec.worthless ? SIGKILL : SIGTERM);
    }
    for (int i = 0; some && i < EXIT_LOOKS; i++) {
        some = false;
        for (self = running.first; self; self = self->next)
            some = !mp_process_reap(&self->process, false) || some;
        if (some) mp_os_wait(-1, TICK_US);
    }
    for (self = running.first; self; self = self->next)
        mp_process_signal(&self->process, SIGKILL);
}

static mp_Status know_source(mp_Error *err)
{
    unsigned generation = mp_os_generation() + 1;

    if (running.generation == generation) return MP_OK;
    running.first = NULL; /* in a forked child they are the parent's */
    if (mp_io_source_add(&running.source) != MP_OK)
        return mp_err_set(err, MP_KIND_LIMIT, "too many kinds of descriptors");
    mp_io_at_end(forget_source);
    mp_io_at_exit(end_all);
    running.generation = generation;
    return MP_OK;
}

static void add(mp_ChildJob *self)
{
    self->next = running.first;
    running.first = self;
    self->child->job = self;
    atomic_store(&self->child->pid, self->process.pid);
}

static void remove_job(mp_ChildJob *self)
{
    mp_ChildJob **link = &running.first;

    while (*link && *link != self)
        link = &(*link)->next;
    if (*link) *link = self->next;
    self->child->job = NULL;
    atomic_store(&self->child->pid, 0);
}

static void close_end(int *fd)
{
    if (*fd >= 0) mp_io_unwatch(*fd);
    mp_process_close(fd);
}

/* --- ending --- */

static void answer(mp_ChildJob *self)
{
    char how[32];

    mp_io_timer_clear(&self->timer);
    remove_job(self);
    if (self->cancelled) {
        mp_job_cancelled(&self->job);
        return;
    }
    if (self->err.kind == MP_KIND_CLOSED) {
        mp_process_describe(&self->process, how, sizeof how);
        mp_err_set(&self->err, MP_KIND_CLOSED, "the program ended (%s)", how);
    }
    self->ended = true;
    mp_job_end(&self->job, MP_EVENT_FAILED);
}

static void ask(mp_ChildJob *self, int signal)
{
    if (self->signalled == signal) return;
    self->signalled = signal;
    mp_process_signal(&self->process, signal);
}

/* One that was killed ends soon; without memory for a timer it is waited for.
 */
static void look(mp_ChildJob *self)
{
    int64_t now = mp_clock_us(), age_us = now - self->let_go_at;

    if (mp_process_reap(&self->process, false)) {
        answer(self);
        return;
    }
    if (self->spec.worthless || age_us >= MP_CHILD_CLOSED_US + MP_CHILD_TERM_US)
        ask(self, SIGKILL);
    else if (age_us >= MP_CHILD_CLOSED_US)
        ask(self, SIGTERM);
    if (mp_io_timer_set(&self->timer, now + TICK_US) == MP_OK) return;
    mp_err_memory(&self->err);
    ask(self, SIGKILL);
    mp_process_reap(&self->process, true);
    answer(self);
}

static void on_tick(mp_IoTimer *timer)
{
    look((mp_ChildJob *)((char *)timer - offsetof(mp_ChildJob, timer)));
}

/* The job is over, for the reason in job.err; its answer comes when the child
 * is gone. */
static void let_go(mp_ChildJob *self)
{
    if (self->let_go_at) return;
    self->let_go_at = mp_clock_us();
    close_end(&self->process.in);
    close_end(&self->process.out);
    close_end(&self->process.err);
    look(self);
}

static void fail(mp_ChildJob *self, mp_Kind kind, const char *why)
{
    if (self->err.kind == MP_KIND_NONE) mp_err_set(&self->err, kind, "%s", why);
    let_go(self);
}

/* --- reading --- */

static mp_Status send_up(mp_ChildJob *self, mp_Buf *records)
{
    mp_Status status = records->status;

    if (status == MP_OK && records->len > 0)
        status = mp_job_chunk(&self->job, records, NULL);
    mp_buf_term(records);
    return status;
}

static int watch(int fd, unsigned events)
{
    return fd < 0 ? 0 : mp_io_watch(&running.source, fd, events);
}

static void watch_output(mp_ChildJob *self)
{
    if (watch(self->process.out, EPOLLIN) || watch(self->process.err, EPOLLIN))
        fail(self, MP_KIND_IO, "cannot watch the output of a program");
}

static void pause_if_full(mp_ChildJob *self)
{
    if (self->let_go_at || self->paused || !mp_job_is_full(&self->job)) return;
    self->paused = true;
    mp_io_unwatch(self->process.out);
    if (self->process.err >= 0) mp_io_unwatch(self->process.err);
}

/* Sends up what was cut, with [status], whose text is in job.err. False: the
 * job has ended and may be gone. */
static bool take_lines(mp_ChildJob *self, mp_Status status, mp_Buf *records)
{
    mp_Status sent = send_up(self, records);

    if (status != MP_OK) {
        let_go(self);
        return false;
    }
    if (sent != MP_OK) {
        fail(self, MP_KIND_MEMORY, "out of memory");
        return false;
    }
    pause_if_full(self);
    return true;
}

/* Whole lines of [bytes] become records, and what is longer than a piece. */
static void cut_errors(mp_ChildJob *self, const char *bytes, size_t len,
                       mp_Buf *records)
{
    mp_Buf *line = &self->err_line;

    for (size_t i = 0; i < len && records->status == MP_OK; i++) {
        bool ends = bytes[i] == '\n' || bytes[i] == '\r';

        if (!ends) records->status = mp_buf_char(line, bytes[i]);
        if (line->len == 0 || !(ends || line->len == ERR_PIECE)) continue;
        mp_sse_write(records, STDERR, strlen(STDERR), line->data, line->len);
        mp_buf_clear(line);
    }
}

typedef enum Reading { MORE, NONE_NOW, GONE } Reading;

static Reading read_errors(mp_ChildJob *self)
{
    char bytes[ERR_PIECE];
    ssize_t got = mp_process_read(self->process.err, bytes, sizeof bytes);
    mp_Buf records;

    if (got < 0) return NONE_NOW;
    if (got == 0) close_end(&self->process.err);
    mp_buf_init(&records, 0);
    cut_errors(self, got > 0 ? bytes : "\n", got > 0 ? (size_t)got : 1,
               &records);
    if (!take_lines(self, MP_OK, &records)) return GONE;
    return got > 0 ? MORE : NONE_NOW;
}

/* What it said last, mostly why it ends. */
static Reading read_last_errors(mp_ChildJob *self)
{
    Reading reading = MORE;

    for (int i = 0; i < LAST_PIECES && reading == MORE; i++)
        reading = self->process.err >= 0 ? read_errors(self) : NONE_NOW;
    return reading;
}

/* [len] 0: no more comes. */
static mp_Status cut_output(mp_ChildJob *self, const char *bytes, size_t len,
                            mp_Buf *records)
{
    size_t made;

    if (self->raw && len > 0) mp_sse_write(records, "", 0, bytes, len);
    if (self->raw) return MP_OK; /* without memory send_up says so */
    if (len == 0)
        return mp_sse_finish(&self->lines, records, &made, &self->err);
    return mp_sse_feed(&self->lines, bytes, len, records, &made, &self->err);
}

static void read_output(mp_ChildJob *self)
{
    char bytes[PIECE];
    ssize_t got = mp_process_read(self->process.out, bytes, sizeof bytes);
    mp_Status status;
    mp_Buf records;

    if (got < 0) return;
    mp_buf_init(&records, 0);
    status = cut_output(self, bytes, (size_t)got, &records);
    if (!take_lines(self, status, &records) || got > 0) return;
    if (read_last_errors(self) != GONE) fail(self, MP_KIND_CLOSED, "");
}

/* --- writing --- */

static void stop_writing(mp_ChildJob *self)
{
    close_end(&self->process.in);
    mp_buf_term(&self->child->input);
    self->child->at = 0;
}

void mp_child_write_input(mp_ChildJob *self)
{
    mp_Child *child = self->child;
    ssize_t took = 1;

    while (took > 0 && child->at < child->input.len) {
        took = mp_process_write(self->process.in, child->input.data + child->at,
                                child->input.len - child->at);
        if (took > 0) child->at += (size_t)took;
    }
    if (took < 0) {
        stop_writing(self);
    } else if (took > 0) {
        mp_buf_term(&child->input);
        child->at = 0;
        if (child->watched) mp_io_unwatch(self->process.in);
        child->watched = false;
        if (child->ends) mp_process_close(&self->process.in);
    } else if (!child->watched) {
        child->watched = watch(self->process.in, EPOLLOUT) == 0;
        if (!child->watched) stop_writing(self);
    }
}

static void on_ready(mp_IoSource *source, int fd, unsigned events)
{
    mp_ChildJob *self = running.first;

    (void)source, (void)events;
    while (self && fd != self->process.in && fd != self->process.out &&
           fd != self->process.err)
        self = self->next;
    if (!self || fd < 0) return;
    if (fd == self->process.in)
        mp_child_write_input(self);
    else if (fd == self->process.out)
        read_output(self);
    else
        read_errors(self);
}

/* --- the job --- */

static void start(mp_Job *job)
{
    mp_ChildJob *self = (mp_ChildJob *)job;

    if (know_source(&self->err) != MP_OK ||
        mp_process_start(&self->process, &self->spec, &self->err) != MP_OK) {
        self->ended = true;
        mp_job_end(job, MP_EVENT_FAILED);
        return;
    }
    add(self);
    watch_output(self);
}

static void cancel(mp_Job *job)
{
    mp_ChildJob *self = (mp_ChildJob *)job;

    if (self->ended) {
        mp_job_cancelled(job);
        return;
    }
    self->cancelled = true;
    let_go(self);
}

static void resume(mp_Job *job)
{
    mp_ChildJob *self = (mp_ChildJob *)job;

    if (!mp_job_resumed(job)) return;
    self->paused = false;
    if (!self->let_go_at) watch_output(self);
}

static void free_job(mp_Job *job)
{
    mp_ChildJob *self = (mp_ChildJob *)job;

    if (!mp_job_is_inherited(job)) {
        mp_buf_term(&self->spec.argv);
        mp_buf_term(&self->spec.env);
        mp_alloc_free((char *)self->spec.cwd);
        mp_sse_term(&self->lines);
        mp_buf_term(&self->err_line);
    }
    mp_child_free(self->child);
    mp_alloc_free(self);
}

static const mp_JobClass child_class = {"child",  start, cancel, resume,
                                        free_job, NULL,  NULL};

static void take(mp_Buf *to, mp_Buf *from)
{
    *to = *from;
    mp_buf_init(from, from->max);
}

mp_Job *mp_child_new(mp_ProcessSpec *spec, bool raw, mp_Child **child)
{
    mp_ChildJob *self = mp_alloc_zero(1, sizeof *self);
    bool whole;

    *child = NULL;
    if (self) {
        mp_job_init(&self->job, &child_class);
        self->job.err = &self->err;
        mp_sse_init(&self->lines, MP_SSE_LINES);
        mp_buf_init(&self->err_line, 0);
        self->timer.fire = on_tick;
        self->raw = raw;
        self->process = (mp_Process){.in = -1, .out = -1, .err = -1};
        self->child = new_child();
        if (spec->cwd)
            self->spec.cwd = mp_alloc_copy(spec->cwd, strlen(spec->cwd));
        self->spec.worthless = spec->worthless;
        self->spec.familiar = spec->familiar;
        take(&self->spec.argv, &spec->argv);
        take(&self->spec.env, &spec->env);
    }
    mp_buf_term(&spec->argv);
    mp_buf_term(&spec->env);
    if (!self) return NULL;
    whole = self->child && !spec->cwd == !self->spec.cwd;
    if (whole) {
        *child = mp_child_keep(self->child);
        return &self->job;
    }
    free_job(&self->job);
    return NULL;
}
