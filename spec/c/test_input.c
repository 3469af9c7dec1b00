/* test_input.c: work/input: standard input that is a pipe, a file, nothing. */
#include "alloc.h"
#include "input.h"
#include "test.h"
#include "torture.h"

#include "engine_case.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Makes [fd], which is closed, the standard input. */
static void become_input(int fd)
{
    CHECK(dup2(fd, STDIN_FILENO) == STDIN_FILENO);
    close(fd);
}

/* Makes standard input a pipe and gives the end that is written to. */
static int pipe_input(void)
{
    int ends[2];

    CHECK(pipe(ends) == 0);
    become_input(ends[0]);
    return ends[1];
}

static void say(int fd, const char *text)
{
    CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

/* Reads a piece of at most [max] bytes, which must be [expected]. */
static mp_Status expect(mp_Engine *engine, size_t max, const char *expected,
                        mp_Error *err)
{
    mp_Event *event = NULL;
    mp_Status status = end_job(engine, mp_input_job(max), &event, err);

    if (status != MP_OK) return status;
    CHECK(event->bytes.len == strlen(expected));
    CHECK(memcmp(event->bytes.data, expected, event->bytes.len) == 0);
    mp_job_free_event(event);
    return MP_OK;
}

static void test_pipe(void)
{
    mp_Engine *engine = new_engine();
    int out = pipe_input();
    mp_Error err;

    say(out, "one two");
    CHECK(expect(engine, 4, "one ", &err) == MP_OK);
    CHECK(expect(engine, 100, "two", &err) == MP_OK);
    say(out, "end");
    close(out);
    CHECK(expect(engine, 100, "end", &err) == MP_OK);
    CHECK(expect(engine, 100, "", &err) == MP_OK);
    CHECK(expect(engine, 100, "", &err) == MP_OK);
    mp_engine_free(engine);
}

/* epoll takes no regular file, nor this device. */
static void test_without_epoll(void)
{
    mp_Engine *engine = new_engine();
    mp_Error err;

    become_input(open("/dev/null", O_RDONLY));
    CHECK(expect(engine, 100, "", &err) == MP_OK);
    become_input(open("/", O_RDONLY));
    CHECK(expect(engine, 100, "", &err) == -MP_KIND_IO);
    CHECK(strstr(err.message, "cannot read the standard input"));
    mp_engine_free(engine);
}

static void test_waiting(void)
{
    mp_Engine *engine = new_engine();
    int out = pipe_input();
    mp_EventKind kind;
    uint64_t first, id;
    mp_Error err;

    first = submit_job(engine, mp_input_job(10));
    CHECK(end_job(engine, mp_input_job(10), NULL, &err) == -MP_KIND_LIMIT);
    mp_engine_cancel(engine, first);
    kind = await_kind(engine, &id);
    CHECK(kind == MP_EVENT_CANCELLED && id == first);
    say(out, "x");
    CHECK(expect(engine, 10, "x", &err) == MP_OK);
    submit_job(engine, mp_input_job(10)); /* left to the end of its engine */
    mp_engine_free(engine);
    engine = new_engine();
    say(out, "y");
    CHECK(expect(engine, 10, "y", &err) == MP_OK);
    close(out);
    mp_engine_free(engine);
}

static mp_Status read_once(void *userdata)
{
    mp_Engine *engine = NULL;
    mp_Error err;
    mp_Status status = mp_engine_new(&engine, &err);

    (void)userdata;
    if (status != MP_OK) return status;
    become_input(open("/dev/null", O_RDONLY));
    status = expect(engine, 10, "", &err);
    mp_engine_free(engine);
    return status;
}

int main(void)
{
    test_pipe();
    test_without_epoll();
    test_waiting();
    CHECK(torture(read_once, NULL) > 2);
    CHECK(mp_alloc_live() == 0);
    return TEST_END();
}
