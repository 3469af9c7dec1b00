/*
 * moonpipe.h: chains of model calls for C and C++ programs.
 *
 * A whole program, but for looking at failures:
 *
 *     moonpipe_Engine *engine = moonpipe_open(NULL);
 *     uint64_t chain = moonpipe_load_file(engine, "rag.lua");
 *     moonpipe_Value *answer = moonpipe_call(
 *         engine, chain, moonpipe_new_string("where?"), NULL);
 *
 *     puts(moonpipe_get_text(answer, NULL, NULL));
 *     moonpipe_free(answer);
 *     moonpipe_close(engine);
 *
 * A chain is written in Lua and loaded once. moonpipe_call runs it and waits.
 * A program with a loop of its own starts calls, which answer by callbacks:
 *
 *     moonpipe_options_init(&options);
 *     options.flags = MOONPIPE_TEXT;
 *     options.on_token = show;
 *     moonpipe_start(engine, chain, "where?", 6, &options);
 *     while (running)
 *         moonpipe_update(engine, 2000); // each frame, 2 ms at most
 *
 * Inputs and results cross as values (moonpipe_Value), as JSON, or as plain
 * text, whichever is at hand. C functions are steps of chains, and tools that
 * models may call. scripts/embed/minimal.c is a whole program.
 *
 * Threads: an engine belongs to the thread that opened it. All functions that
 * take one are called there, but for moonpipe_interrupt; callbacks come there
 * too, but for on_wake, and only while moonpipe_update, moonpipe_wait,
 * moonpipe_call, a run, a load or moonpipe_close is on the stack. On another
 * thread a function does nothing and fails, and there moonpipe_error says
 * MOONPIPE_KIND_UNSUPPORTED; so an engine must be closed where it was opened.
 * So it is with NULL for an engine, as moonpipe_open may return it:
 * moonpipe_error says MOONPIPE_KIND_MEMORY then.
 * Several engines may live in one process, each on its own thread. Values
 * belong to no engine and no thread: any may use one, one thread at a time.
 *
 * Words for pointers: a function borrows what it needs for the call only,
 * copies what the caller may free at once, takes what it frees itself, also
 * where it fails, and returns owned what the caller must free. Texts have a
 * length and may hold NUL; those that are called strings end with NUL. All
 * texts are UTF-8.
 *
 * Structs begin with their size and are filled by their _init function, so
 * that later versions may add fields at their ends: a library younger than the
 * program leaves the fields that this does not know at their defaults, and an
 * older one does not look at those that it does not know itself. Numbers of
 * enums and macros never change. Functions stay as long as the soname, which
 * is libmoonpipe.so.1.
 */
#ifndef MOONPIPE_H
#define MOONPIPE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header; moonpipe_version tells that of the library. */
#define MOONPIPE_VERSION_MAJOR 1
#define MOONPIPE_VERSION_MINOR 0
#define MOONPIPE_VERSION_PATCH 0
/* For comparisons: 1.0.0 is 10000. */
#define MOONPIPE_VERSION_NUMBER                                                \
    (MOONPIPE_VERSION_MAJOR * 10000 + MOONPIPE_VERSION_MINOR * 100 +           \
     MOONPIPE_VERSION_PATCH)

#if defined(__GNUC__)
#define MOONPIPE_API __attribute__((visibility("default")))
#else
#define MOONPIPE_API
#endif

/* --- types ---------------------------------------------------------------- */

/* A Lua VM with its calls. */
typedef struct moonpipe_Engine moonpipe_Engine;

/* What failed: see the accessors at the end. */
typedef struct moonpipe_Error moonpipe_Error;

/* Data: see the section on values. */
typedef struct moonpipe_Value moonpipe_Value;

/* Scripts that you did not write, locked in: each runs in a VM of its own in
 * which there are the steps that compute and nothing that reaches out (no
 * files, no network, no bytecode). This stops accidents and lazy attackers, not
 * who knows a fault in LuaJIT: for hostile code set [isolate]. */
