/* test_lexical_job.c: work/lexical_job and work/line: order, cancel, close,
 * fork, many hands. */
#include "lexical_job.h"
#include "line.h"
#include "test.h"
#include "torture.h"

#include "engine_case.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static mp_LexicalIndex *new_index(void)
{
    mp_LexicalIndex *index = NULL;

    CHECK(mp_lexical_index_new(&index, 1.2, 0.75, NULL) == MP_OK);
    return index;
}

/* A job that adds [count] copies of [text]; NULL without memory. */
static mp_Job *add_job(mp_LexicalIndex *index, const char *text, size_t count)
{
    size_t *ends = mp_alloc_zero(count, sizeof *ends), first;
    mp_Job *job = NULL;
    mp_Buf all;

    if (!ends) return NULL;
    mp_buf_init(&all, SIZE_MAX / 2);
    for (size_t i = 0; i < count; i++) {
        mp_buf_text(&all, text);
        ends[i] = all.len;
    }
    if (all.status == MP_OK &&
        mp_lexical_index_number(index, count, &first, NULL) == MP_OK)
        job = mp_lexical_add_job(index, first, &all, ends, count, false);
    if (!job) mp_alloc_free(ends);
    mp_buf_term(&all);
    return job;
}

static mp_Job *search_job(mp_LexicalIndex *index, const char *text, size_t k)
{
    mp_Job *job = NULL;
    mp_Buf query;

    mp_buf_init(&query, 0);
    if (mp_buf_text(&query, text) == MP_OK)
        job = mp_lexical_search_job(index, &query, false, k);
    mp_buf_term(&query);
    return job;
}

static mp_Job *delete_job(mp_LexicalIndex *index, uint32_t first, size_t count)
{
    uint32_t *docs = mp_alloc_zero(count, sizeof *docs);
    mp_Job *job;

    if (!docs) return NULL;
    for (size_t i = 0; i < count; i++)
        docs[i] = first + (uint32_t)i;
    job = mp_lexical_delete_job(index, docs, count);
    if (!job) mp_alloc_free(docs);
    return job;
}

static void run_job(mp_Engine *engine, mp_Job *job)
{
    uint64_t id, sent = submit_job(engine, job);

    CHECK(await_kind(engine, &id) == MP_EVENT_DONE && id == sent);
}

static size_t found(mp_Engine *engine, mp_LexicalIndex *index, const char *text)
{
    mp_Event *event;
    size_t count;

    submit_job(engine, search_job(index, text, 1000));
    event = await_event(engine);
    CHECK(event->kind == MP_EVENT_DONE);
    CHECK(event->floats.rows == (event->floats.dim > 0));
    count = event->floats.dim;
    mp_job_free_event(event);
    return count;
}

/* --- the line --- */

static void test_answer(void)
{
    mp_Engine *engine = new_engine();
    mp_LexicalIndex *index = new_index();
    mp_Event *event;

    CHECK(found(engine, index, "moon") == 0);
    run_job(engine, add_job(index, "the moon", 2));
    run_job(engine, add_job(index, "the moon, the moon", 1));
    CHECK(mp_lexical_index_count(index) == 3);
    submit_job(engine, search_job(index, "Moon", 2));
    event = await_event(engine);
    CHECK(event->floats.dim == 2 && strcmp(event->head.data, "2 0") == 0);
    CHECK(event->floats.data[0] > event->floats.data[1]);
    mp_job_free_event(event);
    run_job(engine, delete_job(index, 2, 1));
    run_job(engine, delete_job(index, 1, 5));
    CHECK(mp_lexical_index_count(index) == 1);
    CHECK(found(engine, index, "moon") == 1);
    mp_lexical_index_unref(index);
    mp_engine_free(engine);
}

