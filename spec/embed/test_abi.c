/*
 * test_abi.c: what programs that were compiled against version 1 know of it:
 * sizes, places and numbers. It is C99 and C++17 too: abi_spec.lua compiles it.
 *
 * A field that is added stands at the end of its struct, and so does its line
 * here; no line ever changes.
 */
#include "moonpipe.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* test.h is C11. */
static int checked, failed;

static void check(int holds, int line, const char *what)
{
    checked++;
    failed += !holds;
    if (!holds) fprintf(stderr, "line %d: not true: %s\n", line, what);
}

#define CHECK(condition) check(condition, __LINE__, #condition)

/* On the machines of today: 64 bits, pointers and size_t of 8 bytes. */
#define AT(type, field, place) CHECK(offsetof(type, field) == (place))

static void test_structs(void)
{
    AT(moonpipe_Sandbox, size, 0);
    AT(moonpipe_Sandbox, grants, 8);
    AT(moonpipe_Sandbox, memory, 16);
    AT(moonpipe_Sandbox, seconds, 24);
    AT(moonpipe_Sandbox, instructions, 32);
    AT(moonpipe_Sandbox, isolate, 40);
    CHECK(sizeof(moonpipe_Sandbox) == 48);

    AT(moonpipe_Config, size, 0);
    AT(moonpipe_Config, jit, 8);
    AT(moonpipe_Config, on_log, 16);
    AT(moonpipe_Config, log_userdata, 24);
    AT(moonpipe_Config, no_cores, 32);
    AT(moonpipe_Config, sandbox, 40);
    AT(moonpipe_Config, memory, 48);
    AT(moonpipe_Config, on_wake, 56);
    AT(moonpipe_Config, wake_userdata, 64);
    CHECK(sizeof(moonpipe_Config) == 72);

    AT(moonpipe_Options, size, 0);
    AT(moonpipe_Options, flags, 8);
    AT(moonpipe_Options, timeout, 16);
    AT(moonpipe_Options, userdata, 24);
    AT(moonpipe_Options, on_token, 32);
    AT(moonpipe_Options, on_done, 40);
    AT(moonpipe_Options, on_error, 48);
    AT(moonpipe_Options, on_value, 56);
    CHECK(sizeof(moonpipe_Options) == 64);

    AT(moonpipe_Tool, size, 0);
    AT(moonpipe_Tool, name, 8);
    AT(moonpipe_Tool, description, 16);
    AT(moonpipe_Tool, schema, 24);
    AT(moonpipe_Tool, on_call, 32);
    AT(moonpipe_Tool, on_confirm, 40);
    AT(moonpipe_Tool, userdata, 48);
    CHECK(sizeof(moonpipe_Tool) == 56);
}

static void test_numbers(void)
{
    CHECK(MOONPIPE_TYPE_NONE == 0 && MOONPIPE_TYPE_NULL == 1);
    CHECK(MOONPIPE_TYPE_BOOLEAN == 2 && MOONPIPE_TYPE_INTEGER == 3);
    CHECK(MOONPIPE_TYPE_NUMBER == 4 && MOONPIPE_TYPE_STRING == 5);
    CHECK(MOONPIPE_TYPE_ARRAY == 6 && MOONPIPE_TYPE_OBJECT == 7);
    CHECK(MOONPIPE_TYPE_FLOATS == 8 && sizeof(moonpipe_Type) == 4);
    CHECK(MOONPIPE_TEXT_IN == 1 && MOONPIPE_TEXT_OUT == 2);
    CHECK(MOONPIPE_TEXT == 3);
    CHECK(MOONPIPE_LOG_NOTICE == 1 && MOONPIPE_LOG_WARNING == 2);
    CHECK(MOONPIPE_FAILED == 1 && MOONPIPE_USAGE == 2);
    CHECK(MOONPIPE_INTERRUPTED == 130);
    CHECK(sizeof(moonpipe_Kind) == 4);
}

/* In the order of their numbers. */
static void test_kinds(void)
{
    static const int kinds[] = {
        MOONPIPE_KIND_NONE,
        MOONPIPE_KIND_DNS,
        MOONPIPE_KIND_CONNECT,
        MOONPIPE_KIND_TLS,
        MOONPIPE_KIND_TIMEOUT_CONNECT,
        MOONPIPE_KIND_TIMEOUT_FIRST_BYTE,
        MOONPIPE_KIND_TIMEOUT_IDLE,
        MOONPIPE_KIND_TIMEOUT_TOTAL,
        MOONPIPE_KIND_RESET,
        MOONPIPE_KIND_TRUNCATED,
        MOONPIPE_KIND_PROTOCOL,
        MOONPIPE_KIND_HTTP,
        MOONPIPE_KIND_AUTH,
        MOONPIPE_KIND_QUOTA,
        MOONPIPE_KIND_RATE_LIMIT,
        MOONPIPE_KIND_CONTEXT_LENGTH,
        MOONPIPE_KIND_CONTENT_FILTER,
        MOONPIPE_KIND_REFUSED_REQUEST,
        MOONPIPE_KIND_TOO_LARGE,
        MOONPIPE_KIND_DECODE,
        MOONPIPE_KIND_SCHEMA,
        MOONPIPE_KIND_TOOL,
        MOONPIPE_KIND_CANCELLED,
        MOONPIPE_KIND_CLOSED,
        MOONPIPE_KIND_LUA,
        MOONPIPE_KIND_LIMIT,
        MOONPIPE_KIND_MEMORY,
        MOONPIPE_KIND_FDS,
        MOONPIPE_KIND_IO,
        MOONPIPE_KIND_CONFIG,
        MOONPIPE_KIND_INTERNAL,
        MOONPIPE_KIND_INPUT,
        MOONPIPE_KIND_UNSUPPORTED,
    };

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        CHECK(kinds[i] == (int)i);
}

