/* fail.c: see fail.h. */
#include "fail.h"

#include <string.h>

typedef struct Failure {
    int64_t status; /* whose usual failure it is; 0: of none */
    const char *code, *type, *message;
} Failure;

static const Failure FAILURES[] = {
    {500, "server_error", "server_error",
     "The server had an error while processing your request"},
    {400, "invalid_request", "invalid_request_error", "The request is invalid"},
    {401, "invalid_api_key", "invalid_request_error",
     "Incorrect API key provided"},
    {403, "unsupported_country_region_territory", "request_forbidden",
     "Country, region, or territory not supported"},
    {404, "model_not_found", "invalid_request_error",
     "The model does not exist or you do not have access to it"},
    {429, "rate_limit_exceeded", "requests", "Rate limit reached"},
    {0, "insufficient_quota", "insufficient_quota",
     "You exceeded your current quota, please check your plan and billing "
     "details"},
    {0, "context_length_exceeded", "invalid_request_error",
     "This model's maximum context length is 8192 tokens. However, your "
     "messages resulted in 9001 tokens. Please reduce the length of the "
     "messages."},
    {0, "content_filter", "invalid_request_error",
     "The response was filtered due to the content management policy"},
};

enum { COUNT = sizeof FAILURES / sizeof *FAILURES };

static Failure find_code(const char *code)
{
    Failure unknown = FAILURES[0];

    for (int i = 0; i < COUNT; i++) {
        if (strcmp(FAILURES[i].code, code) == 0) return FAILURES[i];
    }
    unknown.code = code;
    return unknown;
}

static const char *code_of(int64_t status)
{
    for (int i = 0; i < COUNT; i++) {
        if (FAILURES[i].status == status) return FAILURES[i].code;
    }
    return status < 500 ? "invalid_request" : "server_error";
}

void fail_body(const char *code, const char *message, Bytes *out)
{
    Failure failure = find_code(code);

    if (message) failure.message = message;
    TEXT(out, "{\"error\":{");
    bytes_member(out, "message",
                 (Span){failure.message, strlen(failure.message)});
    TEXT(out, ",");
    bytes_member(out, "type", (Span){failure.type, strlen(failure.type)});
    TEXT(out, ",\"param\":null,");
    bytes_member(out, "code", (Span){failure.code, strlen(failure.code)});
    TEXT(out, "}}");
}

void fail_scripted(const Script *script, Bytes *out)
{
    const char *code =
        script->error.at ? script->error.at : code_of(script->status);

    if (script->error_json.at)
        bytes_span(out, bytes_all(&script->error_json));
    else
        fail_body(code, script->message.at, out);
}
