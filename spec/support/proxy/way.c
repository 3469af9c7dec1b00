/* way.c: see way.h. */
#include "way.h"

#include <errno.h>
#include <sys/socket.h>

enum { HELD_MAX = 256 << 10, SLICES_A_SECOND = 64 };

static void add_mark(Way *way, int64_t now_us)
{
    int64_t at_us = now_us + way->toxics->latency * 1000;

    if (way->mark_count == WAY_MARKS) way->mark_count--; /* it waits longer */
    way->marks[way->mark_count++] = (Mark){way->held.len, at_us};
}

Move way_read(Way *way, int64_t now_us)
{
    static char scratch[64 << 10]; /* one thread */
    ssize_t n;

    if (way->ended || way->held.len >= HELD_MAX) return BLOCKED;
    n = recv(way->from, scratch, sizeof scratch, 0);
    if (n < 0) return errno == EAGAIN || errno == EINTR ? BLOCKED : BROKEN;
    if (n == 0) {
        way->ended = true;
        way->close_us = now_us + way->toxics->slow_close * 1000;
        return MOVED;
    }
    bytes_add(&way->held, scratch, (size_t)n);
    add_mark(way, now_us);
    return MOVED;
}

static size_t at_most(size_t size, int64_t limit)
{
    return (size_t)limit < size ? (size_t)limit : size;
}

static size_t allowed(const Way *way, int64_t now_us)
{
    const Toxics *toxics = way->toxics;
    size_t size = 0;

    if (now_us < way->next_us) return 0;
    for (int i = 0; i < way->mark_count && way->marks[i].at_us <= now_us; i++)
        size = way->marks[i].upto;
    if (toxics->slicer > 0) size = at_most(size, toxics->slicer);
    if (toxics->bandwidth > 0)
        size = at_most(size, toxics->bandwidth * 1024 / SLICES_A_SECOND);
    if (toxics->limit_data >= 0)
        size = at_most(size, toxics->limit_data - way->passed);
    return size;
}

void way_forget(Way *way, size_t count)
{
    int kept = 0;

    bytes_shift(&way->held, count);
    for (int i = 0; i < way->mark_count; i++) {
        Mark mark = way->marks[i];

        if (mark.upto <= count) continue;
        mark.upto -= count;
        way->marks[kept++] = mark;
    }
    way->mark_count = kept;
}

static void set_pace(Way *way, int64_t sent, int64_t now_us)
{
    const Toxics *toxics = way->toxics;

    if (toxics->slicer_delay > 0) way->next_us = now_us + toxics->slicer_delay;
    if (toxics->bandwidth > 0)
        way->next_us = now_us + sent * 1000000 / (toxics->bandwidth * 1024);
}

/* Passes the end on. */
static Move end(Way *way, int64_t now_us)
{
    if (!way->ended || way->closed || way->held.len > 0 ||
        now_us < way->close_us)
        return BLOCKED;
    shutdown(way->to, SHUT_WR);
    way->closed = true;
    return MOVED;
}

Move way_write(Way *way, int64_t now_us)
{
    size_t size = allowed(way, now_us);
    ssize_t n;

    if (way->passed == way->toxics->limit_data) return LIMITED;
    if (size == 0) return end(way, now_us);
    n = send(way->to, way->held.at, size, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN || errno == EINTR ? BLOCKED : BROKEN;
    way->passed += n;
    way_forget(way, (size_t)n);
    set_pace(way, n, now_us);
    return MOVED;
}

int64_t way_due(const Way *way)
{
    int64_t at_us = way->mark_count > 0 ? way->marks[0].at_us : 0;

    if (way->held.len == 0)
        return way->ended && !way->closed ? way->close_us : 0;
    return way->next_us > at_us ? way->next_us : at_us;
}