static void test_versions(void)
{
    char version[32];

    sprintf(version, "%d.%d.%d", MOONPIPE_VERSION_MAJOR, MOONPIPE_VERSION_MINOR,
            MOONPIPE_VERSION_PATCH);
    CHECK(strcmp(moonpipe_version(), version) == 0);
    CHECK(MOONPIPE_VERSION_NUMBER >= 10000);
}

static void test_defaults(void)
{
    moonpipe_Config config;
    moonpipe_Options options;
    moonpipe_Sandbox sandbox;
    moonpipe_Tool tool;

    memset(&config, 0xff, sizeof config);
    memset(&options, 0xff, sizeof options);
    memset(&sandbox, 0xff, sizeof sandbox);
    memset(&tool, 0xff, sizeof tool);
    moonpipe_config_init(&config);
    moonpipe_options_init(&options);
    moonpipe_sandbox_init(&sandbox);
    moonpipe_tool_init(&tool);
    CHECK(config.size == sizeof config && config.jit == 1);
    CHECK(!config.on_log && !config.sandbox && !config.memory);
    CHECK(!config.on_wake && !config.no_cores);
    CHECK(options.size == sizeof options && !options.flags);
    CHECK(!options.on_done && !options.on_value && options.timeout == 0);
    CHECK(sandbox.size == sizeof sandbox && !sandbox.grants);
    CHECK(tool.size == sizeof tool && !tool.on_confirm && !tool.schema);
}

static int done, values;

static void on_done(void *userdata, uint64_t call, const char *result,
                    size_t length)
{
    CHECK(userdata == NULL && call != 0);
    CHECK(length == 1 && result[0] == '1');
    done++;
}

static void on_value(void *userdata, uint64_t call, const moonpipe_Value *value)
{
    CHECK(userdata == NULL && call != 0);
    CHECK(moonpipe_get_integer(value, NULL) == 1);
    values++;
}

/* Nothing is written past what the program knows of. */
static void test_fills_as_much_as_there_is(void)
{
    unsigned char room[2 * sizeof(moonpipe_Config)];
    size_t size, read;

    for (size = sizeof size; size <= sizeof room; size += 8) {
        moonpipe_Config config;

        memset(room, 0xff, sizeof room);
        moonpipe_config_fill((moonpipe_Config *)(void *)room, size);
        memcpy(&read, room, sizeof read);
        CHECK(read == size);
        for (size_t i = size; i < sizeof room; i++)
            CHECK(room[i] == 0xff);
        memset(&config, 0, sizeof config);
        memcpy(&config, room, size < sizeof config ? size : sizeof config);
        CHECK(config.jit == (size > offsetof(moonpipe_Config, jit)));
    }
    memset(room, 0xff, sizeof room);
    moonpipe_config_fill((moonpipe_Config *)(void *)room, 4); /* no size fits */
    CHECK(room[0] == 0xff);
}

/* A program that knew less than this library, and one that knows more. */
static void test_other_sizes(void)
{
    static const char text[] = "return function(x) return x end";
    struct {
        moonpipe_Options known;
        double unknown[4];
    } options;
    moonpipe_Engine *engine = moonpipe_open(NULL);
    uint64_t chain = moonpipe_load_text(engine, "abi", text, strlen(text));
    const size_t sizes[] = {offsetof(moonpipe_Options, on_value),
                            sizeof(moonpipe_Options), sizeof options};

    for (size_t i = 0; i < 3; i++) {
        memset(&options, 0xff, sizeof options);
        moonpipe_options_init(&options.known);
        options.known.on_done = on_done;
        options.known.on_value = on_value;
        options.known.size = sizes[i];
        CHECK(moonpipe_start(engine, chain, "1", 1, &options.known) != 0);
        CHECK(moonpipe_wait(engine, 0, -1) == 1);
        CHECK(done == 1 && values == (int)i);
    }
    moonpipe_close(engine);
}

int main(void)
{
    if (sizeof(void *) == 8) test_structs();
    test_numbers();
    test_kinds();
    test_versions();
    test_defaults();
    test_fills_as_much_as_there_is();
    test_other_sizes();
    fprintf(stderr, "%d checks, %d failed\n", checked, failed);
    return failed > 0;
}
