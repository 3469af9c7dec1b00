/*
 * test_config.c: what a host decides: where memory comes from and how much,
 * and how it learns that there is something to do.
 */
#include "host.h"

#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEADER 16 /* keeps what is behind it aligned */

/* --- the allocator --- */

static atomic_llong blocks, bytes, asked;

/* Knows the size of each block, and fills what it gives. */
static void *count_memory(void *userdata, void *ptr, size_t size)
{
    char *old = ptr ? (char *)ptr - HEADER : NULL;
    size_t before = 0;
    char *fresh = NULL;

    CHECK(userdata == &asked);
    if (old) memcpy(&before, old, sizeof before);
    atomic_fetch_add(&bytes, (long long)size - (long long)before);
    atomic_fetch_add(&blocks, (size > 0) - (old != NULL));
    if (size == 0) {
        free(old);
        return NULL;
    }
    atomic_fetch_add(&asked, 1);
    fresh = realloc(old, size + HEADER);
    memcpy(fresh, &size, sizeof size);
    if (!old) memset(fresh + HEADER, 0xa5, size);
    return fresh + HEADER;
}

static const char busy[] =
    "local mp = require 'moonpipe'\n"
    "local vectors = mp.HashEmbeddings()\n"
    "return { v = function(x) return vectors:embed_query(x) end,\n"
    "  l = mp.lane(function(x) return x .. '!' end),\n"
    "  w = function(x) mp.sleep(0.001) return x end }";

static void test_memory_comes_from_the_host(void)
{
    moonpipe_Engine *engine;
    moonpipe_Value *value, *kept;
    long long of_a_vm;

    CHECK(moonpipe_set_allocator(count_memory, &asked) == 1);
    kept = moonpipe_new_string("mine");
    CHECK(atomic_load(&blocks) == 2);
    CHECK(moonpipe_set_allocator(NULL, NULL) == 0); /* there is one in use */
    engine = moonpipe_open(NULL);
    of_a_vm = atomic_load(&bytes);
    CHECK(of_a_vm > 100000); /* Lua's is among it */
    CHECK(engine && moonpipe_set_allocator(NULL, NULL) == 0);
    value = moonpipe_call(engine, load(engine, busy),
                          moonpipe_new_string("bear"), NULL);
    CHECK(moonpipe_length(moonpipe_get(value, "v")) == 1024);
    CHECK(strcmp(moonpipe_get_text(value, "l", NULL), "bear!") == 0);
    moonpipe_free(value);
    moonpipe_close(engine);
    moonpipe_free(kept);
    CHECK(atomic_load(&blocks) == 0 && atomic_load(&bytes) == 0);
    CHECK(moonpipe_set_allocator(NULL, NULL) == 1);
    asked = 0;
    moonpipe_close(moonpipe_open(NULL));
    CHECK(asked == 0);
}

/* --- limits --- */

static moonpipe_Engine *open_small(size_t memory)
{
    moonpipe_Config config;

    moonpipe_config_init(&config);
    config.memory = memory;
    return moonpipe_open(&config);
}

static int kind_of_call(moonpipe_Engine *engine, const char *text)
{
    uint64_t chain = load(engine, text);
    moonpipe_Value *value =
        moonpipe_call(engine, chain, moonpipe_new_string("x"), NULL);
    int kind = kind_of(engine);

    CHECK((value == NULL) == (kind != MOONPIPE_KIND_NONE));
    moonpipe_free(value);
    return kind;
}

/* Fills it in every way, and each time it is well afterwards. */
static void test_lua_has_a_limit(void)
{
    static const char *const full[] = {
        "return function() local t = {} "
        "for i = 1, 1e6 do t[i] = { i } end end",
        "return function() local s = 'x' while true do s = s .. s end end",
        "return function() local t = {} "
        "for i = 1, 1e6 do t[i] = tostring(i) end end",
        "return function() local t = {} for i = 1, 1e6 do "
        "t[i] = coroutine.create(print) end end",
        "return { a = function() local t = {} "
        "for i = 1, 1e6 do t[i] = { i } end end, b = function(x) return x end "
        "}",
    };
    moonpipe_Engine *engine = open_small(4 << 20);

    CHECK(engine != NULL);
    for (size_t i = 0; i < sizeof full / sizeof *full; i++) {
        CHECK(kind_of_call(engine, full[i]) == MOONPIPE_KIND_MEMORY);
        CHECK(kind_of_call(engine, "return function(x) return x end") ==
              MOONPIPE_KIND_NONE);
    }
    CHECK(kind_of_call(engine, /* garbage is no offence */
                       "return function(x) for i = 1, 50 do "
                       "local s = ('x'):rep(20000 + i) end return x end") ==
          MOONPIPE_KIND_NONE);
    moonpipe_close(engine);
}

