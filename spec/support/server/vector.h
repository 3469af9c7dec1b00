/*
 * vector.h: embeddings: unit vectors that are a function of the input's text
 * alone. Each component is a whole multiple of 1e-8 in decimal and in float32,
 * so both encodings of one text are the same vector.
 */
#ifndef VECTOR_H
#define VECTOR_H

#include "script.h"

/* Appends the answer to a request's body. NULL, or what is wrong with it. */
const char *vector_body(Span body, const Script *script, Bytes *out);

#endif
