/*
 * http_make.c: one allocation for a plan (the struct, its list of headers, its
 * strings), one for a job (the struct, its body).
 */
#include "http_job.h"

#include "alloc.h"
#include "http_error.h"

#include <string.h>

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

/* Without this curl asks before it posts more than a MiB, and waits a second
 * for the answer of a server that does not know the question. */
static char no_expect[] = "Expect:";

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
    nodes[count].data = no_expect;
    nodes[count].next = NULL;
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
    size_t nodes_size = (count_headers(spec) + 1) * sizeof(struct curl_slist);
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
    return plan;
}

void mp_http_plan_free(mp_HttpPlan *plan)
{
    if (!plan || atomic_fetch_sub(&plan->references, 1) > 1) return;
    explicit_bzero(plan, plan->size);
    mp_alloc_free(plan);
}

mp_Job *mp_http_new(mp_HttpPlan *plan, const char *body, size_t body_len,
                    mp_HttpFraming framing, int64_t total_us)
{
    mp_HttpJob *self = mp_alloc(sizeof *self + body_len + 1);

    if (!self) return NULL;
    memset(self, 0, sizeof *self);
    mp_job_init(&self->job, &mp_http_class);
    if (body) {
        self->body = memcpy(self + 1, body, body_len);
        self->body_len = body_len;
    }
    atomic_fetch_add(&plan->references, 1);
    self->plan = plan;
    self->framing = framing;
    self->total_us = total_us;
    mp_buf_init(&self->job.end.bytes, plan->spec.body_max);
    mp_buf_init(&self->job.end.head, MP_HTTP_HEAD_MAX);
    mp_sse_init(&self->sse,
                framing == MP_HTTP_NDJSON ? MP_SSE_LINES : MP_SSE_EVENTS);
    self->lookup.go = mp_http_on_name;
    self->lookup.fail = mp_http_on_no_name;
    self->own.go = mp_http_enter_own;
    self->wide.go = mp_http_enter_wide;
    self->timer.fire = mp_http_on_time;
    return &self->job;
}
