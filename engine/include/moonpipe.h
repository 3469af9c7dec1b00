/*
 * moonpipe.h: chains of model calls for C and C++ programs.
 *
 * The life of an engine:
 *
 *     moonpipe_Config config;
 *     moonpipe_config_init(&config);
 *     moonpipe_Engine *engine = moonpipe_open(&config);
 *     if (moonpipe_run_file(engine, "rag.lua", 0, NULL) != 0)
 *         fprintf(stderr, "%s\n", moonpipe_error(engine));
 *     moonpipe_close(engine);
 *
 * An engine belongs to the thread that opened it: all functions that take one
 * are called on that thread, but for moonpipe_interrupt. Several engines may
 * live in one process, each on its own thread.
 *
 * Words for pointers: a function borrows what it needs for the call only,
 * copies what the caller may free at once, takes what it frees itself, and
 * returns owned what the caller must free.
 */
#ifndef MOONPIPE_H
#define MOONPIPE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MOONPIPE_VERSION_MAJOR 0
#define MOONPIPE_VERSION_MINOR 1
#define MOONPIPE_VERSION_PATCH 0
/* For comparisons: 0.1.0 is 100. */
#define MOONPIPE_VERSION_NUMBER                                                \
    (MOONPIPE_VERSION_MAJOR * 10000 + MOONPIPE_VERSION_MINOR * 100 +           \
     MOONPIPE_VERSION_PATCH)

#if defined(__GNUC__)
#define MOONPIPE_API __attribute__((visibility("default")))
#else
#define MOONPIPE_API
#endif

typedef struct moonpipe_Engine moonpipe_Engine;

typedef struct moonpipe_Config {
    /* sizeof(moonpipe_Config) of the program's compile; set by
     * moonpipe_config_init, so that a later library knows what you know. */
    size_t size;

    /* Whether LuaJIT compiles. Default 1; with 0 every Lua loop can be
     * interrupted. */
    int jit;
} moonpipe_Config;

/* The version of the library in use, "0.1.0". */
MOONPIPE_API const char *moonpipe_version(void);

/* Fills [config] with the defaults. Call it before setting any field. */
MOONPIPE_API void moonpipe_config_init(moonpipe_Config *config);

/* Returns an engine, owned (moonpipe_close), or NULL without memory or
 * descriptors. Borrows [config]; NULL means the defaults. Starts no thread:
 * threads begin with the first native step. */
MOONPIPE_API moonpipe_Engine *moonpipe_open(const moonpipe_Config *config);

/* Runs the Lua file at [path], in which `|` composes steps, until it and all
 * that it started have ended. [argv] are its `arg` and `...`. Returns 0, or
 * not 0 and moonpipe_error says why: MOONPIPE_FAILED for an error of the
 * chain, MOONPIPE_USAGE for a file that cannot be read,
 * MOONPIPE_INTERRUPTED after moonpipe_interrupt. */
MOONPIPE_API int moonpipe_run_file(moonpipe_Engine *engine, const char *path,
                                   int argc, char *const argv[]);

/* The same for [length] bytes at [text]; [name] stands in messages. */
MOONPIPE_API int moonpipe_run_text(moonpipe_Engine *engine, const char *name,
                                   const char *text, size_t length);

/* Carries out a command line as the program `moonpipe` does, argv[0] and all:
 * results on standard output, all else on standard error. Returns the exit
 * code. */
MOONPIPE_API int moonpipe_command(moonpipe_Engine *engine, int argc,
                                  char *const argv[]);

#define MOONPIPE_FAILED      1
#define MOONPIPE_USAGE       2
#define MOONPIPE_INTERRUPTED 130

/* What failed last on [engine], as text with its place. Borrowed: valid until
 * the next call on the engine. "" if nothing did. */
MOONPIPE_API const char *moonpipe_error(const moonpipe_Engine *engine);

/* Asks what runs to end: its native calls are cancelled, its tasks raise
 * `cancelled` where they wait. From any thread, also from a signal handler.
 * From a handler on the engine's own thread it also breaks an interpreted Lua
 * loop that waits for nothing. */
MOONPIPE_API void moonpipe_interrupt(moonpipe_Engine *engine);

/* Cancels what runs, joins, frees. Safe at any moment on the engine's thread;
 * NULL is fine. */
MOONPIPE_API void moonpipe_close(moonpipe_Engine *engine);

#ifdef __cplusplus
}
#endif

#endif
