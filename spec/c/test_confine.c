/* test_confine.c: work/confine: what a process that has given up its rights
 * can still do, and what ends it: here native code tries, as it could after it
 * has broken out of a VM. */
#include "confine.h"
#include "confine_lib.h"
#include "near.h"
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#define MEMORY ((size_t)32 << 20)
#define DIED   (-1)

/* Valgrind's own system calls are not in the list. */
static bool can_confine(void)
{
    const char *preload = getenv("LD_PRELOAD");

    return MP_HAVE_SECCOMP && !(preload && strstr(preload, "vgpreload"));
}

/* The exit code of a forked child that is confined and runs [fn]; DIED where
 * the filter ended it. */
static int confined(int (*fn)(void))
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        mp_Error err;

        if (mp_confine(MEMORY, &err) != MP_OK) _exit(99);
        _exit(fn());
    }
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS ? DIED : -WTERMSIG(status);
    return WEXITSTATUS(status);
}

/* --- what is left --- */

static int compute(void)
{
    struct timespec now;
    void *blocks[64];

    for (int i = 0; i < 64; i++) {
        blocks[i] = malloc((size_t)1 << (i % 20));
        if (!blocks[i]) return 1;
        memset(blocks[i], 1, (size_t)1 << (i % 20));
    }
    for (int i = 0; i < 64; i++)
        free(blocks[i]);
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0) return 2;
    return getentropy(blocks, 64) == 0 ? 0 : 3;
}

static int answer(void)
{
    return write(STDOUT_FILENO, "", 0) == 0 ? 0 : 1;
}

static int take_too_much(void)
{
    void *block = malloc(2 * MEMORY);
    bool got = block != NULL;

    free(block);
    return got;
}

static void test_computes(void)
{
    CHECK(confined(compute) == 0);
    CHECK(confined(answer) == 0);
    if (!SANITIZED) CHECK(confined(take_too_much) == 0);
}

/* --- what ends it --- */

#define PAGE 4096
#define RW   (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

/* A call and its arguments; pointers are those of literals. */
typedef struct Attempt {
    const char *name;
    long call;
    uintptr_t arguments[6];
} Attempt;

#define AT(text) ((uintptr_t)(text))

