/* http_io.c: see http_io.h. */
#include "http_io.h"

#include "alloc.h"
#include "clock.h"
#include "io.h"
#include "os.h"

#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>

#define SHARDS     64
#define FULL       48  /* transfers of a shard before the next one is used */
#define CACHED     128 /* connections that a shard keeps, at most */
#define FD_MARGIN  32  /* descriptors left to the rest of the process */
#define SPARE_MAX  256 /* easy handles kept; one costs 5.6 kB */
#define CROWD      64  /* transfers from which one is of many */
#define PLAIN_SIZE 256 /* origins known to speak HTTP/1.1 over TLS */

struct mp_HttpShard {
    mp_IoSource source; /* first: ready gets a pointer to it */
    CURLM *multi;
    mp_IoTimer timer; /* curl's */
    mp_IoTimer soon;  /* set for now: there is something to settle */
    bool blind;       /* it has failed */
    int active;
    mp_HttpTransfer *first;
    mp_HttpTransfer *last;
};

typedef struct Pool {
    const mp_Curl *curl;
    mp_HttpDone done;
    CURLSH *share;
    mp_HttpShard *shards[SHARDS];
    unsigned shard_count;
    unsigned cached;
    unsigned room;
    unsigned running;
    struct {
        CURL *easy;
        uint64_t tag; /* of the options that it has */
    } spare[SPARE_MAX];
    int spares;
    uint64_t plain[PLAIN_SIZE];
} Pool;

static _Thread_local Pool *pool;
static _Thread_local bool is_over;

/* --- what curl asks of a loop --- */

static mp_HttpTransfer *transfer_of(CURL *easy)
{
    mp_HttpTransfer *transfer;

    pool->curl->easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
    return transfer;
}

static void read_ends(mp_HttpShard *shard)
{
    CURLMsg *message;
    int left;

    while ((message = pool->curl->multi_info_read(shard->multi, &left))) {
        mp_HttpTransfer *transfer = transfer_of(message->easy_handle);
        CURLcode result = message->data.result; /* gone after the removal */

        if (message->msg != CURLMSG_DONE) continue;
        mp_http_io_remove(transfer);
        pool->done(transfer, result);
    }
}

/* Without memory curl loses sight of a transfer, and does not tell of which:
 * they all end. Those that begin meanwhile stand behind them. */
static void fail_all(mp_HttpShard *shard)
{
    int count = shard->active;

    shard->blind = false;
    while (count-- > 0 && shard->first) {
        mp_HttpTransfer *transfer = shard->first;

        mp_http_io_remove(transfer);
        pool->done(transfer, CURLE_OUT_OF_MEMORY);
    }
}

static void settle(mp_HttpShard *shard)
{
    read_ends(shard);
    if (shard->blind) fail_all(shard);
}

/* True if there is something to settle. */
static bool drive(mp_HttpShard *shard, curl_socket_t fd, int events)
{
    int running;

    if (pool->curl->multi_socket_action(shard->multi, fd, events, &running) !=
        CURLM_OK)
        shard->blind = true;
    return shard->blind || running < shard->active;
}

static void act(mp_HttpShard *shard, curl_socket_t fd, int events)
{
    if (drive(shard, fd, events)) settle(shard);
}

static void on_ready(mp_IoSource *source, int fd, unsigned events)
{
    int what = 0;

    if (events & EPOLLIN) what |= CURL_CSELECT_IN;
    if (events & EPOLLOUT) what |= CURL_CSELECT_OUT;
    if (events & (EPOLLERR | EPOLLHUP)) what |= CURL_CSELECT_ERR;
    act((mp_HttpShard *)source, fd, what);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *shard,
                     void *unused)
{
    unsigned events = (what & CURL_POLL_IN ? EPOLLIN : 0u) |
                      (what & CURL_POLL_OUT ? EPOLLOUT : 0u);

    (void)easy, (void)unused;
    if (what == CURL_POLL_REMOVE)
        mp_io_unwatch(fd);
    else
        mp_io_watch(&((mp_HttpShard *)shard)->source, fd, events);
    return 0;
}

static void on_time(mp_IoTimer *timer)
{
    mp_HttpShard *shard =
        (mp_HttpShard *)((char *)timer - offsetof(mp_HttpShard, timer));

    act(shard, CURL_SOCKET_TIMEOUT, 0);
}

static void on_soon(mp_IoTimer *timer)
{
    settle((mp_HttpShard *)((char *)timer - offsetof(mp_HttpShard, soon)));
}

