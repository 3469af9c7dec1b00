/* secret.c: see secret.h. */
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define ELLIPSIS "\xe2\x80\xa6"

/* A shorter key would be half told by its last four bytes. */
#define MASK_FROM 16

/* It stands at the head of its own mapping. */
struct mp_Secret {
    size_t mapped;
    size_t len;    /* of prefix and key */
    size_t prefix; /* bytes of it */
    char bytes[];
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void trim(const char **text, size_t *len)
{
    while (*len > 0 && is_blank(**text)) {
        (*text)++;
        (*len)--;
    }
    while (*len > 0 && is_blank((*text)[*len - 1]))
        (*len)--;
}

/* What is not printable ASCII could begin a header of its own. */
static mp_Status check(const char *key, size_t len, size_t prefix,
                       mp_Error *err)
{
    size_t i;

    if (len == 0) return mp_err_set(err, MP_KIND_CONFIG, "the key is empty");
    if (len + prefix > MP_SECRET_MAX)
        return mp_err_set(err, MP_KIND_CONFIG,
                          "the key has %zu bytes, too many for any", len);
    for (i = 0; i < len; i++)
        if (key[i] < '!' || key[i] > '~')
            return mp_err_set(err, MP_KIND_CONFIG,
                              "byte %zu of the key is no printable character",
                              i + 1);
    return MP_OK;
}

/* --- core dumps --- */

static atomic_bool forbidden;
static atomic_bool holds_keys;

static void keep_to_ourselves(void)
{
    if (atomic_load(&forbidden) && atomic_load(&holds_keys))
        prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
}

void mp_secret_forbid_cores(void)
{
    atomic_store(&forbidden, true);
    keep_to_ourselves();
}

/* --- memory --- */

/* Zeroed memory for [size] bytes, or NULL. That it is not locked where the
 * limit is reached makes it no less useful. */
static mp_Secret *map(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t mapped = (sizeof(mp_Secret) + size + page - 1) / page * page;
    mp_Secret *secret = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (secret == MAP_FAILED) return NULL;
    if (!atomic_exchange(&holds_keys, true)) keep_to_ourselves();
    madvise(secret, mapped, MADV_DONTDUMP);
    mlock(secret, mapped);
    secret->mapped = mapped;
    return secret;
}

mp_Status mp_secret_new(mp_Secret **secret, const char *prefix, const char *key,
                        size_t len, mp_Error *err)
{
    size_t before = strlen(prefix);
    mp_Status status;

    trim(&key, &len);
    status = check(key, len, before, err);
    if (status != MP_OK) return status;
    *secret = map(before + len + 1);
    if (!*secret) return mp_err_memory(err);
    (*secret)->prefix = before;
    (*secret)->len = before + len;
    memcpy((*secret)->bytes, prefix, before);
    memcpy((*secret)->bytes + before, key, len);
    return MP_OK;
}

void mp_secret_free(mp_Secret *secret)
{
    size_t mapped;

    if (!secret) return;
    mapped = secret->mapped;
    explicit_bzero(secret, mapped);
    munmap(secret, mapped);
}

const char *mp_secret_bytes(const mp_Secret *secret, size_t *len)
{
    *len = secret->len;
    return secret->bytes;
}

const char *mp_secret_key(const mp_Secret *secret, size_t *len)
{
    *len = secret->len - secret->prefix;
    return secret->bytes + secret->prefix;
}

void mp_secret_mask(const mp_Secret *secret, char out[MP_SECRET_MASK])
{
    size_t len;
    const char *key = mp_secret_key(secret, &len);
    size_t at = 0;

    if (len >= MASK_FROM && memcmp(key, "sk-", 3) == 0) {
        memcpy(out, "sk-", 3);
        at = 3;
    }
    memcpy(out + at, ELLIPSIS, sizeof ELLIPSIS);
    at += sizeof ELLIPSIS - 1;
    if (len < MASK_FROM) return;
    memcpy(out + at, key + len - 4, 4);
    out[at + 4] = '\0';
}

/* Drawn once in a process, so that an id cannot be looked up elsewhere. */
static uint64_t seed(void)
{
    static _Atomic uint64_t drawn;
    uint64_t fresh = 0, none = 0;

    if (atomic_load(&drawn) != 0) return atomic_load(&drawn);
    if (getrandom(&fresh, sizeof fresh, 0) != (ssize_t)sizeof fresh || !fresh)
        fresh = (uint64_t)(uintptr_t)&fresh; /* where there is no entropy */
    atomic_compare_exchange_strong(&drawn, &none, fresh);
    return atomic_load(&drawn);
}

/* FNV-1a */
uint64_t mp_secret_id(const mp_Secret *secret)
{
    uint64_t hash = seed();
    size_t len, i;
    const char *key = mp_secret_key(secret, &len);

    for (i = 0; i < len; i++) {
        hash ^= (unsigned char)key[i];
        hash *= 0x100000001b3u;
    }
    return hash;
}

/* --- reading --- */

mp_Secret *mp_secret_room(void)
{
    return map(MP_SECRET_MAX + 1);
}

ssize_t mp_secret_gather(mp_Secret *room, int fd)
{
    ssize_t got;

    if (room->len == MP_SECRET_MAX) {
        errno = EFBIG;
        return -1;
    }
    do
        got = read(fd, room->bytes + room->len, MP_SECRET_MAX - room->len);
    while (got < 0 && errno == EINTR);
    if (got > 0) room->len += (size_t)got;
    return got;
}

/* What stands in the way is a setting of the user's. */
static mp_Status fail_file(mp_Error *err, const char *what)
{
    mp_Status status = mp_err_os(err, errno, what);

    if (status != -MP_KIND_IO) return status;
    if (err) err->kind = MP_KIND_CONFIG;
    return -MP_KIND_CONFIG;
}

static mp_Status check_file(int fd, mp_Error *err)
{
    struct stat seen;

    if (fstat(fd, &seen) != 0) return fail_file(err, "cannot look at it");
    if (!S_ISREG(seen.st_mode))
        return mp_err_set(err, MP_KIND_CONFIG, "it is no regular file");
    if (seen.st_uid != geteuid())
        return mp_err_set(err, MP_KIND_CONFIG, "it belongs to somebody else");
    if (seen.st_mode & (S_IRWXG | S_IRWXO))
        return mp_err_set(err, MP_KIND_CONFIG,
                          "others have access to it; chmod 600");
    return MP_OK;
}

static mp_Status read_file(mp_Secret *room, int fd, mp_Error *err)
{
    mp_Status status = check_file(fd, err);
    ssize_t got = status == MP_OK;

    while (got > 0)
        got = mp_secret_gather(room, fd);
    if (got == 0) return status;
    if (errno == EFBIG)
        return mp_err_set(err, MP_KIND_CONFIG, "it is too long for a key");
    return fail_file(err, "cannot read it");
}

mp_Status mp_secret_file(mp_Secret **secret, const char *path, mp_Error *err)
{
    /* a FIFO would wait for a writer, a terminal would become ours */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    mp_Status status;
    mp_Secret *room;

    if (fd < 0) return fail_file(err, "cannot open it");
    room = mp_secret_room();
    status = room ? read_file(room, fd, err) : mp_err_memory(err);
    close(fd);
    if (status == MP_OK)
        status = mp_secret_new(secret, "", room->bytes, room->len, err);
    mp_secret_free(room);
    return status;
}

/* --- the terminal --- */

typedef struct Terminal {
    int fd;
    struct termios usual;
    sigset_t signals; /* blocked before */
} Terminal;

/* Opens it with the echo off; what was typed ahead is dropped. */
static mp_Status open_terminal(Terminal *t, mp_Error *err)
{
    struct termios quiet;
    sigset_t all;

    t->fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (t->fd < 0 || tcgetattr(t->fd, &t->usual) != 0) {
        if (t->fd >= 0) close(t->fd);
        return mp_err_set(err, MP_KIND_CONFIG, "there is no terminal");
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &t->signals);
    quiet = t->usual;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK);
    quiet.c_lflag |= ECHONL | ICANON | ISIG;
    tcsetattr(t->fd, TCSAFLUSH, &quiet);
    return MP_OK;
}

