/* store_file.c: see store_file.h. */
#include "store_file.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Its bytes above 127 and its ends of lines show a file that was sent as text.
 */
static const uint8_t magic[8] = {0x8b, 'M', 'P', 'S', '\r', '\n', 0x1a, '\n'};

/* Places in the head. */
enum {
    VERSION = 8,
    DIM = 12,
    COUNT = 16,
    SIZE = 24,
    SECTION_COUNT = 32,
    KIND = 40,
    METRIC = 56,
    NEXT = 72,
    TABLE = 96,
    SUM = MP_STORE_HEAD - MP_SHA256_BYTES
};

/* ... and in a line of the table. */
enum { NAME = 0, AT = 16, LEN = 24, SECTION_SUM = 32, SECTION = 64 };

_Static_assert(TABLE + MP_STORE_SECTIONS * SECTION <= SUM, "the table's room");

/* --- numbers --- */

static void put(uint8_t *out, uint64_t number, int bytes)
{
    for (int i = 0; i < bytes; i++)
        out[i] = (uint8_t)(number >> (8 * i));
}

static uint64_t get(const uint8_t *bytes, int count)
{
    uint64_t number = 0;

    for (int i = 0; i < count; i++)
        number |= (uint64_t)bytes[i] << (8 * i);
    return number;
}

void mp_store_put64(uint8_t *out, uint64_t number)
{
    put(out, number, 8);
}

uint64_t mp_store_get64(const uint8_t *bytes)
{
    return get(bytes, 8);
}

uint64_t mp_store_align(uint64_t at)
{
    return (at + MP_STORE_ALIGN - 1) / MP_STORE_ALIGN * MP_STORE_ALIGN;
}

/* --- the head --- */

void mp_store_write_head(const mp_StoreHead *head, uint8_t out[MP_STORE_HEAD])
{
    memset(out, 0, MP_STORE_HEAD);
    memcpy(out, magic, sizeof magic);
    put(out + VERSION, MP_STORE_VERSION, 4);
    put(out + DIM, head->dim, 4);
    put(out + COUNT, head->count, 8);
    put(out + NEXT, head->next, 8);
    put(out + SIZE, head->size, 8);
    put(out + SECTION_COUNT, head->section_count, 4);
    memcpy(out + KIND, head->kind, MP_STORE_NAME);
    memcpy(out + METRIC, head->metric, MP_STORE_NAME);
    for (size_t i = 0; i < head->section_count; i++) {
        const mp_StoreSection *section = &head->sections[i];
        uint8_t *line = out + TABLE + i * SECTION;

        memcpy(line + NAME, section->name, MP_STORE_NAME);
        put(line + AT, section->at, 8);
        put(line + LEN, section->len, 8);
        memcpy(line + SECTION_SUM, section->sum, MP_SHA256_BYTES);
    }
    mp_sha256_of(out, SUM, out + SUM);
}

mp_Status mp_store_damaged(mp_Error *err, const char *path, const char *what)
{
    return mp_err_set(err, MP_KIND_IO,
                      "'%s' is damaged: %s; take a copy of it, or make the "
                      "store anew and save it",
                      path, what);
}

/* What the file is, before its sum can be asked. */
static mp_Status check_nature(const uint8_t *bytes, uint64_t size,
                              const char *path, mp_Error *err)
{
    uint64_t version;

    if (size < sizeof magic || memcmp(bytes, magic, sizeof magic) != 0)
        return mp_err_set(err, MP_KIND_IO,
                          "'%s' is no file of a store: give the path that "
                          "save_local was given",
                          path);
    if (size < MP_STORE_HEAD)
        return mp_store_damaged(err, path, "it is cut off in its head");
    version = get(bytes + VERSION, 4);
    if (version > MP_STORE_VERSION)
        return mp_err_set(err, MP_KIND_IO,
                          "'%s' has format %u, and this moonpipe reads %d: "
                          "take a newer one, or make the store anew",
                          path, (unsigned)version, MP_STORE_VERSION);
    return MP_OK;
}

