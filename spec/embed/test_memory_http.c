/*
 * test_memory_http.c: test_memory.c's torture for what needs a network: model
 * calls, whole and streamed, embeddings, repeats, limits and gates, from a
 * chain down to the I/O thread. Libcurl's own memory is the matter of
 * spec/c/test_http_memory.c.
 */
#include "host.h"

#include "server_case.h"
#include "torture.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

/* --- the server --- */

static atomic_int refusals; /* how often it still says 503 */

#define TYPE_JSON   "application/json"
#define TYPE_STREAM "text/event-stream"
#define VECTORS                                                                \
    "{\"data\":[{\"index\":0,\"embedding\":\"AACAPwAAAEA=\"}],\"usage\":{"     \
    "\"prompt_tokens\":1,\"total_tokens\":1}}"
#define WHOLE                                                                  \
    "{\"id\":\"i\",\"choices\":[{\"finish_reason\":\"stop\",\"message\":{"     \
    "\"role\":\"assistant\",\"content\":\"one\"}}]}"
#define DELTA(text)                                                            \
    "data: {\"choices\":[{\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define STREAM                                                                 \
    DELTA("two ")                                                              \
    DELTA("three")                                                             \
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"      \
    "data: [DONE]\n\n"

static void reply(int fd, const char *head, const char *type, const char *body)
{
    char text[1024];

    snprintf(text, sizeof text,
             "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
             head, type, strlen(body), body);
    say(fd, text);
}

static void answer(int fd, const char *request)
{
    if (!strncmp(request, "POST /vectors/", 14))
        reply(fd, "200 OK", TYPE_JSON, VECTORS);
    else if (!strncmp(request, "POST /stream/", 13))
        reply(fd, "200 OK", TYPE_STREAM, STREAM);
    else if (!strncmp(request, "POST /busy/", 11) &&
             atomic_fetch_sub(&refusals, 1) > 0)
        reply(fd, "503 Busy\r\nRetry-After-Ms: 2", TYPE_JSON, "{}");
    else
        reply(fd, "200 OK", TYPE_JSON, WHOLE);
}

/* --- chains --- */

#define PRELUDE                                                                \
    "local mp = require 'moonpipe'\n"                                          \
    "local function at(path)\n"                                                \
    "  return { base_url = 'http://127.0.0.1:%d/' .. path, api_key = 'k' }\n"  \
    "end\n"                                                                    \
    "local function model(path) return mp.ChatOpenAI(at(path)) end\n"          \
    "local parser = mp.StrOutputParser()\n"

/* Whole answers beside each other, vectors decoded here and on the pool, then a
 * stream that is told chunk by chunk. */
static const char calls[] = PRELUDE
    "local vectors, native = mp.OpenAIEmbeddings(at 'vectors'),\n"
    "  require 'moonpipe.native'\n"
    "local answer = [[" VECTORS "]]\n"
    "local function embed(x)\n"
    "  assert(vectors:embed_query 'a':row(1):totable()[2] == 2)\n"
    "  local id = native.check(native.c.embed(answer, 1))\n"
    "  assert(require('moonpipe.scheduler').await(id):row(1))\n"
    "  return x.a .. x.b\n"
    "end\n"
    "return { a = model 'whole' | parser, b = model 'whole' | parser }\n"
    "  | embed | model 'stream' | parser";

/* A gate that is held, a second attempt, streams that wait for a slot. */
static const char waits[] = PRELUDE
    "local function read(x) return model 'stream':stream(x):collect().content "
    "end\n"
    "local map = mp.RunnableParallel { a = read, b = model 'whole' }\n"
    "return model 'busy' | function()\n"
    "  map:batch({ 'a', 'b' }, { max_concurrency = 1 })\n"
    "  mp.RunnableParallel({ a = model 'stream', b = model 'stream' })\n"
    "    :stream('a', { max_concurrency = 1 }):collect()\n"
    "  return 'x'\n"
    "end | model 'stream' | parser";

static mp_Status call(moonpipe_Engine *engine, const char *text)
{
    Told told;
    moonpipe_Options options = telling(&told, MOONPIPE_TEXT_OUT);
    char chain[4096];
    uint64_t id;

    options.on_token = on_token;
    snprintf(chain, sizeof chain, text, port);
    id = load(engine, chain);
    if (id) id = start(engine, id, "\"a\"", &options);
    if (!id || moonpipe_wait(engine, id, 20000000) != 1)
        return -moonpipe_error_kind(moonpipe_error(engine));
    CHECK(told.done + told.errors == 1);
    if (told.errors) return -told.kind;
    CHECK(strcmp(told.result, "two three") == 0);
    return MP_OK;
}

static mp_Status whole_life(void *text)
{
    moonpipe_Engine *engine = moonpipe_open(NULL);
    mp_Status status;

    if (!engine) return -MP_KIND_MEMORY;
    atomic_store(&refusals, 1);
    status = call(engine, text);
    moonpipe_close(engine);
    return status;
}

/* As torture(), but now and then the engine does without: a gate without a
 * timer opens, a socket is watched for less. */
static void torture_softly(char *text)
{
    int64_t before = mp_alloc_live(), count, nth;
    int failed = 0, all = 0;

    mp_alloc_fail_at(0, false);
    CHECK(whole_life(text) == MP_OK);
    count = mp_alloc_count();
    for (nth = 1; nth <= count; nth = torture_next(nth)) {
        mp_Status status;

        mp_alloc_fail_at(nth, all++ % 2 == 1);
        status = whole_life(text);
        mp_alloc_fail_at(0, false);
        CHECK(status == MP_OK || status == -MP_KIND_MEMORY);
        CHECK(mp_alloc_live() == before);
        if (status != MP_OK) failed++;
    }
    CHECK(failed > all * 3 / 4);
}

int main(void)
{
    char first[sizeof calls], second[sizeof waits];

    memcpy(first, calls, sizeof calls);
    memcpy(second, waits, sizeof waits);
    signal(SIGPIPE, SIG_IGN);
    start_server();
    torture_softly(first);
    torture_softly(second);
    CHECK(whole_life(first) == MP_OK);
    return TEST_END();
}
