/* html_lib.c: see html_lib.h. */
#include "html_lib.h"

#if MP_HAVE_LIBXML

#include "library.h"

static mp_Libxml table;

#define MP_LIBXML_SYMBOL(name) {#name, offsetof(mp_Libxml, name)},
static const mp_LibrarySymbol symbols[] = {
    MP_LIBXML_FUNCTIONS(MP_LIBXML_SYMBOL)};
#undef MP_LIBXML_SYMBOL

/* Before more than one thread uses it. */
static bool begin(mp_Error *err)
{
    (void)err;
    table.xmlInitParser();
    return true;
}

static mp_Library library = {
    .file = "libxml2.so.2",
    .name = "libxml2",
    .symbols = symbols,
    .count = sizeof symbols / sizeof *symbols,
    .table = &table,
    .is_good = begin,
};

const mp_Libxml *mp_html_lib(mp_Error *err)
{
    return mp_library_table(&library, err);
}

#endif
