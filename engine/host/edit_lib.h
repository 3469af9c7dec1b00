/*
 * edit_lib.h: libedit, opened when the first line is edited.
 *
 * It brings three more libraries, and no script needs it: they would be a
 * twentieth of the time of a start.
 *
 * Threads: one.
 */
#ifndef MP_EDIT_LIB_H
#define MP_EDIT_LIB_H

#ifdef MOONPIPE_EDIT
#include <histedit.h>

#define MP_EDIT_FUNCTIONS(X)                                                   \
    X(el_gets)                                                                 \
    X(el_init)                                                                 \
    X(el_insertstr)                                                            \
    X(el_line)                                                                 \
    X(el_reset)                                                                \
    X(el_resize)                                                               \
    X(el_set)                                                                  \
    X(el_source)                                                               \
    X(history)                                                                 \
    X(history_init)

typedef struct mp_EditLib {
#define MP_EDIT_MEMBER(name) __typeof__(name) *name;
    MP_EDIT_FUNCTIONS(MP_EDIT_MEMBER)
#undef MP_EDIT_MEMBER
} mp_EditLib;

/* The functions of libedit, or NULL where it is not installed. */
const mp_EditLib *mp_edit_lib(void);
#endif

#endif
