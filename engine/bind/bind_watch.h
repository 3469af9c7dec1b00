/*
 * bind_watch.h: turns of the Lua thread, for bind_watch.c.
 *
 * Threads: any; with several VMs a turn may go uncounted, which only lets one
 * of them wait a little longer for its warning.
 */
#ifndef MP_BIND_WATCH_H
#define MP_BIND_WATCH_H

#include <stdatomic.h>

extern atomic_uint mp_bind_turns;

/* Lua begins with something else: no locked instruction. */
static inline void mp_bind_turn(void)
{
    unsigned turns = atomic_load_explicit(&mp_bind_turns, memory_order_relaxed);

    atomic_store_explicit(&mp_bind_turns, turns + 1, memory_order_relaxed);
}

#endif
