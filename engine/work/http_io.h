/*
 * http_io.h: many curl multi handles under one epoll.
 *
 * libcurl slows with the width of one multi handle (20 us a call at 64
 * connections, 83-95 at 5,000), so transfers are spread over shards: the first
 * that is not full takes the next one, so that few calls find their connections
 * again and many stay cheap. An origin that may speak HTTP/2 stays on one
 * shard, where its calls can share a connection.
 *
 * Threads: the I/O thread.
 */
#ifndef MP_HTTP_IO_H
#define MP_HTTP_IO_H

#include "err.h"
#include "http_curl.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct mp_HttpShard mp_HttpShard;

/* A transfer; part of its owner, and what CURLINFO_PRIVATE of `easy` is. */
typedef struct mp_HttpTransfer {
    CURL *easy;
    mp_HttpShard *shard; /* while it runs */
    struct mp_HttpTransfer *next;
    struct mp_HttpTransfer *previous;
} mp_HttpTransfer;

/* Called when a transfer has ended by itself; it has been removed already. */
typedef void (*mp_HttpDone)(mp_HttpTransfer *transfer, CURLcode result);

/* How many transfers may run, so that these and the connections that wait for
 * the next call fit in the descriptors of the process. */
unsigned mp_http_io_room(void);

/* Makes the I/O thread ready for HTTP; [done] hears of ends. Cheap when it is
 * ready already. */
mp_Status mp_http_io_open(const mp_Curl *curl, mp_HttpDone done, mp_Error *err);

/* Whether the process exits: no transfer may begin any more. */
bool mp_http_io_is_over(void);

/* Whether so many transfers run that each should be sparing with memory. */
bool mp_http_io_is_crowded(void);

/* Gives an easy handle with the options that all calls share, or NULL without
 * memory. [had_options]: it was given back with the same [tag], and has still
 * the options that went with it. */
CURL *mp_http_io_take(uint64_t tag, bool *had_options);

/* Takes back a handle that is in no shard. */
void mp_http_io_give(CURL *easy, uint64_t tag);

/* Starts a transfer, whose `easy` is set, to the origin of hash [origin]. */
mp_Status mp_http_io_add(mp_HttpTransfer *transfer, uint64_t origin, bool tls);

/* Lets a transfer go as far as it can at once; if it ends, that is told in the
 * loop's next turn. */
void mp_http_io_run(mp_HttpTransfer *transfer);

/* Stops a transfer that runs: if it has not ended it loses its connection. */
void mp_http_io_remove(mp_HttpTransfer *transfer);

/* Says that the TLS origin of that hash does not speak HTTP/2. */
void mp_http_io_plain(uint64_t origin);

#endif
