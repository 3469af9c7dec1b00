/* alarm.c: see alarm.h. */
#include "alarm.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

static void (*volatile on_ring)(void); /* while it runs */
static timer_t timer;

static void on_signal(int number)
{
    void (*ring)(void) = on_ring;
    int saved = errno;

    (void)number;
    if (ring) ring();
    errno = saved;
}

static bool take_signal(void)
{
    struct sigaction action;

    if (sigaction(SIGVTALRM, NULL, &action) != 0) return false;
    if (action.sa_handler != SIG_DFL) return false;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    return sigaction(SIGVTALRM, &action, NULL) == 0;
}

static bool set_timer(int64_t period_us)
{
    struct timespec period = {.tv_sec = period_us / 1000000,
                              .tv_nsec = period_us % 1000000 * 1000};
    struct itimerspec spec = {.it_interval = period, .it_value = period};
    struct sigevent event;

    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_SIGNAL; /* our other threads block all signals */
    event.sigev_signo = SIGVTALRM;
    if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) != 0)
        return false;
    if (timer_settime(timer, 0, &spec, NULL) == 0) return true;
    timer_delete(timer);
    return false;
}

bool mp_alarm_start(int64_t period_us, void (*ring)(void))
{
    if (on_ring || period_us <= 0 || !take_signal()) return false;
    on_ring = ring;
    if (set_timer(period_us)) return true;
    on_ring = NULL;
    signal(SIGVTALRM, SIG_DFL);
    return false;
}

/* One that is on its way finds the handler, and nothing to call. */
void mp_alarm_stop(void)
{
    if (!on_ring) return;
    timer_delete(timer);
    on_ring = NULL;
    signal(SIGVTALRM, SIG_IGN);
    signal(SIGVTALRM, SIG_DFL);
}

static bool is_handled(int number)
{
    struct sigaction action;

    return sigaction(number, NULL, &action) == 0 &&
           action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN;
}

void mp_alarm_by(int64_t us)
{
    struct itimerval spec = {.it_interval = {MP_ALARM_AGAIN_US / 1000000, 0},
                             .it_value = {us / 1000000, us % 1000000}};

    if (us > 0 && !is_handled(SIGALRM)) return;
    setitimer(ITIMER_REAL, &spec, NULL);
}