typedef struct moonpipe_Sandbox {
    /* sizeof(moonpipe_Sandbox); set by moonpipe_sandbox_init. */
    size_t size;

    /* What scripts may use: a string of Lua that you trust. It runs before each
     * script, outside, and returns the options of mp.sandbox: { models =
     * { default = mp.ChatOpenAI() }, steps = { roll = mp.host.roll }, tools =
     * { t }, files = "mods/bear" }. Keys stay outside. Default NULL: nothing.
     */
    const char *grants;

    /* Bytes that one script's VM may have. Default 0: 32 MiB. */
    size_t memory;

    /* Seconds of CPU time that a script may compute between two waits. Then its
     * calls fail with MOONPIPE_KIND_LIMIT, and later ones too. It is also for
     * how long it can hold up an update. Default 0: 0.08. */
    double seconds;

    /* The same in instructions of the VM. Default 0: no limit. */
    uint64_t instructions;

    /* Whether each script has a process of its own, which can compute and talk
     * to this one: any other system call ends it. It never holds up an update,
     * and where it was ended the next call runs the script anew, in another.
     * The program moonpipe-cell must stand near the library; where the system
     * cannot do this, loading fails with MOONPIPE_KIND_UNSUPPORTED. Default 0.
     */
    int isolate;
} moonpipe_Sandbox;

typedef struct moonpipe_Config {
    /* sizeof(moonpipe_Config) as the program was compiled; set by
     * moonpipe_config_init, so that a later library knows what you know. */
    size_t size;

    /* Whether LuaJIT compiles. Default 1; with 0 every Lua loop can be
     * interrupted. Not looked at by moonpipe_attach. See memory. */
    int jit;

    /* Takes what else goes to standard error: one line of [length] bytes,
     * borrowed, without a newline, with a NUL after them; [level] is one of
     * MOONPIPE_LOG_*. Rules and thread as for callbacks of a call, below.
     * Default NULL: standard error. */
    void (*on_log)(void *userdata, int level, const char *text, size_t length);

    /* Given to on_log. Default NULL. */
    void *log_userdata;

    /* Whether the process gives up its right to dump core, and to be looked
     * into by others of its user, once it holds a key of a model. Default 0:
     * that is the program's to say. */
    int no_cores;

    /* Locks in what moonpipe_load_* and moonpipe_run_* are given; borrowed
     * while the engine opens. Default NULL: scripts have the rights of the
     * program, as what moonpipe_command is given always has. */
    const moonpipe_Sandbox *sandbox;

    /* Bytes that the Lua of the engine may have. What would need more fails
     * with MOONPIPE_KIND_MEMORY. Garbage counts until it is collected, so give
     * twice of what is alive; a small chain takes 0.4 MiB, and less than 1 MiB
     * is as much. LuaJIT does not compile then: its compiled code does not
     * survive a failed allocation. An engine that is full of what still runs
     * fails until that has ended, or it is closed.
     * Answers that have not been read, indexes and vectors are not Lua's.
     * Default 0: no limit. Not looked at by moonpipe_attach. */
    size_t memory;

    /* There is something to do for moonpipe_update: for hosts that cannot poll
     * moonpipe_fd. It comes on any thread, one time at least after an update
     * that did all, and also while a function of the engine is on the stack: it
     * may only post what makes the host's loop call moonpipe_update (as
     * SDL_PushEvent, uv_async_send, PostMessage do), must not wait for a lock
     * that is held around calls of this library, and calls nothing of it.
     * moonpipe_interrupt, which signal handlers call, does not make it come.
     * After moonpipe_close it comes no more. Default NULL. */
    void (*on_wake)(void *userdata);

    /* Given to on_wake. Default NULL. */
    void *wake_userdata;
} moonpipe_Config;

/* Levels: what was chosen or left out for you, as by init_chat_model; what is
 * probably a mistake in a chain. */
