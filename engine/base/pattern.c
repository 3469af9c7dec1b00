/*
 * pattern.c: Lua's patterns by backtracking, with a look at the clock between.
 *
 * An item of a pattern is one class (`a`, `%a`, `[a-z]`, `.`) with what repeats
 * it, or one of `( ) %b %f %1`. What follows an item is matched by a loop;
 * where there is a choice, by recursion. As in LuaJIT the recursion is 200 deep
 * at most.
 */
#include "pattern.h"

#include <ctype.h>
#include <string.h>

#define DEPTH 200
#define ASK   4096 /* steps between two looks at the clock */

static const char *match(mp_Pattern *m, const char *s, const char *p);

static const char *fail(mp_Pattern *m, const char *problem)
{
    if (!m->problem) m->problem = problem;
    return NULL;
}

/* Counts a step. False: no more. */
static bool step(mp_Pattern *m)
{
    if (m->problem || m->stopped) return false;
    if (++m->steps < ASK) return true;
    m->steps = 0;
    m->stopped = m->go_on && !m->go_on(m->userdata);
    return !m->stopped;
}

/* --- classes --- */

static bool is_of_letter(int c, int letter)
{
    switch (tolower(letter)) {
    case 'a': return isalpha(c);
    case 'c': return iscntrl(c);
    case 'd': return isdigit(c);
    case 'g': return isgraph(c);
    case 'l': return islower(c);
    case 'p': return ispunct(c);
    case 's': return isspace(c);
    case 'u': return isupper(c);
    case 'w': return isalnum(c);
    case 'x': return isxdigit(c);
    case 'z': return c == 0;
    default: return false;
    }
}

static bool is_class_letter(int letter)
{
    return letter && strchr("acdglpsuwxz", tolower(letter));
}

/* Whether %[letter] takes [c]; of what is no class, the letter itself. */
static bool escape_takes(int c, int letter)
{
    if (!is_class_letter(letter)) return letter == c;
    return is_of_letter(c, letter) == !isupper(letter);
}

/* Behind the set whose `[` stands at [p]. */
static const char *set_end(mp_Pattern *m, const char *p)
{
    p++;
    if (p < m->pattern_end && *p == '^') p++;
    do { /* a `]` in the first place is a member */
        if (p >= m->pattern_end)
            return fail(m, "malformed pattern (missing ']')");
        if (*p++ == '%' && p < m->pattern_end) p++;
    } while (p >= m->pattern_end || *p != ']');
    return p + 1;
}

/* Behind the class at [p]. */
static const char *class_end(mp_Pattern *m, const char *p)
{
    if (*p == '[') return set_end(m, p);
    if (*p != '%') return p + 1;
    if (p + 1 >= m->pattern_end)
        return fail(m, "malformed pattern (ends with '%')");
    return p + 2;
}

/* [p] is at the `[`, [last] at the `]`. */
static bool set_takes(int c, const char *p, const char *last)
{
    bool takes = true;

    if (p[1] == '^') {
        takes = false;
        p++;
    }
    while (++p < last) {
        if (*p == '%' && p + 1 <= last) {
            p++;
            if (escape_takes(c, (unsigned char)*p)) return takes;
        } else if (p[1] == '-' && p + 2 < last) {
            if ((unsigned char)p[0] <= c && c <= (unsigned char)p[2])
                return takes;
            p += 2;
        } else if ((unsigned char)*p == c) {
            return takes;
        }
    }
    return !takes;
}

/* Whether the class from [p] to [end] takes the byte at [s]. */
static bool takes(const mp_Pattern *m, const char *s, const char *p,
                  const char *end)
{
    int c;

    if (s >= m->text_end) return false;
    c = (unsigned char)*s;
    switch (*p) {
    case '.': return true;
    case '%': return escape_takes(c, (unsigned char)p[1]);
    case '[': return set_takes(c, p, end - 1);
    default: return (unsigned char)*p == c;
    }
}

/* --- captures --- */

static const char *open_capture(mp_Pattern *m, const char *s, const char *p,
                                ptrdiff_t len)
{
    const char *end;

    if (m->count >= MP_PATTERN_CAPTURES) return fail(m, "too many captures");
    m->captures[m->count++] = (mp_Capture){s, len};
    end = match(m, s, p);
    if (!end) m->count--;
    return end;
}

static const char *close_capture(mp_Pattern *m, const char *s, const char *p)
{
    int open = m->count - 1;
    const char *end;

    while (open >= 0 && m->captures[open].len != MP_PATTERN_OPEN)
        open--;
    if (open < 0) return fail(m, "invalid pattern capture");
    m->captures[open].len = s - m->captures[open].at;
    end = match(m, s, p);
    if (!end) m->captures[open].len = MP_PATTERN_OPEN;
    return end;
}

/* Behind what repeats the capture of [digit] at [s], or NULL. */
static const char *again(mp_Pattern *m, const char *s, int digit)
{
    int at = digit - '1';
    const mp_Capture *one = &m->captures[at < 0 ? 0 : at];

    if (at < 0 || at >= m->count || one->len == MP_PATTERN_OPEN)
        return fail(m, "invalid capture index");
    if (one->len < 0 || m->text_end - s < one->len) return NULL;
    m->steps += (uint32_t)(one->len / 64);
    return memcmp(one->at, s, (size_t)one->len) == 0 ? s + one->len : NULL;
}

/* --- items --- */

