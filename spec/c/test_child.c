/* test_child.c: work/child and base/process: what a program says, what it is
 * told, how it ends, and that nothing of it is left. */
#include "alloc.h"
#include "child.h"
#include "clock.h"
#include "sse.h"
#include "test.h"
#include "torture.h"

#include "engine_case.h"
#include "fork_case.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct Heard {
    mp_Buf out; /* records of the output, each with a '|' */
    mp_Buf err;
    mp_EventKind kind;
    mp_Error why;
    mp_Error told; /* of a job that writes */
} Heard;

/* --- a program --- */

static void words(mp_Buf *buf, const char *const *list)
{
    mp_buf_init(buf, 0);
    for (; *list; list++)
        mp_buf_append(buf, *list, strlen(*list) + 1);
}

/* Output as it comes, and an end of the input. */
static bool raw;

static mp_Job *new_job(const char *program, const char *script, const char *cwd,
                       mp_Child **child)
{
    const char *argv[] = {program, script ? "-c" : NULL, script, NULL};
    const char *env[] = {"PATH=/usr/bin:/bin", "WORD=said", NULL};
    mp_ProcessSpec spec = {.cwd = cwd};
    mp_Job *job;

    words(&spec.argv, argv);
    words(&spec.env, env);
    if (spec.argv.status != MP_OK || spec.env.status != MP_OK) {
        mp_buf_term(&spec.argv);
        mp_buf_term(&spec.env);
        *child = NULL;
        return NULL;
    }
    job = mp_child_new(&spec, raw, child);
    CHECK(spec.argv.len == 0 && spec.env.len == 0);
    return job;
}

static void note(Heard *heard, const mp_Buf *records)
{
    const char *name, *data;
    size_t offset = 0, name_len, data_len;

    while (mp_sse_read(records->data, records->len, &offset, &name, &name_len,
                       &data, &data_len)) {
        mp_Buf *to = name_len ? &heard->err : &heard->out;

        mp_buf_append(to, data, data_len);
        mp_buf_char(to, '|');
    }
}

/* Everything until the end of job [id], which is cancelled where another one
 * fails: what the program waits for does not come. */
static void hear(mp_Engine *engine, uint64_t id, Heard *heard)
{
    bool ended = false;

    while (!ended) {
        mp_Event *event = await_event(engine);

        if (event->id == id && event->job) {
            ended = true;
            heard->kind = event->kind;
            if (event->job->err) heard->why = *event->job->err;
        } else if (event->kind == MP_EVENT_FAILED) {
            heard->told = *event->job->err;
            mp_engine_cancel(engine, id);
        } else if (!event->job) {
            note(heard, &event->bytes);
            mp_engine_was_read(engine, event->from, event->bytes.len);
        }
        mp_job_free_event(event);
    }
}

static void begin(Heard *heard)
{
    memset(heard, 0, sizeof *heard);
    mp_buf_init(&heard->out, 0);
    mp_buf_init(&heard->err, 0);
}

static void term(Heard *heard)
{
    mp_buf_term(&heard->out);
    mp_buf_term(&heard->err);
}

static bool is(const mp_Buf *buf, const char *text)
{
    bool same = buf->len == strlen(text) &&
                (buf->len == 0 || memcmp(buf->data, text, buf->len) == 0);

    if (!same) fprintf(stderr, "  '%s' for '%s'\n", buf->data, text);
    return same;
}

/* Runs a script of sh to its end, with [input]. */
static void run(const char *script, const char *input, Heard *heard)
{
    mp_Engine *engine = new_engine();
    mp_Child *child;
    uint64_t id = submit_job(engine, new_job("sh", script, NULL, &child));

    begin(heard);
    if (input)
        submit_job(engine, mp_child_write(child, input, strlen(input), raw));
    hear(engine, id, heard);
    mp_child_free(child);
    mp_engine_free(engine);
}

/* --- tests --- */

static void test_says(void)
{
    Heard heard;

    run("printf 'one\\ntwo\\r\\n\\nthree'; printf 'oh\\nno' >&2; exit 3", NULL,
        &heard);
    CHECK(is(&heard.out, "one|two|three|"));
    CHECK(is(&heard.err, "oh|no|"));
    CHECK(heard.kind == MP_EVENT_FAILED && heard.why.kind == MP_KIND_CLOSED);
    CHECK(strcmp(heard.why.message, "the program ended (exit code 3)") == 0);
    term(&heard);
    run("kill -9 $$", NULL, &heard);
    CHECK(strcmp(heard.why.message, "the program ended (signal 9)") == 0);
    term(&heard);
}

