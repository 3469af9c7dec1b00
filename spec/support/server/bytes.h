/*
 * bytes.h: text that is borrowed (Span) and text that grows (Bytes), and what
 * the test server does with both: numbers, hex, base64, percent codes, JSON
 * escapes.
 *
 * A test server that has no memory left has nothing to tell anybody, so a
 * failed allocation aborts here. Threads: one.
 */
#ifndef BYTES_H
#define BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Span {
    const char *at;
    size_t len;
} Span;

typedef struct Bytes {
    char *at; /* NULL while nothing was written */
    size_t len, cap;
} Bytes;

#define SPAN(literal)        ((Span){literal, sizeof(literal) - 1})
#define TEXT(bytes, literal) bytes_add(bytes, literal, sizeof(literal) - 1)

/* Makes room for [more] bytes at at + len. */
void bytes_reserve(Bytes *bytes, size_t more);
void bytes_add(Bytes *bytes, const void *data, size_t len);
void bytes_span(Bytes *bytes, Span span);
void bytes_text(Bytes *bytes, const char *text);
void bytes_fill(Bytes *bytes, char c, size_t count);
void bytes_printf(Bytes *bytes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void bytes_number(Bytes *bytes, int64_t number);
void bytes_hex(Bytes *bytes, uint64_t number, int digits);
void bytes_base64(Bytes *bytes, const void *data, size_t len);
bool bytes_unbase64(Bytes *bytes, Span text);

/* Appends [text] with %41 turned into A; a % that is no code stays. */
void bytes_unpercent(Bytes *bytes, Span text);

/* Appends [text] as the inside of a JSON string. Bytes from 0x80 on pass
 * unchanged, so that bad UTF-8 can be sent. */
void bytes_escape(Bytes *bytes, Span text);

/* Appends "name":"text" escaped. */
void bytes_member(Bytes *bytes, const char *name, Span text);

/* Forgets the first [count] bytes. */
void bytes_shift(Bytes *bytes, size_t count);

/* Empties; gives the memory back if it is more than an idle connection should
 * hold. */
void bytes_reset(Bytes *bytes);
void bytes_free(Bytes *bytes);
Span bytes_all(const Bytes *bytes);

bool span_is(Span span, const char *text);
bool span_is_nocase(Span span, const char *text);
bool span_has_prefix(Span span, const char *text);
Span span_trim(Span span);

/* Returns what stands before the first [separator] and moves [rest] behind it;
 * without one all of it, and [rest] is empty. */
Span span_split(Span *rest, char separator);

/* Reads an integer with an optional sign that fills the span. */
bool span_integer(Span span, int64_t *number);

#endif
