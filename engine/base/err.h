/*
 * err.h: the closed list of error kinds, and the one error value of C code.
 *
 * Every fallible function returns an mp_Status (MP_OK, or minus the kind) and
 * writes details into a caller-owned mp_Error, its last parameter, which may
 * be NULL. An mp_Error holds no pointer, so it crosses threads by value with
 * its job. The Lua field `kind` is the lower-case name.
 *
 * The numbers are part of the ABI: add at the end, never reorder.
 */
#ifndef MP_ERR_H
#define MP_ERR_H

#include <stdarg.h>

#define MP_KINDS(X)                                                            \
    X(NONE, "none")                                                            \
    X(DNS, "dns")                                                              \
    X(CONNECT, "connect")                                                      \
    X(TLS, "tls")                                                              \
    X(TIMEOUT_CONNECT, "timeout_connect")                                      \
    X(TIMEOUT_FIRST_BYTE, "timeout_first_byte")                                \
    X(TIMEOUT_IDLE, "timeout_idle")                                            \
    X(TIMEOUT_TOTAL, "timeout_total")                                          \
    X(RESET, "reset")                                                          \
    X(TRUNCATED, "truncated")                                                  \
    X(PROTOCOL, "protocol")                                                    \
    X(HTTP, "http")                                                            \
    X(AUTH, "auth")                                                            \
    X(QUOTA, "quota")                                                          \
    X(RATE_LIMIT, "rate_limit")                                                \
    X(CONTEXT_LENGTH, "context_length")                                        \
    X(CONTENT_FILTER, "content_filter")                                        \
    X(REFUSED_REQUEST, "refused_request")                                      \
    X(TOO_LARGE, "too_large")                                                  \
    X(DECODE, "decode")                                                        \
    X(SCHEMA, "schema")                                                        \
    X(TOOL, "tool")                                                            \
    X(CANCELLED, "cancelled")                                                  \
    X(CLOSED, "closed")                                                        \
    X(LUA, "lua")                                                              \
    X(LIMIT, "limit")                                                          \
    X(MEMORY, "memory")                                                        \
    X(FDS, "fds")                                                              \
    X(IO, "io")                                                                \
    X(CONFIG, "config")                                                        \
    X(INTERNAL, "internal")                                                    \
    X(INPUT, "input")                                                          \
    X(UNSUPPORTED, "unsupported")

typedef enum mp_Kind {
#define MP_KIND_ENUM(name, text) MP_KIND_##name,
    MP_KINDS(MP_KIND_ENUM)
#undef MP_KIND_ENUM
        MP_KIND_COUNT
} mp_Kind;

/* MP_OK or minus an mp_Kind. */
typedef int mp_Status;
#define MP_OK 0

/* Longest message kept, with its NUL; a longer one is cut. */
#define MP_ERROR_TEXT 512

typedef struct mp_Error {
    mp_Kind kind;
    int os_errno; /* 0 where no system call was involved */
    char message[MP_ERROR_TEXT];
} mp_Error;

/* Fills [err] (NULL is fine) and returns minus [kind], so that a function can
 * end with `return mp_err_set(err, MP_KIND_IO, "cannot open '%s'", path);`.
 * Messages are lower case, without a full stop, and name the value. */
mp_Status mp_err_set(mp_Error *err, mp_Kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with an argument list. */
mp_Status mp_err_vset(mp_Error *err, mp_Kind kind, const char *format,
                      va_list args) __attribute__((format(printf, 3, 0)));

/* That of kind `memory`, for who has none of his own to fill. */
extern const mp_Error mp_err_no_memory;

/* `memory` with the one message that needs no memory. */
mp_Status mp_err_memory(mp_Error *err);

/* `io` (or `fds` for EMFILE and ENFILE, `memory` for ENOMEM) with [what] and
 * the text of [os_errno]. */
mp_Status mp_err_os(mp_Error *err, int os_errno, const char *what);

/* The lower-case name of [kind]; "internal" for a number out of range. */
const char *mp_err_name(mp_Kind kind);

#endif
