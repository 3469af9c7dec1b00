/* control.c: see control.h. */
#include "control.h"

#include "conn.h"
#include "fail.h"
#include "lane.h"
#include "record.h"

static int serve_stats(const Request *request, Span lane, Bytes *out)
{
    (void)request, (void)lane;
    record_stats(out);
    return 200;
}

static int serve_requests(const Request *request, Span lane, Bytes *out)
{
    (void)request, (void)lane;
    record_requests(out);
    return 200;
}

static int serve_reset(const Request *request, Span lane, Bytes *out)
{
    (void)request, (void)lane;
    record_reset();
    TEXT(out, "{}");
    return 200;
}

static int serve_release(const Request *request, Span lane, Bytes *out)
{
    (void)request;
    conn_release(lane.len ? lane_of(lane) : NULL);
    TEXT(out, "{}");
    return 200;
}

static int serve_script(const Request *request, Span lane, Bytes *out)
{
    Bytes complaint = {0};
    bool good = lane_set(lane_of(lane.len ? lane : SPAN("*")), request->body,
                         &complaint);

    bytes_add(&complaint, "", 1);
    if (good)
        TEXT(out, "{}");
    else
        fail_body("bad_script", complaint.at, out);
    bytes_free(&complaint);
    return good ? 200 : 400;
}

static const struct Endpoint {
    const char *method, *path;
    int (*serve)(const Request *request, Span lane, Bytes *out);
} ENDPOINTS[] = {
    {"GET", "/stats", serve_stats},    {"GET", "/requests", serve_requests},
    {"POST", "/reset", serve_reset},   {"POST", "/release", serve_release},
    {"POST", "/script", serve_script},
};

int control_serve(const Request *request, Bytes *out)
{
    for (size_t i = 0; i < sizeof ENDPOINTS / sizeof *ENDPOINTS; i++) {
        const struct Endpoint *endpoint = &ENDPOINTS[i];
        Span rest = request->path, name;
        Bytes lane = {0};
        int status;

        if (!span_is(request->method, endpoint->method)) continue;
        rest.at++, rest.len--;
        name = span_split(&rest, '/');
        if (!span_is(name, endpoint->path + 1)) continue;
        bytes_unpercent(&lane, rest);
        status = endpoint->serve(request, bytes_all(&lane), out);
        bytes_free(&lane);
        return status;
    }
    return 0;
}
