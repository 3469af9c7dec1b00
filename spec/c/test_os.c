/* test_os.c: base/os: waiting where the kernel lacks the call for it. */
#include "test.h"

#include "os.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

static int refusal;

/* In the place of libc's: a kernel that does not have it, or a sandbox of
 * before its time. */
int epoll_pwait2(int epoll, struct epoll_event *events, int max,
                 const struct timespec *timeout, const sigset_t *mask)
{
    (void)epoll, (void)events, (void)max, (void)timeout, (void)mask;
    errno = refusal;
    return -1;
}

/* The exit code of a child, for the refusal is remembered. */
static int wait_without(int refused_with)
{
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(0), fd = -1;
    bool right = mp_os_waker(&fd, NULL) == MP_OK;

    refusal = refused_with;
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    right &= mp_os_epoll_wait(epoll, &event, 1, 1500) == 0;
    mp_os_wake(fd);
    right &= mp_os_epoll_wait(epoll, &event, 1, -1) == 1;
    right &= mp_os_epoll_wait(epoll, &event, 1, INT64_MAX) == 1;
    mp_os_close(fd);
    mp_os_close(epoll);
    return right ? 0 : 1;
}

static void test_waits_coarsely(int refused_with)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0) _exit(wait_without(refused_with));
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(void)
{
    test_waits_coarsely(ENOSYS);
    test_waits_coarsely(EPERM);
    return TEST_END();
}
