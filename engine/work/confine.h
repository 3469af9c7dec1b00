/*
 * confine.h: a process gives up its rights, for good: it can compute, read its
 * standard input and write its standard output, and nothing else.
 *
 * What goes: privileges of programs it could start, being looked into and core
 * dumps (PR_SET_DUMPABLE), outliving its parent, files, processes, descriptors
 * and memory (rlimits), and every system call that is not in a list of some
 * twenty: another one ends it, by SIGSYS, before the kernel does anything. No
 * memory can become code.
 *
 * Threads: the only one.
 */
#ifndef MP_CONFINE_H
#define MP_CONFINE_H

#include "err.h"

#include <stddef.h>

/* Confines the calling process; from now on it may have [memory] bytes more.
 * `unsupported` where kernel, library or build have no seccomp, `io` where
 * something else is refused: then it must end, for it has some rights left. */
mp_Status mp_confine(size_t memory, mp_Error *err);

/* The part of it that filters system calls. */
mp_Status mp_confine_calls(mp_Error *err);

#endif
