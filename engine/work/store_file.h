/*
 * store_file.h: the file in which a store of vectors is kept.
 *
 *     head, 1024 bytes     magic, version, what the vectors are, the table of
 *                          the sections, and the head's own SHA-256
 *     section              bytes, with a name of up to 15 characters, and their
 *     section ...          SHA-256 in the table; zeros up to 64 bytes between
 *
 * A section of texts is the texts one behind the other, then where each ends,
 * then how many they are, as numbers of 8 bytes. All numbers have their least
 * byte first.
 *
 * DESIGN: nothing in it is code, and nothing is looked at before its sum was.
 * The sums tell what broke, not who wrote: whoever takes a section must bear
 * any bytes, but for FAISS, which believes what it is given of indexes that are
 * not flat. Such files are to be had from people one trusts. A section can be
 * mapped: it begins where vectors may.
 *
 * Threads: any; no state.
 */
#ifndef MP_STORE_FILE_H
#define MP_STORE_FILE_H

#include "err.h"
#include "sha256.h"

#include <stddef.h>
#include <stdint.h>

#define MP_STORE_VERSION  1
#define MP_STORE_HEAD     1024
#define MP_STORE_SECTIONS 14
#define MP_STORE_NAME     16 /* with its NUL */
#define MP_STORE_ALIGN    64

typedef struct mp_StoreSection {
    char name[MP_STORE_NAME];
    uint64_t at; /* in the file */
    uint64_t len;
    uint8_t sum[MP_SHA256_BYTES];
} mp_StoreSection;

typedef struct mp_StoreHead {
    char kind[MP_STORE_NAME];   /* of the index */
    char metric[MP_STORE_NAME]; /* of the index */
    uint32_t dim;
    uint64_t count; /* of vectors */
    uint64_t next;  /* the number that the next vector is given */
    uint64_t size;  /* of the file */
    size_t section_count;
    mp_StoreSection sections[MP_STORE_SECTIONS];
} mp_StoreHead;

/* Where a section may begin, not before [at]. */
uint64_t mp_store_align(uint64_t at);

void mp_store_write_head(const mp_StoreHead *head, uint8_t out[MP_STORE_HEAD]);

/* Reads the head of a file of [size] bytes, whose first ones, MP_STORE_HEAD of
 * them if it has so many, are at [bytes]. `io` with what is wrong and what to
 * do; [path] is what the message calls the file. When it is MP_OK, all sections
 * lie within the file. */
mp_Status mp_store_read_head(const uint8_t *bytes, uint64_t size,
                             const char *path, mp_StoreHead *head,
                             mp_Error *err);

/* The section of that name, or NULL. */
const mp_StoreSection *mp_store_section(const mp_StoreHead *head,
                                        const char *name);

/* `io`: the file at [path] is damaged, [what] being how that shows. */
mp_Status mp_store_damaged(mp_Error *err, const char *path, const char *what);

/* The texts of a section, borrowed from its bytes. */
typedef struct mp_StoreTexts {
    const uint8_t *bytes;
    const uint8_t *ends;
    size_t len; /* of all texts */
    size_t count;
} mp_StoreTexts;

/* Whether [len] bytes are a section of texts. */
int mp_store_texts(const uint8_t *bytes, uint64_t len, mp_StoreTexts *texts);

/* Text [i] < count; NULL where its ends are none. */
const char *mp_store_text(const mp_StoreTexts *texts, size_t i, size_t *len);

/* Numbers in the file's order. */
void mp_store_put64(uint8_t *out, uint64_t number);
uint64_t mp_store_get64(const uint8_t *bytes);

#endif
