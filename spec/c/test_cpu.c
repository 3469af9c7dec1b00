/* test_cpu.c: work/cpu over the pool, and work/embed_job: slices, cancel,
 * close, fork. */
#include "alloc.h"
#include "cpu.h"
#include "embed_job.h"
#include "engine.h"
#include "test.h"

#include "engine_case.h"
#include "fork_case.h"
#include "pool_case.h"
#include "torture.h"

#include <string.h>
#include <unistd.h>

#define MANY 2000

/* --- jobs --- */

/* Needs `slices` slices; fails at the end if it is told to. */
typedef struct Work {
    mp_CpuJob cpu;
    int slices;
    bool fails;
    mp_Buf held;
    atomic_int *here; /* counts slices, if given */
} Work;

static mp_CpuStep work_slice(mp_CpuJob *cpu, int64_t until_us)
{
    Work *self = (Work *)cpu;

    (void)until_us;
    if (self->here) atomic_fetch_add(self->here, 1);
    if (self->slices < 0) return MP_CPU_MORE; /* for ever */
    if (--self->slices > 0) return MP_CPU_MORE;
    if (self->fails) {
        mp_err_set(&cpu->err, MP_KIND_DECODE, "no");
        return MP_CPU_FAILED;
    }
    mp_buf_text(&cpu->job.end.bytes, "cargo");
    return MP_CPU_DONE;
}

static void work_term(mp_CpuJob *cpu)
{
    mp_buf_term(&((Work *)cpu)->held);
}

static const mp_CpuClass work_class = {work_slice, work_term};

static mp_Job *work_new(int slices, bool fails, atomic_int *here)
{
    Work *self = mp_alloc_zero(1, sizeof *self);

    if (!self) return NULL;
    mp_cpu_init(&self->cpu, &work_class);
    self->slices = slices;
    self->fails = fails;
    self->here = here;
    mp_buf_init(&self->held, 0);
    mp_buf_text(&self->held, "what it holds");
    return &self->cpu.job;
}

static void test_jobs_end(void)
{
    mp_Engine *engine = new_engine();
    mp_Event *event;
    uint64_t id;

    id = submit_job(engine, work_new(3, false, NULL));
    event = await_event(engine);
    CHECK(event->kind == MP_EVENT_DONE && event->id == id);
    CHECK(event->bytes.len == 5);
    mp_job_free_event(event);
    submit_job(engine, work_new(1, true, NULL));
    event = await_event(engine);
    CHECK(event->kind == MP_EVENT_FAILED);
    CHECK(event->job->err->kind == MP_KIND_DECODE);
    mp_job_free_event(event);
    mp_engine_free(engine);
}

static void test_cancel_of_a_job_that_runs(void)
{
    mp_Engine *engine = new_engine();
    atomic_int here = 0;
    uint64_t id = submit_job(engine, work_new(-1, false, &here)), answered;

    await_count(&here, 3);
    mp_engine_cancel(engine, id);
    mp_engine_cancel(engine, id);
    CHECK(await_kind(engine, &answered) == MP_EVENT_CANCELLED);
    CHECK(answered == id && mp_engine_live(engine) == 0);
    mp_engine_free(engine);
}

/* What waits in the line is answered at once, however long the line moves. */
static void test_cancel_of_a_job_that_waits(void)
{
    mp_Pool *pool = NULL;
    mp_Status status = mp_pool_acquire(&pool, NULL);
    atomic_int ran = 0;
    mp_Engine *engine = new_engine();
    uint64_t id, answered;
    Blocks blocks;

    CHECK(status == MP_OK);
    blocks_begin(&blocks, pool);
    id = submit_job(engine, work_new(1, false, &ran));
    mp_engine_cancel(engine, id);
    CHECK(await_kind(engine, &answered) == MP_EVENT_CANCELLED);
    CHECK(answered == id && atomic_load(&ran) == 0);
    blocks_go(&blocks);
    mp_engine_free(engine);
    mp_pool_release(pool);
    blocks_term(&blocks);
}

/* Cancels while they run: each answers once, as what it is. */
static void test_cancel_races_with_the_end(void)
{
    mp_Engine *engine = new_engine();
    unsigned char *ends = mp_alloc_zero(MANY + 1, 1);
    int wrong = 0;
    uint64_t id;

    for (int i = 0; i < MANY; i++) {
        id = submit_job(engine, work_new(1 + i % 4, false, NULL));
        if (i % 2) mp_engine_cancel(engine, id - (uint64_t)(i % 8));
    }
    for (int i = 0; i < MANY; i++) {
        mp_EventKind kind = await_kind(engine, &id);

        wrong += kind != MP_EVENT_DONE && kind != MP_EVENT_CANCELLED;
        wrong += ends[id]++;
    }
    CHECK(wrong == 0 && mp_engine_live(engine) == 0);
    mp_alloc_free(ends);
    mp_engine_free(engine);
}

