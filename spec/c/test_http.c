/* test_http.c: work/http over the engine, against a server of this process that
 * answers by the path: whole, streamed, never, cut, endless. */
#include "alloc.h"
#include "clock.h"
#include "engine.h"
#include "gate.h"
#include "http.h"
#include "os.h"
#include "sse.h"
#include "test.h"
#include "torture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WHOLE                                                                  \
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"                    \
    "X-Request-Id: 7\r\nContent-Length: 2\r\n\r\n{}"
#define STREAM                                                                 \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"                   \
    "Content-Length: 28\r\n\r\ndata: one\n\nevent: e\ndata: 2\n\n"

static int port;
static atomic_int closed_early; /* connections that the client gave up */

/* --- the server: a thread for each connection --- */

static void say(int fd, const char *text)
{
    ssize_t sent = send(fd, text, strlen(text), MSG_NOSIGNAL);

    (void)sent;
}

static void wait_for_close(int fd)
{
    char byte;

    if (recv(fd, &byte, 1, 0) <= 0) atomic_fetch_add(&closed_early, 1);
}

static void say_endless(int fd)
{
    char block[65536]; /* one for each connection: they have threads */

    memset(block, 'x', sizeof block);
    memcpy(block, "data: ", 6);
    memcpy(block + sizeof block - 2, "\n\n", 2);
    say(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    while (send(fd, block, sizeof block, MSG_NOSIGNAL) > 0)
        continue;
    atomic_fetch_add(&closed_early, 1);
}

static void answer(int fd, const char *request)
{
    if (strstr(request, "/whole")) {
        say(fd, WHOLE);
    } else if (strstr(request, "/stream")) {
        say(fd, STREAM);
    } else if (strstr(request, "/never")) {
        wait_for_close(fd);
    } else if (strstr(request, "/cut")) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}");
        shutdown(fd, SHUT_RDWR);
    } else if (strstr(request, "/endless")) {
        say_endless(fd);
    } else {
        say(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    }
}

static void *serve_one(void *fd_)
{
    int fd = (int)(intptr_t)fd_;
    char request[4096];
    ssize_t len;

    while ((len = recv(fd, request, sizeof request - 1, 0)) > 0) {
        request[len] = '\0';
        answer(fd, request);
    }
    close(fd);
    return NULL;
}

static void *serve(void *listener_)
{
    int listener = (int)(intptr_t)listener_;
    int fd;

    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        pthread_t thread;

        pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)fd);
        pthread_detach(thread);
    }
    return NULL;
}

static void start_server(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    pthread_t thread;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(listener, (struct sockaddr *)&address, len) == 0);
    CHECK(listen(listener, 64) == 0);
    getsockname(listener, (struct sockaddr *)&address, &len);
    port = ntohs(address.sin_port);
    pthread_create(&thread, NULL, serve, (void *)(intptr_t)listener);
    pthread_detach(thread);
}

/* --- calls --- */

typedef struct Call {
    const char *path;
    mp_HttpFraming framing;
    int64_t first_byte_us, idle_us, total_us;
    const char *gate;
    size_t body_max;
} Call;

static mp_Status submit(mp_Engine *engine, const Call *call, uint64_t *id,
                        mp_Error *err)
{
    const char *headers[] = {"Content-Type: application/json", NULL};
    char url[128];
    mp_HttpSpec spec = {.url = url, .headers = headers, .gate = call->gate};
    mp_HttpPlan *plan;
    mp_Job *job;

    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", port, call->path);
    spec.proxy = "";
    spec.connect_us = 5000000;
    spec.first_byte_us = call->first_byte_us;
    spec.idle_us = call->idle_us;
    spec.body_max = call->body_max;
    plan = mp_http_plan_new(&spec);
    job =
        plan ? mp_http_new(plan, "{}", 2, call->framing, call->total_us) : NULL;
    mp_http_plan_free(plan);
    return mp_engine_submit(engine, job, id, err);
}

static mp_Event *await_event(mp_Engine *engine)
{
    mp_Event *event;

    while (!(event = mp_engine_next(engine)))
        mp_engine_wait(engine, -1);
    return event;
}

/* Reads all; returns the terminal event, owned, and the count of chunks. */
static mp_Event *finish(mp_Engine *engine, int *chunks)
{
    mp_Event *event;

    *chunks = 0;
    while (!(event = await_event(engine))->job) {
        ++*chunks;
        mp_engine_was_read(engine, event->from, event->bytes.len);
        mp_job_free_event(event);
    }
    return event;
}

static mp_Engine *new_engine(void)
{
    mp_Engine *engine = NULL;

    CHECK(mp_engine_new(&engine, NULL) == MP_OK);
    return engine;
}

static void check_failure(Call call, mp_Kind kind)
{
    mp_Engine *engine = new_engine();
    uint64_t id;
    int chunks;
    mp_Event *end;

    CHECK(submit(engine, &call, &id, NULL) == MP_OK);
    end = finish(engine, &chunks);
    CHECK(end->kind == MP_EVENT_FAILED);
    CHECK(end->job->err.kind == kind);
    if (end->job->err.kind != kind)
        fprintf(stderr, "%s: %s\n", call.path, end->job->err.message);
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

static mp_Status whole_call(void *call_)
{
    mp_Engine *engine;
    mp_Error err = {.kind = MP_KIND_NONE};
    mp_Event *end;
    uint64_t id;
    int chunks;
    mp_Status status = mp_engine_new(&engine, &err);

    if (status != MP_OK) return status;
    status = submit(engine, call_, &id, &err);
    if (status == MP_OK) {
        end = finish(engine, &chunks);
        if (end->kind == MP_EVENT_FAILED) status = -end->job->err.kind;
        mp_job_free_event(end);
    }
    mp_engine_free(engine);
    return status;
}

int main(void)
{
    Call whole = {.path = "/whole", .gate = "g", .total_us = 60000000};
    Call stream = {
        .path = "/stream", .framing = MP_HTTP_SSE, .idle_us = 60000000};

    signal(SIGPIPE, SIG_IGN);
    start_server();
    test_whole();
    test_stream();
    test_pause();
    test_cancel_closes_the_connection();
    test_gate();
    test_many_ended_with_the_engine();
    check_failure((Call){.path = "/never", .total_us = 20000},
                  MP_KIND_TIMEOUT_TOTAL);
    check_failure((Call){.path = "/never",
                         .framing = MP_HTTP_SSE,
                         .first_byte_us = 20000},
                  MP_KIND_TIMEOUT_FIRST_BYTE);
    check_failure((Call){.path = "/cut"}, MP_KIND_TRUNCATED);
    check_failure((Call){.path = "/endless", .body_max = 1000},
                  MP_KIND_TOO_LARGE);
    torture(whole_call, &whole);
    torture(whole_call, &stream);
    return TEST_END();
}
