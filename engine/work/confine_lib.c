/* confine_lib.c: see confine_lib.h. */
#include "confine_lib.h"

#if MP_HAVE_SECCOMP

#include "library.h"

static mp_Seccomp table;

#define MP_SECCOMP_SYMBOL(name) {"seccomp_" #name, offsetof(mp_Seccomp, name)},
static const mp_LibrarySymbol symbols[] = {
    MP_SECCOMP_FUNCTIONS(MP_SECCOMP_SYMBOL)};
#undef MP_SECCOMP_SYMBOL

static mp_Library library = {
    .file = "libseccomp.so.2",
    .name = "libseccomp",
    .symbols = symbols,
    .count = sizeof symbols / sizeof *symbols,
    .table = &table,
};

const mp_Seccomp *mp_confine_lib(mp_Error *err)
{
    return mp_library_table(&library, err);
}

#endif