/* Signals that have come are delivered here. */
static void close_terminal(Terminal *t)
{
    tcsetattr(t->fd, TCSAFLUSH, &t->usual);
    close(t->fd);
    pthread_sigmask(SIG_SETMASK, &t->signals, NULL);
}

static bool is_interrupted(void)
{
    sigset_t pending;

    sigpending(&pending);
    return sigismember(&pending, SIGINT) == 1 ||
           sigismember(&pending, SIGTERM) == 1 ||
           sigismember(&pending, SIGQUIT) == 1 ||
           sigismember(&pending, SIGHUP) == 1;
}

/* Reads one line to [line], zeroed, of [size] bytes. */
static mp_Status read_line(const Terminal *t, char *line, size_t size,
                           mp_Error *err)
{
    struct pollfd poll_fd = {.fd = t->fd, .events = POLLIN};
    ssize_t got;

    while (poll(&poll_fd, 1, 50) == 0)
        if (is_interrupted())
            return mp_err_set(err, MP_KIND_CANCELLED, "interrupted");
    got = read(t->fd, line, size);
    if (is_interrupted())
        return mp_err_set(err, MP_KIND_CANCELLED, "interrupted");
    if (got > 0) return MP_OK;
    return mp_err_set(err, MP_KIND_CONFIG, "no key was entered");
}

static void say(const Terminal *t, const char *text)
{
    ssize_t written = write(t->fd, text, strlen(text));

    (void)written; /* a prompt that is not seen is no failure */
}

mp_Status mp_secret_ask(mp_Secret **secret, const char *prompt, mp_Error *err)
{
    mp_Secret *line = mp_secret_room();
    Terminal terminal;
    mp_Status status;

    if (!line) return mp_err_memory(err);
    status = open_terminal(&terminal, err);
    if (status == MP_OK) {
        say(&terminal, prompt);
        status = read_line(&terminal, line->bytes, MP_SECRET_MAX, err);
        if (status == -MP_KIND_CANCELLED) say(&terminal, "\n");
        close_terminal(&terminal);
    }
    if (status == MP_OK)
        status =
            mp_secret_new(secret, "", line->bytes, strlen(line->bytes), err);
    mp_secret_free(line);
    return status;
}
