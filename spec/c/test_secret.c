/* test_secret.c: base/secret, the terminal included: a child in a session of
 * its own whose terminal this test types into. */
#include "test.h"

#include "secret.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define KEY "sk-canary-0123456789wxyz"

static mp_Secret *secret_of(const char *prefix, const char *key)
{
    mp_Secret *secret = NULL;

    CHECK(mp_secret_new(&secret, prefix, key, strlen(key), NULL) == MP_OK);
    return secret;
}

static void test_bytes(void)
{
    mp_Secret *secret = secret_of("Bearer ", " \t" KEY "\r\n");
    size_t len;

    CHECK(strcmp(mp_secret_bytes(secret, &len), "Bearer " KEY) == 0);
    CHECK(len == strlen("Bearer " KEY));
    CHECK(strcmp(mp_secret_key(secret, &len), KEY) == 0);
    CHECK(len == strlen(KEY));
    mp_secret_free(secret);
    mp_secret_free(NULL);
}

static void check_refused(const char *key, size_t len, const char *message)
{
    mp_Secret *secret = NULL;
    mp_Error err;

    CHECK(mp_secret_new(&secret, "x", key, len, &err) == -MP_KIND_CONFIG);
    CHECK(strcmp(err.message, message) == 0);
    CHECK(!secret);
}

static void test_refusals(void)
{
    static char big[MP_SECRET_MAX];

    memset(big, 'k', sizeof big);
    check_refused("", 0, "the key is empty");
    check_refused(" \n", 2, "the key is empty");
    check_refused("a\0b", 3, "byte 2 of the key is no printable character");
    check_refused("\xc3\xa4", 2, "byte 1 of the key is no printable character");
    check_refused(big, sizeof big, "the key has 16384 bytes, too many for any");
}

static void check_mask(const char *prefix, const char *key, const char *mask)
{
    mp_Secret *secret = secret_of(prefix, key);
    char out[MP_SECRET_MASK];

    mp_secret_mask(secret, out);
    CHECK(strcmp(out, mask) == 0);
    mp_secret_free(secret);
}

static void test_masks(void)
{
    check_mask("", KEY, "sk-\xe2\x80\xa6wxyz");
    check_mask("Bearer ", KEY, "sk-\xe2\x80\xa6wxyz");
    check_mask("", "0123456789abcdef",
               "\xe2\x80\xa6"
               "cdef");
    check_mask("Bearer ", "0123456789abcde", "\xe2\x80\xa6");
    check_mask("", "sk-4567890abcde", "\xe2\x80\xa6");
}

static void test_ids(void)
{
    mp_Secret *a = secret_of("", KEY), *b = secret_of("Bearer ", KEY);
    mp_Secret *other = secret_of("", KEY "x");

    CHECK(mp_secret_id(a) == mp_secret_id(b));
    CHECK(mp_secret_id(a) != mp_secret_id(other));
    mp_secret_free(a);
    mp_secret_free(b);
    mp_secret_free(other);
}

/* Whether the mapping around [address] has the flag [flag]. */
static bool has_flag(const void *address, const char *flag)
{
    unsigned long at = (unsigned long)address, from, to;
    FILE *maps = fopen("/proc/self/smaps", "r");
    char line[512];
    bool inside = false, found = false;

    while (maps && fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            inside = from <= at && at < to;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            found = strstr(line, flag) != NULL;
    }
    if (maps) fclose(maps);
    return found;
}

static void test_no_dump_holds_it(void)
{
    mp_Secret *secret = secret_of("", KEY);

    CHECK(has_flag(secret, " dd"));
    CHECK(!has_flag(&secret, " dd"));
    mp_secret_free(secret);
}

/* --- files --- */

/* Writes a file of [len] bytes in the folder of the test. */
static void write_key(const char *text, size_t len, mode_t mode)
{
    int fd = open("test_secret.key", O_WRONLY | O_CREAT | O_TRUNC, 0600);

    CHECK(fd >= 0 && write(fd, text, len) == (ssize_t)len);
    CHECK(fchmod(fd, mode) == 0);
    close(fd);
}

static void check_file_refused(const char *path, const char *message)
{
    mp_Secret *secret = NULL;
    mp_Error err;

    CHECK(mp_secret_file(&secret, path, &err) == -MP_KIND_CONFIG);
    CHECK(!secret && strcmp(err.message, message) == 0);
    CHECK(mp_secret_file(&secret, path, NULL) == -MP_KIND_CONFIG);
}

static void test_files(void)
{
    static char big[MP_SECRET_MAX + 1];
    mp_Secret *secret = NULL;
    size_t len;

    write_key(KEY "\n", strlen(KEY) + 1, 0600);
    CHECK(mp_secret_file(&secret, "test_secret.key", NULL) == MP_OK);
    CHECK(strcmp(mp_secret_key(secret, &len), KEY) == 0);
    mp_secret_free(secret);
    write_key(KEY, strlen(KEY), 0640);
    check_file_refused("test_secret.key",
                       "others have access to it; chmod 600");
    memset(big, 'k', sizeof big);
    write_key(big, sizeof big, 0600);
    check_file_refused("test_secret.key", "it is too long for a key");
    write_key("", 0, 0600);
    check_file_refused("test_secret.key", "the key is empty");
    CHECK(unlink("test_secret.key") == 0);
    check_file_refused("test_secret.key",
                       "cannot open it: No such file or directory");
    check_file_refused(".", "it is no regular file");
}

