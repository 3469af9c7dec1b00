/* conn.c: see conn.h. */
#include "conn.h"

#include "control.h"
#include "fail.h"
#include "record.h"
#include "route.h"
#include "timers.h"
#include "writer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TURN = 64, /* sends before others have their turn */
    LINGER_US = 2000000
};

typedef enum State {
    IDLE,
    DELAYED,   /* the timer starts the answer */
    HELD,      /* a release does */
    MUTE,      /* nothing does */
    SENDING,   /* perhaps until the timer */
    STALLED,   /* until a release */
    LINGERING, /* our side is closed, the client's is not */
    GONE
} State;

struct Conn {
    Timer timer; /* first: a timer is its connection */
    Conn *next, *before, *next_gone;
    int fd;
    State state;
    uint64_t number;
    bool control, peer_closed, continued;
    bool ticketed;   /* a request is under way and counted */
    Bytes in;        /* what was read and is not yet a request */
    Bytes asked;     /* the request that is being answered */
    Request request; /* lies in asked */
    Script *script;
    Ticket ticket;
    Writer writer;
};

static Conn *all, *gone;
static uint64_t conn_count, reply_count;

/* --- the end of a connection --- */

static void end_request(Conn *conn, Outcome outcome)
{
    if (conn->ticketed)
        record_end(&conn->ticket, outcome, conn->writer.body_sent);
    conn->ticketed = false;
    if (!conn->script) return;
    script_drop(conn->script);
    conn->script = NULL;
    writer_end(&conn->writer);
    bytes_reset(&conn->asked);
}

static void drop(Conn *conn)
{
    end_request(conn, ABORTED);
    timers_clear(&conn->timer);
    close(conn->fd);
    conn->fd = -1;
    conn->state = GONE;
    conn->next_gone = gone;
    gone = conn;
    if (!conn->control) record_connections.open--;
}

/* Closes with RST. */
static void reset(Conn *conn)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    drop(conn);
}

/* Closes with FIN. Closing the socket itself while bytes of the client are
 * unread would send RST. */
static void linger(Conn *conn)
{
    shutdown(conn->fd, SHUT_WR);
    conn->state = LINGERING;
    timers_set(&conn->timer, timers_now() + LINGER_US);
}

/* --- sending --- */

/* Does what the script wants at its fault's place. */
static void break_off(Conn *conn)
{
    Fault fault = conn->script->fault;

    if (fault == STALL) {
        conn->state = STALLED;
        return;
    }
    end_request(conn, BROKEN);
    if (fault == RESET)
        reset(conn);
    else
        linger(conn);
}

static void finish(Conn *conn)
{
    bool keep_alive = conn->writer.reply.keep_alive;
    int64_t hangup_us = conn->script->hangup_us;

    end_request(conn, COMPLETED);
    bytes_reset(&conn->writer.out);
    if (!keep_alive) {
        linger(conn);
        return;
    }
    conn->state = IDLE;
    if (hangup_us >= 0) timers_set(&conn->timer, timers_now() + hangup_us);
}

static bool flush(Conn *conn)
{
    int result = writer_flush(&conn->writer, conn->fd);

    if (result < 0) drop(conn);
    return result > 0;
}

/* Sends until the reply is over or something has to be waited for: room in the
 * socket, a moment, or the turn of the other connections. */
static void pump(Conn *conn)
{
    if (conn->state != SENDING) return;
    timers_clear(&conn->timer);
    for (int turn = 0; turn < TURN; turn++) {
        Step step = writer_fill(&conn->writer);

        if (!flush(conn)) return;
        switch (step) {
        case STEP_SEND: continue;
        case STEP_WAIT:
            timers_set(&conn->timer, conn->writer.resume_us);
            return;
        case STEP_BREAK: break_off(conn); return;
        case STEP_FINISH: finish(conn); return;
        }
    }
    timers_set(&conn->timer, 0);
}

/* --- a request --- */

static void send_reply(Conn *conn)
{
    if (conn->ticketed)
        record_first_byte(&conn->ticket, conn->writer.reply.status);
    writer_begin(&conn->writer, conn->script);
    conn->state = SENDING;
    pump(conn);
}

static void answer(Conn *conn)
{
    reply_init(&conn->writer.reply, &conn->request, conn->script,
               ++reply_count);
    send_reply(conn);
}

/* An answer that no script rules and nobody counts. */
static void answer_plainly(Conn *conn, int status, const Bytes *text)
{
    conn->script = script_plain();
    reply_text(&conn->writer.reply, &conn->request, status, bytes_all(text));
    send_reply(conn);
}

static void refuse(Conn *conn, int status, const char *message)
{
    Bytes text = {0};

    fail_body("invalid_request", message, &text);
    answer_plainly(conn, status, &text);
    bytes_free(&text);
}

static void begin_scripted(Conn *conn)
{
    const Script *script = conn->script;

    if (script->never) {
        conn->state = MUTE;
    } else if (script->hold) {
        conn->state = HELD;
    } else if (script->delay_us > 0) {
        conn->state = DELAYED;
        timers_set(&conn->timer, timers_now() + script->delay_us);
    } else {
        answer(conn);
    }
}