/* Zero must not call back into curl at once: the heap does at its next turn. */
static int on_timer(CURLM *multi, long ms, void *shard_)
{
    mp_HttpShard *shard = shard_;

    (void)multi;
    mp_io_timer_clear(&shard->timer);
    if (ms < 0) return 0;
    return mp_io_timer_set(&shard->timer, mp_clock_us() + (int64_t)ms * 1000) ==
                   MP_OK
               ? 0
               : -1;
}

/* --- shards --- */

static void free_shard(mp_HttpShard *shard)
{
    if (!shard) return;
    if (shard->multi) pool->curl->multi_cleanup(shard->multi);
    mp_io_timer_clear(&shard->timer);
    mp_io_timer_clear(&shard->soon);
    mp_alloc_free(shard);
}

static mp_HttpShard *make_shard(void)
{
    mp_HttpShard *shard = mp_alloc_zero(1, sizeof *shard);
    const mp_Curl *curl = pool->curl;

    if (!shard) return NULL;
    shard->source.ready = on_ready;
    shard->timer.fire = on_time;
    shard->soon.fire = on_soon;
    shard->multi = curl->multi_init();
    if (!shard->multi || mp_io_source_add(&shard->source) != MP_OK) {
        free_shard(shard);
        return NULL;
    }
    curl->multi_setopt(shard->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl->multi_setopt(shard->multi, CURLMOPT_SOCKETDATA, shard);
    curl->multi_setopt(shard->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl->multi_setopt(shard->multi, CURLMOPT_TIMERDATA, shard);
    curl->multi_setopt(shard->multi, CURLMOPT_MAXCONNECTS, (long)pool->cached);
    return shard;
}

static mp_HttpShard *shard_at(unsigned index)
{
    if (!pool->shards[index]) pool->shards[index] = make_shard();
    return pool->shards[index];
}

static unsigned least_busy(void)
{
    unsigned best = 0;

    for (unsigned i = 1; i < pool->shard_count; i++)
        if (pool->shards[i]->active < pool->shards[best]->active) best = i;
    return best;
}

static unsigned first_with_room(unsigned from)
{
    unsigned count = pool->shard_count;

    for (unsigned i = from; i < from + count; i++) {
        const mp_HttpShard *shard = pool->shards[i % count];

        if (!shard || shard->active < FULL) return i % count;
    }
    return least_busy();
}

static bool is_plain(uint64_t origin)
{
    return pool->plain[origin % PLAIN_SIZE] == origin;
}

void mp_http_io_plain(uint64_t origin)
{
    pool->plain[origin % PLAIN_SIZE] = origin;
}

static void append(mp_HttpShard *shard, mp_HttpTransfer *transfer)
{
    transfer->shard = shard;
    transfer->next = NULL;
    transfer->previous = shard->last;
    if (shard->last)
        shard->last->next = transfer;
    else
        shard->first = transfer;
    shard->last = transfer;
    shard->active++;
    pool->running++;
}

mp_Status mp_http_io_add(mp_HttpTransfer *transfer, uint64_t origin, bool tls)
{
    /* its own shard has the connections that showed that it is plain, too */
    unsigned own = tls ? (unsigned)(origin % pool->shard_count) : 0;
    bool together = tls && !is_plain(origin);
    mp_HttpShard *shard = shard_at(together ? own : first_with_room(own));

    if (!shard) return -MP_KIND_MEMORY;
    pool->curl->easy_setopt(transfer->easy, CURLOPT_PRIVATE, transfer);
    if (pool->curl->multi_add_handle(shard->multi, transfer->easy) != CURLM_OK)
        return -MP_KIND_MEMORY;
    append(shard, transfer);
    return MP_OK;
}

bool mp_http_io_is_crowded(void)
{
    return pool->running >= CROWD;
}

/* Without memory for the timer it is settled with the next event. */
void mp_http_io_run(mp_HttpTransfer *transfer)
{
    mp_HttpShard *shard = transfer->shard;

    if (drive(shard, CURL_SOCKET_TIMEOUT, 0) && !shard->soon.place)
        mp_io_timer_set(&shard->soon, mp_clock_us());
}

void mp_http_io_remove(mp_HttpTransfer *transfer)
{
    mp_HttpShard *shard = transfer->shard;

    pool->curl->multi_remove_handle(shard->multi, transfer->easy);
    if (transfer->previous)
        transfer->previous->next = transfer->next;
    else
        shard->first = transfer->next;
    if (transfer->next)
        transfer->next->previous = transfer->previous;
    else
        shard->last = transfer->previous;
    shard->active--;
    pool->running--;
    transfer->shard = NULL;
}

/* --- easy handles --- */

static void set_shared_options(CURL *easy)
{
    const mp_Curl *curl = pool->curl;

    curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl->easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    /* a handle that still resolves a name is not waited for */
    curl->easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl->easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl->easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl->easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl->easy_setopt(easy, CURLOPT_SHARE, pool->share);
}

/* The last few are looked at: calls of one model come one after another. */
static int find_spare(uint64_t tag)
{
    for (int i = pool->spares - 1; i >= 0 && i >= pool->spares - 8; i--)
        if (pool->spare[i].tag == tag) return i;
    return pool->spares - 1;
}

CURL *mp_http_io_take(uint64_t tag, bool *had_options)
{
    CURL *easy;
    int i = find_spare(tag);

    *had_options = false;
    if (i < 0) {
        easy = pool->curl->easy_init();
        if (easy) set_shared_options(easy);
        return easy;
    }
    easy = pool->spare[i].easy;
    *had_options = pool->spare[i].tag == tag;
    pool->spare[i] = pool->spare[--pool->spares];
    return easy;
}

/* A handle remembers the errno of its last failure, and tells it for the next
 * one too: such a handle is not used again. */
static bool is_stained(CURL *easy)
{
    long os_errno = 0;

    pool->curl->easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_errno);
    return os_errno != 0;
}

void mp_http_io_give(CURL *easy, uint64_t tag)
{
    if (pool->spares == SPARE_MAX || is_stained(easy)) {
        pool->curl->easy_cleanup(easy);
        return;
    }
    pool->spare[pool->spares].easy = easy;
    pool->spare[pool->spares++].tag = tag;
}

/* --- the life of it all --- */

static void close_all(void)
{
    if (!pool) return; /* the process exits */
    while (pool->spares > 0)
        pool->curl->easy_cleanup(pool->spare[--pool->spares].easy);
    for (unsigned i = 0; i < pool->shard_count; i++)
        free_shard(pool->shards[i]);
    if (pool->share) pool->curl->share_cleanup(pool->share);
    mp_alloc_free(pool);
    pool = NULL;
}

/* Ends all of it before the process exits: OpenSSL frees what it has then,
 * whoever still uses it. */
static void close_for_good(void)
{
    is_over = true;
    if (!pool) return;
    for (unsigned i = 0; i < pool->shard_count; i++)
        while (pool->shards[i] && pool->shards[i]->first) {
            mp_HttpTransfer *transfer = pool->shards[i]->first;

            mp_http_io_remove(transfer);
            pool->done(transfer, CURLE_ABORTED_BY_CALLBACK);
        }
    close_all();
}

bool mp_http_io_is_over(void)
{
    return is_over;
}

/* Connections that are kept count as descriptors: half of these are for them.
 */
static void divide_descriptors(void)
{
    unsigned all = mp_os_descriptors(FD_MARGIN);
    unsigned kept = all / 2 / CACHED;

    pool->shard_count = kept < 1 ? 1 : kept > SHARDS ? SHARDS : kept;
    kept = all / 2 / pool->shard_count;
    pool->cached = kept < 1 ? 1 : kept > CACHED ? CACHED : kept;
    kept = pool->shard_count * pool->cached;
    pool->room = all > kept ? all - kept : 1;
}

unsigned mp_http_io_room(void)
{
    return pool->room;
}

/* One thread uses it all, so the share needs no locks. */
static CURLSH *make_share(const mp_Curl *curl)
{
    CURLSH *share = curl->share_init();

    if (!share) return NULL;
    curl->share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    curl->share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    return share;
}

mp_Status mp_http_io_open(const mp_Curl *curl, mp_HttpDone done, mp_Error *err)
{
    CURLSH *share;

    if (is_over)
        return mp_err_set(err, MP_KIND_CLOSED, "the process is exiting");
    if (pool) return MP_OK;
    share = make_share(curl);
    if (!share) return mp_err_memory(err);
    pool = mp_alloc_zero(1, sizeof *pool);
    if (!pool) {
        curl->share_cleanup(share);
        return mp_err_memory(err);
    }
    pool->curl = curl;
    pool->done = done;
    pool->share = share;
    divide_descriptors();
    mp_io_at_end(close_all);
    mp_io_at_exit(close_for_good);
    return MP_OK;
}
