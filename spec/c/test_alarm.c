/* alarm.c: rings while this thread computes, and only then. */
#include "alarm.h"
#include "clock.h"
#include "test.h"

#include <signal.h>
#include <time.h>
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

/* Computes for so long, as the processor's time goes. */
static void burn(int64_t us)
{
    clock_t begun = clock();

    while ((int64_t)(clock() - begun) * 1000000 / CLOCKS_PER_SEC < us)
        ;
}

static void test_computing(void)
{
    rung = 0;
    CHECK(mp_alarm_start(20000, ring));
    CHECK(!mp_alarm_start(20000, ring)); /* one for a process */
    burn(200000);
    CHECK(rung >= 3);
    mp_alarm_stop();
    rung = 0;
    burn(60000);
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

int main(void)
{
    test_computing();
    test_sleeping();
    test_taken();
    return TEST_END();
}
