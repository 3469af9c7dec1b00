/* edit_lib.c: see edit_lib.h. */
#include "edit_lib.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

#ifdef MOONPIPE_EDIT
#define LIBRARY "libedit.so.2"

static mp_EditLib table;

/* A function pointer is no void pointer in C: copied as bytes. */
static bool find(void *library, const char *name, void *into)
{
    void *found = dlsym(library, name);

    if (!found) return false;
    memcpy(into, &found, sizeof found);
    return true;
}

const mp_EditLib *mp_edit_lib(void)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

    if (!library) return NULL;
#define MP_EDIT_FIND(name)                                                     \
    if (!find(library, #name, &table.name)) return NULL;
    MP_EDIT_FUNCTIONS(MP_EDIT_FIND)
#undef MP_EDIT_FIND
    return &table;
}
#endif
