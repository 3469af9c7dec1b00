/*
 * conn.h: one connection: reads a request, waits as its script says, writes
 * the answer and breaks it where the script wants it broken.
 *
 *   idle --request--> waiting --delay, release--> sending --end--> idle
 *                        |                          |
 *                        |                          +-- cut --> lingering
 *                        +-- the client closes: aborted, gone
 *
 * Sockets are non-blocking and edge-triggered, so each event is followed until
 * the kernel says EAGAIN. A connection that is over is freed only behind the
 * batch of events in which it ended (conn_sweep).
 */
#ifndef CONN_H
#define CONN_H

#include <stdbool.h>

struct Timer;
typedef struct Conn Conn;

/* Takes the socket. [control]: it serves the control endpoints and is not
 * counted. */
void conn_open(int epoll, int fd, bool control);

/* Follows what epoll said. */
void conn_event(Conn *conn, unsigned events);

/* Follows a timer of a connection. */
void conn_timer(struct Timer *timer);

/* Lets all go on that hold or stall, in one lane or, with NULL, in all. */
struct Lane;
void conn_release(const struct Lane *lane);

/* Frees what ended. */
void conn_sweep(void);

/* Closes all. */
void conn_term(void);

#endif
