/* hash_job.h: vectors of many texts, made on the pool. */
#ifndef MP_HASH_JOB_H
#define MP_HASH_JOB_H

#include "hash.h"
#include "job.h"

/* Returns a job, owned, that gives the vector of each of [count] texts as a row
 * in `floats`. They stand one behind the other in [texts], text i ends at
 * [ends][i]; takes both, an allocation of mp_alloc, and leaves [texts] empty.
 * NULL without memory; then both stay. */
mp_Job *mp_hash_job(mp_Buf *texts, size_t *ends, size_t count);

#endif