#define MOONPIPE_LOG_NOTICE  1
#define MOONPIPE_LOG_WARNING 2

/* Input and results are plain text instead of JSON: an input becomes a string;
 * of a result, a string and a message are their text, all else stays JSON. */
#define MOONPIPE_TEXT_IN  1
#define MOONPIPE_TEXT_OUT 2
#define MOONPIPE_TEXT     3

/* How a call is run and what is told of it. Every call that was started ends
 * with exactly one on_done (or on_value in its place) or one on_error, also
 * when the engine closes. In a callback you may start, cancel, complete, fail,
 * register, drop and close; not run, load, call, update or wait; and not leave
 * it by longjmp or a C++ exception. */
typedef struct moonpipe_Options {
    /* sizeof(moonpipe_Options); set by moonpipe_options_init. */
    size_t size;

    /* MOONPIPE_TEXT_IN, MOONPIPE_TEXT_OUT or both. Default 0: JSON. */
    int flags;

    /* Seconds the whole call may last. Default 0: no limit. */
    double timeout;

    /* Given back to the callbacks. Default NULL. */
    void *userdata;

    /* A piece of the answer has come: [length] bytes at [token], borrowed, with
     * a NUL after them. Default NULL: the call is not streamed. */
    void (*on_token)(void *userdata, uint64_t call, const char *token,
                     size_t length);

    /* The call has ended with [result], borrowed likewise. Default NULL. */
    void (*on_done)(void *userdata, uint64_t call, const char *result,
                    size_t length);

    /* The call has failed, or was cancelled (kind MOONPIPE_KIND_CANCELLED).
     * Borrows [error] to you. Default NULL. */
    void (*on_error)(void *userdata, uint64_t call,
                     const moonpipe_Error *error);

    /* The call has ended with [result], borrowed until the callback returns:
     * moonpipe_copy keeps it. In place of on_done, which does not come then.
     * Default NULL. */
    void (*on_value)(void *userdata, uint64_t call,
                     const moonpipe_Value *result);
} moonpipe_Options;

/* A function of the host's as a step of chains. [input] is borrowed, with a NUL
 * after it. It answers by moonpipe_complete or moonpipe_fail with [answer]:
 * before it returns, or at any later time on the engine's thread. */
typedef void (*moonpipe_Function)(void *userdata, uint64_t answer,
                                  const char *input, size_t length);

/* The same with values. [input] is borrowed until the function returns. */
typedef void (*moonpipe_ValueFunction)(void *userdata, uint64_t answer,
                                       const moonpipe_Value *input);

/* A function of the host's that models may call. */
typedef struct moonpipe_Tool {
    /* sizeof(moonpipe_Tool); set by moonpipe_tool_init. */
    size_t size;

    /* Strings, copied. By its name, of letters, digits, _ and -, 64 at most,
     * models call it; by its description they choose it. Needed. */
    const char *name;
    const char *description;

    /* A string of JSON, copied: the schema of an object, whose properties are
     * the arguments. Calls whose arguments are not as it says do not reach you;
     * the model is told why. Default NULL: there are none. */
    const char *schema;

    /* Is given the arguments, an object, and answers, as any function of the
     * host's. A failure is told to the model, which may do better. Needed. */
    moonpipe_ValueFunction on_call;

    /* Is asked before each call, with the same arguments, whether it may be
     * made, and answers by moonpipe_complete_value with a boolean, at once or
     * when somebody has decided; or by moonpipe_fail with the reason why not.
     * Default NULL: it may. */
    moonpipe_ValueFunction on_confirm;

    /* Given to both. Default NULL. */
    void *userdata;
} moonpipe_Tool;

/* Where memory comes from, one function for all three operations: [size] 0
 * frees [ptr] and returns NULL, [ptr] NULL allocates, else it resizes as
 * realloc does. NULL: there is none. Called on any thread, on several at
 * once. */
typedef void *(*moonpipe_Allocator)(void *userdata, void *ptr, size_t size);

