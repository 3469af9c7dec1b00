/*
 * html_job.c: see html_job.h.
 *
 * libxml2 pushes events, no tree is made; so a page is read in slices, and what
 * it takes besides its text is little.
 */
#include "html_job.h"

#include "alloc.h"
#include "clock.h"
#include "cpu.h"
#include "html.h"
#include "html_lib.h"

#include <string.h>

/* Bytes between two looks at the clock: about half a millisecond. */
#define PIECE ((size_t)16 << 10)

typedef struct HtmlJob {
    mp_CpuJob cpu;
    mp_Html html;
    mp_Buf page;
    size_t at;
#if MP_HAVE_LIBXML
    const mp_Libxml *lib;
    htmlParserCtxtPtr parser; /* NULL: it has not begun */
#endif
} HtmlJob;

#if MP_HAVE_LIBXML

static void on_start(void *self, const xmlChar *name,
                     const xmlChar **attributes)
{
    mp_html_start(&((HtmlJob *)self)->html, (const char *)name,
                  (const char *const *)attributes);
}

static void on_end(void *self, const xmlChar *name)
{
    mp_html_end(&((HtmlJob *)self)->html, (const char *)name);
}

static void on_text(void *self, const xmlChar *text, int len)
{
    mp_html_text(&((HtmlJob *)self)->html, (const char *)text, (size_t)len);
}

/* Without one the library prints. */
static void on_error(void *self, const char *format, ...)
{
    (void)self, (void)format;
}

static mp_Status begin(HtmlJob *self)
{
    mp_Error *err = &self->cpu.err;
    htmlSAXHandler sax;

    memset(&sax, 0, sizeof sax);
    sax.startElement = on_start;
    sax.endElement = on_end;
    sax.characters = on_text;
    sax.ignorableWhitespace = on_text;
    sax.cdataBlock = on_text;
    sax.warning = sax.error = on_error;
    self->lib = mp_html_lib(err);
    if (!self->lib) return -(mp_Status)err->kind;
    self->parser = self->lib->htmlCreatePushParserCtxt(
        &sax, self, NULL, 0, NULL, XML_CHAR_ENCODING_UTF8);
    if (!self->parser) return mp_err_memory(err);
    self->lib->htmlCtxtUseOptions(self->parser,
                                  HTML_PARSE_RECOVER | HTML_PARSE_NOERROR |
                                      HTML_PARSE_NOWARNING | HTML_PARSE_NONET |
                                      HTML_PARSE_IGNORE_ENC);
    return MP_OK;
}

/* Errors of the page are none of ours: the parser goes on. */
static mp_Status feed(HtmlJob *self, size_t len)
{
    bool last = self->at + len == self->page.len;
    int found = self->lib->htmlParseChunk(
        self->parser, self->page.data + self->at, (int)len, last);

    self->at += len;
    if (found == XML_ERR_NO_MEMORY) return mp_err_memory(&self->cpu.err);
    return mp_html_check(&self->html, &self->cpu.err);
}

static mp_Status write_answer(HtmlJob *self)
{
    mp_Event *end = &self->cpu.job.end;

    mp_buf_append(&end->head, self->html.title.data, self->html.title.len);
    mp_buf_char(&end->head, '\n');
    mp_buf_append(&end->head, self->html.links.data, self->html.links.len);
    end->bytes = self->html.text;
    mp_buf_init(&self->html.text, 0);
    return mp_buf_check(&end->head, &self->cpu.err);
}

static mp_CpuStep slice(mp_CpuJob *cpu, int64_t until_us)
{
    HtmlJob *self = (HtmlJob *)cpu;

    if (!self->parser && begin(self) != MP_OK) return MP_CPU_FAILED;
    while (self->at < self->page.len) {
        size_t left = self->page.len - self->at;

        if (feed(self, left < PIECE ? left : PIECE) != MP_OK)
            return MP_CPU_FAILED;
        if (mp_clock_us() >= until_us && self->at < self->page.len)
            return MP_CPU_MORE;
    }
    return write_answer(self) == MP_OK ? MP_CPU_DONE : MP_CPU_FAILED;
}

static void free_parser(HtmlJob *self)
{
    if (self->parser) self->lib->htmlFreeParserCtxt(self->parser);
}

#else

static mp_CpuStep slice(mp_CpuJob *cpu, int64_t until_us)
{
    (void)until_us;
    mp_err_set(&cpu->err, MP_KIND_UNSUPPORTED,
               "this build reads no HTML: it was made without libxml2");
    return MP_CPU_FAILED;
}

static void free_parser(HtmlJob *self)
{
    (void)self;
}

#endif

static void term(mp_CpuJob *cpu)
{
    HtmlJob *self = (HtmlJob *)cpu;

    free_parser(self);
    mp_html_term(&self->html);
    mp_buf_term(&self->page);
}

static const mp_CpuClass html_class = {slice, term};

mp_Job *mp_html_job(mp_Buf *page)
{
    HtmlJob *self = mp_alloc_zero(1, sizeof *self);

    if (!self) return NULL;
    mp_cpu_init(&self->cpu, &html_class);
    mp_html_init(&self->html);
    self->page = *page;
    mp_buf_init(page, page->max);
    return &self->cpu.job;
}
