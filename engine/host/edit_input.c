/* edit_input.c: see edit_input.h. */
#include "edit_input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SLICE_US 10000 /* of other calls, between two looks at the keyboard */
#define PASTE_MS 20    /* how long the next line may take, ... */
#define BATCH_MS 300   /* ... and where a line came with bytes behind it */
#define HELD_MS  200   /* how long a line that has not ended is held back */

static struct {
    char bytes[4096];
    size_t at, len;
    size_t last_read; /* bytes that came with the last ones */
    bool ended;
} input;

static moonpipe_Engine *engine;
static const mp_EditScreen *screen;
static bool terminal;
static volatile sig_atomic_t stopped, resumed, resized;

/* --- what is printed meanwhile
 * ------------------------------------------------ */

/* In a file of its own while it is written, so that nobody waits for a reader.
 */
static struct {
    int file;
    int saved[3]; /* standard output and error, where they are the terminal */
    off_t shown;  /* of the file */
    off_t line;   /* where its last line begins */
    off_t end;
} output = {.file = -1, .saved = {-1, -1, -1}};

static void open_output(void)
{
    output.file = memfd_create("moonpipe-output", MFD_CLOEXEC);
    for (int i = STDOUT_FILENO; output.file >= 0 && i <= STDERR_FILENO; i++)
        if (isatty(i)) output.saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 3);
}

static void close_output(void)
{
    for (int i = STDOUT_FILENO; i <= STDERR_FILENO; i++)
        if (output.saved[i] >= 0) close(output.saved[i]);
    if (output.file >= 0) close(output.file);
    output.file = output.saved[1] = output.saved[2] = -1;
}

static void write_all(const char *bytes, ssize_t count)
{
    while (count > 0) {
        ssize_t done = write(STDOUT_FILENO, bytes, (size_t)count);

        if (done < 0 && errno != EINTR) return;
        if (done > 0) bytes += done, count -= done;
    }
}

/* Gives the terminal what stands before [end] of the file. */
static void show_output(off_t end, bool ended)
{
    char bytes[4096];

    if (screen) screen->hide();
    while (output.shown < end) {
        off_t left = end - output.shown;
        ssize_t count =
            pread(output.file, bytes,
                  left < (off_t)sizeof bytes ? (size_t)left : sizeof bytes,
                  output.shown);

        if (count <= 0) break;
        write_all(bytes, count);
        output.shown += count;
    }
    if (!ended) write_all("\n", 1);
    if (screen) screen->show();
}

static void forget_output(void)
{
    if (ftruncate(output.file, 0) != 0) return;
    lseek(output.file, 0, SEEK_SET);
    output.shown = output.line = output.end = 0;
}

/* Finds where the last line begins, in what was written since. */
static void find_line(off_t end)
{
    char bytes[4096];

    while (output.end < end) {
        ssize_t count = pread(output.file, bytes, sizeof bytes, output.end);
        const char *last;

        if (count <= 0) break;
        last = memrchr(bytes, '\n', (size_t)count);
        if (last) output.line = output.end + (last + 1 - bytes);
        output.end += count;
    }
}

void mp_edit_input_begin_output(void)
{
    fflush(stdout);
    for (int i = STDOUT_FILENO; screen && i <= STDERR_FILENO; i++)
        if (output.saved[i] >= 0) dup2(output.file, i);
}

void mp_edit_input_end_output(void)
{
    fflush(stdout);
    for (int i = STDOUT_FILENO; screen && i <= STDERR_FILENO; i++)
        if (output.saved[i] >= 0) dup2(output.saved[i], i);
    if (output.file < 0) return;
    find_line(lseek(output.file, 0, SEEK_END));
    if (output.line > output.shown) show_output(output.line, true);
    if (output.shown == output.end && output.end > 0) forget_output();
}

void mp_edit_input_flush(void)
{
    if (output.file < 0 || output.end == output.shown) return;
    show_output(output.end, false);
    forget_output();
}

/* --- waiting
 * ---------------------------------------------------------------- */

static void on_resumed(int number)
{
    (void)number;
    resumed = 1;
}

static void on_resized(int number)
{
    (void)number;
    resized = 1;
}

static void listen(int number, void (*handler)(int))
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

static void heed_signals(void)
{
    if (resized) screen->resized();
    if (resumed) screen->resumed();
    resized = resumed = 0;
}

/* poll, which a signal ends that comes just before it, too. */
static int poll_both(struct pollfd both[2], int limit_ms)
{
    struct timespec limit = {.tv_sec = limit_ms / 1000,
                             .tv_nsec = limit_ms % 1000 * 1000000};
    sigset_t ours, usual;
    int count = 0;

    sigemptyset(&ours);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &ours, &usual);
    if (!stopped) count = ppoll(both, 2, limit_ms < 0 ? NULL : &limit, &usual);
    pthread_sigmask(SIG_SETMASK, &usual, NULL);
    return count;
}

