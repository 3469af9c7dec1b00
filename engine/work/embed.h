/*
 * embed.h: the vectors in an answer to a request for embeddings.
 *
 *     {"data": [{"index": 0, "embedding": "base64" | [1, 2.5, ...]}, ...],
 *      "usage": {"prompt_tokens": 8, "total_tokens": 8}}   OpenAI
 *     {"embeddings": [[1, 2.5, ...], ...]}                 Ollama
 *     {"embeddings": [{"values": [1, 2.5, ...]}, ...]}     Gemini
 *
 * The body goes through the JSON decoder without any tree being built; base64
 * (little-endian float32, what we ask for) and arrays (what some servers send
 * all the same) may even stand side by side. Rows are sorted by `index`; those
 * of `embeddings` have none and stand in their order.
 *
 * All of this is an error of kind `decode`, which names the place: rows of
 * different or no dimension, an index twice, missing or out of range, more or
 * fewer rows than texts, values that are not finite in float32. An `error` in
 * the answer is not looked for: the caller knows the status.
 *
 * Threads: a decoder has one owner at a time.
 */
#ifndef MP_EMBED_H
#define MP_EMBED_H

#include "floats.h"
#include "json.h"

typedef struct mp_Usage {
    int64_t prompt_tokens; /* -1: not said */
    int64_t total_tokens;
} mp_Usage;

/* What is known of the row with this index, and of the row that came at this
 * place: two tables in one. */
typedef struct mp_EmbedSlot {
    bool taken;   /* a row with this index has come */
    size_t index; /* of the row at this place */
} mp_EmbedSlot;

typedef struct mp_Embed {
    mp_Json json;
    size_t expected;     /* texts that were sent */
    mp_EmbedSlot *slots; /* as many; NULL before `data` */
    mp_Buf values;       /* the rows as they came */
    size_t rows;         /* that have come */
    size_t dim;          /* of the first one; 0 before it */
    mp_Usage usage;
    uint8_t place;    /* which container is open */
    uint8_t key;      /* the last one read in it */
    int skipping;     /* containers open in what is read over */
    size_t row_start; /* where the open row begins in `values` */
    bool ordered;     /* the list is `embeddings`: no row has an index */
    bool bare;        /* the open item is the array itself */
    bool has_row;     /* the open item has its embedding */
    bool has_index;   /* and this its index */
    size_t index;
} mp_Embed;

/* Takes answers to [expected] >= 1 texts. Allocates nothing. */
void mp_embed_init(mp_Embed *embed, size_t expected);

void mp_embed_term(mp_Embed *embed);

/* Reads [len] bytes more. `decode`, `too_large`, `memory`; after a failure
 * only mp_embed_term may follow. */
mp_Status mp_embed_feed(mp_Embed *embed, const char *bytes, size_t len,
                        mp_Error *err);

/* Says that no more bytes come and moves the rows to [out]. */
mp_Status mp_embed_finish(mp_Embed *embed, mp_Floats *out, mp_Error *err);

/* All of it at once. [usage] may be NULL; [out] is empty on failure. */
mp_Status mp_embed_decode(const char *bytes, size_t len, size_t expected,
                          mp_Floats *out, mp_Usage *usage, mp_Error *err);

#endif
