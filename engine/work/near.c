/* near.c: see near.h. */
#include "near.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* From the folder of the binary, libmoonpipe.so or the Lua module: in a build,
 * then where `cmake --install` puts it. */
static const char *const places[] = {
    "",
    "../",
    "../" MOONPIPE_LIBDIR "/moonpipe/",
    "moonpipe/",
    "../../moonpipe/",
};

/* The program itself is known by argv[0] only, which may be anything. */
static bool is_program(const Dl_info *info)
{
    void *headers = (void *)getauxval(AT_PHDR);
    Dl_info program;

    return dladdr(headers, &program) && program.dli_fbase == info->dli_fbase;
}

/* The path of the file that holds this code, as it was opened: `require` finds
 * "./moonpipe.so" too. */
static const char *own_path(void)
{
    Dl_info info;

    if (!dladdr(places, &info) || is_program(&info)) return "/proc/self/exe";
    return info.dli_fname;
}

/* Writes that path, absolute, up to its last slash. */
static bool own_folder(char out[PATH_MAX])
{
    char *slash = realpath(own_path(), out) ? strrchr(out, '/') : NULL;

    if (slash) slash[1] = '\0';
    return slash != NULL;
}

bool mp_near_find(const char *name, char path[MP_NEAR_PATH])
{
    char folder[PATH_MAX];

    path[0] = '\0';
    if (!own_folder(folder)) return false;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(path, MP_NEAR_PATH, "%s%s%s", folder, places[i], name);
        if (access(path, R_OK) == 0) return true;
    }
    snprintf(path, MP_NEAR_PATH, "%s", folder);
    return false;
}
