/* scan.c: see scan.h. */
#include "scan.h"

#include <string.h>

enum { DEPTH = 128 };

static const char *skip_space(const char *at, const char *end)
{
    while (at < end &&
           (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'))
        at++;
    return at;
}

/* All of these return the first byte behind what they read, NULL if it is bad.
 */
static const char *skip_string(const char *at, const char *end)
{
    if (at >= end || *at != '"') return NULL;
    for (at++; at < end && *at != '"'; at++) {
        if ((unsigned char)*at < 32) return NULL;
        if (*at != '\\') continue;
        at++;
        if (at >= end || !*at || !strchr("\"\\/bfnrtu", *at)) return NULL;
    }
    return at < end ? at + 1 : NULL;
}

static const char *skip_number(const char *at, const char *end)
{
    const char *start = at;

    while (at < end && *at && strchr("+-.eE0123456789", *at))
        at++;
    return at > start ? at : NULL;
}

static const char *skip_word(const char *at, const char *end, const char *word)
{
    size_t len = strlen(word);

    if ((size_t)(end - at) < len || memcmp(at, word, len) != 0) return NULL;
    return at + len;
}

static const char *skip_value(const char *at, const char *end, int depth);

static const char *skip_key(const char *at, const char *end)
{
    at = skip_string(skip_space(at, end), end);
    if (!at) return NULL;
    at = skip_space(at, end);
    return at < end && *at == ':' ? at + 1 : NULL;
}

static const char *skip_container(const char *at, const char *end, int depth)
{
    bool object = *at == '{';
    char close = object ? '}' : ']';

    at = skip_space(at + 1, end);
    if (at < end && *at == close) return at + 1;
    for (;;) {
        if (object && !(at = skip_key(at, end))) return NULL;
        if (!(at = skip_value(at, end, depth + 1))) return NULL;
        at = skip_space(at, end);
        if (at >= end) return NULL;
        if (*at == close) return at + 1;
        if (*at++ != ',') return NULL;
    }
}

static const char *skip_value(const char *at, const char *end, int depth)
{
    at = skip_space(at, end);
    if (at >= end || depth > DEPTH) return NULL;
    switch (*at) {
    case '"': return skip_string(at, end);
    case '{':
    case '[': return skip_container(at, end, depth);
    case 't': return skip_word(at, end, "true");
    case 'f': return skip_word(at, end, "false");
    case 'n': return skip_word(at, end, "null");
    default: return skip_number(at, end);
    }
}

Scan scan_open(Span text, char open)
{
    Scan scan = {.end = text.at + text.len, .first = true};

    scan.at = skip_space(text.at, scan.end);
    scan.failed = scan.at >= scan.end || *scan.at != open;
    if (!scan.failed) scan.at++;
    return scan;
}

bool scan_closed(const Scan *scan)
{
    return !scan->failed && skip_space(scan->at, scan->end) == scan->end;
}

static bool fail(Scan *scan)
{
    scan->failed = true;
    return false;
}

/* Moves to the next entry; false at the closing [close], which is consumed. */
static bool advance(Scan *scan, char close)
{
    if (scan->failed) return false;
    scan->at = skip_space(scan->at, scan->end);
    if (scan->at >= scan->end) return fail(scan);
    if (*scan->at == close) {
        scan->at++;
        return false;
    }
    if (!scan->first && *scan->at++ != ',') return fail(scan);
    scan->first = false;
    scan->at = skip_space(scan->at, scan->end);
    return true;
}

static bool take_value(Scan *scan, Span *value)
{
    const char *start = skip_space(scan->at, scan->end);
    const char *stop = skip_value(start, scan->end, 0);

    if (!stop) return fail(scan);
    *value = (Span){start, (size_t)(stop - start)};
    scan->at = stop;
    return true;
}

bool scan_member(Scan *scan, Span *key, Span *value)
{
    const char *start, *stop;

    if (!advance(scan, '}')) return false;
    start = scan->at;
    stop = skip_string(start, scan->end);
    if (!stop) return fail(scan);
    *key = (Span){start + 1, (size_t)(stop - start) - 2};
    stop = skip_space(stop, scan->end);
    if (stop >= scan->end || *stop != ':') return fail(scan);
    scan->at = stop + 1;
    return take_value(scan, value);
}

bool scan_item(Scan *scan, Span *value)
{
    return advance(scan, ']') && take_value(scan, value);
}

Span scan_string(Span value)
{
    if (value.len < 2 || *value.at != '"') return (Span){"", 0};
    return (Span){value.at + 1, value.len - 2};
}
