/*
 * repl.c: see repl.h.
 *
 * A text is read, run and completed by steps that repl.lua gives, each a chain
 * of its own. So a line is a task like any other, and Ctrl-C is
 * moonpipe_interrupt. In a conversation they are those of chat/lines.lua.
 *
 * Ctrl-C at the prompt clears what was typed, in a call it cancels, and within
 * a second of another one it ends the program, unless it clears something.
 */
#include "repl.h"

#include "edit.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
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

static bool is_chat;
static char text[TEXT_MAX]; /* what is typed, with a NUL behind it */
static size_t text_len;

/* What repl.lua gives, in the order of load_all. */
static struct {
    uint64_t read, run, complete, finish;
} chain;

static struct {
    char text[1 << 16]; /* with a NUL behind it */
    bool failed;
} answer;

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
    if (number != SIGINT) ended_by = number;
    interrupted = again ? 2 : 1;
    mp_edit_stop();
    if (atomic_load(&running)) moonpipe_interrupt(engine);
}

/* What the user has ignored (nohup) stays so. */
static void handle(int number)
{
    struct sigaction action;

    if (sigaction(number, NULL, &action) != 0 || action.sa_handler == SIG_IGN)
        return;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

/* --- calls
 * -------------------------------------------------------------------- */

static void on_done(void *userdata, uint64_t call, const char *result,
                    size_t length)
{
    (void)userdata;
    (void)call;
    if (length >= sizeof answer.text) length = 0;
    memcpy(answer.text, result, length);
    answer.text[length] = '\0';
    answer.failed = false;
}

static void on_error(void *userdata, uint64_t call, const moonpipe_Error *error)
{
    (void)userdata;
    (void)call;
    fprintf(stderr, "%s\n",
            moonpipe_error_kind(error) == MOONPIPE_KIND_CANCELLED
                ? "interrupted"
                : moonpipe_error_text(error));
}

/* Calls a chain with a text: its answer, or NULL where it failed. */
static const char *ask(uint64_t asked, const char *input, size_t length)
{
    moonpipe_Options options;

    moonpipe_options_init(&options);
    options.flags = MOONPIPE_TEXT;
    options.on_done = on_done;
    options.on_error = on_error;
    answer.failed = true;
    atomic_store(&running, true);
    if (!moonpipe_start(engine, asked, input, length, &options) ||
        moonpipe_wait(engine, 0, -1) < 0)
        fprintf(stderr, "%s\n", moonpipe_error_text(moonpipe_error(engine)));
    atomic_store(&running, false);
    return answer.failed ? NULL : answer.text;
}

/* As mp_EditComplete: of the lines before, too. */
static const char *complete(const char *line, size_t length, int columns)
{
    static char input[TEXT_MAX + 32];
    int head = snprintf(input, sizeof input, "%d\n", columns);

    if (text_len + length >= TEXT_MAX) return NULL;
    memcpy(input + head, text, text_len);
    memcpy(input + head + text_len, line, length);
    return ask(chain.complete, input, (size_t)head + text_len + length);
}

/* --- the loop
 * ----------------------------------------------------------------- */

static uint64_t load(const char *name)
{
    char source[128];
    int length = snprintf(source, sizeof source,
                          "return require('moonpipe.tool.%s').open().%s",
                          is_chat ? "chat.lines" : "repl", name);
    uint64_t id = moonpipe_load_text(engine, "repl", source, (size_t)length);

    if (!id)
        fprintf(stderr, "%s\n", moonpipe_error_text(moonpipe_error(engine)));
    return id;
}

static bool load_all(void)
{
    chain.read = load("read");
    chain.run = load("run");
    chain.complete = load("complete");
    chain.finish = load("finish");
    return chain.read && chain.run && chain.complete && chain.finish;
}

/* Ctrl-C at the prompt: clears what is there; where nothing is, the second one
 * ends the program, and on a pipe the first. */
static void take_interrupt(void)
{
    bool was_text = text_len > 0 || mp_edit_had_text();

    if (!was_text && (interrupted == 2 || !mp_edit_is_terminal()))
        ended_by = SIGINT;
    if (was_text) atomic_store(&last_ms, -AGAIN_MS);
    interrupted = 0;
    text_len = 0;
    putchar('\n');
}

/* True when a line was added, false at the end; after Ctrl-C at the prompt the
 * text is empty. */
static bool read_line(void)
{
    size_t len = mp_edit_line(text_len ? ">> " : "> ", text + text_len,
                              TEXT_MAX - 1 - text_len);

    text_len += len;
    text[text_len] = '\0';
    if (interrupted) {
        take_interrupt();
        return !ended_by;
    }
    return len > 0;
}

/* Runs the text, unless it needs another line. False where it says to leave; of
 * a conversation through a pipe an interrupt is the end. */
static bool evaluate(void)
{
    const char *said = ask(chain.read, text, text_len);

    if (said && strcmp(said, "more") == 0 && !interrupted) return true;
    if (said && strcmp(said, "keep") == 0) mp_edit_remember(text);
    text_len = 0;
    said = said && !interrupted ? ask(chain.run, "", 0) : NULL;
    interrupted = 0; /* it was about what ran */
    if (!said) return !is_chat || mp_edit_is_terminal();
    return strcmp(said, "quit") != 0;
}

static void loop(void)
{
    bool goes_on = true;

    while (goes_on && !ended_by && read_line()) {
        if (text_len == 0 || (!is_chat && mp_edit_continues())) continue;
        if (interrupted)
            take_interrupt();
        else
            goes_on = evaluate();
    }
    if (goes_on && !ended_by && mp_edit_is_terminal()) putchar('\n');
}

/* What began and never ended is complained of; through a pipe a failure counts.
 */
static int finish(void)
{
    const char *code;

    if (ended_by) return 128 + ended_by;
    code = ask(chain.finish, text, text_len);
    if (mp_edit_is_terminal()) return 0;
    return code ? (int)strtol(code, NULL, 10) : MOONPIPE_FAILED;
}

int mp_repl_run(moonpipe_Engine *opened, bool talks)
{
    int code;

    engine = opened;
    is_chat = talks;
    if (!load_all()) return MOONPIPE_FAILED;
    handle(SIGINT);
    handle(SIGTERM);
    handle(SIGHUP);
    mp_edit_open(engine, complete, !is_chat);
    if (mp_edit_is_terminal())
        printf("moonpipe %s. :help tells more, Ctrl-D leaves.\n",
               moonpipe_version());
    loop();
    code = finish();
    mp_edit_close();
    return ended_by ? 128 + ended_by : code;
}
