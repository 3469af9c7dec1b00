/*
 * main.c: the program `moonpipe`: argv, signals, the exit code.
 *
 * Where a command line asks for the REPL, that is repl.c. Else the first Ctrl-C
 * cancels what runs and ends with 130, a second one ends at once: a compiled
 * Lua loop does not hear the first. SIGTERM and SIGHUP do the same, with 143
 * and 129; whoever wants to outlive its terminal (nohup) ignores the latter. So
 * does SIGALRM, with 124, once the time of --timeout is over and something
 * still runs. A standard output that nobody reads any more counts as a Ctrl-C
 * where something still runs, but quietly, and with 141: what was complete is
 * complete. One that took not all that was written, on a full disk, is a
 * failure.
 */
#include "moonpipe.h"

#include "repl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Within this a second signal is the first one told twice: timeout(1) sends it
 * to its child, and to the group that the child is in. */
#define SAME_MS 100

#define LATE 124 /* the exit code of a deadline that passed */

static moonpipe_Engine *engine;
static volatile sig_atomic_t signal_seen;
static struct timespec seen_at; /* set before signal_seen */

static bool is_the_same(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - seen_at.tv_sec) * 1000 +
               (now.tv_nsec - seen_at.tv_nsec) / 1000000 <
           SAME_MS;
}

/* No other of ours interrupts it: see handle. */
static void on_interrupt(int number)
{
    if (signal_seen && !is_the_same()) _exit(128 + number);
    if (signal_seen) return;
    clock_gettime(CLOCK_MONOTONIC, &seen_at);
    signal_seen = number;
    moonpipe_interrupt(engine);
}

static bool nobody_reads(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};

    return poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLHUP));
}

/* --timeout has passed, and still something runs that does not hear of it: the
 * first alarm is a Ctrl-C, the next one ends a loop that is compiled. */
static void on_alarm(int number)
{
    static const char text[] = "moonpipe: timeout_total: a loop that hears of "
                               "no end was cut off\n";

    if (signal_seen) {
        if (write(STDERR_FILENO, text, sizeof text - 1) < 0) _exit(LATE);
        _exit(LATE);
    }
    clock_gettime(CLOCK_MONOTONIC, &seen_at);
    signal_seen = number;
    moonpipe_interrupt(engine);
}

/* Writing to other pipes, a child's or a socket, is the script's business. */
static void on_broken_pipe(int number)
{
    int saved = errno;

    if (nobody_reads()) on_interrupt(number);
    errno = saved;
}

/* What is printed may have failed long ago: then the reason is gone. */
static int check_output(int code)
{
    bool kept = fflush(stdout) == 0;
    const char *why = kept ? "not all was written" : strerror(errno);

    if (code != 0 || (kept && !ferror(stdout)) || signal_seen || nobody_reads())
        return code;
    fprintf(stderr, "moonpipe: io: standard output: %s\n", why);
    return MOONPIPE_FAILED;
}

/* A descriptor that was closed by whoever started this would be the next file's
 * or socket's, and what is printed would be written there. Using these fails as
 * if they were closed. */
static void take_places(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

static void handle(int number, void (*handler)(int))
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigfillset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

static void handle_unless_ignored(int number, void (*handler)(int))
{
    struct sigaction before;

    if (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        handle(number, handler);
}

/* A thousand calls are a thousand descriptors; the usual soft limit is 1,024.
 */
static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Whoever looks for a fault of ours may say MOONPIPE_CORES=1. */
static int wants_cores(void)
{
    const char *said = getenv("MOONPIPE_CORES");

    return said && strcmp(said, "1") == 0;
}

/* What a command line gives that asks for lines: those of the REPL, as in
 * repl_command.lua, or of a conversation, as in chat.lua. */
#define READS_LINES 256
#define READS_CHAT  257

static int run_command(int argc, char **argv)
{
    const char *text;
    int code;

    handle(SIGINT, on_interrupt);
    handle(SIGTERM, on_interrupt);
    handle_unless_ignored(SIGHUP, on_interrupt);
    handle(SIGPIPE, on_broken_pipe);
    handle(SIGALRM, on_alarm);
    code = moonpipe_command(engine, argc, argv);
    text = moonpipe_error_text(moonpipe_error(engine));
    handle(SIGPIPE, SIG_IGN);
    handle(SIGALRM, SIG_IGN);
    if (code == READS_LINES || code == READS_CHAT)
        return mp_repl_run(engine, code == READS_CHAT);
    if (code != 0 && text[0] && signal_seen != SIGPIPE)
        fprintf(stderr, "%s\n", text);
    if (code != MOONPIPE_INTERRUPTED) return code;
    return signal_seen == SIGALRM ? LATE : 128 + signal_seen;
}

int main(int argc, char **argv)
{
    moonpipe_Config config;
    int code;

    take_places();
    raise_descriptors();
    moonpipe_config_init(&config);
    config.no_cores = !wants_cores();
    engine = moonpipe_open(&config);
    if (!engine) {
        fputs("moonpipe: cannot start: no memory or no descriptor\n", stderr);
        return MOONPIPE_FAILED;
    }
    handle(SIGPIPE, SIG_IGN);
    code = check_output(run_command(argc, argv));
    handle(SIGINT, SIG_DFL); /* the engine is going */
    handle(SIGTERM, SIG_DFL);
    handle_unless_ignored(SIGHUP, SIG_DFL);
    moonpipe_close(engine);
    return code;
}
