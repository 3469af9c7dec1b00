/* html.c: see html.h. */
#include "html.h"

#include <string.h>

/* What stands between two pieces of text, the strongest that was asked for. */
enum { NOTHING, SPACE, TAB, LINE, PARAGRAPH };

static const char *const GAPS[] = {"", " ", "\t", "\n", "\n\n"};

typedef struct Element {
    const char *name;
    int gap; /* around it */
} Element;

static const Element ELEMENTS[] = {
    {"address", LINE},     {"article", PARAGRAPH},
    {"aside", PARAGRAPH},  {"blockquote", PARAGRAPH},
    {"body", PARAGRAPH},   {"caption", LINE},
    {"center", LINE},      {"dd", LINE},
    {"div", LINE},         {"dl", PARAGRAPH},
    {"dt", LINE},          {"fieldset", PARAGRAPH},
    {"figcaption", LINE},  {"figure", PARAGRAPH},
    {"footer", PARAGRAPH}, {"form", PARAGRAPH},
    {"h1", PARAGRAPH},     {"h2", PARAGRAPH},
    {"h3", PARAGRAPH},     {"h4", PARAGRAPH},
    {"h5", PARAGRAPH},     {"h6", PARAGRAPH},
    {"header", PARAGRAPH}, {"hr", PARAGRAPH},
    {"li", LINE},          {"main", PARAGRAPH},
    {"nav", PARAGRAPH},    {"ol", PARAGRAPH},
    {"option", LINE},      {"p", PARAGRAPH},
    {"pre", PARAGRAPH},    {"section", PARAGRAPH},
    {"table", PARAGRAPH},  {"td", TAB},
    {"th", TAB},           {"tr", LINE},
    {"ul", PARAGRAPH},
};

static const char *const HIDDEN[] = {"canvas", "iframe", "noscript", "script",
                                     "style",  "svg",    "template"};

#define COUNT(list) (sizeof(list) / sizeof *(list))

static int gap_of(const char *name)
{
    for (size_t i = 0; i < COUNT(ELEMENTS); i++)
        if (strcmp(ELEMENTS[i].name, name) == 0) return ELEMENTS[i].gap;
    return NOTHING;
}

static bool is_hidden(const char *name)
{
    for (size_t i = 0; i < COUNT(HIDDEN); i++)
        if (strcmp(HIDDEN[i], name) == 0) return true;
    return false;
}

void mp_html_init(mp_Html *html)
{
    memset(html, 0, sizeof *html);
    mp_buf_init(&html->text, 0);
    mp_buf_init(&html->title, 0);
    mp_buf_init(&html->links, 0);
}

void mp_html_term(mp_Html *html)
{
    mp_buf_term(&html->text);
    mp_buf_term(&html->title);
    mp_buf_term(&html->links);
}

static void set_apart(mp_Html *html, int gap)
{
    if (gap > html->pending) html->pending = gap;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static void note_link(mp_Html *html, const char *target)
{
    while (is_blank(*target))
        target++;
    if (!*target || *target == '#') return;
    for (; *target; target++) /* as browsers do */
        if (*target != '\n' && *target != '\r' && *target != '\t')
            mp_buf_char(&html->links, *target);
    mp_buf_char(&html->links, '\n');
}

static void note_links(mp_Html *html, const char *const *attributes)
{
    for (; attributes && attributes[0]; attributes += 2)
        if (strcmp(attributes[0], "href") == 0 && attributes[1])
            note_link(html, attributes[1]);
}

void mp_html_start(mp_Html *html, const char *name,
                   const char *const *attributes)
{
    html->depth++;
    if (is_hidden(name)) html->hidden++;
    if (html->hidden > 0) return;
    if (strcmp(name, "title") == 0) html->in_title++;
    if (strcmp(name, "pre") == 0) html->in_pre++;
    if (strcmp(name, "a") == 0) note_links(html, attributes);
    /* a br is a line each time, others may share one */
    if (strcmp(name, "br") == 0)
        set_apart(html, html->pending == LINE ? PARAGRAPH : LINE);
    set_apart(html, gap_of(name));
}

static void leave(unsigned *count)
{
    if (*count > 0) (*count)--;
}

/* The end of a pre is its last line's. */
static void trim(mp_Buf *text)
{
    while (text->len > 0 && is_blank(text->data[text->len - 1]))
        text->len--;
}

void mp_html_end(mp_Html *html, const char *name)
{
    leave(&html->depth);
    if (html->hidden > 0) {
        if (is_hidden(name)) html->hidden--;
        return;
    }
    if (strcmp(name, "title") == 0) {
        leave(&html->in_title);
        html->had_title = html->title.len > 0;
    }
    if (strcmp(name, "pre") == 0) {
        leave(&html->in_pre);
        trim(&html->text);
    }
    set_apart(html, gap_of(name));
}

static void put_title(mp_Html *html, char c)
{
    mp_Buf *title = &html->title;

    if (html->had_title) return;
    if (!is_blank(c))
        mp_buf_char(title, c);
    else if (title->len > 0 && title->data[title->len - 1] != ' ')
        mp_buf_char(title, ' ');
}

static void put(mp_Html *html, char c)
{
    if (is_blank(c) && (html->in_pre == 0 || html->text.len == 0)) {
        set_apart(html, SPACE);
        return;
    }
    if (c == '\n' && html->pending >= LINE) return; /* right behind <pre> */
    if (html->text.len > 0 && html->pending != NOTHING)
        mp_buf_text(&html->text, GAPS[html->pending]);
    html->pending = NOTHING;
    mp_buf_char(&html->text, c);
}

void mp_html_text(mp_Html *html, const char *text, size_t len)
{
    if (html->hidden > 0) return;
    for (size_t i = 0; i < len; i++) {
        if (html->in_title > 0)
            put_title(html, text[i]);
        else
            put(html, text[i]);
    }
}

mp_Status mp_html_check(const mp_Html *html, mp_Error *err)
{
    mp_Status status = mp_buf_check(&html->text, err);

    if (status == MP_OK) status = mp_buf_check(&html->title, err);
    if (status == MP_OK) status = mp_buf_check(&html->links, err);
    if (status != MP_OK || html->depth <= MP_HTML_DEPTH) return status;
    return mp_err_set(err, MP_KIND_TOO_LARGE,
                      "the page has more than %d elements one in the other",
                      MP_HTML_DEPTH);
}
