/*
 * http_make.c: one allocation for a plan (the struct, its list of headers, its
 * strings), one for a job (the struct, its body).
 */
#include "http_job.h"

#include "alloc.h"
#include "http_error.h"

#include <string.h>

#define OWN_HEADERS 3     /* behind those of the spec */
#define SPARE_JOBS  64    /* kept of a plan */
#define SPARE_BYTES 16384 /* of a kept one's request, and of its answer */
#define ROOM_STEP   128   /* so that requests of similar size fit */

static atomic_ullong serials;

/* A bump allocator over the bytes behind the struct; counts when [at] is
 * NULL. */
typedef struct Arena {
    char *at;
    size_t used;
} Arena;

static const char *keep(Arena *arena, const char *text)
{
    size_t len = text ? strlen(text) + 1 : 0;
    char *place = arena->at ? arena->at + arena->used : NULL;

    arena->used += len;
    if (!place || !text) return NULL;
    memcpy(place, text, len);
    return place;
}

static size_t count_headers(const mp_HttpSpec *spec)
{
    size_t count = 0;

    while (spec->headers && spec->headers[count])
        count++;
    return count;
}

static bool has_agent(const mp_HttpSpec *spec)
{
    for (size_t i = 0; spec->headers && spec->headers[i]; i++)
        if (strncasecmp(spec->headers[i], "User-Agent:", 11) == 0) return true;
    return false;
}

/* Without this curl asks before it posts more than a MiB, and waits a second
 * for the answer of a server that does not know the question. */
static char no_expect[] = "Expect:";

/* As a header it is written once for each call, as curl's option twice. */
static char user_agent[] = "User-Agent: moonpipe/" MOONPIPE_VERSION;

/* On loopback an answer costs less as it is; one that comes compressed all the
 * same is taken. */
static char no_encoding[] = "Accept-Encoding:";

static void add_node(struct curl_slist *nodes, size_t *count, char *text)
{
    if (*count > 0) nodes[*count - 1].next = &nodes[*count];
    nodes[*count].data = text;
    nodes[*count].next = NULL;
    (*count)++;
}

/* The list is made of our own nodes: curl reads it and never frees it. */
static void keep_headers(mp_HttpPlan *plan, Arena *arena,
                         const mp_HttpSpec *spec, struct curl_slist *nodes)
{
    size_t count = count_headers(spec);

    for (size_t i = 0; i < count; i++) {
        const char *text = keep(arena, spec->headers[i]);

        if (!plan) continue;
        nodes[i].data = (char *)(uintptr_t)text;
        nodes[i].next = &nodes[i + 1];
    }
    if (!plan) return;
    add_node(nodes, &count, no_expect);
    if (!has_agent(spec)) add_node(nodes, &count, user_agent);
    if (mp_http_is_loopback(spec->url)) add_node(nodes, &count, no_encoding);
    plan->headers = nodes;
}

/* With [plan] NULL only counts. */
static void keep_all(mp_HttpPlan *plan, Arena *arena, const mp_HttpSpec *spec,
                     struct curl_slist *nodes)
{
    const char *ca_file = spec->ca_file ? spec->ca_file : mp_http_ca_file();
    mp_HttpSpec kept = *spec;

    kept.url = keep(arena, spec->url);
    kept.method = keep(arena, spec->method);
    kept.gate = keep(arena, spec->gate);
    kept.proxy = keep(arena, spec->proxy);
    kept.ca_file = keep(arena, ca_file);
    kept.headers = NULL;
    keep_headers(plan, arena, spec, nodes);
    if (plan) plan->spec = kept;
}

mp_HttpPlan *mp_http_plan_new(const mp_HttpSpec *spec)
{
    size_t nodes_size =
        (count_headers(spec) + OWN_HEADERS) * sizeof(struct curl_slist);
    Arena arena = {NULL, 0};
    struct curl_slist *nodes;
    mp_HttpPlan *plan;
    size_t size;

    keep_all(NULL, &arena, spec, NULL);
    size = sizeof *plan + nodes_size + arena.used;
    plan = mp_alloc_zero(1, size);
    if (!plan) return NULL;
    nodes = (struct curl_slist *)(plan + 1);
    arena.at = (char *)nodes + nodes_size;
    arena.used = 0;
    keep_all(plan, &arena, spec, nodes);
    plan->size = size;
    plan->serial = atomic_fetch_add(&serials, 1) + 1;
    plan->origin = mp_http_origin(spec->url);
    plan->has_name = mp_http_has_name(spec->url);
    plan->tls = strncasecmp(spec->url, "https:", 6) == 0;
    atomic_init(&plan->references, 1);
    pthread_mutex_init(&plan->lock, NULL);
    return plan;
}

