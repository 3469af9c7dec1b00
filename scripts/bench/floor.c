/*
 * floor.c: what bare libcurl takes for the work of scripts/bench/network.
 *
 *     floor two URL ROUNDS
 *         two calls one after the other, then both at once: ratio, of both to
 *         the slower
 *     floor calls URL CONCURRENCY TOTAL ROUNDS SHARDS
 *         chat calls, CONCURRENCY at a time: rate, cpu_us
 *     floor wide URL WIDTH ROUNDS SHARDS
 *         WIDTH chat calls at once: cold_ms, warm_ms, cpu_us
 *     floor stream URL ROUNDS [fresh]
 *         one streamed answer: first_ms, whole_ms
 *     floor memory URL COUNT
 *         resident memory of a call that is not answered: bytes
 *
 * prints each figure as a line `name value`; of several rounds, the median.
 *
 * No JSON is read, no task is run: socket_action of the multi interface under
 * one epoll, connections kept, answers gathered in a buffer. SHARDS spreads the
 * calls over as many multi handles, so that each has a short list of
 * connections. `calls` are warmed by two calls each before the first round;
 * `wide` by one call in all, and its first round is the cold one; `stream` by
 * one stream, or `fresh` has a new connection for each.
 */
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    SHARDS_MAX = 64,
    ROUNDS_MAX = 64,
    FDS_MAX = 65536,
    BATCH = 512,
    ANSWER_MAX = 4096,
    NAP_MS = 1000 /* how long to sleep where curl names no time */
};

#define MEMORY_SECONDS 2.0 /* until all calls have been sent */

static const char chat_body[] =
    "{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\","
    "\"content\":\"tell me a joke about bear\"}]}";
static const char stream_body[] =
    "{\"model\":\"gpt-4o-mini\",\"stream\":true,\"messages\":[{\"role\":"
    "\"user\",\"content\":\"@tokens 10000\"}]}";

typedef struct Shard {
    CURLM *multi;
    long timer_ms; /* -1: none */
} Shard;

typedef struct Call {
    CURL *easy;
    Shard *shard;
    size_t len;
    char answer[ANSWER_MAX];
} Call;

static Shard shards[SHARDS_MAX];
static int shard_count = 1;
static Shard *owner[FDS_MAX]; /* of a descriptor */
static int epoll;
static struct curl_slist *headers;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "floor: %s: %s\n", what, why);
    exit(1);
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_s(void)
{
    struct rusage use;

    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_size);
    return values[count / 2];
}

/* --- what curl asks of a loop --- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *shard,
                     void *known)
{
    struct epoll_event event = {.data.fd = fd};
    int first = known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    (void)easy;
    owner[fd] = shard;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) |
                   (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    if (epoll_ctl(epoll, first, fd, &event) != 0 && errno == EEXIST)
        epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
    curl_multi_assign(((Shard *)shard)->multi, fd, shard);
    return 0;
}

static int on_timer(CURLM *multi, long ms, void *shard)
{
    (void)multi;
    ((Shard *)shard)->timer_ms = ms;
    return 0;
}

static size_t on_body(char *bytes, size_t one, size_t len, void *call_)
{
    Call *call = call_;

    (void)one;
    if (call->len + len < sizeof call->answer) {
        memcpy(call->answer + call->len, bytes, len);
        call->len += len;
    }
    return len;
}

static size_t on_any_body(char *bytes, size_t one, size_t len, void *count)
{
    (void)bytes, (void)one;
    *(size_t *)count += len;
    return len;
}

static void open_shards(int count, int calls)
{
    if (count < 1 || count > SHARDS_MAX) die("shards", "too many");
    shard_count = count;
    for (int i = 0; i < count; i++) {
        CURLM *multi = shards[i].multi = curl_multi_init();

        shards[i].timer_ms = -1;
        curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS,
                          (long)(calls / count + 8));
        curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
        curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, &shards[i]);
        curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
        curl_multi_setopt(multi, CURLMOPT_TIMERDATA, &shards[i]);
    }
}

static CURL *open_easy(const char *url, const char *body)
{
    CURL *easy = curl_easy_init();

    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    return easy;
}

static Call *open_calls(const char *url, int count)
{
    Call *calls = calloc((size_t)count, sizeof *calls);

    if (!calls) die("calls", "no memory");
    for (int i = 0; i < count; i++) {
        calls[i].shard = &shards[i % shard_count];
        calls[i].easy = open_easy(url, chat_body);
        curl_easy_setopt(calls[i].easy, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(calls[i].easy, CURLOPT_WRITEDATA, &calls[i]);
        curl_easy_setopt(calls[i].easy, CURLOPT_PRIVATE, &calls[i]);
    }
    return calls;
}

/* --- the loop --- */

