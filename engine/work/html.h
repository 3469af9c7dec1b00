/*
 * html.h: the text of a page out of the events of a parser: what a reader sees,
 * a line for each line, a blank line between paragraphs, a tab between cells;
 * blanks count as one, but in `pre`. What no reader sees (scripts, styles) is
 * left out; the title and the targets of links are noted.
 *
 * Threads: a state has one owner at a time.
 */
#ifndef MP_HTML_H
#define MP_HTML_H

#include "buf.h"

#include <stdbool.h>

/* A page that is nested deeper is none: a parser's work grows with it. */
#define MP_HTML_DEPTH 5000

typedef struct mp_Html {
    mp_Buf text;
    mp_Buf title; /* of one line */
    mp_Buf links; /* each with a newline */
    int pending;  /* what the next character is set apart by */
    unsigned depth;
    unsigned hidden; /* elements around whose text is not shown, as the next */
    unsigned in_title;
    unsigned in_pre;
    bool had_title;
} mp_Html;

void mp_html_init(mp_Html *html);
void mp_html_term(mp_Html *html);

/* An element begins; [attributes] are pairs of name and value, which may be
 * NULL, up to a NULL; NULL: none. Names are lower case. */
void mp_html_start(mp_Html *html, const char *name,
                   const char *const *attributes);
void mp_html_end(mp_Html *html, const char *name);
void mp_html_text(mp_Html *html, const char *text, size_t len);

/* `memory`, or `too_large` for a page of more than MP_HTML_DEPTH elements one
 * in the other. */
mp_Status mp_html_check(const mp_Html *html, mp_Error *err);

#endif