static const Attempt attempts[] = {
    {"openat", SYS_openat, {(uintptr_t)AT_FDCWD, AT("/etc/passwd"), O_RDONLY}},
    {"openat2", SYS_openat2, {(uintptr_t)AT_FDCWD, AT("/etc/passwd"), 0, 24}},
    {"creat", SYS_openat, {(uintptr_t)AT_FDCWD, AT("/tmp/x"), O_CREAT, 0600}},
    {"unlinkat", SYS_unlinkat, {(uintptr_t)AT_FDCWD, AT("/tmp/x")}},
    {"readlinkat", SYS_readlinkat, {(uintptr_t)AT_FDCWD, AT("/proc/self/exe")}},
    {"statx", SYS_statx, {(uintptr_t)AT_FDCWD, AT("/etc/passwd")}},
    {"getdents64", SYS_getdents64, {0}},
    {"chdir", SYS_chdir, {AT("/")}},
    {"mount", SYS_mount, {AT("a"), AT("/mnt"), AT("tmpfs")}},
    {"memfd_create", SYS_memfd_create, {AT("x")}},
    {"socket", SYS_socket, {AF_INET, SOCK_STREAM}},
    {"unix socket", SYS_socket, {AF_UNIX, SOCK_STREAM}},
    {"socketpair", SYS_socketpair, {AF_UNIX, SOCK_STREAM}},
    {"connect", SYS_connect, {0}},
    {"sendto", SYS_sendto, {1, AT("x"), 1}},
    {"sendmsg", SYS_sendmsg, {1}},
    {"recvmsg", SYS_recvmsg, {0}},
    {"execve", SYS_execve, {AT("/bin/true")}},
    {"execveat", SYS_execveat, {(uintptr_t)AT_FDCWD, AT("/bin/true")}},
    {"clone", SYS_clone, {SIGCHLD}},
    {"clone3", SYS_clone3, {0}},
    {"unshare", SYS_unshare, {0}},
    {"setns", SYS_setns, {0}},
    {"kill", SYS_kill, {1, 0}},
    {"tgkill", SYS_tgkill, {1, 1, 0}},
    {"ptrace", SYS_ptrace, {PTRACE_TRACEME}},
    {"process_vm_readv", SYS_process_vm_readv, {1}},
    {"pidfd_open", SYS_pidfd_open, {1}},
    {"prctl", SYS_prctl, {PR_SET_DUMPABLE, 1}},
    {"setrlimit", SYS_setrlimit, {RLIMIT_AS}},
    {"prlimit64", SYS_prlimit64, {0, RLIMIT_AS}},
    {"seccomp", SYS_seccomp, {0}},
    {"personality", SYS_personality, {0x0400000}},
    {"setuid", SYS_setuid, {0}},
    {"bpf", SYS_bpf, {0}},
    {"io_uring_setup", SYS_io_uring_setup, {1}},
    {"userfaultfd", SYS_userfaultfd, {0}},
    {"keyctl", SYS_keyctl, {0}},
    {"ioctl", SYS_ioctl, {0, 0x5412, AT("x")}},
    {"fcntl", SYS_fcntl, {0, F_DUPFD}},
    {"dup", SYS_dup, {0}},
    {"pread64", SYS_pread64, {0}},
    {"writev", SYS_writev, {1}},
    {"splice", SYS_splice, {0}},
    {"read of another", SYS_read, {3, 0, 0}},
    {"write to standard error", SYS_write, {2, AT("x"), 1}},
    {"write to another", SYS_write, {7, AT("x"), 1}},
    {"rt_sigaction", SYS_rt_sigaction, {SIGSEGV, 0, 0, 8}},
    {"nanosleep", SYS_nanosleep, {0}},
    {"shmat", SYS_shmat, {0}},
    {"mmap of code", SYS_mmap, {0, PAGE, PROT_READ | PROT_EXEC, ANON, -1UL}},
    {"mmap of all", SYS_mmap, {0, PAGE, RW | PROT_EXEC, ANON, -1UL}},
    {"mmap of a file", SYS_mmap, {0, PAGE, PROT_READ, MAP_PRIVATE, 0}},
    {"mprotect", SYS_mprotect, {0, PAGE, PROT_READ | PROT_EXEC}},
    {"pkey_mprotect", SYS_pkey_mprotect, {0, PAGE, PROT_EXEC}},
#if defined(__x86_64__)
    {"modify_ldt", SYS_modify_ldt, {0}},
    {"x32", 0x40000000 | SYS_write, {1, AT("x"), 1}},
#endif
    {"none", 100000, {0}},
};

static const Attempt *tried;

static int try_it(void)
{
    const uintptr_t *a = tried->arguments;

    syscall(tried->call, a[0], a[1], a[2], a[3], a[4], a[5]);
    return 0;
}

/* Calls that a sanitizer needs are allowed under one. */
static bool is_tried(const Attempt *attempt)
{
    return !SANITIZED || attempt->call != SYS_rt_sigaction;
}

static void test_ends_what_tries(void)
{
    bool died;

    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        tried = &attempts[i];
        if (!is_tried(tried)) continue;
        died = confined(try_it) == DIED;
        if (!died) fprintf(stderr, "%s was allowed\n", tried->name);
        CHECK(died);
    }
}

#if defined(__x86_64__)
/* The calls of 32 bits, whose numbers mean something else: 5 is open. */
static int try_32_bits(void)
{
    long result = 5;

    __asm__ volatile("int $0x80" : "+a"(result) : "b"(0), "c"(0) : "memory");
    return 0;
}

static void test_ends_calls_of_32_bits(void)
{
    CHECK(confined(try_32_bits) != 0);
}
#endif

/* --- the rest --- */

static void test_names_files_near(void)
{
    char path[MP_NEAR_PATH];

    CHECK(mp_near_find("test_confine", path));
    CHECK(strstr(path, "/test_confine") != NULL);
    CHECK(!mp_near_find("no such file", path));
    CHECK(path[0] == '/' && path[strlen(path) - 1] == '/');
}

int main(void)
{
    test_names_files_near();
    if (can_confine()) {
        test_computes();
        test_ends_what_tries();
#if defined(__x86_64__)
        test_ends_calls_of_32_bits();
#endif
    }
    return TEST_END();
}
