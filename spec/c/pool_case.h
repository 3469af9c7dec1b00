/*
 * pool_case.h: a pool all of whose threads are busy. Include after test.h.
 *
 * Threads: one.
 */
#ifndef MP_POOL_CASE_H
#define MP_POOL_CASE_H

#include "alloc.h"
#include "pool.h"

#include "thread_case.h"

typedef struct Block {
    mp_PoolTask task;
    struct Blocks *all;
} Block;

typedef struct Blocks {
    Block *blocks; /* one for each thread */
    int count;
    atomic_int here;
    atomic_int go;
    atomic_int gone;
} Blocks;

static inline bool block(mp_PoolTask *task)
{
    Blocks *all = ((Block *)task)->all;

    atomic_fetch_add(&all->here, 1);
    await_count(&all->go, 1);
    atomic_fetch_add(&all->gone, 1);
    return false;
}

/* Keeps every thread of [pool] until blocks_go. */
static inline void blocks_begin(Blocks *all, mp_Pool *pool)
{
    *all = (Blocks){.count = (int)mp_pool_width(pool)};
    all->blocks = mp_alloc_zero((size_t)all->count, sizeof *all->blocks);
    for (int i = 0; i < all->count; i++) {
        all->blocks[i] = (Block){{.run = block}, all};
        mp_pool_send(pool, &all->blocks[i].task);
    }
    await_count(&all->here, all->count);
}

static inline void blocks_go(Blocks *all)
{
    atomic_store(&all->go, 1);
    await_count(&all->gone, all->count);
}

/* After the last reference to the pool: its threads are done with them. */
static inline void blocks_term(Blocks *all)
{
    mp_alloc_free(all->blocks);
}

#endif