static int64_t update(void)
{
    int64_t ready;

    mp_edit_input_begin_output();
    ready = moonpipe_update(engine, SLICE_US);
    mp_edit_input_end_output();
    return ready;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Milliseconds until [end]; negative: for ever. */
static int left_until(int64_t end)
{
    int64_t left = end - now_ms();

    if (end < 0) return -1;
    return left > 0 ? (int)left : 0;
}

static bool holds_output(void)
{
    return output.file >= 0 && output.end > output.shown;
}

/* Waits for standard input, at most [limit_ms] long, and lets the engine run
 * meanwhile. False after the time or a signal. */
static bool wait_for_input(int limit_ms)
{
    int64_t end = limit_ms < 0 ? -1 : now_ms() + limit_ms;
    int64_t ready = update();

    while (!stopped) {
        struct pollfd both[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                 {.fd = moonpipe_fd(engine), .events = POLLIN}};
        int left = left_until(end);
        bool shows = holds_output() && (left < 0 || left > HELD_MS);
        int count = poll_both(both, ready > 0 ? 0 : shows ? HELD_MS : left);

        if (screen) heed_signals();
        if (stopped) return false; /* what has come belongs to the next line */
        if (both[0].revents) return true;
        if (count < 0 && errno != EINTR) return false;
        if (count == 0 && ready <= 0 && shows) mp_edit_input_flush();
        if (left_until(end) == 0) return false;
        if (count >= 0) ready = update();
    }
    return false;
}

/* --- bytes
 * ------------------------------------------------------------------ */

static bool read_more(int limit_ms)
{
    ssize_t count = -1;

    while (count < 0 && !input.ended) {
        if (!wait_for_input(limit_ms)) return false;
        count = read(STDIN_FILENO, input.bytes + input.len,
                     sizeof input.bytes - input.len);
        input.ended =
            count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN);
    }
    if (count <= 0) return false;
    input.len += (size_t)count;
    input.last_read = (size_t)count;
    return true;
}

bool mp_edit_input_byte(char *byte, int limit_ms)
{
    if (stopped) return false;
    if (input.at == input.len) {
        input.at = input.len = 0;
        if (!read_more(limit_ms)) return false;
    }
    *byte = input.bytes[input.at++];
    return true;
}

bool mp_edit_input_is_ahead(void)
{
    return input.at < input.len;
}

/* The first byte at or behind [at] that is no blank and in no comment. */
static size_t skip_blanks(size_t at)
{
    while (at < input.len) {
        if (input.len - at >= 2 && memcmp(&input.bytes[at], "--", 2) == 0 &&
            !(input.len - at >= 3 && input.bytes[at + 2] == '[')) {
            const char *end = memchr(&input.bytes[at], '\n', input.len - at);

            if (!end) return input.len;
            at = (size_t)(end - input.bytes);
        } else if (!strchr(" \t\r\n", input.bytes[at])) {
            return at;
        }
        at++;
    }
    return at;
}

/* A person's Enter comes alone; through a pipe there is no hurry. */
static int time_of_next(void)
{
    if (!terminal) return -1;
    return input.last_read > 1 ? BATCH_MS : PASTE_MS;
}

bool mp_edit_input_has_pipe(void)
{
    int limit_ms = time_of_next();

    memmove(input.bytes, &input.bytes[input.at], input.len - input.at);
    input.len -= input.at;
    input.at = 0;
    for (;;) {
        size_t at = skip_blanks(0);

        if (at < input.len && input.bytes[at] != '-')
            return input.bytes[at] == '|';
        if (at + 1 < input.len || input.len == sizeof input.bytes) return false;
        if (!read_more(limit_ms)) return false;
    }
}

/* --- from outside
 * ----------------------------------------------------------- */

void mp_edit_input_open(moonpipe_Engine *running, const mp_EditScreen *shown)
{
    engine = running;
    screen = shown;
    terminal = isatty(STDIN_FILENO);
    if (!screen) return;
    open_output();
    listen(SIGCONT, on_resumed);
    listen(SIGWINCH, on_resized);
}

void mp_edit_input_close(void)
{
    mp_edit_input_flush();
    close_output();
    screen = NULL;
}

void mp_edit_input_stop(void)
{
    stopped = 1;
}

void mp_edit_input_go(void)
{
    if (stopped) input.at = input.len = 0;
    stopped = 0;
}

bool mp_edit_input_is_stopped(void)
{
    return stopped;
}
