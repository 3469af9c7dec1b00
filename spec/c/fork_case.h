/*
 * fork_case.h: what a forked child finds. Include after test.h.
 *
 * Threads: one.
 */
#ifndef MP_FORK_CASE_H
#define MP_FORK_CASE_H

#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

/* TSan refuses threads in a child of a process with threads. */
#if defined(__SANITIZE_THREAD__)
#define FORKS 0
#else
#define FORKS 1
#endif

/* The allocator of ASan, unlike libc's, may be held for ever in a child by a
 * thread of the parent that worked. */
#if defined(__SANITIZE_ADDRESS__)
#define FORKS_BUSY 0
#else
#define FORKS_BUSY FORKS
#endif

/* What [check] says in a forked child. It answers through a pipe: its exit code
 * is valgrind's, which sees what the child left of the parent's threads as a
 * leak. */
static inline bool fork_finds(bool (*check)(void *userdata), void *userdata)
{
    bool right = false;
    int ends[2];

    CHECK(pipe(ends) == 0);
    if (fork() == 0) {
        right = check(userdata);
        _exit(write(ends[1], &right, sizeof right) == sizeof right ? 0 : 1);
    }
    close(ends[1]);
    if (read(ends[0], &right, sizeof right) != sizeof right) right = false;
    close(ends[0]);
    wait(NULL);
    return right;
}

#endif