/* In a child: a test that fails must be able to leave a core. */
static void test_cores(void)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        bool before = prctl(PR_GET_DUMPABLE) == 1; /* keys were made already */

        mp_secret_forbid_cores();
        _exit(before && prctl(PR_GET_DUMPABLE) == 0 ? 0 : 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Only a failure takes this long: a busy machine may take seconds. */
#define PATIENCE_MS 60000

/* --- the terminal --- */

static volatile sig_atomic_t interrupts;

static void on_interrupt(int number)
{
    (void)number;
    interrupts++;
}

static bool echoes(void)
{
    struct termios now;

    return tcgetattr(0, &now) == 0 && (now.c_lflag & ECHO);
}

/* What the child's exit code says. */
enum { ENTERED = 1, REFUSED, INTERRUPTED, OTHER };

static int ask(void)
{
    mp_Secret *secret = NULL;
    mp_Error err;
    mp_Status status = mp_secret_ask(&secret, "KEY: ", &err);
    size_t len;
    bool right;

    if (!echoes()) return OTHER;
    if (status == -MP_KIND_CANCELLED)
        return interrupts == 1 ? INTERRUPTED : OTHER;
    if (status == -MP_KIND_CONFIG) return REFUSED;
    if (status != MP_OK) return OTHER;
    right = strcmp(mp_secret_key(secret, &len), KEY) == 0;
    mp_secret_free(secret);
    return right ? ENTERED : OTHER;
}

/* Runs ask() in a session of its own. Gives its pid, and in [master] the
 * other end of its terminal, or -1 for none. */
static pid_t start_child(int *master, bool with_terminal)
{
    int slave = -1;
    pid_t pid;

    *master = -1;
    if (with_terminal) {
        *master = posix_openpt(O_RDWR | O_NOCTTY);
        CHECK(*master >= 0 && grantpt(*master) == 0 && unlockpt(*master) == 0);
        slave = open(ptsname(*master), O_RDWR | O_NOCTTY);
        CHECK(slave >= 0);
    }
    pid = fork();
    if (pid == 0) {
        setsid();
        signal(SIGINT, on_interrupt);
        if (with_terminal) {
            ioctl(slave, TIOCSCTTY, 0);
            dup2(slave, 0);
        }
        _exit(with_terminal ? ask()
                            : mp_secret_ask(&(mp_Secret *){NULL}, "", NULL) ==
                                  -MP_KIND_CONFIG);
    }
    if (slave >= 0) close(slave);
    return pid;
}

static int end_child(pid_t pid, int master)
{
    int status = 0;

    CHECK(waitpid(pid, &status, 0) == pid);
    if (master >= 0) close(master);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Appends what the terminal shows to [shown] until it holds [text]. */
static void await(int master, char *shown, size_t size, const char *text)
{
    struct pollfd poll_fd = {.fd = master, .events = POLLIN};
    size_t len = strlen(shown);
    ssize_t got;

    while (!strstr(shown, text) && poll(&poll_fd, 1, PATIENCE_MS) == 1) {
        got = read(master, shown + len, size - len - 1);
        if (got <= 0) break;
        len += (size_t)got;
        shown[len] = '\0';
    }
    CHECK(strstr(shown, text));
}

/* Types [keys] once the prompt is there; gives the child's exit code. */
static int type(const char *keys)
{
    char shown[512] = "";
    int master;
    pid_t pid = start_child(&master, true);

    await(master, shown, sizeof shown, "KEY: ");
    CHECK(write(master, keys, strlen(keys)) == (ssize_t)strlen(keys));
    if (keys[0] >= ' ') await(master, shown, sizeof shown, "\r\n");
    CHECK(!strstr(shown, "canary"));
    return end_child(pid, master);
}

static void test_asking(void)
{
    int master;

    CHECK(type(KEY "\n") == ENTERED);
    CHECK(type("wrong\x15" KEY "\n") == ENTERED); /* Ctrl-U */
    CHECK(type(" \n") == REFUSED);
    CHECK(type("\x04") == REFUSED);     /* Ctrl-D */
    CHECK(type("\x03") == INTERRUPTED); /* Ctrl-C */
    CHECK(type("sk-canary\x03") == INTERRUPTED);
    CHECK(end_child(start_child(&master, false), -1) == 1);
}

int main(void)
{
    test_bytes();
    test_refusals();
    test_masks();
    test_ids();
    test_no_dump_holds_it();
    test_files();
    test_cores();
    test_asking();
    return TEST_END();
}
