/*
 * proxy.c: a TCP proxy on loopback that spoils what comes back through it.
 *
 *   proxy --to PORT|PATH [--port-file PATH] [--connect] [--auth BASE64]
 *         [TOXIC=VALUE ...]
 *
 * --to is a port of loopback or a Unix socket. The own port is written to the
 * file (stdout without one). With --connect it is an HTTP proxy for CONNECT,
 * which leads to --to whatever name was asked for; --auth wants that Basic
 * authorization, else it answers 407.
 *
 * The toxics are those of proxy/way.h, for bytes from the server, and
 *   timeout=MS     nothing passes; closes after that time, 0: never
 *   reset_peer=MS  resets the client that long after its connect
 *   down=1         refuses connections
 *
 * Ends by SIGTERM, or when its stdin, if that is a pipe, closes. One thread,
 * edge-triggered epoll.
 */
#include "proxy/way.h"
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BATCH = 64, HEAD_MAX = 16 << 10 };

typedef struct Link {
    Timer timer; /* first: a timer is its link */
    int client, server;
    Way up, down;
    int64_t start_us;
    bool asking; /* CONNECT is not answered yet */
    bool gone;
    struct Link *next, *before, *next_gone;
} Link;

static const Toxics NONE = {.limit_data = -1};
static Toxics toxics = {.limit_data = -1};
static int64_t timeout_ms = -1, reset_peer_ms = -1, down;

static const char *target, *port_file, *auth;
static bool with_connect, over;
static int epoll = -1, listener = -1;
static Link *all, *gone;

