/*
 * main.c: the program `moonpipe`: argv, signals, the exit code.
 *
 * `moonpipe repl`, or without words on a terminal, is repl.c. Else the first
 * Ctrl-C cancels what runs and ends with 130, a second one ends at
 * once: a compiled Lua loop does not hear the first. SIGTERM and SIGHUP do the
 * same, with 143 and 129; whoever wants to outlive its terminal (nohup) ignores
 * the latter. A standard output that
 * nobody reads any more counts as a Ctrl-C where something still runs, but
 * quietly, and with 141: what was complete is complete.
 */
#include "moonpipe.h"

#include "repl.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static moonpipe_Engine *engine;
static volatile sig_atomic_t signal_seen;

static void on_interrupt(int number)
{
    if (signal_seen) _exit(128 + number);
    signal_seen = number;
    moonpipe_interrupt(engine);
}

/* Writing to other pipes, a child's or a socket, is the script's business. */
static void on_broken_pipe(int number)
{
    struct pollfd out = {.fd = STDOUT_FILENO};
    int saved = errno;

    if (poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLHUP)))
        on_interrupt(number);
    errno = saved;
}

static void handle(int number, void (*handler)(int))
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
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

static int wants_no_jit(int argc, char **argv)
{
    for (int i = 1; i < argc && argv[i][0] == '-'; i++)
        if (strcmp(argv[i], "--jit=off") == 0) return 1;
    return 0;
}

/* What `--color` says in the word at [*at], or in the one behind it, which is
 * passed then; NULL where it is no such option. */
static const char *colour_at(int argc, char **argv, int *at)
{
    static const char *const among[] = {"auto", "always", "never"};
    const char *word = argv[*at];
    const char *value = NULL;

    if (strncmp(word, "--color=", 8) == 0) value = word + 8;
    if (strcmp(word, "--color") == 0 && *at + 1 < argc) value = argv[++*at];
    for (size_t i = 0; value && i < sizeof among / sizeof among[0]; i++)
        if (strcmp(value, among[i]) == 0) return among[i];
    return NULL;
}

/* The colours of the REPL, where the words ask for it: its name or none, and
 * options; NULL where they ask for something else, or for what is not there. */
static const char *wants_repl(int argc, char **argv)
{
    const char *colour = "auto";
    int named = 0;

    for (int at = 1; at < argc; at++) {
        const char *said;

        if (strncmp(argv[at], "--jit=", 6) == 0) continue;
        if (strcmp(argv[at], "repl") == 0 && !named++) continue;
        said = colour_at(argc, argv, &at);
        if (!said) return NULL;
        colour = said;
    }
    return named || isatty(STDIN_FILENO) ? colour : NULL;
}

static int run_command(int argc, char **argv)
{
    const char *text;
    int code;

    handle(SIGINT, on_interrupt);
    handle(SIGTERM, on_interrupt);
    handle_unless_ignored(SIGHUP, on_interrupt);
    handle(SIGPIPE, on_broken_pipe);
    code = moonpipe_command(engine, argc, argv);
    text = moonpipe_error_text(moonpipe_error(engine));
    handle(SIGPIPE, SIG_IGN);
    if (code != 0 && text[0] && signal_seen != SIGPIPE)
        fprintf(stderr, "%s\n", text);
    return code == MOONPIPE_INTERRUPTED ? 128 + signal_seen : code;
}

int main(int argc, char **argv)
{
    moonpipe_Config config;
    const char *colour = wants_repl(argc, argv);
    int code;

    raise_descriptors();
    moonpipe_config_init(&config);
    config.jit = !colour && !wants_no_jit(argc, argv);
    config.no_cores = !wants_cores();
    engine = moonpipe_open(&config);
    if (!engine) {
        fputs("moonpipe: cannot start: no memory or no descriptor\n", stderr);
        return MOONPIPE_FAILED;
    }
    handle(SIGPIPE, SIG_IGN);
    code = colour ? mp_repl_run(engine, colour) : run_command(argc, argv);
    handle(SIGINT, SIG_DFL); /* the engine is going */
    handle(SIGTERM, SIG_DFL);
    handle_unless_ignored(SIGHUP, SIG_DFL);
    moonpipe_close(engine);
    return code;
}
