/*
 * library.h: libraries of others, opened at first use.
 *
 * A program that does not need one does not pay for its loading, and a guest
 * runs where it is not installed. Its functions are reached through a table of
 * function pointers, in which each has a place.
 *
 * Threads: any; a forked child may go on with what its parent had opened, but
 * for libraries that are opened anew.
 */
#ifndef MP_LIBRARY_H
#define MP_LIBRARY_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct mp_LibrarySymbol {
    const char *name;
    size_t at; /* byte of the table */
} mp_LibrarySymbol;

typedef struct mp_Library {
    const char *file; /* "libpq.so.5" */
    const char *name; /* as people call it */
    const mp_LibrarySymbol *symbols;
    size_t count;
    void *table;
    /* Whether it can be used, called once when the table is filled; may be
     * NULL. */
    bool (*is_good)(mp_Error *err);
    bool anew; /* a forked child needs one of its own */

    void *handle; /* the rest is library.c's */
    unsigned generation;
    bool stuck;
} mp_Library;

/* The table, filled, or NULL: `unsupported` where the library is not there or
 * too old, `closed` in a forked child that cannot have its own, for its host
 * holds the parent's. */
const void *mp_library_table(mp_Library *library, mp_Error *err);

/* Fills [table] with [count] functions of the opened [handle], which [file]
 * names in the message: `unsupported`. */
bool mp_library_fill(void *handle, const char *file,
                     const mp_LibrarySymbol *symbols, size_t count, void *table,
                     mp_Error *err);

#endif
