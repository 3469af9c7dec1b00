/*
 * gate.h: the one piece of policy that is native and process-wide.
 *
 * A gate has slots and a not-before time; a job waits in it, in the order of
 * arrival, before it starts. There is one for each name that Lua gives (the
 * origin, key and model of a call), and one for the descriptors of the process.
 * Waiting is a queue, never an error.
 *
 * Threads: the I/O thread.
 */
#ifndef MP_GATE_H
#define MP_GATE_H

#include "err.h"
#include "io.h"
#include "list.h"

#include <stdbool.h>

typedef struct mp_Gate mp_Gate;

/* Who waits; part of the waiter, which stays alive until it has left. */
typedef struct mp_GateEntry {
    mp_Link link;
    mp_Gate *gate; /* while it waits or holds a slot */
    bool inside;   /* holds a slot */
    void (*go)(struct mp_GateEntry *entry);
} mp_GateEntry;

/* Gives the gate of [name], made with [slots] (0: no limit) where there was
 * none. Copies [name]. NULL without memory. Gates live as long as the I/O
 * thread. */
mp_Gate *mp_gate_get(const char *name, unsigned slots);

/* True: it has a slot, go on. False: entry->go is called when it has. */
bool mp_gate_enter(mp_Gate *gate, mp_GateEntry *entry);

/* Gives the slot back, or the place in the queue; fine for one that never
 * entered. */
void mp_gate_leave(mp_GateEntry *entry);

/* Sets the slots (0: no limit) and the time before which nobody starts. */
void mp_gate_set(mp_Gate *gate, unsigned slots, int64_t not_before_us);

/* Only the time; an earlier one than is set changes nothing. */
void mp_gate_hold(mp_Gate *gate, int64_t not_before_us);

/* The job that sets a gate from Lua: done at once. Copies [name]. [slots] -1
 * leaves them; [not_before_us] 0 leaves the time. NULL without memory. */
mp_Job *mp_gate_job(const char *name, long slots, int64_t not_before_us);

#endif
