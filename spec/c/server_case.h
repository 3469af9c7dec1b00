/*
 * server_case.h: an HTTP server inside of a test's process, a thread for each
 * connection. The test says what it answers. Include after test.h.
 */
#ifndef MP_SERVER_CASE_H
#define MP_SERVER_CASE_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int port;

/* The test's: answers [request], its first bytes. */
static void answer(int fd, const char *request);

static inline void say(int fd, const char *text)
{
    ssize_t sent = send(fd, text, strlen(text), MSG_NOSIGNAL);

    (void)sent;
}

static inline void *serve_one(void *fd_)
{
    int fd = (int)(intptr_t)fd_;
    char request[4096];
    ssize_t len;

    while ((len = recv(fd, request, sizeof request - 1, 0)) > 0) {
        request[len] = '\0';
        answer(fd, request);
    }
    close(fd);
    return NULL;
}

static inline void *serve(void *listener_)
{
    int listener = (int)(intptr_t)listener_;
    int fd;

    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        pthread_t thread;

        pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)fd);
        pthread_detach(thread);
    }
    return NULL;
}

static inline void start_server(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    pthread_t thread;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(listener, (struct sockaddr *)&address, len) == 0);
    CHECK(listen(listener, 64) == 0);
    getsockname(listener, (struct sockaddr *)&address, &len);
    port = ntohs(address.sin_port);
    pthread_create(&thread, NULL, serve, (void *)(intptr_t)listener);
    pthread_detach(thread);
}

#endif
