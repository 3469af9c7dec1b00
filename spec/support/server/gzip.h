/*
 * gzip.h: gzip by hand, so that the server needs no library: text goes into
 * stored blocks, a run of one byte into matches (158:1, good enough for a
 * bomb). Each call ends on a byte, so pieces can be sent as they come.
 */
#ifndef GZIP_H
#define GZIP_H

#include "bytes.h"

typedef struct Gzip {
    uint32_t crc, size;
} Gzip;

void gzip_begin(Gzip *gzip, Bytes *out);
void gzip_text(Gzip *gzip, Bytes *out, Span text);
void gzip_run(Gzip *gzip, Bytes *out, char c, size_t count);
void gzip_end(Gzip *gzip, Bytes *out);

#endif
