/*
 * control.h: the endpoints through which a test scripts and asks the server.
 *
 *   POST /script[/LANE]   lines as lane_set reads them; no lane: `*`
 *   POST /release[/LANE]  lets go on what holds or stalls; no lane: all
 *   POST /reset           forgets scripts, counters and the log
 *   GET /stats            the counters and the order, see record.h
 *   GET /requests         the last requests with headers and body
 */
#ifndef CONTROL_H
#define CONTROL_H

#include "http.h"

/* Answers if [request] is for one of them: returns the status and appends the
 * body, else 0. */
int control_serve(const Request *request, Bytes *out);

#endif
