/*
 * torture.h: runs a job again and again, each time with another allocation
 * failing, and checks that nothing leaks.
 *
 * The short tier fails every 7th allocation (and always the first eight),
 * MOONPIPE_LONG=1 every one. Include after test.h.
 *
 * Threads: one; the failure hook is process-wide.
 */
#ifndef MP_TORTURE_H
#define MP_TORTURE_H

#include "alloc.h"
#include "err.h"

#include <stdlib.h>

/* Does the whole job, frees all it made and returns its status. */
typedef mp_Status (*torture_Job)(void *userdata);

static inline int64_t torture_next(int64_t nth)
{
    const char *all = getenv("MOONPIPE_LONG");

    return nth < 8 || (all && *all) ? nth + 1 : nth + 7;
}

/* One failure at [nth]: the job says `memory` and leaves no block behind. What
 * a network job allocates varies a little: it may end before the [nth]. */
static inline void torture_once(torture_Job job, void *userdata, int64_t nth,
                                bool forever)
{
    int64_t before = mp_alloc_live();
    bool reached;
    mp_Status status;

    mp_alloc_fail_at(nth, forever);
    status = job(userdata);
    reached = mp_alloc_count() >= nth;
    mp_alloc_fail_at(0, false);
    CHECK(status == (reached ? -MP_KIND_MEMORY : MP_OK));
    CHECK(mp_alloc_live() == before);
}

/* Returns how many allocations [job] makes when all of them succeed. */
static inline int64_t torture(torture_Job job, void *userdata)
{
    int64_t before = mp_alloc_live();
    int64_t count, nth;

    mp_alloc_fail_at(0, false);
    CHECK(job(userdata) == MP_OK);
    count = mp_alloc_count();
    CHECK(mp_alloc_live() == before);
    for (nth = 1; nth <= count; nth = torture_next(nth)) {
        torture_once(job, userdata, nth, false);
        torture_once(job, userdata, nth, true);
    }
    return count;
}

#endif
