/*
 * http_job.h: what the files of an HTTP job share: http.c (its life),
 * http_options.c (what curl is told), http_body.c (what curl brings),
 * http_make.c (how it is made).
 *
 * Threads: the I/O thread, but for mp_http_new and the class's free.
 */
#ifndef MP_HTTP_JOB_H
#define MP_HTTP_JOB_H

#include "gate.h"
#include "http.h"
#include "http_io.h"
#include "io.h"
#include "lookup.h"
#include "sse.h"

#include <pthread.h>

/* A longer head is none of a model's server; most fit in the first piece. */
#define MP_HTTP_HEAD_MAX   ((size_t)64 << 10)
#define MP_HTTP_HEAD_FIRST ((size_t)500)

struct mp_HttpPlan {
    atomic_int references;
    size_t size; /* with the strings behind it */
    uint64_t serial;
    uint64_t origin;
    bool tls;
    bool has_name;  /* that must be looked up */
    CURLU *address; /* the url parsed; the I/O thread's, NULL at first */
    struct curl_slist *headers;
    pthread_mutex_t lock; /* of the next two */
    struct mp_HttpJob *spare;
    unsigned spares;
    mp_HttpSpec spec; /* its strings stand behind the struct */
};

typedef struct mp_HttpJob {
    mp_Job job;
    mp_HttpPlan *plan;
    struct mp_HttpJob *next_spare; /* while nobody uses it */
    size_t room;                   /* bytes behind the struct: curl_text, */
    const char *body;              /* and this, or NULL */
    size_t body_len;
    mp_HttpFraming framing;
    int64_t total_us;
    mp_GateEntry own;  /* in the gate of the call, if it has one */
    mp_GateEntry wide; /* in the gate of all descriptors */
    int64_t queued_at; /* in one of them since then; 0: in none */
    mp_LookupEntry lookup;
    mp_HttpTransfer transfer;
    mp_IoTimer timer;
    int64_t connect_at; /* absolute, as all; MP_CLOCK_NEVER: not now */
    int64_t first_byte_at;
    int64_t idle_at;
    int64_t total_at;
    mp_Sse sse;
    bool streaming; /* the body goes through sse */
    bool uncut;     /* ... and would, but its bytes are wanted as they come */
    bool looks_up;
    bool no_descriptor; /* for the socket that it needed */
    bool head_ended;
    bool body_begun;
    bool head_sent;
    bool paused;
    mp_Error *failure; /* memory for job.err, once something failed */
    char *curl_text; /* what curl says of its failure: CURL_ERROR_SIZE bytes */
} mp_HttpJob;

extern const mp_JobClass mp_http_class;

/* The class's free: keeps the job for the next call of its plan. */
void mp_http_free_job(mp_Job *job);

/* Keeps a copy of [err] as what the job fails of; without memory that is it. */
void mp_http_keep_error(mp_HttpJob *self, const mp_Error *err);

/* A record has come, or a byte of a whole answer: the idle time begins anew. */
void mp_http_note_data(mp_HttpJob *self);

/* Cuts [len] bytes of a stream into records and moves them up; NULL says that
 * no more come. The failure stands in job.err too. */
mp_Status mp_http_feed(mp_HttpJob *self, const char *bytes, size_t len);

/* Fills the easy handle with what the call needs; [had_options]: it has those
 * of the plan already. */
void mp_http_set_options(mp_HttpJob *self, bool had_options);

/* The callbacks of curl. */
size_t mp_http_on_body(char *bytes, size_t one, size_t len, void *self);
size_t mp_http_on_header(char *line, size_t one, size_t len, void *self);

/* What a job goes through, in http.c. */
void mp_http_enter_own(mp_GateEntry *entry);
void mp_http_enter_wide(mp_GateEntry *entry);
void mp_http_on_name(mp_LookupEntry *entry);
void mp_http_on_no_name(mp_LookupEntry *entry, const mp_Error *err);
void mp_http_on_time(mp_IoTimer *timer);

#endif
