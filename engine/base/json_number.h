/*
 * json_number.h: JSON's numbers as text and as doubles.
 *
 * Both ways are exact and ignore the locale: what is read is the double
 * nearest to the text, what is written reads back as the same double.
 * Integers beyond 2^53, which a double cannot hold, are told apart, because
 * rounding someone's 64-bit id would be silent damage.
 *
 * Threads: any; no state.
 */
#ifndef MP_JSON_NUMBER_H
#define MP_JSON_NUMBER_H

#include <stddef.h>

/* Enough for what mp_json_number_write writes, with a NUL. */
#define MP_JSON_NUMBER_SIZE 32

typedef enum mp_JsonNumber {
    MP_JSON_NUMBER_DOUBLE,
    MP_JSON_NUMBER_INTEGER, /* beyond 2^53: keep the digits */
    MP_JSON_NUMBER_HUGE,    /* beyond the largest double */
    MP_JSON_NUMBER_CUT      /* a digit is missing at [used] */
} mp_JsonNumber;

/* Reads the longest number at [text], writes its length to [used] and, for
 * MP_JSON_NUMBER_DOUBLE, its value. The byte behind [len] must be readable
 * and must not continue the number. */
mp_JsonNumber mp_json_number_read(const char *text, size_t len, size_t *used,
                                  double *value);

/* Writes [value]: integers below 2^53 by their digits, others by the shortest
 * of %.15g, %.16g and %.17g that reads back equal (with ".0" behind it if it
 * looks like an integer beyond 2^53). Returns the length, or 0 for NaN and
 * infinities, which JSON does not have. */
size_t mp_json_number_write(double value, char out[MP_JSON_NUMBER_SIZE]);

#endif