static mp_Status check_sum(const uint8_t *bytes, uint64_t size,
                           const char *path, mp_Error *err)
{
    uint8_t sum[MP_SHA256_BYTES];
    uint64_t expected = get(bytes + SIZE, 8);
    char what[96];

    mp_sha256_of(bytes, SUM, sum);
    if (memcmp(sum, bytes + SUM, sizeof sum) != 0)
        return mp_store_damaged(err, path, "its head has another checksum");
    if (expected == size) return MP_OK;
    snprintf(what, sizeof what, "it has %llu of %llu bytes",
             (unsigned long long)size, (unsigned long long)expected);
    return mp_store_damaged(err, path, what);
}

static bool ends(const char name[MP_STORE_NAME])
{
    return memchr(name, '\0', MP_STORE_NAME) != NULL;
}

/* Each section begins where the one before it lets it. */
static bool read_table(const uint8_t *bytes, mp_StoreHead *head)
{
    uint64_t at = MP_STORE_HEAD;

    for (size_t i = 0; i < head->section_count; i++) {
        mp_StoreSection *section = &head->sections[i];
        const uint8_t *line = bytes + TABLE + i * SECTION;

        memcpy(section->name, line + NAME, MP_STORE_NAME);
        section->at = get(line + AT, 8);
        section->len = get(line + LEN, 8);
        memcpy(section->sum, line + SECTION_SUM, MP_SHA256_BYTES);
        if (!ends(section->name) || section->at != at || at > head->size ||
            section->len > head->size - at)
            return false;
        at = mp_store_align(at + section->len);
    }
    return at == head->size;
}

mp_Status mp_store_read_head(const uint8_t *bytes, uint64_t size,
                             const char *path, mp_StoreHead *head,
                             mp_Error *err)
{
    mp_Status status = check_nature(bytes, size, path, err);

    if (status == MP_OK) status = check_sum(bytes, size, path, err);
    if (status != MP_OK) return status;
    memset(head, 0, sizeof *head);
    memcpy(head->kind, bytes + KIND, MP_STORE_NAME);
    memcpy(head->metric, bytes + METRIC, MP_STORE_NAME);
    head->dim = (uint32_t)get(bytes + DIM, 4);
    head->count = get(bytes + COUNT, 8);
    head->next = get(bytes + NEXT, 8);
    head->size = size;
    head->section_count = (size_t)get(bytes + SECTION_COUNT, 4);
    if (size <= INT64_MAX && head->section_count <= MP_STORE_SECTIONS &&
        ends(head->kind) && ends(head->metric) && read_table(bytes, head))
        return MP_OK;
    return mp_store_damaged(err, path, "its sections are none");
}

const mp_StoreSection *mp_store_section(const mp_StoreHead *head,
                                        const char *name)
{
    for (size_t i = 0; i < head->section_count; i++)
        if (strcmp(head->sections[i].name, name) == 0)
            return &head->sections[i];
    return NULL;
}

/* --- texts --- */

int mp_store_texts(const uint8_t *bytes, uint64_t len, mp_StoreTexts *texts)
{
    uint64_t count;

    if (len < 8) return 0;
    count = mp_store_get64(bytes + len - 8);
    if (count > (len - 8) / 8) return 0;
    texts->bytes = bytes;
    texts->count = (size_t)count;
    texts->len = (size_t)(len - 8 - 8 * count);
    texts->ends = bytes + texts->len;
    return count == 0 || mp_store_get64(bytes + len - 16) == texts->len;
}

const char *mp_store_text(const mp_StoreTexts *texts, size_t i, size_t *len)
{
    uint64_t from = i ? mp_store_get64(texts->ends + 8 * (i - 1)) : 0;
    uint64_t to = mp_store_get64(texts->ends + 8 * i);

    if (from > to || to > texts->len) return NULL;
    *len = (size_t)(to - from);
    return (const char *)texts->bytes + from;
}