static void die(const char *what)
{
    fprintf(stderr, "proxy: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* --- sockets --- */

static int make_socket(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;

    if (fd < 0) die("socket");
    if (family == AF_INET)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static struct sockaddr_in loopback(int64_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A failure shows when the socket is used. */
static int dial(void)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_in address;
    int64_t port = 0;
    int fd;

    if (span_integer((Span){target, strlen(target)}, &port)) {
        address = loopback(port);
        fd = make_socket(AF_INET);
        (void)!connect(fd, (struct sockaddr *)&address, sizeof address);
    } else {
        memcpy(path.sun_path, target, strlen(target) + 1); /* see parse */
        fd = make_socket(AF_UNIX);
        (void)!connect(fd, (struct sockaddr *)&path, sizeof path);
    }
    return fd;
}

static void watch(int fd, unsigned events, void *data)
{
    struct epoll_event event = {.events = events, .data.ptr = data};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
}

/* --- links --- */

static void close_link(Link *link, bool rst)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    if (link->gone) return;
    if (rst) setsockopt(link->client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    timers_clear(&link->timer);
    close(link->client);
    close(link->server);
    bytes_free(&link->up.held);
    bytes_free(&link->down.held);
    link->gone = true;
    link->next_gone = gone;
    gone = link;
}

static void say(const Link *link, const char *text)
{
    (void)!send(link->client, text, strlen(text), MSG_NOSIGNAL);
}

static bool is_authorized(Span head)
{
    char line[512];

    if (!auth) return true;
    snprintf(line, sizeof line, "Proxy-Authorization: Basic %s\r\n", auth);
    return memmem(head.at, head.len, line, strlen(line)) != NULL;
}

/* Reads the client's CONNECT and answers it, or waits for more of it. */
static void answer_connect(Link *link)
{
    Span held = bytes_all(&link->up.held);
    const char *end = memmem(held.at, held.len, "\r\n\r\n", 4);
    Span head = {held.at, end ? (size_t)(end - held.at) + 4 : 0};

    if (!end && held.len < HEAD_MAX && !link->up.ended) return;
    if (!span_has_prefix(head, "CONNECT ")) {
        say(link, "HTTP/1.1 405 CONNECT Only\r\nContent-Length: 0\r\n\r\n");
        close_link(link, false);
    } else if (!is_authorized(head)) {
        say(link, "HTTP/1.1 407 Proxy Authentication Required\r\n"
                  "Proxy-Authenticate: Basic realm=\"loopback\"\r\n"
                  "Content-Length: 0\r\nConnection: close\r\n\r\n");
        close_link(link, false);
    } else {
        say(link, "HTTP/1.1 200 Connection Established\r\n\r\n");
        way_forget(&link->up, head.len);
        link->asking = false;
    }
}

/* Moves bytes until nothing moves. The worst that happened is returned. */
static Move move_all(Link *link, int64_t now_us)
{
    Move worst = MOVED;
    bool moved = true;

    while (moved && worst < LIMITED) {
        Move moves[4] = {way_read(&link->up, now_us), BLOCKED, BLOCKED,
                         BLOCKED};

        if (link->asking) answer_connect(link);
        if (link->gone) return BLOCKED;
        if (!link->asking) {
            moves[1] = way_read(&link->down, now_us);
            moves[2] = way_write(&link->up, now_us);
            if (timeout_ms < 0) moves[3] = way_write(&link->down, now_us);
        }
        moved = false;
        for (int i = 0; i < 4; i++) {
            moved = moved || moves[i] == MOVED;
            if (moves[i] > worst) worst = moves[i];
        }
    }
    return worst;
}

static int64_t sooner(int64_t at_us, int64_t other_us, int64_t now_us)
{
    return other_us > now_us && other_us < at_us ? other_us : at_us;
}

static void set_timer(Link *link, int64_t now_us)
{
    int64_t at_us = INT64_MAX;

    at_us = sooner(at_us, way_due(&link->up), now_us);
    if (timeout_ms < 0) at_us = sooner(at_us, way_due(&link->down), now_us);
    if (timeout_ms > 0)
        at_us = sooner(at_us, link->start_us + timeout_ms * 1000, now_us);
    if (reset_peer_ms >= 0)
        at_us = sooner(at_us, link->start_us + reset_peer_ms * 1000, now_us);
    if (at_us < INT64_MAX) timers_set(&link->timer, at_us);
}

static bool is_past(const Link *link, int64_t limit_ms, int64_t now_us)
{
    return limit_ms >= 0 && now_us >= link->start_us + limit_ms * 1000;
}

static void run(Link *link)
{
    int64_t now_us = timers_now();
    Move move;

    if (link->gone) return;
    if (is_past(link, reset_peer_ms, now_us)) {
        close_link(link, true);
        return;
    }
    move = move_all(link, now_us);
    if (link->gone) return;
    if (move >= LIMITED || (link->up.closed && link->down.closed) ||
        (timeout_ms > 0 && is_past(link, timeout_ms, now_us)))
        close_link(link, move == BROKEN);
    else
        set_timer(link, now_us);
}

static void open_link(int client)
{
    Link *link = calloc(1, sizeof *link);
    unsigned events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

    if (!link) abort();
    link->client = client;
    link->server = dial();
    link->up = (Way){.from = client, .to = link->server, .toxics = &NONE};
    link->down = (Way){.from = link->server, .to = client, .toxics = &toxics};
    link->start_us = timers_now();
    link->asking = with_connect;
    link->next = all;
    if (all) all->before = link;
    all = link;
    watch(client, events, link);
    watch(link->server, events, link);
    run(link);
}

static void sweep(void)
{
    while (gone) {
        Link *link = gone;

        gone = link->next_gone;
        if (link->next) link->next->before = link->before;
        *(link->before ? &link->before->next : &all) = link->next;
        free(link);
    }
}

/* --- the start --- */

static const struct Setting {
    const char *name;
    int64_t *value;
} SETTINGS[] = {
    {"latency", &toxics.latency},
    {"bandwidth", &toxics.bandwidth},
    {"slicer", &toxics.slicer},
    {"slow_close", &toxics.slow_close},
    {"slicer_delay", &toxics.slicer_delay},
    {"limit_data", &toxics.limit_data},
    {"timeout", &timeout_ms},
    {"reset_peer", &reset_peer_ms},
    {"down", &down},
};

static void usage(void)
{
    fputs("usage: proxy --to PORT|PATH [--port-file PATH] [--connect] "
          "[--auth BASE64] [TOXIC=VALUE ...]\n",
          stderr);
    exit(2);
}

static void parse_toxic(const char *text)
{
    Span value = {text, strlen(text)}, name = span_split(&value, '=');

    for (size_t i = 0; i < sizeof SETTINGS / sizeof *SETTINGS; i++) {
        if (!span_is(name, SETTINGS[i].name)) continue;
        if (!span_integer(value, SETTINGS[i].value)) usage();
        return;
    }
    usage();
}

static void parse(int argc, char **argv)
{
    struct sockaddr_un path;

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (strcmp(argv[i], "--connect") == 0)
            with_connect = true;
        else if (strncmp(argv[i], "--", 2) != 0)
            parse_toxic(argv[i]);
        else if (value && strcmp(argv[i], "--to") == 0)
            target = argv[++i];
        else if (value && strcmp(argv[i], "--port-file") == 0)
            port_file = argv[++i];
        else if (value && strcmp(argv[i], "--auth") == 0)
            auth = argv[++i];
        else
            usage();
    }
    if (!target || strlen(target) >= sizeof path.sun_path) usage();
}

static int listen_at_loopback(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof address;

    listener = make_socket(AF_INET);
    if (bind(listener, (struct sockaddr *)&address, len) != 0) die("bind");
    if (!down && listen(listener, 1024) != 0) die("listen");
    getsockname(listener, (struct sockaddr *)&address, &len);
    return ntohs(address.sin_port);
}

/* Renamed into place: whoever sees the file sees all of it. */
static void tell_port(int port)
{
    char draft[4096];
    FILE *file;

    snprintf(draft, sizeof draft, "%s.draft", port_file ? port_file : "");
    file = port_file ? fopen(draft, "w") : stdout;
    if (!file) die(draft);
    fprintf(file, "%d\n", port);
    fflush(file);
    if (!port_file) return;
    fclose(file);
    if (rename(draft, port_file) != 0) die(port_file);
}

static void on_term(int number)
{
    (void)number;
    _exit(0);
}

static void watch_stdin(void)
{
    struct stat info;

    if (fstat(0, &info) == 0 && S_ISFIFO(info.st_mode))
        watch(0, EPOLLIN, &over);
}

/* --- the loop --- */

static void follow(void *data)
{
    char ignored[256];
    int fd;

    if (data == &over) {
        over = read(0, ignored, sizeof ignored) == 0;
    } else if (data == &listener) {
        while ((fd = accept4(listener, NULL, NULL,
                             SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
            open_link(fd);
    } else {
        run(data);
    }
}

static void loop(void)
{
    struct epoll_event batch[BATCH];
    Timer *timer;

    while (!over) {
        int64_t wait_us = timers_wait(timers_now());
        struct timespec limit = {wait_us / 1000000, wait_us % 1000000 * 1000};
        int count = epoll_pwait2(epoll, batch, BATCH,
                                 wait_us < 0 ? NULL : &limit, NULL);

        for (int i = 0; i < count; i++)
            follow(batch[i].data.ptr);
        while ((timer = timers_due(timers_now())))
            run((Link *)timer);
        sweep();
    }
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, on_term);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) die("epoll_create1");
    tell_port(listen_at_loopback());
    if (!down) watch(listener, EPOLLIN, &listener);
    watch_stdin();
    loop();
    for (Link *link = all; link; link = link->next)
        close_link(link, false);
    sweep();
    timers_term();
    return 0;
}
