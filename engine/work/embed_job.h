/* embed_job.h: decodes an answer with embeddings on the pool. */
#ifndef MP_EMBED_JOB_H
#define MP_EMBED_JOB_H

#include "embed.h"
#include "job.h"

/* Returns a job, owned, that decodes [body], which it takes and leaves empty,
 * as the answer to [expected] >= 1 texts. Its cargo is the rows in `floats`,
 * and in `head` the usage as text. NULL without memory; then [body] stays. */
mp_Job *mp_embed_job(mp_Buf *body, size_t expected);

/* Enough for mp_embed_write_usage, with a NUL. */
#define MP_EMBED_USAGE_SIZE 96

/* Writes a JSON object with those of prompt_tokens and total_tokens that were
 * said. */
void mp_embed_write_usage(const mp_Usage *usage, char out[MP_EMBED_USAGE_SIZE]);

#endif
