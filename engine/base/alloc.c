/*
 * alloc.c: a replaceable allocator with a counter that can make a call fail.
 *
 * The counters are relaxed atomics: they order nothing, they only count. The
 * failure hook costs one load per allocation when it is off.
 */
#include "alloc.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static void *libc_alloc(void *userdata, void *ptr, size_t size)
{
    (void)userdata;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, size);
}

static mp_AllocFn alloc_fn = libc_alloc;
static void *alloc_userdata;
static atomic_llong asked;
static atomic_llong live;
static atomic_llong fail_at;
static atomic_bool fail_forever;

static bool must_fail(void)
{
    int64_t nth =
        atomic_fetch_add_explicit(&asked, 1, memory_order_relaxed) + 1;
    int64_t at = atomic_load_explicit(&fail_at, memory_order_relaxed);

    if (at == 0) return false;
    return nth == at || (nth > at && atomic_load(&fail_forever));
}

void *mp_alloc_resize(void *ptr, size_t size)
{
    void *fresh;

    if (must_fail()) return NULL;
    fresh = alloc_fn(alloc_userdata, ptr, size ? size : 1);
    if (fresh && !ptr)
        atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
    return fresh;
}

void *mp_alloc(size_t size)
{
    return mp_alloc_resize(NULL, size);
}

void *mp_alloc_zero(size_t count, size_t size)
{
    void *ptr;

    if (size && count > SIZE_MAX / size) return NULL;
    ptr = mp_alloc(count * size);
    if (ptr) memset(ptr, 0, count * size);
    return ptr;
}

char *mp_alloc_copy(const char *text, size_t len)
{
    char *copy = len < SIZE_MAX ? mp_alloc(len + 1) : NULL;

    if (!copy) return NULL;
    if (len) memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

void mp_alloc_free(void *ptr)
{
    if (!ptr) return;
    atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
    alloc_fn(alloc_userdata, ptr, 0);
}

void mp_alloc_use(mp_AllocFn fn, void *userdata)
{
    alloc_fn = fn ? fn : libc_alloc;
    alloc_userdata = userdata;
}

bool mp_alloc_is_replaced(void)
{
    return alloc_fn != libc_alloc;
}

void mp_alloc_fail_at(int64_t nth, bool forever)
{
    atomic_store(&asked, 0);
    atomic_store(&fail_forever, forever);
    atomic_store(&fail_at, nth);
}

int64_t mp_alloc_count(void)
{
    return atomic_load(&asked);
}

int64_t mp_alloc_live(void)
{
    return atomic_load(&live);
}
