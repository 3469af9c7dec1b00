/* db_lib.c: see db_lib.h. */
#include "db_lib.h"

#if MP_HAVE_SQLITE

#include "library.h"

static mp_Sqlite table;

#define MP_SQLITE_SYMBOL(name) {"sqlite3_" #name, offsetof(mp_Sqlite, name)},
static const mp_LibrarySymbol symbols[] = {
    MP_SQLITE_FUNCTIONS(MP_SQLITE_SYMBOL)};
#undef MP_SQLITE_SYMBOL

static bool is_good(mp_Error *err)
{
    if (table.threadsafe()) return true;
    mp_err_set(err, MP_KIND_UNSUPPORTED, "SQLite knows no threads here");
    return false;
}

static mp_Library library = {
    .file = "libsqlite3.so.0",
    .name = "SQLite",
    .symbols = symbols,
    .count = sizeof symbols / sizeof *symbols,
    .table = &table,
    .is_good = is_good,
    .anew = true,
};

const mp_Sqlite *mp_db_lib(mp_Error *err)
{
    return mp_library_table(&library, err);
}

#endif
