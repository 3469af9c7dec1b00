/*
 * store_write.h: jobs that write the file of a store; see store_file.h.
 *
 * A writer takes one section after the other, in pieces of any size, so that no
 * more than one piece need be in memory. What is there already stays until the
 * last job has put the new file, whole and on the disk, in its place. A job
 * that fails or is cancelled ends the writer: the draft is gone.
 *
 *     new -> put "texts", put "texts", put the index, ... -> finish
 *
 * A process that is killed leaves the draft behind: `<path>.` and six
 * characters.
 *
 * Threads: any; the jobs of one writer work one after the other, on the pool.
 */
#ifndef MP_STORE_WRITE_H
#define MP_STORE_WRITE_H

#include "buf.h"
#include "floats.h"
#include "job.h"
#include "store_file.h"
#include "vector.h"

#include <stdbool.h>

typedef struct mp_StoreWriter mp_StoreWriter;

/* NULL without memory. Owned; give it back with mp_store_writer_unref. */
mp_StoreWriter *mp_store_writer_new(const char *path);

/* Jobs hold references of their own; the last one drops what is not finished.
 */
void mp_store_writer_unref(mp_StoreWriter *writer);

/* Before a job is made: `closed` in a process that was forked since. */
mp_Status mp_store_writer_check(const mp_StoreWriter *writer, mp_Error *err);

/* Each returns a job, owned, that appends to the section [name], of up to 15
 * characters, which begins where the one before has another name. They take
 * what they are given; NULL without memory: then it stays. `io` with the path,
 * `too_large` beyond MP_STORE_SECTIONS, `closed` after a failure or the end. */
mp_Job *mp_store_put_bytes(mp_StoreWriter *writer, const char *name,
                           mp_Buf *bytes);
mp_Job *mp_store_put_floats(mp_StoreWriter *writer, const char *name,
                            mp_Floats *rows);

/* ... [count] texts that stand one behind the other, text i up to [ends][i], an
 * allocation of mp_alloc. The whole section must be of texts. */
mp_Job *mp_store_put_texts(mp_StoreWriter *writer, const char *name,
                           mp_Buf *texts, size_t *ends, size_t count);

/* ... and one that appends the state of an index, as sections of their own, as
 * of the moment when all that was asked of the index before has been done. */
mp_Job *mp_store_put_index(mp_StoreWriter *writer, mp_Vector *index);

/* Returns a job, owned, that ends the file and puts it in its place; NULL
 * without memory. */
mp_Job *mp_store_finish(mp_StoreWriter *writer);

/* --- for store_index.c ---
 *
 * A job that writes outside of the writer's line asks for its number when it is
 * made, and begins with it. If that is MP_OK the writer is its own until it
 * calls mp_store_write_end, with false where it failed: the draft is gone then.
 */

mp_StoreWriter *mp_store_writer_ref(mp_StoreWriter *writer);
unsigned mp_store_write_number(mp_StoreWriter *writer);
mp_Status mp_store_write_begin(mp_StoreWriter *writer, unsigned number,
                               mp_Error *err);
void mp_store_write_end(mp_StoreWriter *writer, bool took);

/* Begins a section; appends to it. */
mp_Status mp_store_write_section(mp_StoreWriter *writer, const char *name,
                                 mp_Error *err);
mp_Status mp_store_write_append(mp_StoreWriter *writer, const void *bytes,
                                size_t len, mp_Error *err);

/* Its head, for what the vectors are; sections and size are the writer's. */
mp_StoreHead *mp_store_write_head_of(mp_StoreWriter *writer);

#endif
