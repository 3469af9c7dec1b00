/*
 * lane.h: lanes: names under which requests are counted and scripted.
 *
 * A request's lane is what its path says (/lane/NAME/v1/...), else its x-lane
 * header, else its model. A lane has a queue of scripts, one for each of its
 * next requests, and a default for those behind. A request that finds neither
 * takes from the lane `*` in the same way.
 */
#ifndef LANE_H
#define LANE_H

#include "script.h"

typedef struct Counts {
    int64_t requests, completed, aborted, broken; /* broken: by a script */
    int64_t in_flight, peak;
} Counts;

typedef struct Lane {
    struct Lane *next;
    char *name;
    size_t name_len;
    Script **queue;
    int queued, taken;
    Script *usual;
    Counts counts;
} Lane;

/* Finds the lane or makes it. Beyond 4096 all new names are one lane. */
Lane *lane_of(Span name);

/* Replaces the scripts of [lane] by lines: `SCRIPT`, `3x SCRIPT` for three
 * requests, `default SCRIPT`. False with a complaint leaves them as they were.
 */
bool lane_set(Lane *lane, Span lines, Bytes *complaint);

/* The script of the lane's next request, kept for the caller. */
Script *lane_take(Lane *lane);

/* The first lane; others follow by `next`. */
Lane *lane_first(void);

/* Forgets all scripts and counts; the lanes stay. */
void lane_clear(void);
void lane_term(void);

#endif
