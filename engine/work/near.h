/*
 * near.h: files of ours that stand near the one that holds this code: shared
 * objects that are opened at first use, programs that are started.
 *
 * Threads: any.
 */
#ifndef MP_NEAR_H
#define MP_NEAR_H

#include <limits.h>
#include <stdbool.h>

/* The longest path that mp_near_find writes, with its NUL. */
#define MP_NEAR_PATH (2 * PATH_MAX)

/* Writes the path of the file called [name]. False: there is none; then [path]
 * is the folder near which it should stand, or "". */
bool mp_near_find(const char *name, char path[MP_NEAR_PATH]);

#endif
