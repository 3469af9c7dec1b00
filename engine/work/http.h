/*
 * http.h: one attempt of one HTTP call as a native job.
 *
 * Retry, backoff and fallback are Lua. The answer's status and headers come as
 * the `head` of an event:
 *
 *     200\ncontent-type: text/event-stream\nx-request-id: 7\n
 *
 * A whole answer is the cargo of the terminal event. A streamed one comes as
 * chunks of records (sse.h), the head with the first of them; where the server
 * sent no stream (an error status, JSON, HTML) its answer comes whole all the
 * same. A reader that is slow lets `unread` grow, and at the window's end the
 * transfer pauses until mp_engine_resume. Limit: over HTTP/2 libcurl takes up
 * to 32 MiB more of a paused stream while others share its connection.
 *
 * Timers, all of this attempt and none while it waits in a gate: connect (name,
 * TCP and TLS), first byte, idle (between data records of a stream, between
 * bytes otherwise; only while we are willing to read), total.
 */
#ifndef MP_HTTP_H
#define MP_HTTP_H

#include "job.h"

typedef enum mp_HttpFraming {
    MP_HTTP_WHOLE,
    MP_HTTP_SSE,
    MP_HTTP_NDJSON
} mp_HttpFraming;

/* What all calls of one model have in common; all borrowed, copied by
 * mp_http_plan_new. */
typedef struct mp_HttpSpec {
    const char *url;
    const char *method;         /* NULL: POST with a body, else GET */
    const char *const *headers; /* "Name: value", NULL ends */
    const char *gate;           /* NULL: none */
    unsigned gate_slots; /* of a gate that does not exist yet; 0: no limit */
    const char *proxy;   /* NULL: as the environment says; "": none */
    const char *ca_file; /* NULL: SSL_CERT_FILE, else the system's */
    bool insecure;       /* whoever answers is taken for the server */
    int ip;              /* 4 or 6: only that; 0: whichever answers */
    int64_t connect_us;  /* each 0: no limit */
    int64_t first_byte_us;
    int64_t idle_us;
    size_t body_max; /* decoded bytes; 0: MP_BUF_MAX */
} mp_HttpSpec;

/* A spec made ready once for many calls: counted, because a job may outlive
 * who made it. Its memory is wiped before it is freed: headers hold keys. */
typedef struct mp_HttpPlan mp_HttpPlan;

/* Returns a plan with one reference, or NULL without memory. */
mp_HttpPlan *mp_http_plan_new(const mp_HttpSpec *spec);

/* Gives one reference back; NULL is fine. From any thread. */
void mp_http_plan_free(mp_HttpPlan *plan);

/* Returns the job, owned, or NULL without memory. It has a reference of its
 * own to [plan] and copies [body] (NULL: none). [total_us] 0: no limit. */
mp_Job *mp_http_new(mp_HttpPlan *plan, const char *body, size_t body_len,
                    mp_HttpFraming framing, int64_t total_us);

/* Before it is submitted: each piece of a stream comes as one record, with the
 * bytes as the network brought them. Any of them keeps it from being idle. */
void mp_http_leave_uncut(mp_Job *job);

#endif
