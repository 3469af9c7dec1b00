/*
 * embed_host.c: a C program with model calls in flight, which ends.
 *
 *   embed_host HOW BASE_URL [CA_FILE]
 *
 * Starts ten calls whose answers stream and ten whose answers are awaited,
 * waits for the first tokens, and then
 *
 *   close    closes the engine and prints what the callbacks were told
 *   exit     exits with 7 and closes nothing
 *   atexit   the same, but a function given to atexit closes the engine
 *   two      closes one of two engines; the calls of the other go on: prints
 *            how many tokens it heard later, and what each engine says of ids
 *            of the other
 *
 *   embed_host COUNT BASE_URL
 *
 * Opens COUNT engines, one after the other, each with two calls, and closes
 * them: before a call has begun, at once, or when a token has come. Prints what
 * the callbacks were told, and how many threads and descriptors were
 * left.
 */
#include "moonpipe.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CALLS = 10 };

static const char chain[] =
    "local mp = require 'moonpipe'\n"
    "return mp.ChatOpenAI { base_url = URL, ca_file = CA, api_key = false }";

static moonpipe_Engine *engine;
static int tokens, cancelled, others, wrong_kinds;

static void on_token(void *count, uint64_t call, const char *text, size_t len)
{
    (void)call, (void)text, (void)len;
    ++*(int *)count;
}

static void on_done(void *count, uint64_t call, const char *text, size_t len)
{
    (void)count, (void)call, (void)text, (void)len;
    others++;
}

static void on_error(void *count, uint64_t call, const moonpipe_Error *error)
{
    (void)count, (void)call;
    if (moonpipe_error_kind(error) == MOONPIPE_KIND_CANCELLED)
        cancelled++;
    else
        wrong_kinds++;
}

static void check(int ok, const char *what)
{
    if (ok) return;
    fprintf(stderr, "%s: %s\n", what,
            moonpipe_error_text(moonpipe_error(engine)));
    exit(1);
}

static uint64_t load(moonpipe_Engine *in, const char *url, const char *ca)
{
    char text[1024];
    int len =
        snprintf(text, sizeof text, "local URL, CA = '%s', %s%s%s\n%s", url,
                 ca ? "'" : "", ca ? ca : "nil", ca ? "'" : "", chain);
    uint64_t id = moonpipe_load_text(in, "host", text, (size_t)len);

    check(id != 0, "load");
    return id;
}

/* Returns the last of [count] calls, of which each second one is streamed. */
static uint64_t start(moonpipe_Engine *in, uint64_t id, int *heard, int count)
{
    moonpipe_Options options;
    uint64_t call = 0;

    moonpipe_options_init(&options);
    options.userdata = heard;
    options.on_done = on_done;
    options.on_error = on_error;
    for (int i = 0; i < count; i++) {
        options.on_token = i % 2 ? on_token : NULL;
        call = moonpipe_start(in, id, "\"hi\"", 4, &options);
        check(call != 0, "start");
    }
    return call;
}

static void hear(moonpipe_Engine *in, const int *heard, int count)
{
    while (*heard < count)
        check(moonpipe_wait(in, 0, 1000) >= 0, "wait");
}

static void close_engine(void)
{
    moonpipe_close(engine);
}

static int two(const char *url, const char *ca)
{
    moonpipe_Engine *other = moonpipe_open(NULL);
    uint64_t id = load(engine, url, ca), other_id = load(other, url, ca);
    int heard = 0, later;
    uint64_t call = start(engine, id, &tokens, 2 * CALLS);
    uint64_t other_call = start(other, other_id, &heard, 2 * CALLS);

    hear(engine, &tokens, 10);
    hear(other, &heard, 10);
    printf("%d ", moonpipe_cancel(engine, other_call));
    printf("%d ", moonpipe_cancel(other, call));
    printf("%d ", moonpipe_start(engine, other_id, "1", 1, NULL) == 0);
    printf("%s ", moonpipe_error_name(moonpipe_error(engine)));
    moonpipe_close(engine);
    engine = other;
    printf("%d ", cancelled);
    later = heard;
    hear(other, &heard, later + 50);
    moonpipe_close(other);
    printf("%d\n", cancelled);
    return others + wrong_kinds;
}

static int entries(const char *folder)
{
    DIR *dir = opendir(folder);
    int count = 0;

    check(dir != NULL, folder);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* Opens and closes one engine; [i] says when. */
static void cycle(int i, const char *url)
{
    int heard = 0;

    engine = moonpipe_open(NULL);
    check(engine != NULL, "open");
    start(engine, load(engine, url, NULL), &heard, 2);
    if (i % 3 > 0) check(moonpipe_update(engine, -1) >= 0, "update");
    if (i % 3 > 1) hear(engine, &heard, 1);
    close_engine();
}

/* The system may still show one that was joined just now. */
static int has_threads_above(int count)
{
    for (int i = 0; i < 2000 && entries("/proc/self/task") > count; i++)
        usleep(1000);
    return entries("/proc/self/task") > count;
}

/* What a process has but once is there after the first engines, as is a thread
 * of a sanitizer's own. */
static int cycles(int count, const char *url)
{
    int threads = 0, descriptors = 0;

    for (int i = 0; i < count; i++) {
        cycle(i, url);
        if (i != 2) continue;
        usleep(100000);
        threads = entries("/proc/self/task");
        descriptors = entries("/proc/self/fd");
    }
    printf("%d cancelled, %d others, ", cancelled, others + wrong_kinds);
    printf("%d threads, %d descriptors\n", has_threads_above(threads),
           entries("/proc/self/fd") - descriptors);
    return 0;
}

int main(int argc, char **argv)
{
    const char *how = argc > 2 ? argv[1] : "", *url = argv[2];
    const char *ca = argc > 3 ? argv[3] : NULL;

    if (atoi(how) > 0) return cycles(atoi(how), url);
    if (strcmp(how, "atexit") == 0) atexit(close_engine);
    engine = moonpipe_open(NULL);
    if (!engine) return 1;
    if (strcmp(how, "two") == 0) return two(url, ca);
    start(engine, load(engine, url, ca), &tokens, 2 * CALLS);
    hear(engine, &tokens, 20);
    if (strcmp(how, "close") != 0) exit(7);
    close_engine();
    printf("%d cancelled, %d others\n", cancelled, others + wrong_kinds);
    return 0;
}
