/* route.c: see route.h. */
#include "route.h"

#include "scan.h"

/* Takes /KEY/VALUE off the front of the path and appends the value. */
static bool take_prefix(Request *request, const char *key, Bytes *value)
{
    Span rest = request->path, name;

    rest.at++, rest.len--;
    name = span_split(&rest, '/');
    if (!span_is(name, key)) return false;
    bytes_unpercent(value, span_split(&rest, '/'));
    if (rest.len == 0) return false;
    request->path = (Span){rest.at - 1, rest.len + 1};
    return true;
}

static Span model_of(const Request *request)
{
    Scan scan = scan_open(request->body, '{');
    Span key, value;

    while (scan_member(&scan, &key, &value)) {
        if (span_is(key, "model")) return scan_string(value);
    }
    return (Span){"", 0};
}

static Lane *find_lane(const Request *request, const Bytes *given)
{
    Span name = bytes_all(given);

    if (name.len == 0) name = request->lane;
    if (name.len == 0) name = model_of(request);
    return lane_of(name.len ? name : SPAN("-"));
}

static Script *find_script(const Request *request, const Bytes *given,
                           Lane *lane, Bytes *complaint)
{
    if (request->script.len) return script_parse(request->script, complaint);
    if (given->len) return script_parse(bytes_all(given), complaint);
    return lane_take(lane);
}

Route route_find(Request *request, Bytes *complaint)
{
    Bytes lane = {0}, script = {0};
    Route route;

    take_prefix(request, "lane", &lane);
    take_prefix(request, "with", &script);
    route.lane = find_lane(request, &lane);
    route.script = find_script(request, &script, route.lane, complaint);
    bytes_free(&lane);
    bytes_free(&script);
    return route;
}