/* --- opening and closing -------------------------------------------------- */

/* The version of the library in use, "1.0.0". */
MOONPIPE_API const char *moonpipe_version(void);

/* Fill a struct of [size] bytes with the defaults: what the functions below do
 * with the size that this header knows. For other languages. */
MOONPIPE_API void moonpipe_config_fill(moonpipe_Config *config, size_t size);
MOONPIPE_API void moonpipe_options_fill(moonpipe_Options *options, size_t size);
MOONPIPE_API void moonpipe_sandbox_fill(moonpipe_Sandbox *sandbox, size_t size);
MOONPIPE_API void moonpipe_tool_fill(moonpipe_Tool *tool, size_t size);

/* Fill a struct with the defaults. Call them before setting any field. */
static inline void moonpipe_config_init(moonpipe_Config *config)
{
    moonpipe_config_fill(config, sizeof *config);
}

static inline void moonpipe_options_init(moonpipe_Options *options)
{
    moonpipe_options_fill(options, sizeof *options);
}

static inline void moonpipe_sandbox_init(moonpipe_Sandbox *sandbox)
{
    moonpipe_sandbox_fill(sandbox, sizeof *sandbox);
}

static inline void moonpipe_tool_init(moonpipe_Tool *tool)
{
    moonpipe_tool_fill(tool, sizeof *tool);
}

/* Makes all memory come from [allocator] (NULL: the usual ones): that of the
 * engine, of values and of Lua, but for machine code. Not what libcurl, FAISS,
 * SQLite, libxml2, libpq and the C library take themselves, nor VMs that were
 * there before moonpipe_attach. For the whole process: call it first of all,
 * on the only thread that uses this library. Returns 1, or 0 and changes
 * nothing while there is memory of the old one, in an engine or a value. */
MOONPIPE_API int moonpipe_set_allocator(moonpipe_Allocator allocator,
                                        void *userdata);

/* Returns an engine, owned (moonpipe_close), or NULL without memory or
 * descriptors. Borrows [config]; NULL means the defaults. Starts no thread:
 * threads begin with the first native step. */
MOONPIPE_API moonpipe_Engine *moonpipe_open(const moonpipe_Config *config);

/* Returns an engine, owned, in a VM that you have: [L] is the lua_State of its
 * main thread, of the LuaJIT that this library is linked with. No global of it
 * is touched. moonpipe_close leaves the VM open; if it closes first, the
 * engine's functions fail with MOONPIPE_KIND_CLOSED. NULL without memory or
 * descriptors, or where the VM has an engine already. */
MOONPIPE_API moonpipe_Engine *moonpipe_attach(void *L,
                                              const moonpipe_Config *config);

/* The lua_State of [engine], borrowed: for hosts that know Lua. NULL when it
 * was closed. Leave its stack as you find it. */
MOONPIPE_API void *moonpipe_state(moonpipe_Engine *engine);

/* Cancels what runs, tells the callbacks, joins, frees. Within a callback it
 * takes effect when the function that called it ends. NULL is fine. */
MOONPIPE_API void moonpipe_close(moonpipe_Engine *engine);

/* --- scripts and programs ------------------------------------------------- */

/* What the functions of this section return, besides 0. A failure can have a
 * code of its own, as the command line's --help says. */
#define MOONPIPE_FAILED      1
#define MOONPIPE_USAGE       2
#define MOONPIPE_INTERRUPTED 130

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
 * code. A process that handles SIGALRM gets one a second after the time of
 * --timeout, and each five on: something then computes that hears of no end. */
MOONPIPE_API int moonpipe_command(moonpipe_Engine *engine, int argc,
                                  char *const argv[]);

/* --- chains and calls ----------------------------------------------------- */

/* Runs the Lua file at [path], which must return a step (a chain, a function
 * or a map), and keeps that. Returns its id, or 0: see moonpipe_error. */
