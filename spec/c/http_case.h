/*
 * http_case.h: for tests of work/http: a server of this process that answers by
 * the path (whole, streamed, never, cut, endless, in a burst), and calls to it.
 * Include after test.h.
 */
#ifndef MP_HTTP_CASE_H
#define MP_HTTP_CASE_H

#include "http.h"

#include "engine_case.h"
#include "server_case.h"

#include <stdatomic.h>

#define WHOLE                                                                  \
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"                    \
    "X-Request-Id: 7\r\nContent-Length: 2\r\n\r\n{}"
#define STREAM                                                                 \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"                   \
    "Content-Length: 28\r\n\r\ndata: one\n\nevent: e\ndata: 2\n\n"

static atomic_int closed_early; /* connections that the client gave up */

/* --- what the server says --- */

static inline void wait_for_close(int fd)
{
    char byte;

    if (recv(fd, &byte, 1, 0) <= 0) atomic_fetch_add(&closed_early, 1);
}

static inline void say_endless(int fd)
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

/* A little more than the window, in chunks smaller than what curl reads at
 * once: when the transfer pauses, curl has the next ones already. */
static inline void say_burst(int fd)
{
    static char chunk[4096 + 9];

    memset(chunk, 'x', sizeof chunk);
    memcpy(chunk, "1000\r\ndata: ", 12);
    memcpy(chunk + sizeof chunk - 5, "\n\n\r\n", 4);
    say(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t i = 0; i < MP_JOB_WINDOW / 4096 + 8; i++)
        if (send(fd, chunk, sizeof chunk - 1, MSG_NOSIGNAL) < 0) return;
    say(fd, "0\r\n\r\n");
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
    } else if (strstr(request, "/burst")) {
        say_burst(fd);
    } else if (strstr(request, "/endless")) {
        say_endless(fd);
    } else {
        say(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    }
}

/* --- calls --- */

typedef struct Call {
    const char *path;
    mp_HttpFraming framing;
    int64_t first_byte_us, idle_us, total_us;
    const char *gate;
    size_t body_max;
} Call;

static inline mp_Status submit(mp_Engine *engine, const Call *call,
                               uint64_t *id, mp_Error *err)
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

/* Reads all; returns the terminal event, owned, and the count of chunks. */
static inline mp_Event *finish(mp_Engine *engine, int *chunks)
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

#endif
