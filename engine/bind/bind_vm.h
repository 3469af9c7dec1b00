/*
 * bind_vm.h: where a VM's memory comes from, and how much it may have.
 *
 * Usually that is LuaJIT's own allocator, the fastest; where a host has brought
 * one (mp_alloc_use), that. A limit stands in front of either.
 *
 * Threads: that of the VM.
 */
#ifndef MP_BIND_VM_H
#define MP_BIND_VM_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* Must stay where it is while it is in force. */
typedef struct mp_VmLimit {
    lua_Alloc inner;
    void *userdata; /* of inner */
    size_t used, max;
    size_t collected; /* what was in use after the last cycle we asked for */
    bool lifted;      /* for a moment */
} mp_VmLimit;

/* Returns a VM without libraries (lua_close), or NULL without memory. */
lua_State *mp_vm_new(void);

/* From now on [L] has at most [max] bytes, or 1 MiB, but while the limit is
 * lifted, as it is at first. */
void mp_vm_limit(lua_State *L, mp_VmLimit *limit, size_t max);

/* Whether the limit does not hold for a moment: a VM that is full could not
 * even be told to collect. Returns what was. */
static inline bool mp_vm_lift(mp_VmLimit *limit, bool lifted)
{
    bool before = limit->lifted;

    limit->lifted = lifted;
    return before;
}

/* [-0, +0] Collects garbage where the limit is near; then that holds. May
 * raise. */
void mp_vm_collect(lua_State *L, mp_VmLimit *limit);

/* Ends the limit, as must be before lua_close: only with its own allocator in
 * place LuaJIT gives the memory back. Nothing where there is none. */
void mp_vm_unlimit(lua_State *L, mp_VmLimit *limit);

#endif
