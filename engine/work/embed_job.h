/* embed_job.h: decodes an answer with embeddings on the pool (embed.h). */
#ifndef MP_EMBED_JOB_H
#define MP_EMBED_JOB_H

#include "job.h"

/* Returns a job, owned, that decodes [body], which it takes and leaves empty,
 * as the answer to [expected] >= 1 texts. Its cargo is the rows in `floats`
 * and the usage in `head`: a JSON object with those of prompt_tokens and
 * total_tokens that were said. NULL without memory; then [body] stays. */
mp_Job *mp_embed_job(mp_Buf *body, size_t expected);

/* The same usage as text. */
struct mp_Usage;
mp_Status mp_embed_write_usage(mp_Buf *out, const struct mp_Usage *usage);

#endif
