/*
 * pg_lib.h: libpq, opened at first use: a program that asks no PostgreSQL does
 * not pay for it.
 *
 * A forked child goes on with the parent's: the library's own locks are held
 * for a few instructions at a time, while a connection with TLS begins.
 *
 * Threads: any.
 */
#ifndef MP_PG_LIB_H
#define MP_PG_LIB_H

#include "err.h"

#if MOONPIPE_LIBPQ && __has_include(<libpq-fe.h>)
#define MP_HAVE_LIBPQ 1
#else
#define MP_HAVE_LIBPQ 0
#endif

#if MP_HAVE_LIBPQ

#include <libpq-fe.h>

#define MP_LIBPQ_FUNCTIONS(X)                                                  \
    X(clear)                                                                   \
    X(cmdTuples)                                                               \
    X(connectPoll)                                                             \
    X(connectStartParams)                                                      \
    X(conninfoFree)                                                            \
    X(conninfoParse)                                                           \
    X(consumeInput)                                                            \
    X(errorMessage)                                                            \
    X(finish)                                                                  \
    X(flush)                                                                   \
    X(fname)                                                                   \
    X(freemem)                                                                 \
    X(ftype)                                                                   \
    X(getResult)                                                               \
    X(getisnull)                                                               \
    X(getlength)                                                               \
    X(getvalue)                                                                \
    X(isBusy)                                                                  \
    X(isthreadsafe)                                                            \
    X(nfields)                                                                 \
    X(ntuples)                                                                 \
    X(resultErrorField)                                                        \
    X(resultStatus)                                                            \
    X(sendQueryParams)                                                         \
    X(serverVersion)                                                           \
    X(setErrorVerbosity)                                                       \
    X(setNoticeReceiver)                                                       \
    X(setSingleRowMode)                                                        \
    X(setnonblocking)                                                          \
    X(socket)                                                                  \
    X(status)                                                                  \
    X(transactionStatus)

typedef struct mp_Libpq {
#define MP_LIBPQ_MEMBER(name) __typeof__(PQ##name) *name;
    MP_LIBPQ_FUNCTIONS(MP_LIBPQ_MEMBER)
#undef MP_LIBPQ_MEMBER
} mp_Libpq;

/* The functions of libpq, or NULL with kind `unsupported`: not installed. */
const mp_Libpq *mp_pg_lib(mp_Error *err);

#endif
#endif