/* The index is let go of at once: its jobs keep it. */
static void test_references(void)
{
    mp_Engine *engine = new_engine();
    mp_LexicalIndex *index = new_index();

    for (int i = 0; i < 100; i++) {
        submit_job(engine, add_job(index, "a b c", 3));
        submit_job(engine, search_job(index, "b", 5));
        submit_job(engine, delete_job(index, (uint32_t)i, 1));
    }
    mp_lexical_index_unref(index);
    for (int i = 0; i < 300; i++) {
        uint64_t id;

        CHECK(await_kind(engine, &id) == MP_EVENT_DONE);
    }
    mp_engine_free(engine);
}

/* Cancels a large add a moment after it began: all or nothing, as the event
 * says. */
static bool cancel_add(mp_Engine *engine, mp_LexicalIndex *index, int delay_us)
{
    size_t before = mp_lexical_index_count(index);
    uint64_t id, sent;
    bool cancelled;

    sent = submit_job(engine, add_job(index, "one two three four five", 20000));
    if (delay_us > 0) usleep((useconds_t)delay_us);
    mp_engine_cancel(engine, sent);
    cancelled = await_kind(engine, &id) == MP_EVENT_CANCELLED;
    CHECK(mp_lexical_index_count(index) == before + (cancelled ? 0 : 20000));
    return cancelled;
}

/* A scheduler may run an add to its end before the cancel: it gets tries. */
static void test_cancel(void)
{
    mp_Engine *engine = new_engine();
    mp_LexicalIndex *index = new_index();
    size_t count;
    int cancelled = 0;

    run_job(engine, add_job(index, "one", 2));
    for (int i = 0; i < 20 && cancelled < 3; i++)
        cancelled += cancel_add(engine, index, i % 4 * 1000);
    CHECK(cancelled > 0);
    count = mp_lexical_index_count(index);
    CHECK(found(engine, index, "one") == (count < 1000 ? count : 1000));
    for (int i = 0; i < 60; i++) {
        uint64_t id =
            submit_job(engine, i % 3 == 0   ? search_job(index, "two one", 9)
                               : i % 3 == 1 ? add_job(index, "one", 1)
                                            : delete_job(index, 0, 1));

        if (i % 2) mp_engine_cancel(engine, id);
    }
    for (int i = 0; i < 60; i++) {
        uint64_t id;
        mp_EventKind kind = await_kind(engine, &id);

        CHECK(kind == MP_EVENT_DONE || kind == MP_EVENT_CANCELLED);
    }
    mp_lexical_index_unref(index);
    mp_engine_free(engine);
}

/* Closing with jobs in every state, again and again. */
static void test_close(void)
{
    mp_LexicalIndex *index = new_index();

    for (int round = 0; round < 30; round++) {
        mp_Engine *engine = new_engine();

        for (int i = 0; i < 20; i++) {
            submit_job(engine, add_job(index, "a b a", 50));
            submit_job(engine, search_job(index, "a", 3));
            submit_job(engine, delete_job(index, (uint32_t)i * 50, 25));
        }
        if (round % 3) usleep((useconds_t)round * 20);
        mp_engine_free(engine);
    }
    mp_lexical_index_unref(index);
}

/* --- many hands --- */

enum { THREADS = 3, ROUNDS = 40 };

/* Does [job] and gives how many documents it found; -1 where it failed. */
static int found_by(mp_Engine *engine, mp_Job *job)
{
    mp_Event *event;
    uint64_t id;
    int count;

    if (mp_engine_submit(engine, job, &id, NULL) != MP_OK) return -1;
    event = await_event(engine);
    count = event->kind == MP_EVENT_DONE ? (int)event->floats.dim : -1;
    mp_job_free_event(event);
    return count;
}

/* Adds are seen whole. Gives NULL where all is well; the checks are counted by
 * one thread. */
static void *use_index(void *index_)
{
    mp_LexicalIndex *index = index_;
    mp_Engine *engine = NULL;
    bool good = mp_engine_new(&engine, NULL) == MP_OK;

    for (int i = 0; good && i < ROUNDS; i++) {
        int count;

        good = found_by(engine, add_job(index, "shared word", 2)) == 0;
        count = found_by(engine, search_job(index, "word", 1000));
        good = good && count >= 2 && count % 2 == 0;
    }
    if (engine) mp_engine_free(engine);
    return good ? NULL : index;
}