MOONPIPE_API uint64_t moonpipe_load_file(moonpipe_Engine *engine,
                                         const char *path);

/* The same for [length] bytes at [text]; [name] stands in messages. */
MOONPIPE_API uint64_t moonpipe_load_text(moonpipe_Engine *engine,
                                         const char *name, const char *text,
                                         size_t length);

/* Forgets a chain; its calls go on. An unknown id is fine. */
MOONPIPE_API void moonpipe_drop(moonpipe_Engine *engine, uint64_t chain);

/* Starts a call of [chain] with [length] bytes of JSON at [input], which it
 * copies. It begins at the next update or wait. Returns its id, or 0: see
 * moonpipe_error (`decode` for wrong JSON, `closed` for an unknown chain; for
 * chain 0 that of the load that failed). Ids are never used again in a process.
 * Borrows [options]; NULL means the defaults. */
MOONPIPE_API uint64_t moonpipe_start(moonpipe_Engine *engine, uint64_t chain,
                                     const char *input, size_t length,
                                     const moonpipe_Options *options);

/* The same with a value, which it takes: one that could not be built (NULL, or
 * see moonpipe_set) is an error of kind `memory` or `input`. */
MOONPIPE_API uint64_t moonpipe_start_value(moonpipe_Engine *engine,
                                           uint64_t chain,
                                           moonpipe_Value *input,
                                           const moonpipe_Options *options);

/* The same, and waits until the call has ended; what else was started goes on
 * meanwhile. Returns its result, owned (moonpipe_free), or NULL: see
 * moonpipe_error. Of [options] only flags, timeout, on_token and userdata are
 * looked at. Not in callbacks. */
MOONPIPE_API moonpipe_Value *moonpipe_call(moonpipe_Engine *engine,
                                           uint64_t chain,
                                           moonpipe_Value *input,
                                           const moonpipe_Options *options);

/* Cancels [call] and all below it; its on_error comes at one of the next
 * updates. Returns 1, or 0 where it has ended already. */
MOONPIPE_API int moonpipe_cancel(moonpipe_Engine *engine, uint64_t call);

/* Runs what is ready, at most about [budget_us] microseconds long, and never
 * blocks: for each frame of a game, or when moonpipe_fd is readable. With a
 * negative budget all that is ready, at most a second long. Returns how many
 * tasks still wait for their turn, or -1: see moonpipe_error. */
MOONPIPE_API int64_t moonpipe_update(moonpipe_Engine *engine,
                                     int64_t budget_us);

/* A descriptor that is readable while moonpipe_update has something to do, for
 * your poll or epoll; never read from it. -1 when the VM was closed. It is
 * another one after a fork. */
MOONPIPE_API int moonpipe_fd(moonpipe_Engine *engine);

/* Blocks and runs until [call] has ended (0: all calls), or [timeout_us] went
 * by; negative waits for ever. Returns 1 when it has ended, 0 after the time,
 * or -1: see moonpipe_error (`internal` if nothing is left that could end
 * it). */
MOONPIPE_API int moonpipe_wait(moonpipe_Engine *engine, uint64_t call,
                               int64_t timeout_us);

/* Asks what runs to end: its native calls are cancelled, its tasks raise
 * `cancelled` where they wait. From any thread, also from a signal handler.
 * From a handler on the engine's own thread it also breaks an interpreted Lua
 * loop that waits for nothing. */
MOONPIPE_API void moonpipe_interrupt(moonpipe_Engine *engine);

/* --- functions of the host ------------------------------------------------ */

/* Makes [function] a step: in Lua mp.host.<name>, or mp.host_step("<name>").
 * [flags] as in moonpipe_Options: how it gets its input, and how it gives its
 * result. Copies [name]; a name given before gets the new function, also in
 * chains that have it. Returns 0, or MOONPIPE_FAILED: see moonpipe_error
 * (`input` where one of the two is NULL). */
