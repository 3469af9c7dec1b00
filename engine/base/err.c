/* err.c: see err.h. */
#include "err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
#define MP_KIND_NAME(name, text) text,
    MP_KINDS(MP_KIND_NAME)
#undef MP_KIND_NAME
};

mp_Status mp_err_vset(mp_Error *err, mp_Kind kind, const char *format,
                      va_list args)
{
    if (err) {
        err->kind = kind;
        err->os_errno = 0;
        vsnprintf(err->message, sizeof err->message, format, args);
    }
    return -(mp_Status)kind;
}

mp_Status mp_err_set(mp_Error *err, mp_Kind kind, const char *format, ...)
{
    va_list args;
    mp_Status status;

    va_start(args, format);
    status = mp_err_vset(err, kind, format, args);
    va_end(args);
    return status;
}

#define NO_MEMORY "not enough memory"

const mp_Error mp_err_no_memory = {MP_KIND_MEMORY, 0, NO_MEMORY};

mp_Status mp_err_memory(mp_Error *err)
{
    return mp_err_set(err, MP_KIND_MEMORY, NO_MEMORY);
}

mp_Status mp_err_os(mp_Error *err, int os_errno, const char *what)
{
    const char *text = strerrordesc_np(os_errno); /* of any thread */
    mp_Kind kind = MP_KIND_IO;

    if (os_errno == EMFILE || os_errno == ENFILE)
        kind = MP_KIND_FDS;
    else if (os_errno == ENOMEM)
        kind = MP_KIND_MEMORY;
    mp_err_set(err, kind, "%s: %s", what, text ? text : "an unknown error");
    if (err) err->os_errno = os_errno;
    return -(mp_Status)kind;
}

const char *mp_err_name(mp_Kind kind)
{
    if ((unsigned)kind >= MP_KIND_COUNT) return names[MP_KIND_INTERNAL];
    return names[kind];
}
