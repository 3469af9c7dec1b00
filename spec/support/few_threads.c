/*
 * few_threads.c: a system that has no thread left, for LD_PRELOAD: after
 * FEW_THREADS successful ones every pthread_create fails.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef int Create(pthread_t *thread, const pthread_attr_t *attr,
                   void *(*run)(void *), void *arg);

int pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                   void *(*run)(void *), void *arg)
{
    static atomic_int made;
    const char *limit = getenv("FEW_THREADS");
    void *found = dlsym(RTLD_NEXT, "pthread_create");
    Create *real;

    if (limit && atomic_fetch_add(&made, 1) >= atoi(limit)) return EAGAIN;
    memcpy(&real, &found, sizeof real);
    return real(thread, attr, run, arg);
}
