/* alarm.c: rings while this thread computes, and only then. */
#include "alarm.h"
#include "clock.h"
#include "test.h"

#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t rung;

static void ring(void)
{
    rung++;
}

static void nothing(int number)
{
    (void)number;
}

#define LONG_US 20000000 /* where it never rings */

static void compute(void)
{
    for (volatile int i = 0; i < 20000; i++)
        continue;
}

/* Computes until it has rung so often, or for so long. */
static void burn(int times, int64_t us)
{
    int64_t until = mp_clock_us() + us;

    while (rung < times && mp_clock_us() < until)
        compute();
}

static void test_computing(void)
{
    rung = 0;
    CHECK(mp_alarm_start(20000, ring));
    CHECK(!mp_alarm_start(20000, ring)); /* one for a process */
    burn(3, LONG_US);
    CHECK(rung >= 3);
    mp_alarm_stop();
    rung = 0;
    burn(1, 100000);
    CHECK(rung == 0);
    mp_alarm_stop();
}

static void test_sleeping(void)
{
    rung = 0;
    CHECK(mp_alarm_start(20000, ring));
    usleep(200000);
    CHECK(rung == 0);
    mp_alarm_stop();
}

/* Who uses the signal keeps it. */
static void test_taken(void)
{
    signal(SIGVTALRM, nothing);
    CHECK(!mp_alarm_start(20000, ring));
    signal(SIGVTALRM, SIG_DFL);
    CHECK(!mp_alarm_start(0, ring));
    CHECK(mp_alarm_start(1000000, ring));
    mp_alarm_stop();
}

static void count_signal(int number)
{
    (void)number;
    rung++;
}

static void test_by(void)
{
    rung = 0;
    mp_alarm_by(1000); /* nobody handles it: the process goes on */
    usleep(50000);
    signal(SIGALRM, count_signal);
    mp_alarm_by(1000);
    burn(1, LONG_US);
    CHECK(rung == 1);
    mp_alarm_by(50000);
    mp_alarm_by(0);
    usleep(200000);
    CHECK(rung == 1);
    signal(SIGALRM, SIG_DFL);
}

int main(void)
{
    test_computing();
    test_sleeping();
    test_taken();
    test_by();
    return TEST_END();
}
