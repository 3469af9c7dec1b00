/*
 * late_signal.c: Ctrl-C at the worst moment, for LD_PRELOAD: each time that the
 * program is going to wait for its standard input, it comes just before.
 */
#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

typedef int Poll(struct pollfd *fds, nfds_t count, int limit_ms);
typedef int PPoll(struct pollfd *fds, nfds_t count,
                  const struct timespec *limit, const sigset_t *mask);

static void be_late(const struct pollfd *fds, nfds_t count)
{
    if (count > 0 && fds[0].fd == STDIN_FILENO) kill(getpid(), SIGINT);
}

int poll(struct pollfd *fds, nfds_t count, int limit_ms)
{
    void *found = dlsym(RTLD_NEXT, "poll");
    Poll *real;

    be_late(fds, count);
    memcpy(&real, &found, sizeof real);
    return real(fds, count, limit_ms);
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *limit,
          const sigset_t *mask)
{
    void *found = dlsym(RTLD_NEXT, "ppoll");
    PPoll *real;

    be_late(fds, count);
    memcpy(&real, &found, sizeof real);
    return real(fds, count, limit, mask);
}
