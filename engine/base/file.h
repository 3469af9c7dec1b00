/*
 * file.h: reads a file whole, also one that must lie below a folder.
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

/* Reads the regular file at [path] into [room], of [cap] bytes, and its length
 * into [len]. [root] NULL: any path. Else the path is relative to that folder
 * and stays in it, or `input` says that it does not; links on the way to the
 * root are followed. Other failures: `io`, `fds`, `too_large` for a file of
 * more than [cap] bytes. */
mp_Status mp_file_read(const char *root, const char *path, char *room,
                       size_t cap, size_t *len, mp_Error *err);

#endif