static void start_call(Call *call)
{
    call->len = 0;
    curl_multi_add_handle(call->shard->multi, call->easy);
}

static void act(Shard *shard, curl_socket_t fd, int what)
{
    int running;

    curl_multi_socket_action(shard->multi, fd, what, &running);
}

/* Sleeps until something happens, at most [most_ms]. */
static void turn(long most_ms)
{
    struct epoll_event events[BATCH];
    int count;

    for (int i = 0; i < shard_count; i++)
        if (shards[i].timer_ms >= 0 && shards[i].timer_ms < most_ms)
            most_ms = shards[i].timer_ms;
    count = epoll_wait(epoll, events, BATCH, (int)most_ms);
    for (int i = 0; i < shard_count; i++) {
        long ms = shards[i].timer_ms;

        if (ms != 0 && (ms < 0 || count > 0)) continue;
        shards[i].timer_ms = -1;
        act(&shards[i], CURL_SOCKET_TIMEOUT, 0);
    }
    for (int i = 0; i < count; i++) {
        int fd = events[i].data.fd;
        unsigned what = events[i].events;

        act(owner[fd], fd,
            (what & (EPOLLIN | EPOLLHUP | EPOLLERR) ? CURL_CSELECT_IN : 0) |
                (what & EPOLLOUT ? CURL_CSELECT_OUT : 0));
    }
}

/* The call that a message of [shard] says has ended, out of its shard; NULL:
 * none. */
static Call *next_end(Shard *shard)
{
    int left;
    CURLMsg *message = curl_multi_info_read(shard->multi, &left);
    Call *call;
    long status = 0;

    if (!message) return NULL;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    if (message->data.result != CURLE_OK)
        die("a call failed", curl_easy_strerror(message->data.result));
    if (status != 200 || call->len == 0) die("a call", "no answer");
    curl_multi_remove_handle(shard->multi, call->easy);
    return call;
}

/* Makes [total] calls, at most [count] at once, each place again and again. */
static void run_calls(Call *calls, int count, int total)
{
    int started = 0, ended = 0;
    Call *call;

    while (started < count && started < total)
        start_call(&calls[started++]);
    while (ended < total) {
        turn(NAP_MS);
        for (int i = 0; i < shard_count; i++)
            while ((call = next_end(&shards[i]))) {
                ended++;
                if (started >= total) continue;
                started++;
                start_call(call);
            }
    }
}

/* --- what is measured --- */

static double time_calls(Call *calls, int count)
{
    double start = now_s();

    run_calls(calls, count, count);
    return now_s() - start;
}

static void measure_two(const char *url, int rounds)
{
    Call *calls = open_calls(url, 2);
    double ratio[ROUNDS_MAX];

    run_calls(calls, 2, 2);
    for (int i = 0; i < rounds; i++) {
        double first = time_calls(calls, 1), second = time_calls(calls + 1, 1);

        ratio[i] = time_calls(calls, 2) / (first > second ? first : second);
    }
    printf("ratio %.4f\n", median(ratio, rounds));
}

static void measure_calls(const char *url, int count, int total, int rounds)
{
    Call *calls = open_calls(url, count);
    double rate[ROUNDS_MAX], cpu_us[ROUNDS_MAX];

    run_calls(calls, count, 2 * count);
    for (int i = 0; i < rounds; i++) {
        double start = now_s(), cpu = cpu_s();

        run_calls(calls, count, total);
        rate[i] = total / (now_s() - start);
        cpu_us[i] = (cpu_s() - cpu) * 1e6 / total;
    }
    printf("rate %.0f\ncpu_us %.3f\n", median(rate, rounds),
           median(cpu_us, rounds));
}

