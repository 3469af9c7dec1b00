/*
 * way.h: one direction of a proxied connection: reads from one socket, holds
 * bytes back as toxics want it, writes to the other.
 *
 * What is held is one text with marks in it: up to where, and from when it may
 * pass.
 */
#ifndef WAY_H
#define WAY_H

#include "../server/bytes.h"

enum { WAY_MARKS = 64 };

/* toxiproxy's names. Zero is off, but for those that say so. */
typedef struct Toxics {
    int64_t latency;      /* ms that each byte comes later */
    int64_t bandwidth;    /* KiB a second */
    int64_t slicer;       /* bytes a piece, each a send of its own */
    int64_t slicer_delay; /* us between them */
    int64_t slow_close;   /* ms that the end is passed on later */
    int64_t limit_data;   /* closes behind so many bytes; -1: off */
} Toxics;

typedef struct Mark {
    size_t upto;
    int64_t at_us;
} Mark;

typedef struct Way {
    int from, to;
    const Toxics *toxics;
    Bytes held;
    Mark marks[WAY_MARKS]; /* oldest first */
    int mark_count;
    bool ended;       /* `from` sends no more */
    bool closed;      /* and `to` was told */
    int64_t close_us; /* not before */
    int64_t next_us;  /* no byte before, because of a toxic */
    int64_t passed;
} Way;

typedef enum Move {
    MOVED,
    BLOCKED, /* for a socket or a moment */
    LIMITED, /* limit_data is reached */
    BROKEN
} Move;

/* Reads once, if there is room. */
Move way_read(Way *way, int64_t now_us);

/* Writes once, if something may pass. */
Move way_write(Way *way, int64_t now_us);

/* When it goes on without an event; in the past: only an event helps. */
int64_t way_due(const Way *way);

/* Drops the first [count] bytes. */
void way_forget(Way *way, size_t count);

#endif
