/*
 * lookup.h: one lookup of a name at a time.
 *
 * libcurl looks a name up in a thread of its own for each transfer that does
 * not find it in the cache: a thousand calls to a new host are a thousand
 * threads, and as many questions to a resolver that answers a few. So the first
 * call to an origin asks and the others wait until its name is known; then they
 * find it in the cache. What waits is not a transfer yet: it keeps its own
 * time.
 *
 * A lookup that is given up goes on in its thread until the resolver answers,
 * which may take half a minute, and nobody can end it. So each origin may leave
 * a few of them behind in a second; then the next one waits until it is over.
 *
 * Threads: the I/O thread.
 */
#ifndef MP_LOOKUP_H
#define MP_LOOKUP_H

#include "err.h"
#include "list.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct mp_Lookup mp_Lookup;

/* Who asks or waits; part of a call, which stays alive until it has left. */
typedef struct mp_LookupEntry {
    mp_Link link;
    mp_Lookup *lookup; /* while it asks or waits */
    void (*go)(struct mp_LookupEntry *entry);
    void (*fail)(struct mp_LookupEntry *entry, const mp_Error *err);
} mp_LookupEntry;

/* True: go on, the name is known or yours to ask for. False: entry->go is
 * called when that is so, or entry->fail when the one who asked has failed. */
bool mp_lookup_enter(uint64_t origin, mp_LookupEntry *entry);

/* The one who asks has the name. From inside a callback of curl, too: the
 * others go on in the loop's next turn. */
void mp_lookup_known(mp_LookupEntry *entry);

/* The one who asks has learnt that there is no such name: all that wait fail.
 */
void mp_lookup_fail(mp_LookupEntry *entry, const mp_Error *err);

/* Gives up its place; if it asked, the next one does. [runs]: what it asked for
 * is not answered yet. This and the two above are fine for those that neither
 * ask nor wait. */
void mp_lookup_leave(mp_LookupEntry *entry, bool runs);

#endif
