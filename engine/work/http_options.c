/*
 * http_options.c: what an easy handle is told of a call, and how it gets and
 * gives back its sockets.
 */
#include "http_job.h"

#include "clock.h"
#include "http_error.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#define SPARING_READ 1024L /* bytes; the least that libcurl takes */

/* --- sockets and names --- */

static mp_HttpJob *job_of(CURL *easy)
{
    mp_HttpTransfer *transfer;

    mp_http_curl(NULL)->easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
    return (mp_HttpJob *)((char *)transfer - offsetof(mp_HttpJob, transfer));
}

/* Curl does not tell why it got no socket, and lets children inherit it, which
 * keeps connections open that we close. */
static curl_socket_t open_socket(void *easy, curlsocktype purpose,
                                 struct curl_sockaddr *address)
{
    mp_HttpJob *self = job_of(easy);
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC,
                    address->protocol);

    (void)purpose;
    self->connect_at = MP_CLOCK_NEVER; /* from here on curl keeps it */
    mp_lookup_known(&self->lookup);
    self->job.err = NULL; /* that of an address tried before */
    if (fd >= 0 && mp_io_opened(fd) == MP_OK) return fd;
    self->no_descriptor = fd < 0 && (errno == EMFILE || errno == ENFILE);
    if (fd < 0) return CURL_SOCKET_BAD;
    self->job.err = &mp_err_no_memory;
    close(fd);
    return CURL_SOCKET_BAD;
}

/* Of a connection, at its end: the call that opened it may be long gone. */
static int close_socket(void *unused, curl_socket_t fd)
{
    (void)unused;
    mp_io_closing(fd);
    return close(fd);
}

/* Called before a name is looked up that is not in curl's cache. */
static int on_lookup(void *resolver, void *reserved, void *easy)
{
    (void)resolver, (void)reserved;
    job_of(easy)->looks_up = true;
    return 0;
}

/* --- options --- */

/* Parsed once for all calls of a plan; what does not parse curl itself shall
 * complain of. */
static void set_address(mp_HttpJob *self, const mp_Curl *curl)
{
    mp_HttpPlan *plan = self->plan;

    if (!plan->address) plan->address = mp_http_address(curl, plan->spec.url);
    curl->easy_setopt(self->transfer.easy, CURLOPT_CURLU, plan->address);
    if (!plan->address)
        curl->easy_setopt(self->transfer.easy, CURLOPT_URL, plan->spec.url);
}

/* Where there is none curl need not look for one at each call. */
static void set_proxy(mp_HttpJob *self, const mp_Curl *curl)
{
    const char *proxy = self->plan->spec.proxy;
    bool none = proxy ? !proxy[0] : !mp_http_has_proxy();

    curl->easy_setopt(self->transfer.easy, CURLOPT_PROXY, proxy);
    curl->easy_setopt(self->transfer.easy, CURLOPT_NOPROXY, none ? "*" : NULL);
}

static void set_trust(mp_HttpJob *self, const mp_Curl *curl)
{
    const mp_HttpSpec *spec = &self->plan->spec;
    CURL *easy = self->transfer.easy;

    curl->easy_setopt(easy, CURLOPT_CAINFO, spec->ca_file);
    curl->easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, spec->insecure ? 0L : 1L);
    curl->easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, spec->insecure ? 0L : 2L);
}

/* What is the same for each call of one plan and framing: a handle that had the
 * same before keeps it. */
static void set_plan_options(mp_HttpJob *self)
{
    const mp_Curl *curl = mp_http_curl(NULL);
    const mp_HttpSpec *spec = &self->plan->spec;
    CURL *easy = self->transfer.easy;
    bool whole = self->framing == MP_HTTP_WHOLE;

    set_address(self, curl);
    set_proxy(self, curl);
    curl->easy_setopt(easy, CURLOPT_HTTPHEADER, self->plan->headers);
    set_trust(self, curl);
    curl->easy_setopt(easy, CURLOPT_IPRESOLVE,
                      spec->ip == 4   ? (long)CURL_IPRESOLVE_V4
                      : spec->ip == 6 ? (long)CURL_IPRESOLVE_V6
                                      : (long)CURL_IPRESOLVE_WHATEVER);
    curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                      (long)((spec->connect_us + 999) / 1000));
    /* a compressed stream would come late, in blocks */
    curl->easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, whole ? "" : NULL);
    /* wait for a connection that may be shared; without TLS none may, and the
     * second call would wait for the first one's answer */
    curl->easy_setopt(easy, CURLOPT_PIPEWAIT, self->plan->tls ? 1L : 0L);
    curl->easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl->easy_setopt(easy, CURLOPT_OPENSOCKETDATA, easy);
    curl->easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    curl->easy_setopt(easy, CURLOPT_RESOLVER_START_FUNCTION,
                      self->plan->has_name ? on_lookup : NULL);
    curl->easy_setopt(easy, CURLOPT_RESOLVER_START_DATA, easy);
    curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, mp_http_on_body);
    curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, mp_http_on_header);
}

/* What a transfer reads into it holds from its beginning to its end,
 * libcurl 8.8 and later apart. A stream of many is held long, and brings an
 * event at a time; one of a few may be fast. */
static long read_size(const mp_HttpJob *self)
{
    if (self->framing == MP_HTTP_WHOLE || !mp_http_io_is_crowded())
        return CURL_MAX_WRITE_SIZE;
    return SPARING_READ;
}

static void set_call_options(mp_HttpJob *self)
{
    const mp_Curl *curl = mp_http_curl(NULL);
    CURL *easy = self->transfer.easy;

    if (self->body) {
        curl->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                          (curl_off_t)self->body_len);
        curl->easy_setopt(easy, CURLOPT_POSTFIELDS, self->body);
    } else {
        curl->easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    curl->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, self->plan->spec.method);
    curl->easy_setopt(easy, CURLOPT_BUFFERSIZE, read_size(self));
    curl->easy_setopt(easy, CURLOPT_WRITEDATA, self);
    curl->easy_setopt(easy, CURLOPT_HEADERDATA, self);
    curl->easy_setopt(easy, CURLOPT_ERRORBUFFER, self->curl_text);
}

void mp_http_set_options(mp_HttpJob *self, bool had_options)
{
    if (!had_options) set_plan_options(self);
    set_call_options(self);
}
