/* record.c: see record.h. */
#include "record.h"

#include "timers.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { EVENTS_MAX = 20000, BODY_KEPT = 256 << 10 };

/* A request's begin or end. */
typedef struct Event {
    char mark; /* + began, - completed, ! aborted, x broken */
    char id[ID_MAX];
} Event;

/* Times are microseconds since the reset. */
typedef struct Kept {
    uint64_t number, connection;
    const Lane *lane;
    char id[ID_MAX];
    Outcome outcome;
    int64_t start_us, first_us, end_us, status, sent;
    Bytes text; /* method, path, query, headers, body behind each other */
    size_t method_len, path_len, query_len, headers_len, body_len;
} Kept;

Connections record_connections;
int64_t record_bytes_in, record_bytes_out, record_bad;

static Counts all;
static Event *events;
static int event_count;
static Kept *ring;
static uint64_t ring_size = 2000, era;
static int64_t reset_us;

/* --- the log --- */

void record_keep(int64_t count)
{
    ring_size = (uint64_t)count;
}

static int64_t elapsed(void)
{
    return timers_now() - reset_us;
}

static void add_event(char mark, const Ticket *ticket)
{
    if (event_count == EVENTS_MAX) return;
    if (!events) events = calloc(EVENTS_MAX, sizeof *events);
    if (!events) abort();
    events[event_count].mark = mark;
    memcpy(events[event_count++].id, ticket->id, ID_MAX);
}

static Kept *slot(uint64_t number)
{
    if (ring_size == 0) return NULL;
    if (!ring) ring = calloc(ring_size, sizeof *ring);
    if (!ring) abort();
    return &ring[number % ring_size];
}

/* The slot of a request, unless a later one has it now. */
static Kept *slot_of(const Ticket *ticket)
{
    Kept *kept = slot(ticket->number);

    return kept && kept->number == ticket->number ? kept : NULL;
}

static void keep_text(Kept *kept, const Request *request)
{
    Span body = request->body;

    kept->method_len = request->method.len;
    kept->path_len = request->path.len;
    kept->query_len = request->query.len;
    kept->headers_len = request->headers.len;
    kept->body_len = body.len;
    if (body.len > BODY_KEPT) body.len = BODY_KEPT;
    bytes_reset(&kept->text);
    bytes_span(&kept->text, request->method);
    bytes_span(&kept->text, request->path);
    bytes_span(&kept->text, request->query);
    bytes_span(&kept->text, request->headers);
    bytes_span(&kept->text, body);
}

static void keep(const Request *request, const Ticket *ticket,
                 uint64_t connection)
{
    Kept *kept = slot(ticket->number);

    if (!kept) return;
    kept->number = ticket->number;
    kept->connection = connection;
    kept->lane = ticket->lane;
    memcpy(kept->id, ticket->id, ID_MAX);
    kept->outcome = PENDING;
    kept->start_us = elapsed();
    kept->first_us = kept->end_us = -1;
    kept->status = kept->sent = 0;
    keep_text(kept, request);
}

/* --- the life of a request --- */

static void count_begin(Counts *counts)
{
    counts->requests++;
    counts->in_flight++;
    if (counts->in_flight > counts->peak) counts->peak = counts->in_flight;
}

static void count_end(Counts *counts, Outcome outcome)
{
    counts->in_flight--;
    switch (outcome) {
    case COMPLETED: counts->completed++; break;
    case ABORTED: counts->aborted++; break;
    case BROKEN: counts->broken++; break;
    case PENDING: break;
    }
}

Ticket record_begin(const Request *request, Lane *lane, uint64_t connection)
{
    Ticket ticket = {.lane = lane, .era = era};
    Span id =
        request->id.len ? request->id : (Span){lane->name, lane->name_len};

    if (reset_us == 0) reset_us = timers_now();
    count_begin(&all);
    count_begin(&lane->counts);
    ticket.number = (uint64_t)all.requests;
    memcpy(ticket.id, id.at, id.len < ID_MAX ? id.len : ID_MAX - 1);
    add_event('+', &ticket);
    keep(request, &ticket, connection);
    return ticket;
}

void record_first_byte(const Ticket *ticket, int64_t status)
{
    Kept *kept = ticket->era == era ? slot_of(ticket) : NULL;

    if (!kept) return;
    kept->first_us = elapsed();
    kept->status = status;
}

void record_end(const Ticket *ticket, Outcome outcome, int64_t sent)
{
    Kept *kept;

    if (ticket->era != era) return;
    count_end(&all, outcome);
    count_end(&ticket->lane->counts, outcome);
    add_event("?-!x"[outcome], ticket);
    kept = slot_of(ticket);
    if (!kept) return;
    kept->outcome = outcome;
    kept->end_us = elapsed();
    kept->sent = sent;
}

void record_reset(void)
{
    era++;
    all = (Counts){0};
    event_count = 0;
    for (uint64_t i = 0; ring && i < ring_size; i++)
        ring[i].number = 0;
    record_bytes_in = record_bytes_out = record_bad = 0;
    record_connections.accepted = 0;
    record_connections.peak = record_connections.open;
    reset_us = timers_now();
    lane_clear();
}

void record_term(void)
{
    for (uint64_t i = 0; ring && i < ring_size; i++)
        bytes_free(&ring[i].text);
    free(ring);
    free(events);
}

/* --- what is told --- */

