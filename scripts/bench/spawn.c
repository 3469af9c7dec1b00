/*
 * spawn.c: wall times of whole processes, ours and a floor in turns.
 *
 *     spawn NAME UNIT GOAL ROUNDS COMMAND... ::: FLOOR COMMAND...
 *
 * prints one row of scripts/bench/run, in milliseconds. The clock runs from
 * before posix_spawn until waitpid has returned; output goes to /dev/null.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { ROUNDS_MAX = 10000, WARM_ROUNDS = 5 };

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double run_ms(char **argv, const posix_spawn_file_actions_t *quiet)
{
    double start = now_ms();
    pid_t pid;
    int status = -1;

    if (posix_spawnp(&pid, argv[0], quiet, NULL, argv, environ) == 0)
        waitpid(pid, &status, 0);
    if (status != 0) {
        fprintf(stderr, "spawn: %s failed\n", argv[0]);
        exit(1);
    }
    return now_ms() - start;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void print_cell(double *ms, int count)
{
    char text[64];

    qsort(ms, (size_t)count, sizeof *ms, by_size);
    snprintf(text, sizeof text, "%.3f (%.3f - %.3f)", ms[count / 2], ms[0],
             ms[count - 1]);
    printf("%27s ", text);
}

/* Cuts argv at ":::" and returns what follows. */
static char **cut_floor(char **argv)
{
    for (; *argv; argv++)
        if (strcmp(*argv, ":::") == 0) {
            *argv = NULL;
            return argv + 1;
        }
    return argv;
}

int main(int argc, char **argv)
{
    static double ours[ROUNDS_MAX], floor[ROUNDS_MAX];
    posix_spawn_file_actions_t quiet;
    int i, rounds = argc > 7 ? (int)strtol(argv[4], NULL, 10) : 0;
    char **ours_argv = argv + 5, **floor_argv;

    if (rounds < 1 || rounds > ROUNDS_MAX) return 2;
    floor_argv = cut_floor(ours_argv);
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    for (i = -WARM_ROUNDS; i < rounds; i++) {
        ours[i < 0 ? 0 : i] = run_ms(ours_argv, &quiet);
        floor[i < 0 ? 0 : i] = run_ms(floor_argv, &quiet);
    }
    printf("%-10s %-5s ", argv[1], argv[2]);
    print_cell(ours, rounds);
    printf("%10s ", argv[3]);
    print_cell(floor, rounds);
    printf(" %s does nothing\n", floor_argv[0]);
    return 0;
}
