/* os.c: see os.h. */
#include "os.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

static unsigned generation;
static pthread_once_t watch_once = PTHREAD_ONCE_INIT;

static void count_fork(void)
{
    generation++; /* the child has one thread: no lock, no atomic */
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, count_fork);
}

unsigned mp_os_generation(void)
{
    pthread_once(&watch_once, watch_forks);
    return generation;
}

uintptr_t mp_os_thread(void)
{
    return (uintptr_t)pthread_self();
}

mp_Status mp_os_waker(int *fd, mp_Error *err)
{
    *fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (*fd < 0) return mp_err_os(err, errno, "cannot make an eventfd");
    return MP_OK;
}

void mp_os_wake(int fd)
{
    int saved = errno;
    uint64_t one = 1;
    ssize_t written = write(fd, &one, sizeof one);

    (void)written; /* a full counter is readable all the same */
    errno = saved;
}

void mp_os_calm(int fd)
{
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof count);

    (void)got; /* nothing to read: it was silent already */
}

bool mp_os_wait(int fd, int64_t timeout_us)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    struct timespec limit = {.tv_sec = timeout_us / 1000000,
                             .tv_nsec = timeout_us % 1000000 * 1000};

    return ppoll(&poll_fd, 1, timeout_us < 0 ? NULL : &limit, NULL) != 0;
}

void mp_os_close(int fd)
{
    if (fd >= 0) close(fd);
}

/* Kernels before 5.11 and some tools do not know epoll_pwait2, and sandboxes of
 * before its time forbid it; asked once. */
static atomic_bool no_pwait2;

/* Whole milliseconds then, never early. */
static int wait_coarsely(int epoll, struct epoll_event *events, int max,
                         int64_t timeout_us)
{
    int64_t ms =
        timeout_us < 0 ? -1 : timeout_us / 1000 + (timeout_us % 1000 > 0);

    return epoll_wait(epoll, events, max, ms > 60000 ? 60000 : (int)ms);
}

int mp_os_epoll_wait(int epoll, struct epoll_event *events, int max,
                     int64_t timeout_us)
{
    struct timespec limit = {.tv_sec = timeout_us / 1000000,
                             .tv_nsec = timeout_us % 1000000 * 1000};
    int count = -1;

    if (!atomic_load_explicit(&no_pwait2, memory_order_relaxed)) {
        count = epoll_pwait2(epoll, events, max, timeout_us < 0 ? NULL : &limit,
                             NULL);
        if (count < 0 && (errno == ENOSYS || errno == EPERM))
            atomic_store(&no_pwait2, true);
    }
    if (atomic_load_explicit(&no_pwait2, memory_order_relaxed))
        count = wait_coarsely(epoll, events, max, timeout_us);
    return count < 0 ? 0 : count;
}

unsigned mp_os_descriptors(unsigned margin)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 256;
    if (limit.rlim_cur > 1u << 20) return 1u << 20;
    return limit.rlim_cur > margin ? (unsigned)limit.rlim_cur - margin : 1;
}
