/*
 * file.h: reads a file whole, also one that must lie below a folder, and writes
 * one that is there whole or not at all.
 *
 * DESIGN: with a root the path is walked part by part and no part may be a
 * symbolic link, so that a name of somebody else's choosing cannot lead out of
 * the folder, not even while links are being changed.
 *
 * Threads: any. Waits for the disk: for small files, as prompts are.
 */
#ifndef MP_FILE_H
#define MP_FILE_H

#include "err.h"

#include <stddef.h>
#include <sys/types.h>

/* Reads the regular file at [path] into [room], of [cap] bytes, and its length
 * into [len]. [root] NULL: any path. Else the path is relative to that folder
 * and stays in it, or `input` says that it does not; links on the way to the
 * root are followed. Other failures: `io`, `fds`, `too_large` for a file of
 * more than [cap] bytes. */
mp_Status mp_file_read(const char *root, const char *path, char *room,
                       size_t cap, size_t *len, mp_Error *err);

/* Opens such a file, not to be inherited by programs that are started, or a
 * folder; the caller closes [fd]. The same failures. */
mp_Status mp_file_open(const char *root, const char *path, int *fd,
                       mp_Error *err);
mp_Status mp_file_open_folder(const char *root, const char *path, int *fd,
                              mp_Error *err);

/* Reads what stands in the file from byte [at] on, up to [cap] bytes; fewer
 * only at its end. [path] is what a failure calls it. `io`. */
mp_Status mp_file_read_at(int fd, const char *path, off_t at, char *room,
                          size_t cap, size_t *len, mp_Error *err);

/* A file that is being written beside another, under the name of that and six
 * characters more, to take its place once it is whole. */
typedef struct mp_FileDraft {
    int fd;
    char *name; /* owned */
    const char *path;
    unsigned generation; /* of os.h: which process began it */
} mp_FileDraft;

/* Begins a draft, which only its owner may read. Each returns 0 or errno. The
 * draft must be kept or dropped. */
int mp_file_draft_begin(mp_FileDraft *draft, const char *path);

/* Writes all [len] bytes at byte [at]. */
int mp_file_draft_write(const mp_FileDraft *draft, off_t at, const void *bytes,
                        size_t len);

/* Puts the draft in the place of the file: whoever opens that sees the old file
 * or the new one, also after a crash. On failure it is dropped. */
int mp_file_draft_keep(mp_FileDraft *draft);

/* Removes the draft, unless another process began it, and frees it. */
void mp_file_draft_drop(mp_FileDraft *draft);

/* Puts a file with [len] bytes, which only its owner may read, in the place of
 * [path]: whoever opens that sees the old file or the new one, also after a
 * crash. `io`, `fds` or `memory`; then the old one is there as before. */
mp_Status mp_file_replace(const char *path, const char *bytes, size_t len,
                          mp_Error *err);

#endif
