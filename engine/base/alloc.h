/*
 * alloc.h: the one allocator of the engine.
 *
 * All memory that C code of moonpipe owns comes from here, so that a host can
 * bring its own allocator and a test can make the Nth allocation fail. A
 * failed allocation returns NULL and travels to the caller as kind `memory`;
 * nothing in the engine aborts.
 *
 * Threads: any. mp_alloc_use and mp_alloc_fail_at only before other threads
 * exist.
 */
#ifndef MP_ALLOC_H
#define MP_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One function for all three operations, as in Lua: size 0 frees [ptr] and
 * returns NULL, [ptr] NULL allocates, otherwise resizes. */
typedef void *(*mp_AllocFn)(void *userdata, void *ptr, size_t size);

/* Returns [size] bytes, not zeroed, or NULL. Owned; free with mp_alloc_free. */
void *mp_alloc(size_t size);

/* Returns [count] * [size] zeroed bytes, or NULL, also on overflow. */
void *mp_alloc_zero(size_t count, size_t size);

/* Resizes [ptr] (NULL allocates). On failure returns NULL; [ptr] stays. */
void *mp_alloc_resize(void *ptr, size_t size);

/* Returns an owned copy of [len] bytes with a NUL after them, or NULL. */
char *mp_alloc_copy(const char *text, size_t len);

/* Frees [ptr]; NULL is fine. */
void mp_alloc_free(void *ptr);

/* Replaces the allocator; NULL restores libc's. */
void mp_alloc_use(mp_AllocFn fn, void *userdata);

/* Whether it is another than libc's. */
bool mp_alloc_is_replaced(void);

/* Test hook: the [nth] allocation from now (1 is the next) fails, and with
 * [forever] all later ones too. 0 switches it off. */
void mp_alloc_fail_at(int64_t nth, bool forever);

/* Allocations and resizes asked for since mp_alloc_fail_at was last called. */
int64_t mp_alloc_count(void);

/* Blocks now alive. Tests assert that it returns to its old value. */
int64_t mp_alloc_live(void);

#endif
