/* gzip.c: see gzip.h; RFC 1951 and 1952. */
#include "gzip.h"

enum { STORED_MAX = 65535, MATCH = 258 };

typedef struct Bits {
    Bytes *out;
    uint32_t bits;
    int count;
} Bits;

static uint32_t table[256];

static void make_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;

        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
        table[i] = crc;
    }
}

static uint32_t crc_step(uint32_t crc, char c)
{
    return crc >> 8 ^ table[(crc ^ (unsigned char)c) & 255];
}

static void add_little(Bytes *out, uint32_t number, int count)
{
    for (int i = 0; i < count; i++)
        bytes_add(out, &(char){(char)(number >> 8 * i)}, 1);
}

void gzip_begin(Gzip *gzip, Bytes *out)
{
    if (!table[1]) make_table();
    *gzip = (Gzip){.crc = 0xffffffffu};
    bytes_add(out, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
}

static void store(Bytes *out, const char *text, size_t len, bool last)
{
    bytes_add(out, last ? "\1" : "\0", 1);
    add_little(out, (uint32_t)len, 2);
    add_little(out, ~(uint32_t)len, 2);
    bytes_add(out, text, len);
}

void gzip_text(Gzip *gzip, Bytes *out, Span text)
{
    for (size_t i = 0; i < text.len; i++)
        gzip->crc = crc_step(gzip->crc, text.at[i]);
    gzip->size += (uint32_t)text.len;
    while (text.len > 0) {
        size_t len = text.len < STORED_MAX ? text.len : STORED_MAX;

        store(out, text.at, len, false);
        text.at += len;
        text.len -= len;
    }
}

/* Huffman codes begin with their highest bit, all else with the lowest. */
static void add_bits(Bits *bits, uint32_t value, int count)
{
    bits->bits |= value << bits->count;
    for (bits->count += count; bits->count >= 8; bits->count -= 8) {
        bytes_add(bits->out, &(char){(char)bits->bits}, 1);
        bits->bits >>= 8;
    }
}

static void add_code(Bits *bits, uint32_t code, int count)
{
    for (int i = count - 1; i >= 0; i--)
        add_bits(bits, code >> i & 1, 1);
}

void gzip_run(Gzip *gzip, Bytes *out, char c, size_t count)
{
    Bits bits = {.out = out};
    uint32_t literal = 0x30 + (unsigned char)c; /* of bytes below 144 */

    if (count == 0) return;
    for (size_t i = 0; i < count; i++)
        gzip->crc = crc_step(gzip->crc, c);
    gzip->size += (uint32_t)count;
    add_bits(&bits, 2, 3); /* not the last block, fixed codes */
    add_code(&bits, literal, 8);
    for (count--; count >= MATCH; count -= MATCH)
        add_code(&bits, 0xc5u << 5, 13); /* 258 bytes, one byte back */
    for (; count > 0; count--)
        add_code(&bits, literal, 8);
    add_code(&bits, 0, 7);
    add_bits(&bits, 0, 3); /* an empty stored block, to end on a byte */
    add_bits(&bits, 0, (8 - bits.count) % 8);
    bytes_add(out, "\0\0\xff\xff", 4);
}

void gzip_end(Gzip *gzip, Bytes *out)
{
    store(out, NULL, 0, true);
    add_little(out, ~gzip->crc, 4);
    add_little(out, gzip->size, 4);
}