static void test_is_told(void)
{
    Heard heard;

    run("read a; read b; echo $b $a $WORD $HOME.", "x\ny\n", &heard);
    CHECK(is(&heard.out, "y x said .|"));
    term(&heard);
}

/* More than a pipe holds, to one that first does not read. */
static void test_is_told_much(void)
{
    size_t len = 1 << 20;
    char *text = malloc(len + 1);
    Heard heard;

    memset(text, 'x', len);
    text[len] = '\0';
    memcpy(text + len - 4, "\nq\n", 4);
    run("sleep 0.1; while read x; do [ $x = q ] && break; done; echo ${#x}",
        text, &heard);
    CHECK(is(&heard.out, "1|"));
    term(&heard);
    free(text);
}

/* Under valgrind, whose vfork shares no memory, exec fails unheard: then the
 * child itself says so, by its exit code. */
static bool not_started(const Heard *heard)
{
    if (heard->why.kind == MP_KIND_CLOSED)
        return strstr(heard->why.message, "exit code 127") != NULL;
    return heard->why.kind == MP_KIND_IO && heard->why.os_errno == ENOENT;
}

static void test_not_there(void)
{
    mp_Engine *engine = new_engine();
    const char *programs[] = {"no-such-program", ""};
    mp_Child *child;
    Heard heard;

    for (int i = 0; i < 2; i++) {
        begin(&heard);
        hear(engine,
             submit_job(engine, new_job(programs[i], NULL, NULL, &child)),
             &heard);
        CHECK(not_started(&heard));
        mp_child_free(child);
        term(&heard);
    }
    begin(&heard);
    hear(engine, submit_job(engine, new_job("sh", "pwd", "/no/such", &child)),
         &heard);
    CHECK(not_started(&heard));
    mp_child_free(child);
    mp_engine_free(engine);
    term(&heard);
}

static void test_cwd(void)
{
    mp_Engine *engine = new_engine();
    mp_Child *child;
    Heard heard;

    begin(&heard);
    hear(engine, submit_job(engine, new_job("sh", "pwd", "/usr", &child)),
         &heard);
    CHECK(is(&heard.out, "/usr|"));
    mp_child_free(child);
    mp_engine_free(engine);
    term(&heard);
}

/* Cancels one when it has said something; gives how long that took. */
static int64_t cancel(const char *script)
{
    mp_Engine *engine = new_engine();
    mp_Child *child;
    uint64_t id = submit_job(engine, new_job("sh", script, NULL, &child));
    mp_Event *event = await_event(engine);
    int64_t begun = mp_clock_us();
    Heard heard;

    CHECK(event->kind == MP_EVENT_CHUNK);
    mp_job_free_event(event);
    mp_engine_cancel(engine, id);
    begin(&heard);
    hear(engine, id, &heard);
    CHECK(heard.kind == MP_EVENT_CANCELLED);
    begun = mp_clock_us() - begun;
    CHECK(mp_engine_live(engine) == 0);
    submit_job(engine, mp_child_write(child, "x", 1, false));
    event = await_event(engine);
    CHECK(event->job && event->job->err->kind == MP_KIND_CLOSED);
    mp_job_free_event(event);
    mp_child_free(child);
    mp_engine_free(engine);
    term(&heard);
    return begun;
}

static void test_cancel(void)
{
    int64_t floor_us = MP_CHILD_CLOSED_US;

    cancel("echo a; cat");
    CHECK(cancel("echo a; sleep 60") >= floor_us);
    CHECK(cancel("trap '' TERM; echo a; while :; do sleep 1; done") >=
          floor_us + MP_CHILD_TERM_US);
}

/* An engine that closes ends what runs, with what that has started. */
static void test_close(void)
{
    mp_Engine *engine = new_engine();
    mp_Child *child;
    mp_Event *event;
    Heard heard;
    long pid;

    submit_job(engine, new_job("sh", "sleep 60 & echo $!; wait", NULL, &child));
    event = await_event(engine);
    begin(&heard);
    note(&heard, &event->bytes);
    pid = strtol(heard.out.data, NULL, 10);
    mp_job_free_event(event);
    CHECK(pid > 0 && kill((pid_t)pid, 0) == 0);
    mp_engine_free(engine);
    for (int i = 0; i < 500 && kill((pid_t)pid, 0) == 0; i++)
        usleep(10000); /* until init has reaped it */
    CHECK(kill((pid_t)pid, 0) != 0);
    mp_child_free(child);
    term(&heard);
}