MOONPIPE_API int moonpipe_register(moonpipe_Engine *engine, const char *name,
                                   moonpipe_Function function, void *userdata,
                                   int flags);

/* The same for a function that is given a value. */
MOONPIPE_API int moonpipe_register_value(moonpipe_Engine *engine,
                                         const char *name,
                                         moonpipe_ValueFunction function,
                                         void *userdata);

/* Makes a tool, also under mp.host.<name>: for bind_tools and agents, for what
 * a sandbox grants, and a step like any other. Borrows [tool]. A name given
 * before gets the new functions, and in what is made from then on the new
 * description and schema. Returns 0, or MOONPIPE_FAILED: see moonpipe_error
 * (`decode` for a schema that is no JSON, `lua` for a wrong field). */
MOONPIPE_API int moonpipe_register_tool(moonpipe_Engine *engine,
                                        const moonpipe_Tool *tool);

/* Ends the function call [answer] with [length] bytes of JSON, or of text where
 * it was registered so. Copies [result]. Returns 1, or 0 where nobody waits
 * for it any more: its chain was cancelled, or it was answered. JSON that does
 * not parse is a failure of the step. */
MOONPIPE_API int moonpipe_complete(moonpipe_Engine *engine, uint64_t answer,
                                   const char *result, size_t length);

/* The same with a value, which it takes, however it was registered; one that
 * could not be built is a failure of the step. */
MOONPIPE_API int moonpipe_complete_value(moonpipe_Engine *engine,
                                         uint64_t answer,
                                         moonpipe_Value *result);

/* Ends it with an error of [kind] (below; 0 is MOONPIPE_KIND_TOOL) and the
 * string [message], which it copies. Returns as moonpipe_complete. */
MOONPIPE_API int moonpipe_fail(moonpipe_Engine *engine, uint64_t answer,
                               int kind, const char *message);

/* --- values ---------------------------------------------------------------
 *
 * What JSON can say, and arrays of floats. Values that you make are yours until
 * a function takes them; those that you are given (const) end as is said there,
 * and their members with them. Nothing here needs an engine.
 *
 * Reading never fails: what is not there, or of another type, reads as nothing
 * (NULL, "", 0). So does NULL. */

/* Numbers never change; later versions add some at the end. */
typedef enum moonpipe_Type {
    MOONPIPE_TYPE_NONE = 0, /* of NULL: there is no value */
    MOONPIPE_TYPE_NULL = 1,
    MOONPIPE_TYPE_BOOLEAN = 2,
    MOONPIPE_TYPE_INTEGER = 3, /* a number without a fraction, up to 2^53 */
    MOONPIPE_TYPE_NUMBER = 4,
    MOONPIPE_TYPE_STRING = 5,
    MOONPIPE_TYPE_ARRAY = 6,
    MOONPIPE_TYPE_OBJECT = 7,
    MOONPIPE_TYPE_FLOATS = 8 /* a vector or a matrix, as embeddings are */
} moonpipe_Type;

/* Return a value, owned (by you, until you give it to a function that takes
 * it), or NULL without memory. What they are given they copy. Chains see an
 * integer beyond 2^53 as a string of its digits, for Lua counts in doubles. */
MOONPIPE_API moonpipe_Value *moonpipe_new_null(void);
MOONPIPE_API moonpipe_Value *moonpipe_new_boolean(int truth);
MOONPIPE_API moonpipe_Value *moonpipe_new_integer(int64_t integer);
MOONPIPE_API moonpipe_Value *moonpipe_new_number(double number);
MOONPIPE_API moonpipe_Value *moonpipe_new_string(const char *string);
MOONPIPE_API moonpipe_Value *moonpipe_new_text(const char *text, size_t length);
MOONPIPE_API moonpipe_Value *moonpipe_new_array(void);
MOONPIPE_API moonpipe_Value *moonpipe_new_object(void);

/* [rows] rows of [dim] numbers, one after the other; one row is a vector. */
MOONPIPE_API moonpipe_Value *moonpipe_new_floats(const float *floats,
                                                 size_t rows, size_t dim);