static void add_number(const char *name, int64_t number, Bytes *out)
{
    if (out->len > 0 && out->at[out->len - 1] != '{') TEXT(out, ",");
    TEXT(out, "\"");
    bytes_text(out, name);
    TEXT(out, "\":");
    bytes_number(out, number);
}

static void add_counts(const Counts *counts, Bytes *out)
{
    add_number("requests", counts->requests, out);
    add_number("completed", counts->completed, out);
    add_number("aborted", counts->aborted, out);
    add_number("broken", counts->broken, out);
    add_number("in_flight", counts->in_flight, out);
    add_number("peak", counts->peak, out);
}

static void add_lanes(Bytes *out)
{
    const char *comma = "";

    TEXT(out, ",\"lanes\":{");
    for (const Lane *lane = lane_first(); lane; lane = lane->next) {
        if (lane->counts.requests == 0) continue;
        bytes_text(out, comma);
        TEXT(out, "\"");
        bytes_escape(out, (Span){lane->name, lane->name_len});
        TEXT(out, "\":{");
        add_counts(&lane->counts, out);
        TEXT(out, "}");
        comma = ",";
    }
    TEXT(out, "}");
}

static void add_order(Bytes *out)
{
    TEXT(out, ",\"order\":[");
    for (int i = 0; i < event_count; i++) {
        if (i > 0) TEXT(out, ",");
        TEXT(out, "\"");
        bytes_add(out, &events[i].mark, 1);
        bytes_escape(out, (Span){events[i].id, strlen(events[i].id)});
        TEXT(out, "\"");
    }
    TEXT(out, "]");
}

static void add_process(Bytes *out)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    add_number("cpu_us",
               (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                   usage.ru_utime.tv_usec + usage.ru_stime.tv_usec,
               out);
    add_number("peak_rss_kib", usage.ru_maxrss, out);
}

void record_stats(Bytes *out)
{
    TEXT(out, "{");
    add_counts(&all, out);
    add_number("bad", record_bad, out);
    add_process(out);
    TEXT(out, ",\"connections\":{");
    add_number("accepted", record_connections.accepted, out);
    add_number("open", record_connections.open, out);
    add_number("peak", record_connections.peak, out);
    TEXT(out, "},\"bytes\":{");
    add_number("in", record_bytes_in, out);
    add_number("out", record_bytes_out, out);
    TEXT(out, "}");
    add_lanes(out);
    add_order(out);
    TEXT(out, "}");
}

/* Names in lower case; of equal names the last one wins in most readers. */
static void add_headers(Span headers, Bytes *out)
{
    const char *comma = "";

    TEXT(out, ",\"headers\":{");
    while (headers.len > 0) {
        Span line = span_split(&headers, '\n');
        Span name = span_split(&line, ':');

        bytes_text(out, comma);
        TEXT(out, "\"");
        for (size_t i = 0; i < name.len; i++) {
            char c = name.at[i];

            if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
            bytes_escape(out, (Span){&c, 1});
        }
        TEXT(out, "\":\"");
        bytes_escape(out, span_trim(line));
        TEXT(out, "\"");
        comma = ",";
    }
    TEXT(out, "}");
}

static void add_texts(const Kept *kept, Bytes *out)
{
    Span text = bytes_all(&kept->text);
    size_t query = kept->method_len + kept->path_len;
    size_t before = query + kept->query_len;
    size_t body = before + kept->headers_len;

    TEXT(out, ",");
    bytes_member(out, "method", (Span){text.at, kept->method_len});
    TEXT(out, ",");
    bytes_member(out, "path",
                 (Span){text.at + kept->method_len, kept->path_len});
    TEXT(out, ",");
    bytes_member(out, "query", (Span){text.at + query, kept->query_len});
    add_headers((Span){text.at + before, kept->headers_len}, out);
    TEXT(out, ",");
    bytes_member(out, "body", (Span){text.at + body, text.len - body});
}

static void add_kept(const Kept *kept, Bytes *out)
{
    static const char *const OUTCOMES[] = {"pending", "completed", "aborted",
                                           "broken"};

    TEXT(out, "{");
    add_number("number", (int64_t)kept->number, out);
    add_number("connection", (int64_t)kept->connection, out);
    add_number("status", kept->status, out);
    add_number("sent", kept->sent, out);
    add_number("start_us", kept->start_us, out);
    if (kept->first_us >= 0) add_number("first_us", kept->first_us, out);
    if (kept->end_us >= 0) add_number("end_us", kept->end_us, out);
    add_number("body_size", (int64_t)kept->body_len, out);
    TEXT(out, ",");
    bytes_member(out, "id", (Span){kept->id, strlen(kept->id)});
    TEXT(out, ",");
    bytes_member(out, "lane", (Span){kept->lane->name, kept->lane->name_len});
    TEXT(out, ",");
    bytes_member(
        out, "outcome",
        (Span){OUTCOMES[kept->outcome], strlen(OUTCOMES[kept->outcome])});
    add_texts(kept, out);
    TEXT(out, "}");
}

void record_requests(Bytes *out)
{
    uint64_t last = (uint64_t)all.requests;
    uint64_t from = last > ring_size ? last - ring_size + 1 : 1;
    const char *comma = "";

    TEXT(out, "[");
    for (uint64_t number = from; ring && number <= last; number++) {
        if (slot(number)->number != number) continue;
        bytes_text(out, comma);
        add_kept(slot(number), out);
        comma = ",";
    }
    TEXT(out, "]");
}
