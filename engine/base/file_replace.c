/* file_replace.c: see file.h. */
#include "file.h"

#include "buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* 0, or errno. */
static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, bytes, len);

        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return errno;
        bytes += written;
        len -= (size_t)written;
    }
    return fsync(fd) == 0 ? 0 : errno;
}

/* The name lives in the folder, which must reach the disk too. */
static void sync_folder(char *path)
{
    char *slash = strrchr(path, '/');
    int fd;

    if (slash) slash[slash == path ? 1 : 0] = '\0';
    fd = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

/* [name] ends in XXXXXX and is overwritten. 0, or errno. */
static int replace(char *name, const char *path, const char *bytes, size_t len)
{
    int fd = mkostemp(name, O_CLOEXEC); /* with mode 0600 */
    int problem;

    if (fd < 0) return errno;
    problem = write_all(fd, bytes, len);
    if (close(fd) != 0 && problem == 0) problem = errno;
    if (problem == 0 && rename(name, path) != 0) problem = errno;
    if (problem == 0)
        sync_folder(name);
    else
        unlink(name);
    return problem;
}

mp_Status mp_file_replace(const char *path, const char *bytes, size_t len,
                          mp_Error *err)
{
    mp_Buf name;
    int problem = 0;

    mp_buf_init(&name, 0);
    mp_buf_printf(&name, "%s.XXXXXX", path);
    if (mp_buf_char(&name, '\0') == MP_OK)
        problem = replace(name.data, path, bytes, len);
    else
        problem = ENOMEM;
    mp_buf_term(&name);
    if (problem == 0) return MP_OK;
    return mp_err_os(err, problem, "cannot write");
}
