/*
 * slow_resolver.c: names that a test makes up, for LD_PRELOAD.
 *
 *   slow-MS.test      resolves to 127.0.0.1 after MS milliseconds
 *   unknown-MS.test   no such host, which takes MS milliseconds
 *   broken6-PORT.test resolves at once: first to an IPv6 address where nothing
 *                     answers, [::ffff:127.0.0.1]:PORT of a port that takes no
 *                     connection, then to 127.0.0.1
 *   *.test            all others: no such host, at once
 *
 * Each lookup of one of them adds a byte to the file RESOLVER_LOG, if that is
 * set. All other names go to the real getaddrinfo.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef int Resolve(const char *name, const char *service,
                    const struct addrinfo *hints, struct addrinfo **out);

static void note(void)
{
    const char *path = getenv("RESOLVER_LOG");
    int fd = path ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;

    if (fd < 0) return;
    if (write(fd, ".", 1) != 1) abort();
    close(fd);
}

static void sleep_ms(long ms)
{
    struct timespec span = {.tv_sec = ms / 1000,
                            .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&span, NULL);
}

/* One block, as freeaddrinfo expects it. */
static struct addrinfo *make(const void *address, socklen_t len, int family)
{
    struct addrinfo *info = calloc(1, sizeof *info + len);

    if (!info) abort();
    info->ai_family = family;
    info->ai_socktype = SOCK_STREAM;
    info->ai_protocol = IPPROTO_TCP;
    info->ai_addrlen = len;
    info->ai_addr = memcpy(info + 1, address, len);
    return info;
}

static struct addrinfo *loopback(const char *service)
{
    struct sockaddr_in address = {.sin_family = AF_INET};

    address.sin_port = htons((uint16_t)(service ? atoi(service) : 0));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return make(&address, sizeof address, AF_INET);
}

static struct addrinfo *deaf6(int port)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    static const unsigned char mapped[16] = {[10] = 255, 255, 127, 0, 0, 1};

    address.sin6_port = htons((uint16_t)port);
    memcpy(&address.sin6_addr, mapped, sizeof mapped);
    return make(&address, sizeof address, AF_INET6);
}

static int made_up(const char *name, const char *service, int family,
                   struct addrinfo **out)
{
    long number;

    note();
    if (sscanf(name, "slow-%ld.test", &number) == 1) {
        sleep_ms(number);
        *out = loopback(service);
        return 0;
    }
    if (sscanf(name, "unknown-%ld.test", &number) == 1) sleep_ms(number);
    if (sscanf(name, "broken6-%ld.test", &number) != 1) return EAI_NONAME;
    *out = family == AF_INET6 ? NULL : loopback(service);
    if (family == AF_INET) return 0;
    {
        struct addrinfo *six = deaf6((int)number);

        six->ai_next = *out;
        *out = six;
    }
    return 0;
}

static bool is_made_up(const char *name)
{
    size_t len = name ? strlen(name) : 0;

    return len > 5 && strcmp(name + len - 5, ".test") == 0;
}

int getaddrinfo(const char *name, const char *service,
                const struct addrinfo *hints, struct addrinfo **out)
{
    Resolve *real;
    void *found;

    if (is_made_up(name))
        return made_up(name, service, hints ? hints->ai_family : AF_UNSPEC,
                       out);
    found = dlsym(RTLD_NEXT, "getaddrinfo");
    memcpy(&real, &found, sizeof real);
    return real(name, service, hints, out);
}
