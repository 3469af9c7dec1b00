/* test_http.c: work/http over the engine: what calls give, how they fail,
 * pause, wait and end. What they do without memory stands in
 * test_http_memory.c. */
#include "alloc.h"
#include "clock.h"
#include "gate.h"
#include "os.h"
#include "sse.h"
#include "test.h"

#include "fork_case.h"
#include "http_case.h"

#include <signal.h>
#include <unistd.h>

static void check_failure(Call call, mp_Kind kind)
{
    mp_Engine *engine = new_engine();
    uint64_t id;
    int chunks;
    mp_Event *end;

    CHECK(submit(engine, &call, &id, NULL) == MP_OK);
    end = finish(engine, &chunks);
    CHECK(end->kind == MP_EVENT_FAILED);
    CHECK(end->job->err->kind == kind);
    if (end->job->err->kind != kind)
        fprintf(stderr, "%s: %s\n", call.path, end->job->err->message);
    mp_job_free_event(end);
    mp_engine_free(engine);
}

static void test_whole(void)
{
    mp_Engine *engine = new_engine();
    Call call = {.path = "/whole"};
    uint64_t id;
    int chunks;
    mp_Event *end;

    CHECK(submit(engine, &call, &id, NULL) == MP_OK);
    end = finish(engine, &chunks);
    CHECK(end->kind == MP_EVENT_DONE);
    CHECK(chunks == 0);
    CHECK(end->bytes.len == 2 && memcmp(end->bytes.data, "{}", 2) == 0);
    CHECK(strstr(end->head.data, "200\n") == end->head.data);
    CHECK(strstr(end->head.data, "\nx-request-id: 7\n") != NULL);
    mp_job_free_event(end);
    mp_engine_free(engine);
}

static void test_stream(void)
{
    mp_Engine *engine = new_engine();
    Call call = {.path = "/stream", .framing = MP_HTTP_SSE};
    uint64_t id;
    int chunks;
    size_t offset = 0, name_len, data_len;
    const char *name, *data;
    mp_Event *event;

    CHECK(submit(engine, &call, &id, NULL) == MP_OK);
    event = await_event(engine);
    CHECK(!event->job && strncmp(event->head.data, "200\n", 4) == 0);
    CHECK(mp_sse_read(event->bytes.data, event->bytes.len, &offset, &name,
                      &name_len, &data, &data_len));
    CHECK(data_len == 3 && memcmp(data, "one", 3) == 0);
    mp_job_free_event(event);
    event = finish(engine, &chunks);
    CHECK(event->kind == MP_EVENT_DONE);
    CHECK(event->bytes.len == 0);
    mp_job_free_event(event);
    mp_engine_free(engine);
}

/* The server's buffers fill, the transfer pauses; reading lets it go on. */
static void test_pause(void)
{
    mp_Engine *engine = new_engine();
    Call call = {.path = "/endless", .framing = MP_HTTP_SSE};
    int before = atomic_load(&closed_early);
    size_t got = 0, held = 0;
    mp_Event *event = NULL;
    mp_Job *job = NULL;
    uint64_t id;
    int chunks;

    CHECK(submit(engine, &call, &id, NULL) == MP_OK);
    while (mp_engine_wait(engine, 200000)) {
        event = mp_engine_next(engine);
        job = event->from;
        held += event->bytes.len;
        mp_job_free_event(event);
    }
    CHECK(held > MP_JOB_WINDOW && held < MP_JOB_WINDOW + (1 << 20));
    mp_engine_was_read(engine, job, held);
    while (got < 8 * MP_JOB_WINDOW) {
        event = await_event(engine);
        got += event->bytes.len;
        mp_engine_was_read(engine, job, event->bytes.len);
        mp_job_free_event(event);
    }
    mp_engine_cancel(engine, id);
    event = finish(engine, &chunks);
    CHECK(event->kind == MP_EVENT_CANCELLED);
    mp_job_free_event(event);
    mp_engine_free(engine);
    while (atomic_load(&closed_early) == before)
        usleep(1000); /* or the next test would count it */
}

static void test_cancel_closes_the_connection(void)
{
    mp_Engine *engine = new_engine();
    Call call = {.path = "/never"};
    int before = atomic_load(&closed_early);
    uint64_t id;
    int chunks;
    mp_Event *end;

    CHECK(submit(engine, &call, &id, NULL) == MP_OK);
    CHECK(!mp_engine_wait(engine, 50000));
    mp_engine_cancel(engine, id);
    end = finish(engine, &chunks);
    CHECK(end->kind == MP_EVENT_CANCELLED);
    mp_job_free_event(end);
    for (int i = 0; i < 2000 && atomic_load(&closed_early) == before; i++)
        usleep(1000);
    CHECK(atomic_load(&closed_early) == before + 1);
    mp_engine_free(engine);
}