static void discard(mp_HttpJob *self)
{
    mp_buf_term(&self->job.end.bytes);
    mp_buf_term(&self->job.end.head);
    mp_alloc_free(self);
}

void mp_http_plan_free(mp_HttpPlan *plan)
{
    mp_HttpJob *spare, *next;

    if (!plan || atomic_fetch_sub(&plan->references, 1) > 1) return;
    for (spare = plan->spare; spare; spare = next) {
        next = spare->next_spare;
        discard(spare);
    }
    if (plan->address) mp_http_curl(NULL)->url_cleanup(plan->address);
    pthread_mutex_destroy(&plan->lock);
    explicit_bzero(plan, plan->size);
    mp_alloc_free(plan);
}

/* --- jobs, used again --- */

/* The engine's thread makes a job and frees it, the I/O thread fills its
 * buffers: were they asked for anew each time, the allocator's arenas of the
 * two threads would wait for each other. */
static mp_HttpJob *take_spare(mp_HttpPlan *plan)
{
    mp_HttpJob *self;

    pthread_mutex_lock(&plan->lock);
    self = plan->spare;
    if (self) {
        plan->spare = self->next_spare;
        plan->spares--;
    }
    pthread_mutex_unlock(&plan->lock);
    return self;
}

static bool keep_spare(mp_HttpPlan *plan, mp_HttpJob *self)
{
    bool room;

    if (self->job.end.bytes.cap > SPARE_BYTES) return false;
    if (self->room > SPARE_BYTES) return false;
    pthread_mutex_lock(&plan->lock);
    room = plan->spares < SPARE_JOBS;
    if (room) {
        self->next_spare = plan->spare;
        plan->spare = self;
        plan->spares++;
    }
    pthread_mutex_unlock(&plan->lock);
    return room;
}

/* A job with room for a body of that size and for curl's words, and buffers
 * that may have memory. */
static mp_HttpJob *take_job(mp_HttpPlan *plan, size_t body_len, mp_Buf *bytes,
                            mp_Buf *head)
{
    size_t need = CURL_ERROR_SIZE + body_len;
    size_t room = (need + ROOM_STEP - 1) / ROOM_STEP * ROOM_STEP;
    mp_HttpJob *self = take_spare(plan);

    if (self && self->room < room) {
        discard(self);
        self = NULL;
    }
    if (self) {
        *bytes = self->job.end.bytes;
        *head = self->job.end.head;
        room = self->room;
    } else {
        self = mp_alloc(sizeof *self + room);
        if (!self) return NULL;
        mp_buf_init(bytes, plan->spec.body_max);
        mp_buf_init(head, MP_HTTP_HEAD_MAX);
    }
    memset(self, 0, sizeof *self);
    self->room = room;
    return self;
}

mp_Job *mp_http_new(mp_HttpPlan *plan, const char *body, size_t body_len,
                    mp_HttpFraming framing, int64_t total_us)
{
    mp_Buf bytes, head;
    mp_HttpJob *self = take_job(plan, body_len, &bytes, &head);

    if (!self) return NULL;
    mp_job_init(&self->job, &mp_http_class);
    self->curl_text = (char *)(self + 1);
    self->curl_text[0] = '\0';
    if (body) {
        self->body = memcpy(self->curl_text + CURL_ERROR_SIZE, body, body_len);
        self->body_len = body_len;
    }
    atomic_fetch_add(&plan->references, 1);
    self->plan = plan;
    self->framing = framing;
    self->total_us = total_us;
    self->job.end.bytes = bytes;
    self->job.end.head = head;
    mp_sse_init(&self->sse,
                framing == MP_HTTP_NDJSON ? MP_SSE_LINES : MP_SSE_EVENTS);
    self->lookup.go = mp_http_on_name;
    self->lookup.fail = mp_http_on_no_name;
    self->own.go = mp_http_enter_own;
    self->wide.go = mp_http_enter_wide;
    self->timer.fire = mp_http_on_time;
    return &self->job;
}

void mp_http_leave_uncut(mp_Job *job)
{
    ((mp_HttpJob *)job)->uncut = true;
}

void mp_http_free_job(mp_Job *job)
{
    mp_HttpJob *self = (mp_HttpJob *)job;
    mp_HttpPlan *plan = self->plan;

    if (mp_job_is_inherited(job)) {
        mp_alloc_free(self);
    } else {
        mp_sse_term(&self->sse);
        mp_alloc_free(self->failure);
        mp_buf_clear(&job->end.bytes);
        mp_buf_clear(&job->end.head);
        if (!keep_spare(plan, self)) discard(self);
    }
    mp_http_plan_free(plan);
}