static void test_too_long(void)
{
    Heard heard;

    run("head -c 3000000 /dev/zero; sleep 60", NULL, &heard);
    CHECK(heard.kind == MP_EVENT_FAILED && heard.why.kind == MP_KIND_TOO_LARGE);
    term(&heard);
    run("head -c 10000 /dev/zero | tr '\\0' x >&2", NULL, &heard);
    CHECK(heard.err.len == 10003); /* cut twice */
    term(&heard);
}

/* One that does not read is told so much, and no more. */
static void test_does_not_read(void)
{
    mp_Engine *engine = new_engine();
    size_t len = MP_CHILD_INPUT_MAX / 2 + (1 << 20);
    char *text = calloc(1, len);
    mp_Child *child;
    uint64_t first, second, id;

    id = submit_job(engine, new_job("sh", "sleep 60", NULL, &child));
    first = submit_job(engine, mp_child_write(child, text, len, false));
    second = submit_job(engine, mp_child_write(child, text, len, false));
    for (int ends = 0; ends < 2;) {
        mp_Event *event = await_event(engine);

        if (event->job && event->id == first)
            ends += event->kind == MP_EVENT_DONE;
        else if (event->job && event->id == second)
            ends += event->job->err->kind == MP_KIND_TOO_LARGE;
        mp_job_free_event(event);
    }
    mp_engine_cancel(engine, id);
    mp_child_free(child);
    mp_engine_free(engine);
    free(text);
}

/* One that says more than is read stops at the window, and goes on. */
static void test_pauses(void)
{
    mp_Engine *engine = new_engine();
    mp_Child *child;
    uint64_t id =
        submit_job(engine, new_job("sh", "yes 0123456789 | head -c 4400000",
                                   NULL, &child));
    Heard heard;

    mp_engine_wait(engine, -1);
    usleep(50000);
    begin(&heard);
    hear(engine, id, &heard);
    CHECK(heard.out.len == 4400000);
    mp_child_free(child);
    mp_engine_free(engine);
    term(&heard);
}

static bool works(void *nothing)
{
    mp_Engine *engine = new_engine();
    mp_Child *child;
    Heard heard;
    bool right;

    (void)nothing;
    begin(&heard);
    hear(engine, submit_job(engine, new_job("sh", "echo a", NULL, &child)),
         &heard);
    right = is(&heard.out, "a|");
    mp_child_free(child);
    mp_engine_free(engine);
    term(&heard);
    return right;
}

static int descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;

    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static mp_Status whole(void *nothing)
{
    mp_Engine *engine;
    mp_Error err = {.kind = MP_KIND_NONE};
    mp_Status status = mp_engine_new(&engine, &err), told;
    mp_Child *child = NULL;
    uint64_t id, write_id;
    Heard heard;

    (void)nothing;
    if (status != MP_OK) return status;
    status = mp_engine_submit(
        engine, new_job("sh", "read x; echo $x; echo no >&2", NULL, &child),
        &id, &err);
    if (status == MP_OK) {
        begin(&heard);
        told = mp_engine_submit(
            engine, mp_child_write(child, "abc\n", 4, false), &write_id, &err);
        if (told != MP_OK) mp_engine_cancel(engine, id);
        hear(engine, id, &heard);
        status = told != MP_OK ? told : -(mp_Status)heard.told.kind;
        if (status == MP_OK && heard.why.kind != MP_KIND_CLOSED)
            status = -heard.why.kind;
        if (heard.out.status != MP_OK || heard.err.status != MP_OK)
            status = -MP_KIND_MEMORY;
        term(&heard);
    }
    mp_child_free(child);
    mp_engine_free(engine);
    return status;
}

/* Its input ends, so cat does, and what it says is not cut. */
static void test_raw(void)
{
    Heard heard;

    raw = true;
    run("cat; echo >&2 end", "a\n\n\fb\n", &heard);
    raw = false;
    CHECK(is(&heard.out, "a\n\n\fb\n|"));
    CHECK(is(&heard.err, "end|"));
    CHECK(heard.kind == MP_EVENT_FAILED && heard.why.kind == MP_KIND_CLOSED);
    CHECK(strstr(heard.why.message, "exit code 0") != NULL);
    term(&heard);
}

int main(void)
{
    int before = descriptors();

    test_says();
    test_is_told();
    test_is_told_much();
    test_not_there();
    test_cwd();
    test_cancel();
    test_close();
    test_too_long();
    test_does_not_read();
    test_pauses();
    test_raw();
    CHECK(torture(whole, NULL) > 8);
    CHECK(works(NULL) && (!FORKS_BUSY || fork_finds(works, NULL)));
    CHECK(descriptors() == before);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    CHECK(mp_alloc_live() == 0);
    return TEST_END();
}