static void measure_wide(const char *url, int width, int rounds)
{
    Call *calls = open_calls(url, width);
    double ms[ROUNDS_MAX], cpu_us[ROUNDS_MAX];

    run_calls(calls, 1, 1);
    for (int i = -1; i < rounds; i++) {
        double start = now_s(), cpu = cpu_s(), took;

        run_calls(calls, width, width);
        took = (now_s() - start) * 1e3;
        if (i < 0) {
            printf("cold_ms %.3f\n", took);
        } else {
            ms[i] = took;
            cpu_us[i] = (cpu_s() - cpu) * 1e6 / width;
        }
    }
    printf("warm_ms %.3f\ncpu_us %.3f\n", median(ms, rounds),
           median(cpu_us, rounds));
}

static double time_of(CURL *easy, CURLINFO what)
{
    curl_off_t us = 0;

    curl_easy_getinfo(easy, what, &us);
    return (double)us / 1e3;
}

static void measure_stream(const char *url, int rounds, int fresh)
{
    CURL *easy = open_easy(url, stream_body);
    double first[ROUNDS_MAX], whole[ROUNDS_MAX];
    size_t bytes = 0;

    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_any_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &bytes);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, (long)fresh);
    if (!fresh) curl_easy_perform(easy);
    curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
    for (int i = 0; i < rounds; i++) {
        bytes = 0;
        if (curl_easy_perform(easy) != CURLE_OK || bytes == 0)
            die("a stream", "failed");
        first[i] = time_of(easy, CURLINFO_STARTTRANSFER_TIME_T);
        whole[i] = time_of(easy, CURLINFO_TOTAL_TIME_T);
    }
    printf("first_ms %.3f\nwhole_ms %.3f\n", median(first, rounds),
           median(whole, rounds));
}

static long resident(void)
{
    long all = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (!file || fscanf(file, "%ld %ld", &all, &pages) != 2)
        die("statm", "not readable");
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

/* The table of calls is not counted: its buffers are the caller's. */
static void measure_memory(const char *url, int count)
{
    CURL **easy = calloc((size_t)count, sizeof *easy);
    size_t bytes = 0;
    long before = resident();
    double end = now_s() + MEMORY_SECONDS;

    if (!easy) die("calls", "no memory");
    for (int i = 0; i < count; i++) {
        easy[i] = open_easy(url, chat_body);
        curl_easy_setopt(easy[i], CURLOPT_WRITEFUNCTION, on_any_body);
        curl_easy_setopt(easy[i], CURLOPT_WRITEDATA, &bytes);
        curl_multi_add_handle(shards[0].multi, easy[i]);
    }
    while (now_s() < end)
        turn(100);
    if (bytes > 0) die("a call", "was answered");
    printf("bytes %.0f\n", (double)(resident() - before) / count);
}

/* --- the command line --- */

static void raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int number(char **argv, int argc, int index, int least, int most)
{
    long value = index < argc ? strtol(argv[index], NULL, 10) : least;

    if (value < least || value > most) die("bad number", argv[index]);
    return (int)value;
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "", *url = argv[2];
    int third = number(argv, argc, 3, 1, FDS_MAX / 2);

    curl_global_init(CURL_GLOBAL_ALL);
    raise_limit();
    headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Authorization: Bearer sk-mock");
    epoll = epoll_create1(0);
    if (strcmp(what, "two") == 0) {
        open_shards(1, 2);
        measure_two(url, number(argv, argc, 3, 1, ROUNDS_MAX));
    } else if (strcmp(what, "calls") == 0) {
        open_shards(number(argv, argc, 6, 1, SHARDS_MAX), third);
        measure_calls(url, third, number(argv, argc, 4, 1, 10000000),
                      number(argv, argc, 5, 1, ROUNDS_MAX));
    } else if (strcmp(what, "wide") == 0) {
        open_shards(number(argv, argc, 5, 1, SHARDS_MAX), third);
        measure_wide(url, third, number(argv, argc, 4, 1, ROUNDS_MAX));
    } else if (strcmp(what, "stream") == 0) {
        measure_stream(url, number(argv, argc, 3, 1, ROUNDS_MAX), argc > 4);
    } else if (strcmp(what, "memory") == 0) {
        open_shards(1, third);
        measure_memory(url, third);
    } else {
        die("usage", "floor two|calls|wide|stream|memory URL ...");
    }
    return 0;
}
