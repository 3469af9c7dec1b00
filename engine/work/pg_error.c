/*
 * pg_error.c: what libpq and the server say, as errors of ours. See pg_link.h.
 *
 * The server's SQLSTATE decides on the kind; its texts may be in any language.
 * libpq gives none while it connects, so it is asked for verbose messages
 * there, which hold it: `... failed: FATAL:  28P01: password ...`.
 */
#include "pg_link.h"

#if MP_HAVE_LIBPQ

#include <string.h>

#define STATE_LEN 5

typedef struct Meaning {
    const char *state; /* how it begins */
    mp_Kind kind;
} Meaning;

/* The first that fits; the classes stand in appendix A of its manual. */
static const Meaning meanings[] = {
    {"0A", MP_KIND_INPUT},            /* feature not supported */
    {"08", MP_KIND_CONNECT},          /* connection exception */
    {"21", MP_KIND_INPUT},            /* cardinality */
    {"22", MP_KIND_INPUT},            /* data exception */
    {"23", MP_KIND_INPUT},            /* integrity constraint */
    {"28", MP_KIND_AUTH},             /* invalid authorization */
    {"3D", MP_KIND_CONFIG},           /* no such database */
    {"3F", MP_KIND_CONFIG},           /* no such schema */
    {"42501", MP_KIND_AUTH},          /* insufficient privilege */
    {"42", MP_KIND_INPUT},            /* syntax, names, types */
    {"53300", MP_KIND_CONNECT},       /* too many connections */
    {"54", MP_KIND_TOO_LARGE},        /* program limit exceeded */
    {"57014", MP_KIND_TIMEOUT_TOTAL}, /* its own statement_timeout */
    {"57P03", MP_KIND_CONNECT},       /* it starts up or shuts down */
    {"57P", MP_KIND_RESET},           /* it was shut down, or crashed */
};

static mp_Kind kind_of(const char *state)
{
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        const char *begin = meanings[i].state;

        if (strncmp(state, begin, strlen(begin)) == 0) return meanings[i].kind;
    }
    return MP_KIND_IO;
}

/* --- of a statement --- */

static bool is_no_memory(const char *text)
{
    return strncmp(text, "out of memory", 13) == 0;
}

mp_Status mp_pg_link_refused(mp_PgLink *link, const PGresult *result,
                             mp_Error *err)
{
    const char *state = link->lib->resultErrorField(result, PG_DIAG_SQLSTATE);
    const char *text =
        link->lib->resultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (!state) return mp_pg_link_failed(link, false, err);
    return mp_err_set(err, kind_of(state), "PostgreSQL: %s (SQLSTATE %s)",
                      text ? text : "no reason was given", state);
}

/* --- of a connection --- */

static bool is_state(const char *at)
{
    for (int i = 0; i < STATE_LEN; i++) {
        bool digit = at[i] >= '0' && at[i] <= '9';

        if (!digit && (at[i] < 'A' || at[i] > 'Z')) return false;
    }
    return strncmp(at + STATE_LEN, ": ", 2) == 0;
}

/* Where `28P01: text` begins in `FATAL:  28P01: text`, or NULL. */
static const char *find_state(const char *text)
{
    const char *at = text;

    while ((at = strstr(at, ":  "))) {
        at += 3;
        if (is_state(at)) return at;
    }
    return NULL;
}

static int line_length(const char *text)
{
    return (int)strcspn(text, "\n");
}

/* libpq's own texts: without a state there is nothing else to go by. */
static mp_Kind kind_of_text(const char *text)
{
    if (strstr(text, "translate host name")) return MP_KIND_DNS;
    if (strstr(text, "SSL") || strstr(text, "certificate")) return MP_KIND_TLS;
    if (strstr(text, "no password supplied")) return MP_KIND_AUTH;
    if (strncmp(text, "invalid ", 8) == 0) return MP_KIND_CONFIG;
    return MP_KIND_CONNECT;
}

static mp_Status not_connected(const char *text, mp_Error *err)
{
    const char *state = find_state(text);

    if (state)
        return mp_err_set(err, kind_of(state),
                          "PostgreSQL: %.*s (SQLSTATE %.*s)",
                          line_length(state + STATE_LEN + 2),
                          state + STATE_LEN + 2, STATE_LEN, state);
    return mp_err_set(err, kind_of_text(text), "PostgreSQL: %.*s",
                      line_length(text), text);
}

mp_Status mp_pg_link_failed(mp_PgLink *link, bool connecting, mp_Error *err)
{
    const char *text = link->lib->errorMessage(link->conn);

    link->broken = true;
    if (is_no_memory(text)) return mp_err_memory(err);
    if (connecting) return not_connected(text, err);
    return mp_err_set(err, MP_KIND_RESET, "PostgreSQL: %.*s", line_length(text),
                      text);
}

#endif
