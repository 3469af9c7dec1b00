/*
 * pattern.h: Lua's patterns, matched by a matcher that can be stopped.
 *
 * LuaJIT's own goes back and forth without an end in sight: `a*a*a*a*b` takes
 * hours on a page of text, and nothing interrupts it. This one gives the same
 * matches and asks now and then whether to go on.
 *
 * Threads: any, a matcher at a time.
 */
#ifndef MP_PATTERN_H
#define MP_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MP_PATTERN_CAPTURES 32

/* Lengths of a capture that are none. */
#define MP_PATTERN_OPEN     (-1)
#define MP_PATTERN_POSITION (-2)

typedef struct mp_Capture {
    const char *at;
    ptrdiff_t len; /* or one of the above */
} mp_Capture;

typedef struct mp_Pattern {
    const char *text, *text_end;
    const char *pattern, *pattern_end; /* a NUL ends it, too */
    bool (*go_on)(void *userdata);     /* false: the search ends without one */
    void *userdata;
    bool literal; /* a `^` at the beginning is a letter, as for gmatch */

    /* the matcher's own */
    uint32_t steps;
    int depth;
    int count; /* of captures */
    mp_Capture captures[MP_PATTERN_CAPTURES];
    const char *problem; /* what is wrong with the pattern; NULL: nothing */
    bool stopped;        /* by go_on */
} mp_Pattern;

/* Prepares [m] for [pattern] on [text], borrowed while it is used. */
void mp_pattern_init(mp_Pattern *m, const char *text, size_t len,
                     const char *pattern, size_t pattern_len);

/* The first match at or after [at], or only at [at] where the pattern begins
 * with `^`: its end, with its beginning in [begin] and its captures in [m].
 * NULL where there is none: see `problem` and `stopped`. */
const char *mp_pattern_find(mp_Pattern *m, const char *at, const char **begin);

/* Whether [pattern] means no more than its letters. */
bool mp_pattern_is_plain(const char *pattern, size_t len);

#endif
