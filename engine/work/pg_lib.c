/* pg_lib.c: see pg_lib.h. */
#include "pg_lib.h"

#if MP_HAVE_LIBPQ

#include "library.h"

static mp_Libpq table;

#define MP_LIBPQ_SYMBOL(name) {"PQ" #name, offsetof(mp_Libpq, name)},
static const mp_LibrarySymbol symbols[] = {MP_LIBPQ_FUNCTIONS(MP_LIBPQ_SYMBOL)};
#undef MP_LIBPQ_SYMBOL

static bool is_good(mp_Error *err)
{
    if (table.isthreadsafe()) return true;
    mp_err_set(err, MP_KIND_UNSUPPORTED, "libpq knows no threads here");
    return false;
}

static mp_Library library = {
    .file = "libpq.so.5",
    .name = "libpq",
    .symbols = symbols,
    .count = sizeof symbols / sizeof *symbols,
    .table = &table,
    .is_good = is_good,
};

const mp_Libpq *mp_pg_lib(mp_Error *err)
{
    return mp_library_table(&library, err);
}

#endif
