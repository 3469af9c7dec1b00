/*
 * scan.h: reads JSON where it lies: no tree, no copies.
 *
 * A Scan walks one object or array. A value comes as the span of its raw text,
 * which a new Scan can walk in turn. Strings stay escaped: what a request says
 * goes into the answer as it came.
 */
#ifndef SCAN_H
#define SCAN_H

#include "bytes.h"

typedef struct Scan {
    const char *at, *end;
    bool first;
    bool failed; /* the text is not JSON; every further call says false */
} Scan;

/* Begins inside the container that [text] is; fails if it is none of that
 * kind. [open] is '{' or '['. */
Scan scan_open(Span text, char open);

/* Whether the whole text was one well-formed container; to be asked after the
 * last member. */
bool scan_closed(const Scan *scan);

/* The next member of an object or item of an array; false at the end. */
bool scan_member(Scan *scan, Span *key, Span *value);
bool scan_item(Scan *scan, Span *value);

/* The inside of a string value; an empty span for any other. */
Span scan_string(Span value);

#endif
