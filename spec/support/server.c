/*
 * server.c: the test server: OpenAI's chat completions and embeddings on
 * loopback, as good or as broken as a test wants them.
 *
 *   server [--port N] [--port-file PATH] [--ipv6] [--script TEXT] [--keep N]
 *
 * Writes four ports, each on a line, to PATH (stdout without one):
 *   1. the server itself
 *   2. the same, for control (server/control.h): its connections are not
 *      counted
 *   3. deaf: takes no connection, so that connecting to it times out
 *   4. closed: refuses every connection, and stays so
 *
 * --ipv6 serves ::1 too, at the first port. --script is the default of the lane
 * `*`. --keep is how many requests the log holds (2000). What scripts can do
 * stands in server/script.h, what is counted in server/record.h.
 *
 * Ends by SIGTERM, or when its stdin closes: whoever holds the other end of
 * that pipe cannot leave a server behind, however it dies.
 *
 * One thread, one epoll. Limit: with no descriptor left, accepting spins.
 */
#include "server/conn.h"
#include "server/lane.h"
#include "server/record.h"
#include "server/timers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 4096, BATCH = 256 };

typedef struct Options {
    int64_t port, keep;
    const char *port_file;
    const char *script;
    bool ipv6;
} Options;

/* What epoll calls that is no connection. */
typedef struct Source {
    int fd;
    enum { LISTENER, CONTROL, STDIN, SIGNALS, SOURCES } kind;
} Source;

static Source v4 = {-1, LISTENER}, v6 = {-1, LISTENER};
static Source control = {-1, CONTROL};
static Source in = {0, STDIN}, signals = {-1, SIGNALS};
static int epoll = -1;
static bool over;

static void die(const char *what)
{
    fprintf(stderr, "server: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* --- sockets --- */

static int make_socket(int family, int port)
{
    struct sockaddr_in six4 = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6,
                               .sin6_port = htons((uint16_t)port),
                               .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc, one = 1;

    if (fd < 0) die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (family == AF_INET6)
        rc = bind(fd, (struct sockaddr *)&six, sizeof six);
    else
        rc = bind(fd, (struct sockaddr *)&six4, sizeof six4);
    if (rc != 0) die("bind");
    return fd;
}

static int port_of(int fd)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;

    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0) return 0;
    return ntohs(address.sin_port);
}

static int make_listener(int family, int port)
{
    int fd = make_socket(family, port), one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* inherited */
    if (listen(fd, BACKLOG) != 0) die("listen");
    return fd;
}

/* A queue of one place, which a connection of our own takes for ever; the
 * kernel drops what else comes. */
static int make_deaf(void)
{
    int fd = make_socket(AF_INET, 0);
    int filler = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address;
    socklen_t len = sizeof address;

    if (listen(fd, 0) != 0) die("listen");
    getsockname(fd, (struct sockaddr *)&address, &len);
    if (connect(filler, (struct sockaddr *)&address, len) != 0) die("connect");
    return fd;
}

static void watch(Source *source)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, source->fd, &event) != 0)
        die("epoll_ctl");
}