static void test_threads(void)
{
    mp_LexicalIndex *index = new_index();
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, use_index, index) == 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;

        pthread_join(threads[i], &failed);
        CHECK(failed == NULL);
    }
    CHECK(mp_lexical_index_count(index) == THREADS * ROUNDS * 2);
    mp_lexical_index_unref(index);
}

/* --- numbers --- */

static void test_numbers(void)
{
    mp_LexicalIndex *index = new_index();
    size_t first = 1;
    mp_Error err;

    CHECK(mp_lexical_index_number(index, MP_LEXICAL_MOST - 1, &first, &err) ==
          MP_OK);
    CHECK(first == 0);
    CHECK(mp_lexical_index_number(index, 2, &first, &err) == -MP_KIND_LIMIT);
    CHECK(mp_lexical_index_number(index, 1, &first, &err) == MP_OK);
    CHECK(first == MP_LEXICAL_MOST - 1);
    mp_lexical_index_unref(index);
}

/* --- a forked child --- */

static int wait_for(pid_t child)
{
    int status = -1;

    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_fork(void)
{
    mp_LexicalIndex *index = new_index();
    mp_Engine *engine = new_engine();
    pid_t child;

    run_job(engine, add_job(index, "a b", 3));
    mp_engine_free(engine);
    child = fork();
    if (child == 0) {
        CHECK(mp_lexical_index_check(index, NULL) == MP_OK);
        engine = new_engine();
        CHECK(found(engine, index, "b") == 3);
        mp_engine_free(engine);
        mp_lexical_index_unref(index);
        _exit(test_failed);
    }
    CHECK(wait_for(child) == 0);
    mp_lexical_index_unref(index);
}

/* As if a thread of the pool stood in the index, with its lock. */
static void test_fork_while_it_is_locked(void)
{
    mp_LexicalIndex *index = new_index();
    mp_Line *line = (mp_Line *)index; /* its first member */
    pid_t child;

    pthread_mutex_lock(&line->lock);
    line->active = true;
    child = fork();
    if (child == 0) {
        bool good;

        alarm(10); /* instead of waiting for ever */
        good = mp_lexical_index_check(index, NULL) == -MP_KIND_CLOSED &&
               mp_lexical_index_count(index) == 0;
        pthread_mutex_unlock(&line->lock);
        mp_lexical_index_unref(index);
        _exit(good ? 0 : 1);
    }
    CHECK(wait_for(child) == 0);
    line->active = false;
    pthread_mutex_unlock(&line->lock);
    mp_lexical_index_unref(index);
}

/* --- memory --- */

static mp_Status use(void *userdata)
{
    mp_LexicalIndex *index;
    mp_Status status = mp_lexical_index_new(&index, 1.2, 0.75, NULL);
    mp_Engine *engine = NULL;

    (void)userdata;
    if (status != MP_OK) return status;
    status = mp_engine_new(&engine, NULL);
    if (status == MP_OK)
        status = end_job(engine, add_job(index, "a b c d e", 40), NULL, NULL);
    CHECK(mp_lexical_index_count(index) == (status == MP_OK ? 40 : 0));
    if (status == MP_OK)
        status = end_job(engine, search_job(index, "a e", 10), NULL, NULL);
    if (status == MP_OK)
        status = end_job(engine, delete_job(index, 3, 9), NULL, NULL);
    CHECK(status != MP_OK || mp_lexical_index_count(index) == 31);
    if (engine) mp_engine_free(engine);
    mp_lexical_index_unref(index);
    return status;
}

int main(void)
{
    test_fork();
    test_fork_while_it_is_locked();
    test_answer();
    test_references();
    test_cancel();
    test_close();
    test_threads();
    test_numbers();
    CHECK(torture(use, NULL) > 20);
    return TEST_END();
}
