/*
 * http_make.c: one allocation for a call: the job, its list of headers, its
 * strings.
 */
#include "http_job.h"

#include "alloc.h"
#include "http_error.h"

#include <string.h>

/* A bump allocator over the bytes behind the struct; counts when [at] is
 * NULL. */
typedef struct Arena {
    char *at;
    size_t used;
} Arena;

static const char *keep(Arena *arena, const char *bytes, size_t len)
{
    char *place = arena->at ? arena->at + arena->used : NULL;

    arena->used += len + 1;
    if (!place) return NULL;
    memcpy(place, bytes, len);
    place[len] = '\0';
    return place;
}

static const char *keep_text(Arena *arena, const char *text)
{
    return text ? keep(arena, text, strlen(text)) : NULL;
}

static size_t count_headers(const mp_HttpCall *call)
{
    size_t count = 0;

    while (call->headers && call->headers[count])
        count++;
    return count;
}

/* The list is made of our own nodes: curl reads it and never frees it. */
static void keep_headers(mp_HttpJob *self, Arena *arena,
                         const mp_HttpCall *call, struct curl_slist *nodes)
{
    for (size_t i = 0; i < count_headers(call); i++) {
        const char *text = keep_text(arena, call->headers[i]);

        if (!self) continue;
        nodes[i].data = (char *)(uintptr_t)text;
        nodes[i].next = call->headers[i + 1] ? &nodes[i + 1] : NULL;
        self->headers = nodes;
    }
}

static void keep_all(mp_HttpJob *self, Arena *arena, const mp_HttpCall *call,
                     struct curl_slist *nodes)
{
    mp_HttpCall kept = *call;

    kept.url = keep_text(arena, call->url);
    kept.method = keep_text(arena, call->method);
    kept.gate = keep_text(arena, call->gate);
    kept.proxy = keep_text(arena, call->proxy);
    kept.ca_file = keep_text(arena, call->ca_file);
    kept.body = call->body ? keep(arena, call->body, call->body_len) : NULL;
    kept.headers = NULL;
    keep_headers(self, arena, call, nodes);
    if (self) self->call = kept;
}

mp_Job *mp_http_new(const mp_HttpCall *call)
{
    size_t nodes_size = count_headers(call) * sizeof(struct curl_slist);
    Arena arena = {NULL, 0};
    struct curl_slist *nodes;
    mp_HttpJob *self;

    keep_all(NULL, &arena, call, NULL);
    self = mp_alloc_zero(1, sizeof *self + nodes_size + arena.used);
    if (!self) return NULL;
    mp_job_init(&self->job, &mp_http_class);
    nodes = (struct curl_slist *)(self + 1);
    arena.at = (char *)nodes + nodes_size;
    arena.used = 0;
    keep_all(self, &arena, call, nodes);
    mp_buf_init(&self->job.end.bytes, call->body_max);
    mp_buf_init(&self->job.end.head, MP_HTTP_HEAD_MAX);
    mp_sse_init(&self->sse,
                call->framing == MP_HTTP_NDJSON ? MP_SSE_LINES : MP_SSE_EVENTS);
    self->origin = mp_http_origin(call->url);
    self->own.go = mp_http_enter_own;
    self->wide.go = mp_http_enter_wide;
    self->timer.fire = mp_http_on_time;
    return &self->job;
}
