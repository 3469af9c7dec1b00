/* test_http_memory.c: calls of which each allocation fails in turn, ours and
 * libcurl's: an error of its kind, no leak, an engine that can be used. */
#include "alloc.h"
#include "clock.h"
#include "test.h"

#include "http_case.h"
#include "torture.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>

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
        if (end->kind == MP_EVENT_FAILED) status = -end->job->err->kind;
        mp_job_free_event(end);
    }
    mp_engine_free(engine);
    return status;
}

/* Reads nothing until the transfer pauses, then all at once. */
static mp_Event *finish_late(mp_Engine *engine)
{
    mp_Event *event = NULL;
    size_t held = 0;

    while (!(event = await_event(engine))->job) {
        mp_Job *from = event->from;

        held += event->bytes.len;
        mp_job_free_event(event);
        if (held <= MP_JOB_WINDOW) continue;
        mp_engine_was_read(engine, from, held);
        held = 0;
    }
    return event;
}

static mp_Status late_call(void *call_)
{
    mp_Engine *engine;
    mp_Error err = {.kind = MP_KIND_NONE};
    mp_Event *end;
    uint64_t id;
    mp_Status status = mp_engine_new(&engine, &err);

    if (status != MP_OK) return status;
    status = submit(engine, call_, &id, &err);
    if (status == MP_OK) {
        end = finish_late(engine);
        if (end->kind == MP_EVENT_FAILED) status = -end->job->err->kind;
        mp_job_free_event(end);
    }
    mp_engine_free(engine);
    return status;
}

/* --- curl's own memory --- */

static atomic_llong curl_live;
static atomic_llong curl_left; /* until one fails; below 0: none does */

static bool curl_may(void)
{
    return atomic_fetch_sub(&curl_left, 1) != 1;
}

static void *curl_malloc(size_t size)
{
    void *block = curl_may() ? malloc(size) : NULL;

    if (block) atomic_fetch_add(&curl_live, 1);
    return block;
}

static void *curl_calloc(size_t count, size_t size)
{
    void *block = curl_may() ? calloc(count, size) : NULL;

    if (block) atomic_fetch_add(&curl_live, 1);
    return block;
}

static void curl_drop(void *block)
{
    if (block) atomic_fetch_sub(&curl_live, 1);
    free(block);
}

static void *curl_renew(void *old, size_t size)
{
    void *block = curl_may() ? realloc(old, size) : NULL;

    if (block && !old) atomic_fetch_add(&curl_live, 1);
    return block;
}

static char *curl_copy(const char *text)
{
    char *block = curl_may() ? strdup(text) : NULL;

    if (block) atomic_fetch_add(&curl_live, 1);
    return block;
}

/* Before the engine opens it: the first to initialize decides. */
static void hook_curl(void)
{
    void *library = dlopen("libcurl.so.4", RTLD_NOW);
    void *found = library ? dlsym(library, "curl_global_init_mem") : NULL;
    __typeof__(curl_global_init_mem) *init;

    CHECK(found != NULL);
    memcpy(&init, &found, sizeof found);
    CHECK(init(CURL_GLOBAL_ALL, curl_malloc, curl_drop, curl_renew, curl_copy,
               curl_calloc) == CURLE_OK);
}

/* Each of curl's allocations fails in turn. Some it can do without; a failure
 * has a kind; nothing is lost. */
static void torture_curl(torture_Job job, void *call)
{
    int64_t before, count, ours = mp_alloc_live();

    CHECK(job(call) == MP_OK);
    before = atomic_load(&curl_live);
    atomic_store(&curl_left, 0);
    CHECK(job(call) == MP_OK);
    count = -atomic_load(&curl_left);
    CHECK(count > 20);
    for (int64_t nth = 1; nth <= count; nth = torture_next(nth)) {
        int64_t begun = mp_clock_us();

        atomic_store(&curl_left, nth);
        job(call);
        atomic_store(&curl_left, 0);
        CHECK(mp_clock_us() - begun < 1000000);
        CHECK(atomic_load(&curl_live) == before);
        CHECK(mp_alloc_live() == ours);
    }
    CHECK(job(call) == MP_OK);
}

int main(void)
{
    Call whole = {.path = "/whole", .gate = "g", .total_us = 60000000};
    Call stream = {
        .path = "/stream", .framing = MP_HTTP_SSE, .idle_us = 60000000};
    Call burst = {
        .path = "/burst", .framing = MP_HTTP_SSE, .total_us = 60000000};

    signal(SIGPIPE, SIG_IGN);
    start_server();
    hook_curl();
    torture(whole_call, &whole);
    torture(whole_call, &stream);
    torture(late_call, &burst);
    torture_curl(whole_call, &whole);
    torture_curl(late_call, &burst);
    return TEST_END();
}
