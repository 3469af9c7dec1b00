/*
 * store_read.h: the file of a store, mapped and checked; see store_file.h.
 *
 * The file is mapped, so what is not looked at costs no memory, and stays so
 * while somebody holds a reference, also when another file takes its place.
 *
 * Limit: whoever writes into the file itself, instead of putting another in
 * its place, changes what was checked; and who cuts it off ends the process.
 *
 * Threads: any, once the job has ended well.
 */
#ifndef MP_STORE_READ_H
#define MP_STORE_READ_H

#include "job.h"
#include "store_file.h"
#include "vector.h"

typedef struct mp_StoreReader mp_StoreReader;

/* Nothing is opened yet. Owned, NULL without memory; give it back with
 * mp_store_reader_unref. */
mp_StoreReader *mp_store_reader_new(const char *path);

mp_StoreReader *mp_store_reader_ref(mp_StoreReader *reader);
void mp_store_reader_unref(mp_StoreReader *reader);

/* Returns a job, owned, that opens the file, maps it and compares all
 * checksums; NULL without memory. `io` with what is wrong. Once for a reader.
 */
mp_Job *mp_store_open(mp_StoreReader *reader);

/* NULL until the job has ended well. Borrowed from the reader. */
const mp_StoreHead *mp_store_reader_head(const mp_StoreReader *reader);

const char *mp_store_reader_path(const mp_StoreReader *reader);

/* The bytes of a section, borrowed from the reader, which has ended well; NULL
 * where it has none of that name. */
const uint8_t *mp_store_reader_section(const mp_StoreReader *reader,
                                       const char *name, uint64_t *len);

/* Returns a job, owned, that makes an index of [shape] out of the file, which
 * was opened well: mp_store_put_index wrote it. Vectors of a flat one are lent
 * to it where they are mapped. Numbers are given from [next] on at least. NULL
 * without memory; `io` where the sections do not fit, and as mp_vector_open.
 * One index for a reader. */
mp_Job *mp_store_make_index(mp_StoreReader *reader, const mp_VectorShape *shape,
                            size_t next);

/* The index that such a job made, owned; NULL if there is none any more. On the
 * thread that made the job. */
mp_Vector *mp_store_take_index(mp_StoreReader *reader);

#endif
