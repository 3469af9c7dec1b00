/*
 * clocks.c: clocks that jump, for LD_PRELOAD.
 *
 * clocks_jump moves the monotonic clock, as a gap does in which the process
 * stood still. After clocks_wander the time of day is another by days at each
 * look, now forward, now back.
 *
 * Who sleeps in the kernel sleeps on: only who looks at a clock finds it moved.
 */
#include <dlfcn.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

typedef int Read(clockid_t clock, struct timespec *now);

static atomic_llong ahead_ns;
static atomic_int wandering;
static atomic_int looks;

void clocks_jump(double seconds);
void clocks_wander(void);

void clocks_jump(double seconds)
{
    atomic_fetch_add(&ahead_ns, (long long)(seconds * 1e9));
}

void clocks_wander(void)
{
    atomic_store(&wandering, 1);
}

static time_t day_off(void)
{
    static const int days[] = {1, -2, 400, -30, 0};

    if (!atomic_load(&wandering)) return 0;
    return 86400 * (time_t)days[atomic_fetch_add(&looks, 1) % 5];
}

static int read_clock(clockid_t clock, struct timespec *now)
{
    static Read *real;
    void *found;

    if (!real) {
        found = dlsym(RTLD_NEXT, "clock_gettime");
        memcpy(&real, &found, sizeof real);
    }
    return real(clock, now);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed = read_clock(clock, now);
    long long ns;

    if (failed) return failed;
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        now->tv_sec += day_off();
    if (clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_RAW &&
        clock != CLOCK_MONOTONIC_COARSE && clock != CLOCK_BOOTTIME)
        return 0;
    ns = now->tv_nsec + atomic_load(&ahead_ns);
    now->tv_sec += ns / 1000000000;
    now->tv_nsec = ns % 1000000000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;

    read_clock(CLOCK_REALTIME, &now);
    now.tv_sec += day_off();
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *out, void *zone)
{
    struct timespec now;

    (void)zone;
    read_clock(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec + day_off();
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
