/* bind_vm.c: see bind_vm.h. */
#include "bind_vm.h"

#include "alloc.h"

#include <lauxlib.h>

/* A module of ours that cannot be loaded is lost to the VM: there is room for
 * those of a small chain. */
#define LEAST_MEMORY ((size_t)1 << 20)

static void *from_host(void *userdata, void *ptr, size_t old, size_t size)
{
    (void)userdata;
    (void)old;
    if (size > 0) return mp_alloc_resize(ptr, size);
    mp_alloc_free(ptr);
    return NULL;
}

/* A LuaJIT with 32-bit references takes no allocator but its own: then the
 * first call gives NULL always. */
lua_State *mp_vm_new(void)
{
    lua_State *L =
        mp_alloc_is_replaced() ? lua_newstate(from_host, NULL) : NULL;

    return L ? L : luaL_newstate();
}

static void *limited(void *userdata, void *ptr, size_t old, size_t size)
{
    mp_VmLimit *limit = userdata;
    void *block;

    if (size > old && limit->used - old + size > limit->max && !limit->lifted)
        return NULL;
    block = limit->inner(limit->userdata, ptr, old, size);
    if (block || size == 0) limit->used += size - old;
    return block;
}

void mp_vm_limit(lua_State *L, mp_VmLimit *limit, size_t max)
{
    limit->inner = lua_getallocf(L, &limit->userdata);
    limit->used = (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024 +
                  (size_t)lua_gc(L, LUA_GCCOUNTB, 0);
    limit->max = max < LEAST_MEMORY ? LEAST_MEMORY : max;
    limit->collected = 0;
    limit->lifted = true;
    lua_setallocf(L, limited, limit);
}

/* LuaJIT does not collect where an allocation fails, and waits for twice of
 * what is alive. */
void mp_vm_collect(lua_State *L, mp_VmLimit *limit)
{
    if (limit->inner && limit->used >= limit->max / 2 &&
        (limit->used >= limit->collected + limit->max / 8 ||
         limit->used >= limit->max / 8 * 7)) {
        lua_gc(L, LUA_GCCOLLECT, 0);
        limit->collected = limit->used;
    }
    limit->lifted = false;
}

void mp_vm_unlimit(lua_State *L, mp_VmLimit *limit)
{
    if (limit->inner) lua_setallocf(L, limit->inner, limit->userdata);
    limit->inner = NULL;
}
