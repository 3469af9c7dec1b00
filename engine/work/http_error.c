/* http_error.c: see http_error.h. */
#include "http_error.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    CURLcode code;
    mp_Kind kind;
} kinds[] = {
    {CURLE_COULDNT_RESOLVE_HOST, MP_KIND_DNS},
    {CURLE_COULDNT_RESOLVE_PROXY, MP_KIND_DNS},
    {CURLE_COULDNT_CONNECT, MP_KIND_CONNECT},
    {CURLE_PROXY, MP_KIND_CONNECT},
    {CURLE_INTERFACE_FAILED, MP_KIND_CONNECT},
    /* the connect timeout is the only one that curl keeps for us */
    {CURLE_OPERATION_TIMEDOUT, MP_KIND_TIMEOUT_CONNECT},
    {CURLE_SSL_CONNECT_ERROR, MP_KIND_TLS},
    {CURLE_SSL_ENGINE_NOTFOUND, MP_KIND_TLS},
    {CURLE_SSL_ENGINE_SETFAILED, MP_KIND_TLS},
    {CURLE_SSL_ENGINE_INITFAILED, MP_KIND_TLS},
    {CURLE_SSL_CERTPROBLEM, MP_KIND_TLS},
    {CURLE_SSL_CIPHER, MP_KIND_TLS},
    {CURLE_PEER_FAILED_VERIFICATION, MP_KIND_TLS},
    {CURLE_USE_SSL_FAILED, MP_KIND_TLS},
    {CURLE_SSL_CACERT_BADFILE, MP_KIND_TLS},
    {CURLE_SSL_SHUTDOWN_FAILED, MP_KIND_TLS},
    {CURLE_SSL_ISSUER_ERROR, MP_KIND_TLS},
    {CURLE_SSL_PINNEDPUBKEYNOTMATCH, MP_KIND_TLS},
    {CURLE_SSL_INVALIDCERTSTATUS, MP_KIND_TLS},
    {CURLE_SSL_CLIENTCERT, MP_KIND_TLS},
    {CURLE_SEND_ERROR, MP_KIND_RESET},
    {CURLE_RECV_ERROR, MP_KIND_RESET},
    {CURLE_GOT_NOTHING, MP_KIND_RESET},
    {CURLE_HTTP2, MP_KIND_RESET},
    {CURLE_HTTP2_STREAM, MP_KIND_RESET},
    {CURLE_PARTIAL_FILE, MP_KIND_TRUNCATED},
    {CURLE_WEIRD_SERVER_REPLY, MP_KIND_PROTOCOL},
    {CURLE_BAD_CONTENT_ENCODING, MP_KIND_PROTOCOL},
    {CURLE_HTTP_POST_ERROR, MP_KIND_PROTOCOL},
    {CURLE_URL_MALFORMAT, MP_KIND_CONFIG},
    {CURLE_UNSUPPORTED_PROTOCOL, MP_KIND_CONFIG},
    {CURLE_OUT_OF_MEMORY, MP_KIND_MEMORY},
    {CURLE_ABORTED_BY_CALLBACK, MP_KIND_CLOSED}, /* the process exits */
};

static mp_Kind kind_of(CURLcode result)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].code == result) return kinds[i].kind;
    return MP_KIND_PROTOCOL;
}

/* Without descriptors curl says that it could not connect; and three codes of
 * its mean more than one thing. */
static mp_Kind corrected(CURLcode result, const char *text, long os_errno)
{
    if (os_errno == EMFILE || os_errno == ENFILE) return MP_KIND_FDS;
    if (strstr(text, "thread failed to start")) return MP_KIND_MEMORY;
    if (result == CURLE_RECV_ERROR && strstr(text, "chunked-encoding"))
        return MP_KIND_PROTOCOL;
    if (result == CURLE_UNSUPPORTED_PROTOCOL && strstr(text, "HTTP"))
        return MP_KIND_PROTOCOL; /* what came is no HTTP at all */
    return kind_of(result);
}

/* Curl says "reset" where a proxy refuses a tunnel, and not which proxy. */
static bool is_refused_tunnel(CURL *easy, CURLcode result, mp_Error *err)
{
    const mp_Curl *curl = mp_http_curl(NULL);
    const char *ip = NULL;
    long status = 0, port = 0;

    if (result != CURLE_RECV_ERROR) return false;
    curl->easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &status);
    if (status < 300) return false;
    curl->easy_getinfo(easy, CURLINFO_PRIMARY_IP, &ip);
    curl->easy_getinfo(easy, CURLINFO_PRIMARY_PORT, &port);
    mp_err_set(err, MP_KIND_CONNECT, "the proxy %s:%ld refused the tunnel: %ld",
               ip ? ip : "?", port, status);
    return true;
}

void mp_http_error(CURL *easy, CURLcode result, const char *text, mp_Error *err)
{
    const mp_Curl *curl = mp_http_curl(NULL);
    long os_errno = 0;

    if (is_refused_tunnel(easy, result, err)) return;
    curl->easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_errno);
    if (!text[0]) text = curl->easy_strerror(result);
    mp_err_set(err, corrected(result, text, os_errno), "%s", text);
    err->os_errno = (int)os_errno;
}

/* FNV-1a up to the path. */
uint64_t mp_http_origin(const char *url)
{
    const char *host = strstr(url, "://");
    size_t len = host ? (size_t)(host + 3 - url) : 0;
    uint64_t hash = 14695981039346656037u;

    len += strcspn(url + len, "/?#");
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)url[i]) * 1099511628211u;
    return hash ? hash : 1;
}

/* Behind the scheme and whose account it is. */
static const char *host_of(const char *url)
{
    const char *host = strstr(url, "://");
    size_t len;

    host = host ? host + 3 : url;
    len = strcspn(host, "/?#@");
    return host[len] == '@' ? host + len + 1 : host;
}

static bool is_localhost(const char *host)
{
    size_t len = strcspn(host, ":/?#");

    return len == strlen("localhost") &&
           strncasecmp(host, "localhost", len) == 0;
}

bool mp_http_has_name(const char *url)
{
    const char *host = host_of(url);

    if (host[0] == '[' || is_localhost(host)) return false;
    return strspn(host, "0123456789.") < strcspn(host, ":/?#");
}

bool mp_http_is_loopback(const char *url)
{
    const char *host = host_of(url);

    if (strncmp(host, "[::1]", 5) == 0 || is_localhost(host)) return true;
    return strncmp(host, "127.", 4) == 0 && !mp_http_has_name(url);
}

CURLU *mp_http_address(const mp_Curl *curl, const char *url)
{
    CURLU *address = curl->url();

    if (!address) return NULL;
    if (curl->url_set(address, CURLUPART_URL, url, 0) == CURLUE_OK)
        return address;
    curl->url_cleanup(address);
    return NULL;
}

bool mp_http_has_proxy(void)
{
    static const char *const names[] = {
        "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);

        if (value && value[0]) return true;
    }
    return false;
}

const char *mp_http_ca_file(void)
{
    return getenv("SSL_CERT_FILE");
}
