/* lookup.c: see lookup.h. */
#include "lookup.h"

#include "alloc.h"
#include "clock.h"
#include "io.h"

#include <stddef.h>
#include <string.h>

/* Less than the minute for which curl keeps a name. */
#define KNOWN_US (50 * 1000 * 1000LL)

/* So many lookups of one name may be given up in that time. */
#define GIVEN_UP    8
#define GIVEN_UP_US (1000 * 1000LL)

struct mp_Lookup {
    mp_Lookup *next;
    uint64_t origin;
    int64_t known_until;
    mp_LookupEntry *asker; /* NULL: nobody asks */
    mp_List queue;         /* who waits */
    mp_IoTimer timer;      /* lets go on who may then */
    bool releasing;
    int64_t given_up[GIVEN_UP]; /* when; a ring */
    unsigned oldest;
};

/* Few: one for each named server that the process talks to. */
static _Thread_local mp_Lookup *lookups;
static _Thread_local bool at_end_set;

static void free_lookups(void)
{
    while (lookups) {
        mp_Lookup *lookup = lookups;

        lookups = lookup->next;
        mp_alloc_free(lookup);
    }
}

static bool is_known(const mp_Lookup *lookup)
{
    return lookup->known_until > mp_clock_us();
}

static void append(mp_Lookup *lookup, mp_LookupEntry *entry)
{
    entry->lookup = lookup;
    mp_list_append(&lookup->queue, &entry->link);
}

static void unlink_entry(mp_Lookup *lookup, mp_LookupEntry *entry)
{
    mp_list_remove(&lookup->queue, &entry->link);
    entry->lookup = NULL;
}

/* When one more may ask. */
static int64_t open_at(const mp_Lookup *lookup)
{
    int64_t at = lookup->given_up[lookup->oldest];

    return at ? at + GIVEN_UP_US : 0;
}

static bool may_ask(const mp_Lookup *lookup)
{
    return !lookup->asker && open_at(lookup) <= mp_clock_us();
}

static void note_given_up(mp_Lookup *lookup)
{
    lookup->given_up[lookup->oldest] = mp_clock_us();
    lookup->oldest = (lookup->oldest + 1) % GIVEN_UP;
}

/* Sets the timer for those that wait although nobody asks. Without memory for
 * it they need not. */
static bool wait_for_room(mp_Lookup *lookup)
{
    if (!lookup->queue.first || lookup->asker || lookup->timer.place)
        return true;
    if (mp_io_timer_set(&lookup->timer, open_at(lookup)) == MP_OK) return true;
    memset(lookup->given_up, 0, sizeof lookup->given_up);
    return false;
}

/* The first that waits asks, or all go on. An entry's go may leave at once:
 * the loop asks anew each time. */
static void let_go(mp_Lookup *lookup)
{
    while (lookup->queue.first && (may_ask(lookup) || is_known(lookup))) {
        mp_LookupEntry *entry = (mp_LookupEntry *)lookup->queue.first;

        unlink_entry(lookup, entry);
        if (!is_known(lookup)) {
            entry->lookup = lookup;
            lookup->asker = entry;
        }
        entry->go(entry);
    }
}

static void release(mp_Lookup *lookup)
{
    if (lookup->releasing) return;
    lookup->releasing = true;
    do
        let_go(lookup);
    while (!wait_for_room(lookup));
    lookup->releasing = false;
}

static void on_time(mp_IoTimer *timer)
{
    release((mp_Lookup *)((char *)timer - offsetof(mp_Lookup, timer)));
}

static mp_Lookup *make(uint64_t origin)
{
    mp_Lookup *lookup = mp_alloc_zero(1, sizeof *lookup);

    if (!lookup) return NULL;
    if (!at_end_set) mp_io_at_end(free_lookups);
    at_end_set = true;
    lookup->origin = origin;
    lookup->timer.fire = on_time;
    lookup->next = lookups;
    return lookups = lookup;
}

static mp_Lookup *get(uint64_t origin)
{
    for (mp_Lookup *lookup = lookups; lookup; lookup = lookup->next)
        if (lookup->origin == origin) return lookup;
    return make(origin);
}

/* Without memory everybody asks: nobody fails for that. */
bool mp_lookup_enter(uint64_t origin, mp_LookupEntry *entry)
{
    mp_Lookup *lookup = get(origin);

    if (!lookup || is_known(lookup)) return true;
    if (!lookup->queue.first && may_ask(lookup)) {
        entry->lookup = lookup;
        lookup->asker = entry;
        return true;
    }
    append(lookup, entry);
    if (wait_for_room(lookup)) return false;
    unlink_entry(lookup, entry);
    return true;
}

/* The lookup for which [entry] asks; NULL if it does not. */
static mp_Lookup *asked_by(const mp_LookupEntry *entry)
{
    mp_Lookup *lookup = entry->lookup;

    return lookup && lookup->asker == entry ? lookup : NULL;
}

/* Without memory for the timer it asks until it leaves. */
void mp_lookup_known(mp_LookupEntry *entry)
{
    mp_Lookup *lookup = asked_by(entry);

    if (!lookup) return;
    lookup->known_until = mp_clock_us() + KNOWN_US;
    mp_io_timer_clear(&lookup->timer);
    if (mp_io_timer_set(&lookup->timer, mp_clock_us()) != MP_OK) return;
    lookup->asker = NULL;
    entry->lookup = NULL;
}

void mp_lookup_fail(mp_LookupEntry *entry, const mp_Error *err)
{
    mp_Lookup *lookup = asked_by(entry);
    const mp_Link *last = lookup ? lookup->queue.last : NULL;

    while (last && lookup->queue.first) {
        mp_LookupEntry *waiting = (mp_LookupEntry *)lookup->queue.first;

        unlink_entry(lookup, waiting);
        waiting->fail(waiting, err);
        if (&waiting->link == last) return; /* those behind it came later */
    }
}

void mp_lookup_leave(mp_LookupEntry *entry, bool runs)
{
    mp_Lookup *lookup = entry->lookup;

    if (!lookup) return;
    if (lookup->asker != entry) {
        unlink_entry(lookup, entry);
        return;
    }
    entry->lookup = NULL;
    lookup->asker = NULL;
    if (runs) note_given_up(lookup);
    release(lookup);
}
