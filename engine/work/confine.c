/*
 * confine.c: see confine.h.
 *
 * The list is what glibc's allocator, LuaJIT without its compiler, the clocks
 * and the channel need; each line of it was missed by a test. Descriptors are
 * compared as the 32 bits that the kernel looks at.
 */
#include "confine.h"

#include "confine_lib.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Seconds of CPU time of its whole life, where nobody is there to end it. */
#define LIFE 3600

/* Of a process under a sanitizer the address space is no measure, and it needs
 * more calls than ours. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#if MP_HAVE_SECCOMP

/* --- system calls --- */

static const int allowed[] = {
    SCMP_SYS(brk),       SCMP_SYS(clock_getres), SCMP_SYS(clock_gettime),
    SCMP_SYS(exit),      SCMP_SYS(exit_group),   SCMP_SYS(futex),
    SCMP_SYS(getrandom), SCMP_SYS(gettimeofday), SCMP_SYS(madvise),
    SCMP_SYS(mremap),    SCMP_SYS(munmap),       SCMP_SYS(restart_syscall),
    SCMP_SYS(time),
};

/* Allowed where the masked argument is the value. */
typedef struct Rule {
    int call;
    unsigned count;
    struct scmp_arg_cmp arguments[2];
} Rule;

#define IS(argument, value)                                                    \
    {                                                                          \
        argument, SCMP_CMP_MASKED_EQ, 0xffffffffu, (unsigned)(value)           \
    }
#define HAS(argument, flag)                                                    \
    {                                                                          \
        argument, SCMP_CMP_MASKED_EQ, (unsigned)(flag), (unsigned)(flag)       \
    }
#define LACKS(argument, flag)                                                  \
    {                                                                          \
        argument, SCMP_CMP_MASKED_EQ, (unsigned)(flag), 0                      \
    }

static const Rule rules[] = {
    {SCMP_SYS(read), 1, {IS(0, STDIN_FILENO)}},
    {SCMP_SYS(write), 1, {IS(0, STDOUT_FILENO)}},
    {SCMP_SYS(mmap), 2, {LACKS(2, PROT_EXEC), HAS(3, MAP_ANONYMOUS)}},
    {SCMP_SYS(mprotect), 1, {LACKS(2, PROT_EXEC)}},
};

#if SANITIZED
static const int wanted[] = {
    SCMP_SYS(getpid),      SCMP_SYS(gettid),         SCMP_SYS(rt_sigaction),
    SCMP_SYS(sched_yield), SCMP_SYS(rt_sigprocmask), SCMP_SYS(sigaltstack),
};
#endif

static int add_all(const mp_Seccomp *lib, scmp_filter_ctx filter,
                   const int *calls, size_t count)
{
    int failed = 0;

    for (size_t i = 0; i < count && !failed; i++)
        failed = lib->rule_add_array(filter, SCMP_ACT_ALLOW, calls[i], 0, NULL);
    return failed;
}

static int fill(const mp_Seccomp *lib, scmp_filter_ctx filter)
{
    int failed =
        lib->attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

    if (!failed)
        failed =
            add_all(lib, filter, allowed, sizeof allowed / sizeof *allowed);
#if SANITIZED
    if (!failed)
        failed = add_all(lib, filter, wanted, sizeof wanted / sizeof *wanted);
#endif
    for (size_t i = 0; i < sizeof rules / sizeof *rules && !failed; i++)
        failed = lib->rule_add_array(filter, SCMP_ACT_ALLOW, rules[i].call,
                                     rules[i].count, rules[i].arguments);
    return failed;
}

mp_Status mp_confine_calls(mp_Error *err)
{
    const mp_Seccomp *lib = mp_confine_lib(err);
    scmp_filter_ctx filter;
    int failed = -ENOMEM;

    if (!lib) return -MP_KIND_UNSUPPORTED;
    filter = lib->init(SCMP_ACT_KILL_PROCESS);
    if (filter) failed = fill(lib, filter);
    if (!failed) failed = lib->load(filter);
    if (filter) lib->release(filter);
    if (!failed) return MP_OK;
    mp_err_os(err, -failed, "this kernel does not filter system calls");
    if (err) err->kind = MP_KIND_UNSUPPORTED;
    return -MP_KIND_UNSUPPORTED;
}

#else

mp_Status mp_confine_calls(mp_Error *err)
{
    return mp_err_set(err, MP_KIND_UNSUPPORTED,
                      "moonpipe was built without libseccomp-dev: no process "
                      "can be confined");
}

#endif

/* --- limits --- */

static mp_Status limit(int what, rlim_t most, const char *name, mp_Error *err)
{
    const struct rlimit both = {.rlim_cur = most, .rlim_max = most};
    char text[64];

    if (setrlimit(what, &both) == 0) return MP_OK;
    snprintf(text, sizeof text, "cannot limit %s", name);
    return mp_err_os(err, errno, text);
}

/* The address space that the process has now. */
static bool read_space(size_t *bytes)
{
    FILE *file = fopen("/proc/self/statm", "r");
    bool good = file && fscanf(file, "%zu", bytes) == 1;

    if (file) fclose(file);
    *bytes *= (size_t)sysconf(_SC_PAGESIZE);
    return good;
}

static mp_Status limit_all(size_t memory, mp_Error *err)
{
    size_t space = 0;
    mp_Status status = MP_OK;

    if (!SANITIZED && !read_space(&space))
        return mp_err_os(err, errno, "cannot read /proc/self/statm");
    if (!SANITIZED) status = limit(RLIMIT_AS, space + memory, "memory", err);
    if (status == MP_OK) status = limit(RLIMIT_CPU, LIFE, "CPU time", err);
    if (status == MP_OK) status = limit(RLIMIT_FSIZE, 0, "files", err);
    if (status == MP_OK) status = limit(RLIMIT_NPROC, 0, "processes", err);
    if (status == MP_OK) status = limit(RLIMIT_CORE, 0, "core dumps", err);
    return status;
}

/* --- the whole --- */

static mp_Status give_up_privileges(mp_Error *err)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
        prctl(PR_SET_DUMPABLE, 0) == 0)
        return MP_OK;
    return mp_err_os(err, errno, "cannot give up privileges");
}

mp_Status mp_confine(size_t memory, mp_Error *err)
{
    mp_Status status = give_up_privileges(err);

    if (!SANITIZED) close_range(STDERR_FILENO, ~0u, 0);
#if MP_HAVE_SECCOMP
    if (status == MP_OK && !mp_confine_lib(err)) /* a file, opened in time */
        status = -MP_KIND_UNSUPPORTED;
#endif
    if (status == MP_OK) status = limit_all(memory, err);
    if (status == MP_OK) status = limit(RLIMIT_NOFILE, 0, "descriptors", err);
    if (status == MP_OK) status = mp_confine_calls(err);
    return status;
}