static void test_free_cancels_what_lives(void)
{
    int64_t before = mp_alloc_live();
    mp_Engine *engine = new_engine();

    for (int i = 0; i < 50; i++)
        submit_job(engine, work_new(i % 2 ? -1 : 1, false, NULL));
    mp_engine_free(engine);
    CHECK(mp_alloc_live() == before);
}

typedef struct Fork {
    mp_Engine *engine;
    uint64_t id;
} Fork;

/* In the child the parent's job ends as closed and a new one is done. */
static bool ends_the_parents(void *fork_)
{
    Fork *self = fork_;
    mp_Event *event = await_event(self->engine);
    bool closed = event->id == self->id && event->kind == MP_EVENT_FAILED &&
                  event->job->err->kind == MP_KIND_CLOSED;
    mp_EventKind kind;
    uint64_t id;

    mp_job_free_event(event);
    submit_job(self->engine, work_new(2, false, NULL));
    kind = await_kind(self->engine, &id);
    mp_engine_free(self->engine);
    return closed && kind == MP_EVENT_DONE;
}

static void test_fork(void)
{
    mp_Engine *engine = new_engine();
    atomic_int here = 0;
    Fork self = {engine, submit_job(engine, work_new(-1, false, &here))};

    await_count(&here, 1);
    CHECK(fork_finds(ends_the_parents, &self));
    mp_engine_free(engine); /* the parent's is untouched */
}

/* --- embeddings --- */

static mp_Job *embed_new(const char *text, size_t expected)
{
    mp_Job *job;
    mp_Buf body;

    mp_buf_init(&body, 0);
    if (mp_buf_text(&body, text) != MP_OK) return NULL;
    job = mp_embed_job(&body, expected);
    mp_buf_term(&body);
    return job;
}

static const char answer[] =
    "{\"data\":[{\"index\":1,\"embedding\":[3,4]},{\"index\":0,\"embedding\":"
    "\"AACAPwAAAEA=\"}],\"usage\":{\"prompt_tokens\":7,\"total_tokens\":8}}";

static void test_decodes_embeddings(void)
{
    mp_Engine *engine = new_engine();
    mp_Event *event;

    submit_job(engine, embed_new(answer, 2));
    event = await_event(engine);
    CHECK(event->kind == MP_EVENT_DONE);
    CHECK(event->floats.rows == 2 && event->floats.data[3] == 4);
    CHECK(strcmp(event->head.data,
                 "{\"prompt_tokens\":7,\"total_tokens\":8}") == 0);
    mp_job_free_event(event);
    submit_job(engine, embed_new(answer, 3));
    event = await_event(engine);
    CHECK(event->kind == MP_EVENT_FAILED);
    CHECK(strcmp(event->job->err->message,
                 "the answer has no embedding with index 2 (2 of 3)") == 0);
    mp_job_free_event(event);
    submit_job(engine, embed_new("{\"data\":7}", 3));
    event = await_event(engine);
    CHECK(event->job->err->kind == MP_KIND_DECODE);
    mp_job_free_event(event);
    mp_engine_free(engine);
}

/* So long that it takes more than one slice, and one cancel in the middle. */
static void test_long_answers(void)
{
    enum { ROWS = 200000 };
    mp_Engine *engine = new_engine();
    mp_Event *event;
    mp_Buf body;

    mp_buf_init(&body, 0);
    mp_buf_text(&body, "{\"data\":[");
    for (int i = 0; i < ROWS; i++)
        mp_buf_printf(&body, "%s{\"index\":%d,\"embedding\":[%d]}",
                      i ? "," : "", ROWS - 1 - i, i);
    mp_buf_text(&body, "]}");
    submit_job(engine, mp_embed_job(&body, ROWS));
    CHECK(body.data == NULL);
    event = await_event(engine);
    CHECK(event->kind == MP_EVENT_DONE && event->floats.rows == ROWS);
    CHECK(event->floats.data[0] == ROWS - 1);
    CHECK(strcmp(event->head.data, "{}") == 0);
    mp_job_free_event(event);
    mp_engine_free(engine);
}

/* --- memory --- */

/* Engine, table of jobs, pool and decoder: each allocation in turn fails. */
static mp_Status embed_once(void *userdata)
{
    mp_Engine *engine;
    mp_Status status = mp_engine_new(&engine, NULL);
    mp_Event *event;
    uint64_t id;

    (void)userdata;
    if (status != MP_OK) return status;
    status = mp_engine_submit(engine, embed_new(answer, 2), &id, NULL);
    if (status == MP_OK) {
        event = await_event(engine);
        if (event->kind != MP_EVENT_DONE)
            status = -(mp_Status)event->job->err->kind;
        mp_job_free_event(event);
    }
    mp_engine_free(engine);
    return status;
}

int main(void)
{
    test_jobs_end();
    test_cancel_of_a_job_that_runs();
    test_cancel_of_a_job_that_waits();
    test_cancel_races_with_the_end();
    test_free_cancels_what_lives();
    if (FORKS) test_fork();
    test_decodes_embeddings();
    test_long_answers();
    CHECK(torture(embed_once, NULL) > 6);
    return TEST_END();
}
