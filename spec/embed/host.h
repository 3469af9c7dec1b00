/* host.h: what the test hosts share: a record of what a call told, and texts
 * given without their length. */
#ifndef MP_SPEC_HOST_H
#define MP_SPEC_HOST_H

#include "moonpipe.h"
#include "test.h"

#include <stdbool.h>
#include <string.h>

/* What a call told. */
typedef struct Told {
    int tokens, done, errors;
    char text[1024];   /* tokens, one after the other */
    char result[1024]; /* or the error's text */
    int kind;
} Told;

static inline void add(char *to, size_t size, const char *text, size_t length)
{
    size_t used = strlen(to);

    if (length > size - used - 1) length = size - used - 1;
    memcpy(to + used, text, length);
    to[used + length] = '\0';
}

static inline void on_token(void *userdata, uint64_t call, const char *token,
                            size_t length)
{
    Told *told = userdata;

    CHECK(call != 0);
    told->tokens++;
    add(told->text, sizeof told->text, token, length);
}

static inline void on_done(void *userdata, uint64_t call, const char *result,
                           size_t length)
{
    Told *told = userdata;

    CHECK(call != 0);
    told->done++;
    told->result[0] = '\0';
    add(told->result, sizeof told->result, result, length);
}

static inline void on_error(void *userdata, uint64_t call,
                            const moonpipe_Error *error)
{
    Told *told = userdata;
    const char *text = moonpipe_error_text(error);

    CHECK(call != 0);
    told->errors++;
    told->kind = moonpipe_error_kind(error);
    told->result[0] = '\0';
    add(told->result, sizeof told->result, text, strlen(text));
}

/* Options that tell all but tokens to [told], which they empty. */
static inline moonpipe_Options telling(Told *told, int flags)
{
    moonpipe_Options options;

    memset(told, 0, sizeof *told);
    moonpipe_options_init(&options);
    options.flags = flags;
    options.userdata = told;
    options.on_done = on_done;
    options.on_error = on_error;
    return options;
}

static inline uint64_t load(moonpipe_Engine *engine, const char *text)
{
    return moonpipe_load_text(engine, "test", text, strlen(text));
}

static inline uint64_t start(moonpipe_Engine *engine, uint64_t chain,
                             const char *input, const moonpipe_Options *options)
{
    return moonpipe_start(engine, chain, input, strlen(input), options);
}

static inline int kind_of(moonpipe_Engine *engine)
{
    return moonpipe_error_kind(moonpipe_error(engine));
}

/* Runs one call of [text] to its end. */
static inline void call_text(moonpipe_Engine *engine, const char *text,
                             const char *input, Told *told)
{
    moonpipe_Options options = telling(told, 0);
    uint64_t chain = load(engine, text);

    CHECK(chain != 0);
    CHECK(start(engine, chain, input, &options) != 0);
    CHECK(moonpipe_wait(engine, 0, -1) == 1);
    moonpipe_drop(engine, chain);
}

#endif
