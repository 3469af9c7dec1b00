/*
 * confine_lib.h: libseccomp, opened by the process that confines itself and by
 * nobody else.
 *
 * Threads: any.
 */
#ifndef MP_CONFINE_LIB_H
#define MP_CONFINE_LIB_H

#include "err.h"

#if MOONPIPE_SECCOMP && __has_include(<seccomp.h>)
#define MP_HAVE_SECCOMP 1
#else
#define MP_HAVE_SECCOMP 0
#endif

#if MP_HAVE_SECCOMP

#include <seccomp.h>

#define MP_SECCOMP_FUNCTIONS(X)                                                \
    X(attr_set)                                                                \
    X(init)                                                                    \
    X(load)                                                                    \
    X(release)                                                                 \
    X(rule_add_array)

typedef struct mp_Seccomp {
#define MP_SECCOMP_MEMBER(name) __typeof__(seccomp_##name) *name;
    MP_SECCOMP_FUNCTIONS(MP_SECCOMP_MEMBER)
#undef MP_SECCOMP_MEMBER
} mp_Seccomp;

/* The functions of libseccomp, or NULL with kind `unsupported`: not installed.
 */
const mp_Seccomp *mp_confine_lib(mp_Error *err);

#endif
#endif