/* Less than the engine's own modules take is no limit to keep. */
static void test_the_least_limit_is_enough(void)
{
    moonpipe_Engine *engine = open_small(1);

    CHECK(kind_of_call(engine,
                       "local mp = require 'moonpipe'\n"
                       "return { a = function(x) mp.sleep(0) return x end, "
                       "b = mp.const(1) }") == MOONPIPE_KIND_NONE);
    CHECK(
        kind_of_call(engine, "return function() return #('x'):rep(2^20) end") ==
        MOONPIPE_KIND_MEMORY);
    moonpipe_close(engine);
}

/* --- waking --- */

typedef struct Waker {
    pthread_mutex_t lock;
    pthread_cond_t rang;
    int count;
} Waker;

static void on_wake(void *userdata)
{
    Waker *waker = userdata;

    pthread_mutex_lock(&waker->lock);
    waker->count++;
    pthread_cond_signal(&waker->rang);
    pthread_mutex_unlock(&waker->lock);
}

static int take_wake(Waker *waker)
{
    int count;

    pthread_mutex_lock(&waker->lock);
    while (waker->count == 0)
        pthread_cond_wait(&waker->rang, &waker->lock);
    count = waker->count;
    waker->count = 0;
    pthread_mutex_unlock(&waker->lock);
    return count;
}

static void configure_waking(moonpipe_Config *config, Waker *waker)
{
    pthread_mutex_init(&waker->lock, NULL);
    pthread_cond_init(&waker->rang, NULL);
    waker->count = 0;
    moonpipe_config_init(config);
    config->on_wake = on_wake;
    config->wake_userdata = waker;
}

static moonpipe_Engine *open_waking(Waker *waker)
{
    moonpipe_Config config;

    configure_waking(&config, waker);
    return moonpipe_open(&config);
}

static void close_waking(moonpipe_Engine *engine, Waker *waker)
{
    int before;

    moonpipe_close(engine);
    before = waker->count; /* and no lock: nobody else is there any more */
    usleep(1000);
    CHECK(waker->count == before);
    pthread_cond_destroy(&waker->rang);
    pthread_mutex_destroy(&waker->lock);
}

static const char naps[] =
    "local mp = require 'moonpipe'\n"
    "return function(n) for i = 1, n do mp.sleep(0.005) end return n end";

/* A host that sleeps but for on_wake gets all its calls to their ends. */
static void run_by_waking(moonpipe_Engine *engine, Waker *waker)
{
    Told told;
    moonpipe_Options options = telling(&told, 0);
    uint64_t chain = load(engine, naps);

    for (int i = 0; i < 5; i++)
        CHECK(start(engine, chain, "4", &options) != 0);
    while (told.done < 5) {
        CHECK(take_wake(waker) > 0);
        CHECK(moonpipe_update(engine, 1000) >= 0);
    }
}

static void test_wakes(void)
{
    Waker waker;
    moonpipe_Engine *engine = open_waking(&waker);

    run_by_waking(engine, &waker);
    close_waking(engine, &waker);
}

/* What a budget leaves undone rings again. */
static void test_wakes_for_what_is_left(void)
{
    Waker waker;
    moonpipe_Engine *engine = open_waking(&waker);
    Told told;
    moonpipe_Options options = telling(&told, 0);
    uint64_t chain = load(engine, "return function(x) return x end");

    for (int i = 0; i < 3; i++)
        CHECK(start(engine, chain, "4", &options) != 0);
    while (told.done < 3) {
        take_wake(&waker);
        CHECK(moonpipe_update(engine, 0) >= 0);
    }
    close_waking(engine, &waker);
}

/* The child's engine rings for the child. */
static void test_wakes_after_a_fork(void)
{
    Waker waker;
    moonpipe_Engine *engine = open_waking(&waker);
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        run_by_waking(engine, &waker);
        close_waking(engine, &waker);
        _exit(test_failed ? 1 : 0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    close_waking(engine, &waker);
}

/* Its VM goes on, and nobody is there any more to be woken. */
static void test_wakes_nobody_after_the_end(void)
{
    static const char nap[] = "require('moonpipe').sleep(0.005)";
    Waker waker;
    lua_State *L = luaL_newstate();
    moonpipe_Config config;
    moonpipe_Engine *engine;

    luaL_openlibs(L);
    configure_waking(&config, &waker);
    engine = moonpipe_attach(L, &config);
    CHECK(luaL_dostring(L, nap) == 0);
    CHECK(take_wake(&waker) > 0);
    run_by_waking(engine, &waker);
    close_waking(engine, &waker);
    waker.count = 0;
    CHECK(luaL_dostring(L, nap) == 0);
    CHECK(waker.count == 0);
    lua_close(L);
}

int main(void)
{
    test_memory_comes_from_the_host(); /* before anything else */
    test_lua_has_a_limit();
    test_the_least_limit_is_enough();
    test_wakes();
    test_wakes_for_what_is_left();
    test_wakes_after_a_fork();
    test_wakes_nobody_after_the_end();
    return TEST_END();
}
