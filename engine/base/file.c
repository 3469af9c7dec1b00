/* file.c: see file.h. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A FIFO without a writer would wait, a terminal would become ours. */
#define READ   (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define FOLDER (O_RDONLY | O_CLOEXEC | O_DIRECTORY)

static mp_Status fail(const char *path, mp_Error *err)
{
    char what[MP_ERROR_TEXT / 2];
    int code = errno;

    snprintf(what, sizeof what, "cannot read '%s'", path);
    return mp_err_os(err, code, what);
}

static bool is_link(int folder, const char *name)
{
    struct stat seen;

    return fstatat(folder, name, &seen, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISLNK(seen.st_mode);
}

/* Opens one part of a path; closes [folder]. */
static mp_Status open_part(int folder, const char *name, int flags,
                           const char *path, int *fd, mp_Error *err)
{
    mp_Status status = MP_OK;

    *fd = openat(folder, name, flags | O_NOFOLLOW);
    if (*fd < 0 && (errno == ELOOP || errno == ENOTDIR) &&
        is_link(folder, name))
        status = mp_err_set(err, MP_KIND_INPUT,
                            "'%s' goes through a symbolic link, which may lead "
                            "out of its root",
                            path);
    else if (*fd < 0)
        status = fail(path, err);
    close(folder);
    return status;
}

/* Copies the next part of [rest] to [name]; false where it is too long. */
static bool next_part(const char **rest, char name[NAME_MAX + 1])
{
    size_t len = strcspn(*rest, "/");

    if (len > NAME_MAX) return false;
    memcpy(name, *rest, len);
    name[len] = '\0';
    *rest += len + strspn(*rest + len, "/");
    return true;
}

/* [last] are the flags for what the path names. */
static mp_Status open_below(const char *root, const char *path, int last,
                            int *fd, mp_Error *err)
{
    const char *rest = path;
    char name[NAME_MAX + 1];
    mp_Status status = MP_OK;

    if (*path == '/')
        return mp_err_set(err, MP_KIND_INPUT, "'%s' is no path below its root",
                          path);
    *fd = open(root, FOLDER);
    if (*fd < 0) return fail(root, err);
    while (status == MP_OK && *rest) {
        if (!next_part(&rest, name)) {
            errno = ENAMETOOLONG;
            status = fail(path, err);
        } else if (strcmp(name, "..") == 0) {
            status = mp_err_set(err, MP_KIND_INPUT,
                                "'%s' leads out of its root", path);
        } else if (strcmp(name, ".") != 0) {
            status = open_part(*fd, name, *rest ? FOLDER : last, path, fd, err);
            if (status != MP_OK) return status;
        }
    }
    if (status != MP_OK) close(*fd);
    return status;
}

static mp_Status open_any(const char *root, const char *path, int flags,
                          int *fd, mp_Error *err)
{
    if (root) return open_below(root, path, flags, fd, err);
    *fd = open(path, flags);
    return *fd < 0 ? fail(path, err) : MP_OK;
}

mp_Status mp_file_open(const char *root, const char *path, int *fd,
                       mp_Error *err)
{
    struct stat seen;
    mp_Status status = open_any(root, path, READ, fd, err);

    if (status != MP_OK) return status;
    if (fstat(*fd, &seen) != 0)
        status = fail(path, err);
    else if (!S_ISREG(seen.st_mode))
        status = mp_err_set(err, MP_KIND_IO, "'%s' is no regular file", path);
    if (status != MP_OK) close(*fd);
    return status;
}

mp_Status mp_file_open_folder(const char *root, const char *path, int *fd,
                              mp_Error *err)
{
    return open_any(root, path, FOLDER, fd, err);
}

static ssize_t read_some(int fd, char *room, size_t cap, off_t at)
{
    ssize_t got;

    do
        got = pread(fd, room, cap, at);
    while (got < 0 && errno == EINTR);
    return got;
}

mp_Status mp_file_read_at(int fd, const char *path, off_t at, char *room,
                          size_t cap, size_t *len, mp_Error *err)
{
    ssize_t got = 1;

    *len = 0;
    while (*len < cap && got > 0) {
        got = read_some(fd, room + *len, cap - *len, at + (off_t)*len);
        if (got > 0) *len += (size_t)got;
    }
    return got < 0 ? fail(path, err) : MP_OK;
}

/* Fills the room, and looks whether that was all. */
static mp_Status read_all(int fd, const char *path, char *room, size_t cap,
                          size_t *len, mp_Error *err)
{
    char more;
    size_t left = 0;
    mp_Status status = mp_file_read_at(fd, path, 0, room, cap, len, err);

    if (status == MP_OK)
        status = mp_file_read_at(fd, path, (off_t)cap, &more, 1, &left, err);
    if (status != MP_OK || left == 0) return status;
    return mp_err_set(err, MP_KIND_TOO_LARGE, "'%s' has more than %zu bytes",
                      path, cap);
}

mp_Status mp_file_read(const char *root, const char *path, char *room,
                       size_t cap, size_t *len, mp_Error *err)
{
    int fd;
    mp_Status status = mp_file_open(root, path, &fd, err);

    if (status != MP_OK) return status;
    status = read_all(fd, path, room, cap, len, err);
    close(fd);
    return status;
}