/* The value of [length] bytes of JSON. NULL also where it is none. */
MOONPIPE_API moonpipe_Value *moonpipe_new_json(const char *text, size_t length);

/* A string with the JSON text of [value], owned. NULL without memory, for NULL
 * and for what is broken. What is no number (NaN) is null, floats are arrays.
 */
MOONPIPE_API moonpipe_Value *moonpipe_to_json(const moonpipe_Value *value);

/* Makes [item], which it takes, the member [key] (a string, copied) of an
 * object, in place of one that is there. Fill [item] before: it is not yours
 * any more. Returns 1. Or 0: without memory, where [item] is NULL, where
 * [object] is no object, and where [item] is a member already. Then [object] is
 * broken, and so is what that is put into; what is given a broken value fails.
 * So who builds a value need not look. */
MOONPIPE_API int moonpipe_set(moonpipe_Value *object, const char *key,
                              moonpipe_Value *item);

/* The same as the last member of an array. */
MOONPIPE_API int moonpipe_add(moonpipe_Value *array, moonpipe_Value *item);

/* Returns a copy of [value] with all its members, owned; NULL without memory,
 * for NULL, and with more than 128 containers in each other. */
MOONPIPE_API moonpipe_Value *moonpipe_copy(const moonpipe_Value *value);

/* Frees a value of yours with its members. NULL, and a value that is a member,
 * are left alone. */
MOONPIPE_API void moonpipe_free(moonpipe_Value *value);

MOONPIPE_API moonpipe_Type moonpipe_type(const moonpipe_Value *value);

/* Bytes of a string, members of an array or object, numbers of floats. */
MOONPIPE_API size_t moonpipe_length(const moonpipe_Value *value);

/* The member [index], from 0, of an array or object; borrowed as long as that
 * is there, and NULL beyond the end. The members of an object are sorted by
 * the bytes of their keys. */
MOONPIPE_API const moonpipe_Value *moonpipe_at(const moonpipe_Value *value,
                                               size_t index);

/* The key of that member of an object, a string, borrowed likewise. NULL beyond
 * the end, and of an array. */
MOONPIPE_API const char *moonpipe_key(const moonpipe_Value *object,
                                      size_t index);

/* The member at [path], a string: keys and indexes joined by dots, as in
 * "tool_calls.0.name". A key that has dots itself is found where it is the rest
 * of the path. NULL as path is [value] itself. Borrowed likewise; NULL where
 * there is none. */
MOONPIPE_API const moonpipe_Value *moonpipe_get(const moonpipe_Value *value,
                                                const char *path);

/* The bytes of the string at [path], with a NUL after them, borrowed likewise,
 * and how many in [length] (NULL: nobody asks); "" where there is none. A
 * message and a Document are their text. A message is an object besides, with
 * what its Lua has: type ("ai"), content, text, of an "ai" tool_calls
 * (an array of {name, args, id}) and usage_metadata ({input_tokens,
 * output_tokens, total_tokens}); and given to a chain it is a message again. To
 * make one, build {role, content}. */
MOONPIPE_API const char *moonpipe_get_text(const moonpipe_Value *value,
                                           const char *path, size_t *length);

/* The boolean at [path]: 1, or 0 also where there is none. */
MOONPIPE_API int moonpipe_get_boolean(const moonpipe_Value *value,
                                      const char *path);

/* The number at [path], of either type; or 0. An integer is cut from a
 * fraction, and read from a string of digits; 0 where it does not fit. */
MOONPIPE_API double moonpipe_get_number(const moonpipe_Value *value,
                                        const char *path);
MOONPIPE_API int64_t moonpipe_get_integer(const moonpipe_Value *value,
                                          const char *path);

/* The floats at [path], row after row, borrowed likewise, never copied on their
 * way to a callback; how many in [rows] and [dim] (NULL: nobody asks). NULL
 * where there are none. */
