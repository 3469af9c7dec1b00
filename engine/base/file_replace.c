/* file_replace.c: see file.h. */
#include "file.h"

#include "alloc.h"
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENDING ".XXXXXX"

/* --- a draft --- */

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

int mp_file_draft_begin(mp_FileDraft *draft, const char *path)
{
    size_t len = strlen(path), room = len + sizeof ENDING;
    int problem;

    draft->fd = -1;
    draft->generation = mp_os_generation();
    draft->name = mp_alloc(room + len + 1);
    if (!draft->name) return ENOMEM;
    snprintf(draft->name, room, "%s" ENDING, path);
    memcpy(draft->name + room, path, len + 1);
    draft->path = draft->name + room;
    draft->fd = mkostemp(draft->name, O_CLOEXEC); /* with mode 0600 */
    if (draft->fd >= 0) return 0;
    problem = errno;
    mp_alloc_free(draft->name);
    draft->name = NULL;
    return problem;
}

int mp_file_draft_write(const mp_FileDraft *draft, off_t at, const void *bytes,
                        size_t len)
{
    const char *from = bytes;

    while (len > 0) {
        ssize_t written = pwrite(draft->fd, from, len, at);

        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return errno;
        from += written;
        at += written;
        len -= (size_t)written;
    }
    return 0;
}

void mp_file_draft_drop(mp_FileDraft *draft)
{
    if (!draft->name) return;
    if (draft->fd >= 0) close(draft->fd);
    if (draft->generation == mp_os_generation()) unlink(draft->name);
    mp_alloc_free(draft->name);
    draft->name = NULL;
}

int mp_file_draft_keep(mp_FileDraft *draft)
{
    int problem = fsync(draft->fd) == 0 ? 0 : errno;

    if (close(draft->fd) != 0 && problem == 0) problem = errno;
    draft->fd = -1;
    if (problem == 0 && rename(draft->name, draft->path) != 0) problem = errno;
    if (problem != 0) {
        mp_file_draft_drop(draft);
        return problem;
    }
    sync_folder(draft->name);
    mp_alloc_free(draft->name);
    draft->name = NULL;
    return 0;
}

/* --- all at once --- */

mp_Status mp_file_replace(const char *path, const char *bytes, size_t len,
                          mp_Error *err)
{
    mp_FileDraft draft;
    int problem = mp_file_draft_begin(&draft, path);

    if (problem == 0) {
        problem = mp_file_draft_write(&draft, 0, bytes, len);
        if (problem == 0)
            problem = mp_file_draft_keep(&draft);
        else
            mp_file_draft_drop(&draft);
    }
    if (problem == 0) return MP_OK;
    return mp_err_os(err, problem, "cannot write");
}
