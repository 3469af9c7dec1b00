/*
 * record.h: what the server saw: counters, the order in which requests began
 * and ended, and the last requests themselves.
 *
 * requests = completed + aborted + broken + in flight, in all and in each
 * lane: aborted by a client that closed, broken by a script (cut, reset).
 * Requests that were under way during a reset are not counted afterwards.
 */
#ifndef RECORD_H
#define RECORD_H

#include "http.h"
#include "lane.h"

enum { ID_MAX = 48 };

typedef enum Outcome { PENDING, COMPLETED, ABORTED, BROKEN } Outcome;

/* What a connection keeps of its request. */
typedef struct Ticket {
    Lane *lane;
    uint64_t number; /* of the request, from 1 */
    uint64_t era;    /* the resets before it */
    char id[ID_MAX]; /* x-id, or the lane's name */
} Ticket;

typedef struct Connections {
    int64_t accepted, open, peak;
} Connections;

/* Kept by the connections themselves. */
extern Connections record_connections;
extern int64_t record_bytes_in, record_bytes_out;
extern int64_t record_bad; /* what was no HTTP */

/* How many requests are kept whole; 0 for none. Before the first one. */
void record_keep(int64_t count);

Ticket record_begin(const Request *request, Lane *lane, uint64_t connection);
void record_first_byte(const Ticket *ticket, int64_t status);
void record_end(const Ticket *ticket, Outcome outcome, int64_t sent);

/* The answers to GET /stats and GET /requests. */
void record_stats(Bytes *out);
void record_requests(Bytes *out);

void record_reset(void);
void record_term(void);

#endif