MOONPIPE_API const float *moonpipe_get_floats(const moonpipe_Value *value,
                                              const char *path, size_t *rows,
                                              size_t *dim);

/* --- errors --------------------------------------------------------------- */

/* Kinds of errors. Numbers never change; later versions add some at the end. */
typedef enum moonpipe_Kind {
    MOONPIPE_KIND_NONE = 0,
    MOONPIPE_KIND_DNS = 1,
    MOONPIPE_KIND_CONNECT = 2,
    MOONPIPE_KIND_TLS = 3,
    MOONPIPE_KIND_TIMEOUT_CONNECT = 4,
    MOONPIPE_KIND_TIMEOUT_FIRST_BYTE = 5,
    MOONPIPE_KIND_TIMEOUT_IDLE = 6,
    MOONPIPE_KIND_TIMEOUT_TOTAL = 7,
    MOONPIPE_KIND_RESET = 8,
    MOONPIPE_KIND_TRUNCATED = 9,
    MOONPIPE_KIND_PROTOCOL = 10,
    MOONPIPE_KIND_HTTP = 11,
    MOONPIPE_KIND_AUTH = 12,
    MOONPIPE_KIND_QUOTA = 13,
    MOONPIPE_KIND_RATE_LIMIT = 14,
    MOONPIPE_KIND_CONTEXT_LENGTH = 15,
    MOONPIPE_KIND_CONTENT_FILTER = 16,
    MOONPIPE_KIND_REFUSED_REQUEST = 17,
    MOONPIPE_KIND_TOO_LARGE = 18,
    MOONPIPE_KIND_DECODE = 19,
    MOONPIPE_KIND_SCHEMA = 20,
    MOONPIPE_KIND_TOOL = 21,
    MOONPIPE_KIND_CANCELLED = 22,
    MOONPIPE_KIND_CLOSED = 23,
    MOONPIPE_KIND_LUA = 24,
    MOONPIPE_KIND_LIMIT = 25,
    MOONPIPE_KIND_MEMORY = 26,
    MOONPIPE_KIND_FDS = 27,
    MOONPIPE_KIND_IO = 28,
    MOONPIPE_KIND_CONFIG = 29,
    MOONPIPE_KIND_INTERNAL = 30,
    MOONPIPE_KIND_INPUT = 31,
    MOONPIPE_KIND_UNSUPPORTED = 32
} moonpipe_Kind;

/* What failed last on [engine]. Borrowed: valid until the next call on the
 * engine that is not an accessor. Never NULL; kind NONE if nothing failed. On a
 * thread that is not the engine's: that it is not; of NULL: that there is no
 * engine. */
MOONPIPE_API const moonpipe_Error *
moonpipe_error(const moonpipe_Engine *engine);

/* A number of moonpipe_Kind. */
MOONPIPE_API int moonpipe_error_kind(const moonpipe_Error *error);

/* Accessors of strings, borrowed as long as the error is; "" where there is
 * nothing to say. */

/* All in one text, for people, with its place. */
MOONPIPE_API const char *moonpipe_error_text(const moonpipe_Error *error);

/* The name of the kind: "rate_limit". */
MOONPIPE_API const char *moonpipe_error_name(const moonpipe_Error *error);

/* What went wrong, without kind and place. */
MOONPIPE_API const char *moonpipe_error_message(const moonpipe_Error *error);

/* Where in the chain: "map.context > step 2 of 3 ChatOpenAI". */
MOONPIPE_API const char *moonpipe_error_path(const moonpipe_Error *error);

/* file:line at which the failing step was composed. */
MOONPIPE_API const char *moonpipe_error_where(const moonpipe_Error *error);

/* All fields as a JSON object: status, attempts, retry_after, partial, span (of
 * the failing step, as file:line:column-column), … */
MOONPIPE_API const char *moonpipe_error_json(const moonpipe_Error *error);

#ifdef __cplusplus
}
#endif

#endif
