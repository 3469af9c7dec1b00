/*
 * file_job.h: jobs that read a file piece by piece, and that tell what is in a
 * folder.
 *
 * They run on the pool: a disk may take its time. A piece names its place in
 * the file, so pieces of one file may be read in any order, also at once.
 */
#ifndef MP_FILE_JOB_H
#define MP_FILE_JOB_H

#include "job.h"

#include <sys/types.h>

typedef struct mp_File mp_File;

/* Opens the regular file at [path], as mp_file_open does; waits for the disk.
 * Owned. */
mp_Status mp_file_new(const char *root, const char *path, mp_File **file,
                      mp_Error *err);

/* Gives it back; closed when no job reads it any more. NULL is fine. */
void mp_file_free(mp_File *file);

/* Returns a job, owned, that gives up to [max] bytes from [at] on; fewer at the
 * end. `io`, `memory`. NULL without memory. */
mp_Job *mp_file_job(mp_File *file, off_t at, size_t max);

/* Returns a job, owned, that gives the entries of a folder in no order, each as
 * a letter, its name and a NUL: `d` folder, `f` regular file, `l` symbolic
 * link, `o` other. It fails as mp_file_open_folder does. NULL without memory.
 */
mp_Job *mp_folder_job(const char *root, const char *path);

#endif
