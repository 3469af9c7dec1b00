/* gate.c: see gate.h. */
#include "gate.h"

#include "alloc.h"
#include "clock.h"

#include <stddef.h>
#include <string.h>

struct mp_Gate {
    mp_Gate *next;
    unsigned slots;
    unsigned used;
    int64_t not_before_us;
    mp_IoTimer timer;
    mp_List queue;
    bool letting_in;
    char name[];
};

/* Few: one for each model that the process talks to. */
static _Thread_local mp_Gate *gates;
static _Thread_local bool at_end_set;

static void free_gates(void)
{
    while (gates) {
        mp_Gate *gate = gates;

        gates = gate->next;
        mp_alloc_free(gate);
    }
}

static void let_in(mp_Gate *gate);

static void on_time(mp_IoTimer *timer)
{
    let_in((mp_Gate *)((char *)timer - offsetof(mp_Gate, timer)));
}

static mp_Gate *make(const char *name, unsigned slots)
{
    size_t len = strlen(name) + 1;
    mp_Gate *gate = mp_alloc_zero(1, sizeof *gate + len);

    if (!gate) return NULL;
    if (!at_end_set) mp_io_at_end(free_gates);
    at_end_set = true;
    memcpy(gate->name, name, len);
    gate->slots = slots;
    gate->timer.fire = on_time;
    gate->next = gates;
    return gates = gate;
}

mp_Gate *mp_gate_get(const char *name, unsigned slots)
{
    for (mp_Gate *gate = gates; gate; gate = gate->next)
        if (strcmp(gate->name, name) == 0) return gate;
    return make(name, slots);
}

static bool has_room(const mp_Gate *gate)
{
    return gate->slots == 0 || gate->used < gate->slots;
}

static bool is_open(const mp_Gate *gate)
{
    if (!has_room(gate)) return false;
    return gate->not_before_us == 0 || gate->not_before_us <= mp_clock_us();
}

/* Who waits for a slot is let in by who leaves. A time that has gone by is set
 * too: its timer may not have fired yet, and is cleared here. Without memory
 * for the timer the wait is cut short: the caller's retry asks again. */
static void arm(mp_Gate *gate)
{
    mp_io_timer_clear(&gate->timer);
    if (!gate->queue.first || !has_room(gate)) return;
    if (mp_io_timer_set(&gate->timer, gate->not_before_us) != MP_OK)
        gate->not_before_us = 0;
}

/* An entry's go may leave again, at once: the loop asks anew each time, and no
 * second one begins inside of it, as deep as the queue is long. */
static void let_in(mp_Gate *gate)
{
    if (gate->letting_in) return;
    gate->letting_in = true;
    while (gate->queue.first && is_open(gate)) {
        mp_GateEntry *entry = (mp_GateEntry *)gate->queue.first;

        mp_list_remove(&gate->queue, &entry->link);
        entry->inside = true;
        gate->used++;
        entry->go(entry);
    }
    gate->letting_in = false;
    arm(gate);
}

bool mp_gate_enter(mp_Gate *gate, mp_GateEntry *entry)
{
    entry->gate = gate;
    entry->inside = !gate->queue.first && is_open(gate);
    if (entry->inside) {
        gate->used++;
        return true;
    }
    mp_list_append(&gate->queue, &entry->link);
    arm(gate);
    return false;
}

void mp_gate_leave(mp_GateEntry *entry)
{
    mp_Gate *gate = entry->gate;

    if (!gate) return;
    entry->gate = NULL;
    if (!entry->inside) {
        mp_list_remove(&gate->queue, &entry->link);
        return;
    }
    entry->inside = false;
    gate->used--;
    if (gate->queue.first) let_in(gate);
}

void mp_gate_set(mp_Gate *gate, unsigned slots, int64_t not_before_us)
{
    gate->slots = slots;
    gate->not_before_us = not_before_us;
    let_in(gate);
}

void mp_gate_hold(mp_Gate *gate, int64_t not_before_us)
{
    if (not_before_us <= gate->not_before_us) return;
    gate->not_before_us = not_before_us;
    arm(gate);
}

/* --- the job --- */

typedef struct GateJob {
    mp_Job job;
    long slots;
    int64_t not_before_us;
    char name[];
} GateJob;

static void start(mp_Job *job)
{
    GateJob *self = (GateJob *)job;
    mp_Gate *gate = mp_gate_get(self->name, 0);

    if (!gate) {
        job->err = &mp_err_no_memory;
        mp_job_end(job, MP_EVENT_FAILED);
        return;
    }
    if (self->slots >= 0)
        mp_gate_set(gate, (unsigned)self->slots, gate->not_before_us);
    if (self->not_before_us > 0) mp_gate_hold(gate, self->not_before_us);
    mp_job_end(job, MP_EVENT_DONE);
}

static void free_job(mp_Job *job)
{
    mp_alloc_free(job);
}

static const mp_JobClass gate_class = {
    "gate", start, mp_job_cancelled, NULL, free_job, NULL, NULL};

mp_Job *mp_gate_job(const char *name, long slots, int64_t not_before_us)
{
    size_t len = strlen(name) + 1;
    GateJob *self = mp_alloc_zero(1, sizeof *self + len);

    if (!self) return NULL;
    mp_job_init(&self->job, &gate_class);
    self->slots = slots;
    self->not_before_us = not_before_us;
    memcpy(self->name, name, len);
    return &self->job;
}
