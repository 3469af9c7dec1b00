/*
 * html_lib.h: libxml2, whose parser reads HTML as it is found, opened at first
 * use: a program that reads no pages does not pay for it.
 *
 * A forked child goes on with the parent's: the library's locks are held for a
 * few instructions at a time, by threads of the pool alone.
 *
 * Threads: any.
 */
#ifndef MP_HTML_LIB_H
#define MP_HTML_LIB_H

#include "err.h"

#if MOONPIPE_LIBXML && __has_include(<libxml/HTMLparser.h>)
#define MP_HAVE_LIBXML 1
#else
#define MP_HAVE_LIBXML 0
#endif

#if MP_HAVE_LIBXML

#include <libxml/HTMLparser.h>

#define MP_LIBXML_FUNCTIONS(X)                                                 \
    X(htmlCreatePushParserCtxt)                                                \
    X(htmlCtxtUseOptions)                                                      \
    X(htmlFreeParserCtxt)                                                      \
    X(htmlParseChunk)                                                          \
    X(xmlInitParser)

typedef struct mp_Libxml {
#define MP_LIBXML_MEMBER(name) __typeof__(name) *name;
    MP_LIBXML_FUNCTIONS(MP_LIBXML_MEMBER)
#undef MP_LIBXML_MEMBER
} mp_Libxml;

/* The functions of libxml2, or NULL with kind `unsupported`. */
const mp_Libxml *mp_html_lib(mp_Error *err);

#endif
#endif
