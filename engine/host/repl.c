/*
 * repl.c: see repl.h.
 *
 * A text is a call of a chain, whose one step is repl.lua: it runs the text and
 * says whether it was complete. So a line is a task like any other, and Ctrl-C
 * is moonpipe_interrupt.
 *
 * Ctrl-C at the prompt clears what was typed, in a call it cancels, and within
 * a second of another one it ends the program.
 */
#include "repl.h"

#include "edit.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define AGAIN_MS 1000
#define TEXT_MAX ((size_t)1 << 20)

static moonpipe_Engine *engine;
static atomic_bool running;
static atomic_llong last_ms = -AGAIN_MS;
static volatile sig_atomic_t interrupted;
static volatile sig_atomic_t ended_by;

static char text[TEXT_MAX];
static size_t text_len;

/* --- signals
 * ------------------------------------------------------------------ */

static long long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void on_signal(int number)
{
    long long now = now_ms();
    bool again = now - atomic_exchange(&last_ms, now) < AGAIN_MS;

    if (again && atomic_load(&running)) _exit(128 + number);
    if (again || number != SIGINT) ended_by = number;
    interrupted = 1;
    mp_edit_stop();
    if (atomic_load(&running)) moonpipe_interrupt(engine);
}

static void handle(int number)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

/* --- a text
 * ------------------------------------------------------------------- */

static void on_done(void *complete, uint64_t call, const char *result,
                    size_t length)
{
    (void)call;
    *(bool *)complete = length != 5 || memcmp(result, "false", 5) != 0;
}

static void on_error(void *complete, uint64_t call, const moonpipe_Error *error)
{
    (void)complete;
    (void)call;
    fprintf(stderr, "%s\n",
            moonpipe_error_kind(error) == MOONPIPE_KIND_CANCELLED
                ? "interrupted"
                : moonpipe_error_text(error));
}

/* Runs the text; false if it needs another line. */
static bool evaluate(uint64_t chain)
{
    moonpipe_Options options;
    bool complete = true;

    moonpipe_options_init(&options);
    options.flags = MOONPIPE_TEXT_IN;
    options.userdata = &complete;
    options.on_done = on_done;
    options.on_error = on_error;
    atomic_store(&running, true);
    if (!moonpipe_start(engine, chain, text, text_len, &options) ||
        moonpipe_wait(engine, 0, -1) < 0)
        fprintf(stderr, "%s\n", moonpipe_error_text(moonpipe_error(engine)));
    atomic_store(&running, false);
    interrupted = 0; /* it was about what ran */
    return complete;
}

/* --- the loop
 * ----------------------------------------------------------------- */

static uint64_t load(const char *source)
{
    uint64_t chain = moonpipe_load_text(engine, "repl", source, strlen(source));

    if (!chain)
        fprintf(stderr, "%s\n", moonpipe_error_text(moonpipe_error(engine)));
    return chain;
}

/* True when a line was added, false at the end; after Ctrl-C at the prompt the
 * text is empty. */
static bool read_line(void)
{
    size_t len = mp_edit_line(text_len ? ">> " : "> ", text + text_len,
                              TEXT_MAX - text_len);

    text_len += len;
    if (interrupted) {
        interrupted = 0;
        text_len = 0;
        putchar('\n');
        return !ended_by;
    }
    return len > 0;
}

static void loop(uint64_t step, uint64_t last)
{
    while (!ended_by && read_line())
        if (text_len > 0 && !mp_edit_continues() && evaluate(step))
            text_len = 0;
    if (text_len > 0 && !ended_by) evaluate(last);
}

int mp_repl_run(moonpipe_Engine *opened)
{
    uint64_t step, last;

    engine = opened;
    step = load("return require('moonpipe.tool.repl').open().step");
    last = load("return require('moonpipe.tool.repl').last");
    if (!step || !last) return MOONPIPE_FAILED;
    handle(SIGINT);
    handle(SIGTERM);
    mp_edit_open(engine);
    if (mp_edit_is_terminal())
        printf("moonpipe %s. Ctrl-D leaves.\n", moonpipe_version());
    loop(step, last);
    if (mp_edit_is_terminal() && !ended_by) putchar('\n');
    mp_edit_close();
    return ended_by ? 128 + ended_by : 0;
}