/* Two at once where the gate has one slot: the second begins when the first
 * has ended; a cancelled waiter leaves the queue. */
static void test_gate(void)
{
    mp_Engine *engine = new_engine();
    Call call = {.path = "/never", .gate = "one slot"};
    uint64_t first, second, third;
    int chunks, before = atomic_load(&closed_early);
    mp_Event *event;

    CHECK(mp_engine_submit(engine, mp_gate_job("one slot", 1, 0), &first,
                           NULL) == MP_OK);
    mp_job_free_event(finish(engine, &chunks));
    CHECK(submit(engine, &call, &first, NULL) == MP_OK);
    CHECK(submit(engine, &call, &second, NULL) == MP_OK);
    call.path = "/whole";
    CHECK(submit(engine, &call, &third, NULL) == MP_OK);
    CHECK(!mp_engine_wait(engine, 50000));
    mp_engine_cancel(engine, second);
    event = finish(engine, &chunks);
    CHECK(event->id == second);
    mp_job_free_event(event);
    mp_engine_cancel(engine, first);
    event = finish(engine, &chunks);
    CHECK(event->id == first);
    mp_job_free_event(event);
    event = finish(engine, &chunks);
    CHECK(event->id == third && event->kind == MP_EVENT_DONE);
    mp_job_free_event(event);
    while (atomic_load(&closed_early) == before)
        usleep(1000);
    CHECK(atomic_load(&closed_early) == before + 1); /* second never began */
    mp_engine_free(engine);
}

static void test_many_ended_with_the_engine(void)
{
    mp_Engine *engine = new_engine();
    Call calls[] = {{.path = "/never"},
                    {.path = "/whole"},
                    {.path = "/endless", .framing = MP_HTTP_SSE}};
    int64_t before = mp_alloc_live();
    uint64_t id;

    for (int i = 0; i < 60; i++)
        CHECK(submit(engine, &calls[i % 3], &id, NULL) == MP_OK);
    mp_engine_wait(engine, 20000);
    mp_engine_free(engine);
    CHECK(mp_alloc_live() < before);
}

typedef struct Fork {
    mp_Engine *engine;
    mp_Job *job;
} Fork;

static bool leaves_it_alone(void *fork_)
{
    Fork *self = fork_;
    mp_Event *event = mp_engine_next(self->engine);
    bool right = event && event->job == self->job && event->head.len == 0;

    mp_job_free_event(event);
    mp_engine_free(self->engine);
    return right;
}

/* As if the fork met the I/O thread while it moves the job's buffers. */
static void test_a_child_leaves_the_parents_buffers_alone(void)
{
    char url[64];
    mp_HttpSpec spec = {.url = url, .proxy = ""};
    mp_HttpPlan *plan;
    mp_Buf bytes, head;
    Fork self = {.engine = new_engine()};
    uint64_t id;

    snprintf(url, sizeof url, "http://127.0.0.1:%d/never", port);
    plan = mp_http_plan_new(&spec);
    self.job = mp_http_new(plan, NULL, 0, MP_HTTP_WHOLE, 0);
    mp_http_plan_free(plan);
    id = submit_job(self.engine, self.job);
    usleep(20000); /* it has surely begun */
    bytes = self.job->end.bytes;
    head = self.job->end.head;
    self.job->end.bytes.data = self.job->end.head.data = (char *)16;
    self.job->end.head.len = 9;
    CHECK(fork_finds(leaves_it_alone, &self));
    self.job->end.bytes = bytes;
    self.job->end.head = head;
    mp_engine_cancel(self.engine, id);
    CHECK(await_kind(self.engine, &id) == MP_EVENT_CANCELLED);
    mp_engine_free(self.engine);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    start_server();
    test_whole();
    test_stream();
    test_pause();
    test_cancel_closes_the_connection();
    test_gate();
    test_many_ended_with_the_engine();
    if (FORKS) test_a_child_leaves_the_parents_buffers_alone();
    check_failure((Call){.path = "/never", .total_us = 20000},
                  MP_KIND_TIMEOUT_TOTAL);
    check_failure((Call){.path = "/never",
                         .framing = MP_HTTP_SSE,
                         .first_byte_us = 20000},
                  MP_KIND_TIMEOUT_FIRST_BYTE);
    check_failure((Call){.path = "/cut"}, MP_KIND_TRUNCATED);
    check_failure((Call){.path = "/endless", .body_max = 1000},
                  MP_KIND_TOO_LARGE);
    return TEST_END();
}
