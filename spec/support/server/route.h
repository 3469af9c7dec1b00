/*
 * route.h: which lane and which script a request has.
 *
 * The path may begin with /lane/NAME and /with/SCRIPT, for clients that know
 * only a base URL; both are taken off it. A script comes from the x-script
 * header, else from the path, else from the lane.
 */
#ifndef ROUTE_H
#define ROUTE_H

#include "http.h"
#include "lane.h"

typedef struct Route {
    Lane *lane;
    Script *script; /* kept; NULL with a complaint */
} Route;

Route route_find(Request *request, Bytes *complaint);

#endif
