/*
 * fuzz_store.c: any bytes as the file of a store. The first byte says whether
 * the head's checksum is made right, so that what stands behind it is reached.
 *
 * Must hold for every input:
 *   - it is refused as `io` with a message, or all its sections lie within it
 *   - a section of texts gives each of them within its bytes, or none
 *   - a head that was read, written again and read again, is the same
 */
#include "store_file.h"

#include <stdlib.h>
#include <string.h>

#define SUM (MP_STORE_HEAD - MP_SHA256_BYTES)

/* abort() tells libFuzzer; a library may not call it, a test may. */
static void require(int fact)
{
    if (!fact) abort();
}

static void check_texts(const uint8_t *bytes, uint64_t len)
{
    mp_StoreTexts texts;

    if (!mp_store_texts(bytes, len, &texts)) return;
    require(texts.count <= len / 8 && texts.len <= len);
    for (size_t i = 0; i < texts.count; i++) {
        size_t size = 0;
        const char *text = mp_store_text(&texts, i, &size);
        volatile char seen;

        if (!text) continue;
        require((const uint8_t *)text >= bytes && size <= texts.len);
        if (size > 0) seen = text[0], seen = text[size - 1];
        (void)seen;
    }
}

static void check_sections(const mp_StoreHead *head, const uint8_t *bytes,
                           size_t size)
{
    for (size_t i = 0; i < head->section_count; i++) {
        const mp_StoreSection *section = &head->sections[i];

        require(section->at <= size && section->len <= size - section->at);
        require(section->at % MP_STORE_ALIGN == 0);
        require(mp_store_section(head, section->name) != NULL);
        check_texts(bytes + section->at, section->len);
    }
}

static void check_again(const mp_StoreHead *head, size_t size)
{
    static uint8_t out[MP_STORE_HEAD];
    mp_StoreHead again;

    mp_store_write_head(head, out);
    require(mp_store_read_head(out, size, "x", &again, NULL) == MP_OK);
    require(memcmp(head, &again, sizeof again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mp_StoreHead head;
    mp_Error err;
    uint8_t *bytes;

    if (size == 0) return 0;
    bytes = malloc(--size + 1);
    require(bytes != NULL);
    memcpy(bytes, data + 1, size);
    if (data[0] & 1 && size >= MP_STORE_HEAD) {
        mp_store_put64(bytes + 24, size);
        mp_sha256_of(bytes, SUM, bytes + SUM);
    }
    check_texts(bytes, size);
    if (mp_store_read_head(bytes, size, "x", &head, &err) == MP_OK) {
        check_sections(&head, bytes, size);
        check_again(&head, size);
    } else {
        require(err.kind == MP_KIND_IO && err.message[0] != '\0');
    }
    free(bytes);
    return 0;
}