/* Behind the text that %bxy at [p] takes at [s], or NULL. */
static const char *balanced(mp_Pattern *m, const char *s, const char *p)
{
    int depth = 1;

    if (m->pattern_end - p < 4) return fail(m, "unbalanced pattern");
    if (s >= m->text_end || *s != p[2]) return NULL;
    while (++s < m->text_end && step(m)) {
        if (*s == p[3] && --depth == 0) return s + 1;
        if (*s == p[2] && p[2] != p[3]) depth++;
    }
    return NULL;
}

/* Whether a place at [s] is where %f's set, from [p] to [end], begins. */
static bool is_frontier(const mp_Pattern *m, const char *s, const char *p,
                        const char *end)
{
    int before = s == m->text ? 0 : (unsigned char)s[-1];
    int here = s < m->text_end ? (unsigned char)*s : 0;

    return !set_takes(before, p, end - 1) && set_takes(here, p, end - 1);
}

static const char *most(mp_Pattern *m, const char *s, const char *p,
                        const char *end)
{
    ptrdiff_t count = 0;
    const char *found;

    while (takes(m, s + count, p, end) && step(m))
        count++;
    for (; count >= 0 && step(m); count--) {
        found = match(m, s + count, end + 1);
        if (found) return found;
    }
    return NULL;
}

static const char *least(mp_Pattern *m, const char *s, const char *p,
                         const char *end)
{
    const char *found;

    while (step(m)) {
        found = match(m, s, end + 1);
        if (found) return found;
        if (!takes(m, s, p, end)) return NULL;
        s++;
    }
    return NULL;
}

/* The item at [*p] that is no class: moves [*s] and [*p] behind it. False: it
 * does not match here. */
static bool special(mp_Pattern *m, const char **s, const char **p)
{
    const char *end;

    switch ((*p)[1]) {
    case 'b':
        *s = balanced(m, *s, *p);
        *p += 4;
        return *s != NULL;
    case 'f':
        if (*p + 2 >= m->pattern_end || (*p)[2] != '[')
            return fail(m, "missing '[' after '%f' in pattern") != NULL;
        end = set_end(m, *p + 2);
        if (!end || !is_frontier(m, *s, *p + 2, end)) return false;
        *p = end;
        return true;
    default:
        *s = again(m, *s, (unsigned char)(*p)[1]);
        *p += 2;
        return *s != NULL;
    }
}

static bool is_special(const mp_Pattern *m, const char *p)
{
    if (*p != '%' || p + 1 >= m->pattern_end) return false;
    return p[1] == 'b' || p[1] == 'f' || isdigit((unsigned char)p[1]);
}

/* What one class with its repeat gives: the end of the whole match in [*found],
 * or true and both moved on. */
static bool class_item(mp_Pattern *m, const char **s, const char **p,
                       const char **found)
{
    const char *end = class_end(m, *p);
    char repeat;

    *found = NULL;
    if (!end) return false;
    repeat = end < m->pattern_end ? *end : '\0';
    if (repeat == '*') *found = most(m, *s, *p, end);
    if (repeat == '-') *found = least(m, *s, *p, end);
    if (repeat == '+' && takes(m, *s, *p, end))
        *found = most(m, *s + 1, *p, end);
    if (repeat == '?') {
        if (takes(m, *s, *p, end)) *found = match(m, *s + 1, end + 1);
        *p = end + 1;
        return !*found;
    }
    if (repeat && strchr("*-+", repeat)) return false;
    if (!takes(m, *s, *p, end)) return false;
    (*s)++;
    *p = end;
    return true;
}

static const char *match_items(mp_Pattern *m, const char *s, const char *p)
{
    const char *found;

    while (step(m)) {
        if (p >= m->pattern_end) return s;
        if (*p == '(') {
            if (p + 1 < m->pattern_end && p[1] == ')')
                return open_capture(m, s, p + 2, MP_PATTERN_POSITION);
            return open_capture(m, s, p + 1, MP_PATTERN_OPEN);
        }
        if (*p == ')') return close_capture(m, s, p + 1);
        if (*p == '$' && p + 1 == m->pattern_end)
            return s == m->text_end ? s : NULL;
        if (is_special(m, p)) {
            if (!special(m, &s, &p)) return NULL;
        } else if (!class_item(m, &s, &p, &found)) {
            return found;
        }
    }
    return NULL;
}

static const char *match(mp_Pattern *m, const char *s, const char *p)
{
    const char *end;

    if (++m->depth > DEPTH) fail(m, "pattern too complex");
    end = match_items(m, s, p);
    m->depth--;
    return end;
}

/* --- for others --- */

void mp_pattern_init(mp_Pattern *m, const char *text, size_t len,
                     const char *pattern, size_t pattern_len)
{
    const char *nul = memchr(pattern, '\0', pattern_len);

    memset(m, 0, sizeof *m);
    m->text = text;
    m->text_end = text + len;
    m->pattern = pattern;
    m->pattern_end = nul ? nul : pattern + pattern_len;
}

const char *mp_pattern_find(mp_Pattern *m, const char *at, const char **begin)
{
    bool anchored =
        !m->literal && m->pattern < m->pattern_end && *m->pattern == '^';
    const char *p = m->pattern + (anchored ? 1 : 0), *end;

    do {
        m->count = 0;
        m->depth = 0;
        *begin = at;
        end = match(m, at, p);
    } while (!end && !anchored && !m->problem && !m->stopped &&
             at++ < m->text_end);
    return end;
}

bool mp_pattern_is_plain(const char *pattern, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (memchr("^$*+?.([%-", pattern[i], 10)) return false;
    return true;
}