static void begin(Conn *conn)
{
    Bytes complaint = {0};
    Route route = route_find(&conn->request, &complaint);

    conn->ticket = record_begin(&conn->request, route.lane, conn->number);
    conn->ticketed = true;
    conn->writer.body_sent = 0;
    if (route.script) {
        conn->script = route.script;
        begin_scripted(conn);
    } else {
        bytes_add(&complaint, "", 1);
        refuse(conn, 400, complaint.at);
    }
    bytes_free(&complaint);
}

static bool begin_control(Conn *conn)
{
    Bytes text = {0};
    int status = 0;

    if (!span_has_prefix(conn->request.path, "/v1/"))
        status = control_serve(&conn->request, &text);
    if (status != 0) answer_plainly(conn, status, &text);
    bytes_free(&text);
    return status != 0;
}

/* Moves the request out of `in`; what it points at stays where it is. */
static void take_request(Conn *conn)
{
    size_t size = conn->request.size;
    Bytes empty = conn->asked;

    conn->asked = conn->in;
    conn->in = empty;
    conn->in.len = 0;
    bytes_add(&conn->in, conn->asked.at + size, conn->asked.len - size);
    conn->asked.len = size;
    conn->continued = false;
    timers_clear(&conn->timer);
}

static void go_on(Conn *conn)
{
    if (conn->continued) return;
    conn->continued = true;
    conn->writer.stop = SIZE_MAX;
    TEXT(&conn->writer.out, "HTTP/1.1 100 Continue\r\n\r\n");
    flush(conn);
}

static void refuse_bytes(Conn *conn, int status, const char *message)
{
    record_bad++;
    conn->request = (Request){0}; /* so the connection closes */
    conn->in.len = 0;
    refuse(conn, status, message);
}

/* Answers what is in `in`, one request after the other. */
static void run(Conn *conn)
{
    while (conn->state == IDLE && conn->in.len > 0) {
        switch (http_parse(&conn->in, &conn->request)) {
        case HTTP_PART: return;
        case HTTP_CONTINUE: go_on(conn); return;
        case HTTP_BAD: refuse_bytes(conn, 400, "this is no HTTP"); return;
        case HTTP_LARGE: refuse_bytes(conn, 413, "too large"); return;
        case HTTP_WHOLE: break;
        }
        take_request(conn);
        if (!begin_control(conn)) begin(conn);
    }
}

/* --- events --- */

static void receive(Conn *conn)
{
    static char scratch[64 << 10]; /* one thread */
    ssize_t n;

    while ((n = recv(conn->fd, scratch, sizeof scratch, 0)) != 0) {
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n < 0) break;
        record_bytes_in += n;
        if (conn->state != LINGERING) bytes_add(&conn->in, scratch, (size_t)n);
    }
    conn->peer_closed = true;
}

void conn_event(Conn *conn, unsigned events)
{
    if (conn->state == GONE) return;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) receive(conn);
    if (events & EPOLLOUT) pump(conn);
    run(conn);
    if (conn->peer_closed && conn->state != GONE) drop(conn);
}

void conn_timer(struct Timer *timer)
{
    Conn *conn = (Conn *)timer;

    switch (conn->state) {
    case IDLE: linger(conn); break;
    case DELAYED: answer(conn); break;
    case SENDING: pump(conn); break;
    case LINGERING: drop(conn); break;
    default: break;
    }
    run(conn);
}

static void release(Conn *conn)
{
    if (conn->state == HELD) {
        answer(conn);
    } else if (conn->state == STALLED) {
        writer_heal(&conn->writer);
        conn->state = SENDING;
        pump(conn);
    }
    run(conn);
}

void conn_release(const Lane *lane)
{
    for (Conn *conn = all; conn; conn = conn->next) {
        if (conn->ticketed && (!lane || conn->ticket.lane == lane))
            release(conn);
    }
}

void conn_open(int epoll, int fd, bool control)
{
    Conn *conn = calloc(1, sizeof *conn);
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = conn};

    if (!conn) abort();
    conn->fd = fd;
    conn->control = control;
    conn->number = ++conn_count;
    conn->next = all;
    if (all) all->before = conn;
    all = conn;
    if (!control) {
        Connections *count = &record_connections;

        count->accepted++;
        if (++count->open > count->peak) count->peak = count->open;
    }
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) drop(conn);
}

static void unlink_conn(Conn *conn)
{
    if (conn->next) conn->next->before = conn->before;
    *(conn->before ? &conn->before->next : &all) = conn->next;
}

static void free_conn(Conn *conn)
{
    bytes_free(&conn->in);
    bytes_free(&conn->asked);
    writer_free(&conn->writer);
    free(conn);
}

void conn_sweep(void)
{
    while (gone) {
        Conn *conn = gone;

        gone = conn->next_gone;
        unlink_conn(conn);
        free_conn(conn);
    }
}

void conn_term(void)
{
    for (Conn *conn = all; conn; conn = conn->next) {
        if (conn->state != GONE) drop(conn);
    }
    conn_sweep();
}
