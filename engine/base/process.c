/* process.c: see process.h. posix_spawn, because the process has threads:
 * between fork and exec a child of theirs could do next to nothing. */
#include "process.h"

#include "alloc.h"
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Pointers to the words of [texts], and NULL; one block. */
static char **words_of(const mp_Buf *texts)
{
    size_t count = 0, at = 0;
    char **words;

    for (size_t i = 0; i < texts->len; i++)
        count += texts->data[i] == '\0';
    words = mp_alloc_zero(count + 1, sizeof *words);
    for (size_t i = 0; words && i < count; i++) {
        words[i] = texts->data + at;
        at += strlen(words[i]) + 1;
    }
    return words;
}

/* --- pipes --- */

/* Numbers 0 to 2 are the child's own: where the host has closed one of them a
 * pipe may get it. */
static int above_standard(int fd)
{
    int other;

    if (fd < 0 || fd > 2) return fd;
    other = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    close(fd);
    return other;
}

typedef struct Pipes {
    int theirs[3];
    int ours[3];
} Pipes;

static void close_all(int *fds)
{
    for (int i = 0; i < 3; i++)
        mp_process_close(&fds[i]);
}

static bool open_pipe(Pipes *pipes, int i)
{
    int ends[2], mine = i == 0 ? 1 : 0; /* we write to 0, and read the others */

    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    for (int k = 0; k < 2; k++)
        ends[k] = above_standard(ends[k]);
    pipes->ours[i] = ends[mine];
    pipes->theirs[i] = ends[!mine];
    return ends[0] >= 0 && ends[1] >= 0 &&
           fcntl(ends[mine], F_SETFL, O_NONBLOCK) == 0;
}

static mp_Status open_pipes(Pipes *pipes, int count, mp_Error *err)
{
    for (int i = 0; i < 3; i++)
        pipes->ours[i] = pipes->theirs[i] = -1;
    for (int i = 0; i < count; i++) {
        if (!open_pipe(pipes, i)) {
            mp_Status status = mp_err_os(err, errno, "cannot make a pipe");

            close_all(pipes->ours);
            close_all(pipes->theirs);
            return status;
        }
    }
    return MP_OK;
}

/* --- starting --- */

static int fill_actions(posix_spawn_file_actions_t *actions, const Pipes *pipes,
                        const char *cwd)
{
    int failed = 0;

    for (int i = 0; i < 3 && !failed; i++)
        if (pipes->theirs[i] >= 0)
            failed =
                posix_spawn_file_actions_adddup2(actions, pipes->theirs[i], i);
    if (!failed) failed = posix_spawn_file_actions_addclosefrom_np(actions, 3);
    if (!failed && cwd)
        failed = posix_spawn_file_actions_addchdir_np(actions, cwd);
    return failed;
}

/* Our I/O thread blocks every signal, and hosts ignore some. */
static int fill_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    int failed;

    sigemptyset(&none);
    sigfillset(&all);
    failed = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK |
                                                      POSIX_SPAWN_SETSIGDEF |
                                                      POSIX_SPAWN_SETPGROUP);
    if (!failed) failed = posix_spawnattr_setsigmask(attributes, &none);
    if (!failed) failed = posix_spawnattr_setsigdefault(attributes, &all);
    if (!failed) failed = posix_spawnattr_setpgroup(attributes, 0);
    return failed;
}

static int run(pid_t *pid, char **argv, char **env, const Pipes *pipes,
               const char *cwd)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int failed = posix_spawn_file_actions_init(&actions);

    if (failed) return failed;
    failed = posix_spawnattr_init(&attributes);
    if (failed) {
        posix_spawn_file_actions_destroy(&actions);
        return failed;
    }
    failed = fill_actions(&actions, pipes, cwd);
    if (!failed) failed = fill_attributes(&attributes);
    if (!failed)
        failed = posix_spawnp(pid, argv[0], &actions, &attributes, argv, env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

static mp_Status start(mp_Process *process, char **argv, char **env,
                       const mp_ProcessSpec *spec, mp_Error *err)
{
    char what[128];
    Pipes pipes;
    int failed;
    mp_Status status = open_pipes(&pipes, spec->familiar ? 2 : 3, err);

    if (status != MP_OK) return status;
    failed = run(&process->pid, argv, spec->familiar ? environ : env, &pipes,
                 spec->cwd);
    close_all(pipes.theirs);
    if (failed) {
        close_all(pipes.ours);
        process->pid = 0;
        snprintf(what, sizeof what, "cannot start '%s'", argv[0]);
        return mp_err_os(err, failed, what);
    }
    process->in = pipes.ours[0];
    process->out = pipes.ours[1];
    process->err = pipes.ours[2];
    return MP_OK;
}

mp_Status mp_process_start(mp_Process *process, const mp_ProcessSpec *spec,
                           mp_Error *err)
{
    char **argv = words_of(&spec->argv), **env = words_of(&spec->env);
    mp_Status status;

    *process = (mp_Process){.in = -1, .out = -1, .err = -1};
    if (!argv || !env)
        status = mp_err_memory(err);
    else if (!argv[0])
        status = mp_err_set(err, MP_KIND_INPUT, "a process needs a program");
    else
        status = start(process, argv, env, spec, err);
    mp_alloc_free(argv);
    mp_alloc_free(env);
    return status;
}

/* --- while it runs --- */

void mp_process_signal(const mp_Process *process, int signal)
{
    if (process->pid > 0) kill(-process->pid, signal);
}

/* Whether it has ended, and is still to be reaped. A host that ignores SIGCHLD,
 * or waits for every child, has its status: then it is gone. */
static bool has_ended(mp_Process *process, bool wait)
{
    siginfo_t info = {.si_pid = 0};
    int failed;

    do
        failed = waitid(P_PID, (id_t)process->pid, &info,
                        WEXITED | WNOWAIT | (wait ? 0 : WNOHANG));
    while (failed && errno == EINTR);
    return failed || info.si_pid != 0;
}

bool mp_process_reap(mp_Process *process, bool wait)
{
    pid_t got;

    if (process->pid == 0) return true;
    if (!has_ended(process, wait)) return false;
    mp_process_signal(process, SIGKILL); /* as long as the number is its own */
    do
        got = waitpid(process->pid, &process->status, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0) process->status = 0;
    process->pid = 0;
    return true;
}

void mp_process_close(int *fd)
{
    mp_os_close(*fd);
    *fd = -1;
}

ssize_t mp_process_read(int fd, char *bytes, size_t len)
{
    ssize_t got;

    do
        got = read(fd, bytes, len);
    while (got < 0 && errno == EINTR);
    if (got >= 0) return got;
    return errno == EAGAIN || errno == EWOULDBLOCK ? -1 : 0;
}

ssize_t mp_process_write(int fd, const char *bytes, size_t len)
{
    ssize_t took;

    do
        took = write(fd, bytes, len);
    while (took < 0 && errno == EINTR);
    if (took >= 0) return took;
    return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
}

int64_t mp_process_cpu_us(pid_t pid)
{
    struct timespec used;
    clockid_t clock;

    if (pid <= 0 || clock_getcpuclockid(pid, &clock) != 0 ||
        clock_gettime(clock, &used) != 0)
        return -1;
    return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

void mp_process_describe(const mp_Process *process, char *text, size_t len)
{
    if (WIFSIGNALED(process->status))
        snprintf(text, len, "signal %d", WTERMSIG(process->status));
    else
        snprintf(text, len, "exit code %d", WEXITSTATUS(process->status));
}