static void accept_all(const Source *source)
{
    int fd;

    while ((fd = accept4(source->fd, NULL, NULL,
                         SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        conn_open(epoll, fd, source->kind == CONTROL);
}

/* --- the start --- */

static void raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* A file (or /dev/null) as stdin ends nothing; epoll would refuse it. */
static bool is_pipe(int fd)
{
    struct stat info;

    return fstat(fd, &info) == 0 &&
           (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode));
}

static void watch_signals(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* Ctrl-C is for the program under test */
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    watch(&signals);
}

static void listen_all(const Options *options)
{
    v4.fd = make_listener(AF_INET, (int)options->port);
    watch(&v4);
    control.fd = make_listener(AF_INET, 0);
    watch(&control);
    if (!options->ipv6) return;
    v6.fd = make_listener(AF_INET6, port_of(v4.fd));
    watch(&v6);
}

static void print_ports(FILE *file, int deaf, int closed)
{
    fprintf(file, "%d\n%d\n%d\n%d\n", port_of(v4.fd), port_of(control.fd),
            port_of(deaf), port_of(closed));
    fflush(file);
}

/* Renamed into place: whoever sees the file sees all of it. */
static void tell_ports(const char *path, int deaf, int closed)
{
    char draft[4096];
    FILE *file;

    if (!path) {
        print_ports(stdout, deaf, closed);
        return;
    }
    if (snprintf(draft, sizeof draft, "%s.draft", path) >= (int)sizeof draft)
        die(path);
    file = fopen(draft, "w");
    if (!file) die(draft);
    print_ports(file, deaf, closed);
    fclose(file);
    if (rename(draft, path) != 0) die(path);
}

static void set_script(const char *text)
{
    Bytes complaint = {0}, line = {0};

    if (!text) return;
    bytes_printf(&line, "default %s", text);
    if (!lane_set(lane_of(SPAN("*")), bytes_all(&line), &complaint)) {
        fprintf(stderr, "server: %.*s\n", (int)complaint.len, complaint.at);
        exit(2);
    }
    bytes_free(&line);
}

static void usage(void)
{
    fputs("usage: server [--port N] [--port-file PATH] [--ipv6] "
          "[--script TEXT] [--keep N]\n",
          stderr);
    exit(2);
}

static Options parse(int argc, char **argv)
{
    Options options = {.keep = 2000};

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool good = true;

        if (strcmp(argv[i], "--ipv6") == 0) {
            options.ipv6 = true;
            continue;
        }
        if (!value) usage();
        if (strcmp(argv[i], "--port") == 0)
            good = span_integer((Span){value, strlen(value)}, &options.port);
        else if (strcmp(argv[i], "--keep") == 0)
            good = span_integer((Span){value, strlen(value)}, &options.keep);
        else if (strcmp(argv[i], "--port-file") == 0)
            options.port_file = value;
        else if (strcmp(argv[i], "--script") == 0)
            options.script = value;
        else
            usage();
        if (!good || options.keep < 0 || options.keep > 1000000) usage();
        i++;
    }
    return options;
}

/* --- the loop --- */

static void read_stdin(void)
{
    char ignored[256];

    if (read(in.fd, ignored, sizeof ignored) == 0) over = true;
}

static void follow(const struct epoll_event *event)
{
    const Source *source = event->data.ptr;

    if (source == &v4 || source == &v6 || source == &control)
        accept_all(source);
    else if (source == &in)
        read_stdin();
    else if (source == &signals)
        over = true;
    else
        conn_event(event->data.ptr, event->events);
}

static void fire_timers(void)
{
    int64_t now = timers_now();
    Timer *timer;

    while ((timer = timers_due(now)))
        conn_timer(timer);
}

/* epoll_wait knows milliseconds only, gaps between tokens are shorter. */
static int wait_for_events(struct epoll_event *batch)
{
    int64_t wait_us = timers_wait(timers_now());
    struct timespec limit = {.tv_sec = wait_us / 1000000,
                             .tv_nsec = wait_us % 1000000 * 1000};
    int count =
        epoll_pwait2(epoll, batch, BATCH, wait_us < 0 ? NULL : &limit, NULL);

    if (count < 0 && errno != EINTR) die("epoll_pwait2");
    return count;
}

static void loop(void)
{
    struct epoll_event batch[BATCH];

    while (!over) {
        int count = wait_for_events(batch);

        for (int i = 0; i < count; i++)
            follow(&batch[i]);
        fire_timers();
        conn_sweep();
    }
}

int main(int argc, char **argv)
{
    Options options = parse(argc, argv);

    raise_limit();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) die("epoll_create1");
    record_keep(options.keep);
    set_script(options.script);
    watch_signals();
    listen_all(&options);
    tell_ports(options.port_file, make_deaf(), make_socket(AF_INET, 0));
    if (is_pipe(in.fd)) watch(&in);
    loop();
    conn_term();
    record_term();
    lane_term();
    timers_term();
    return 0;
}
