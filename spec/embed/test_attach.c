/*
 * test_attach.c: a host that has a LuaJIT of its own.
 */
#include "host.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

static lua_State *new_vm(void)
{
    lua_State *L = luaL_newstate();

    luaL_openlibs(L);
    return L;
}

static void test_leaves_the_globals(void)
{
    static const char before[] =
        "seen = {} for k, v in pairs(_G) do seen[k] = v end\n"
        "resume = coroutine.resume";
    static const char after[] =
        "for k, v in pairs(_G) do\n"
        "  assert(seen[k] == v or k == 'seen' or k == 'resume', k)\n"
        "end\n"
        "assert(resume == coroutine.resume)\n"
        "assert(not loadstring('return a | b'))";
    lua_State *L = new_vm();
    moonpipe_Engine *engine;
    Told told;

    CHECK(!luaL_dostring(L, before));
    lua_pushliteral(L, "the host's");
    engine = moonpipe_attach(L, NULL);
    CHECK(engine && moonpipe_state(engine) == L);
    CHECK(moonpipe_attach(L, NULL) == NULL); /* one engine a VM */
    call_text(engine,
              "local add = function(x) return x + 1 end\n"
              "return { a = add } | function(t) return t.a + 1 end",
              "1", &told);
    CHECK(strcmp(told.result, "3") == 0);
    CHECK(moonpipe_run_text(engine, "test", "assert(1 | 2 == 3)", 18) == 0);
    CHECK(lua_gettop(L) == 1 && !strcmp(lua_tostring(L, 1), "the host's"));
    CHECK(!luaL_dostring(L, after));
    moonpipe_close(engine);
    CHECK(!luaL_dostring(L, "assert(require('moonpipe').pipe)"));
    engine = moonpipe_attach(L, NULL); /* again */
    CHECK(engine != NULL);
    moonpipe_close(engine);
    lua_close(L);
}

static void test_outlives_the_vm(void)
{
    lua_State *L = new_vm();
    moonpipe_Engine *engine = moonpipe_attach(L, NULL);
    uint64_t chain;

    chain = load(engine, "return function() "
                         "require('moonpipe').sleep(60) end");
    CHECK(start(engine, chain, "1", NULL) != 0);
    CHECK(moonpipe_update(engine, -1) == 0);
    lua_close(L);
    CHECK(moonpipe_state(engine) == NULL && moonpipe_fd(engine) == -1);
    CHECK(start(engine, chain, "1", NULL) == 0);
    CHECK(kind_of(engine) == MOONPIPE_KIND_CLOSED);
    CHECK(moonpipe_update(engine, 0) == -1);
    moonpipe_interrupt(engine);
    moonpipe_close(engine);
}

static int logged;

static void count_log(void *userdata, int level, const char *text,
                      size_t length)
{
    CHECK(userdata == &logged && level == MOONPIPE_LOG_NOTICE);
    CHECK(length == strlen(text));
    logged++;
}

/* After the engine is gone the VM's notices go to standard error again. */
static void test_logs_while_attached(void)
{
    static const char choose[] =
        "require('moonpipe').init_chat_model('extractive')";
    lua_State *L = new_vm();
    moonpipe_Config config;
    moonpipe_Engine *engine;

    moonpipe_config_init(&config);
    config.on_log = count_log;
    config.log_userdata = &logged;
    engine = moonpipe_attach(L, &config);
    CHECK(!luaL_dostring(L, choose));
    CHECK(logged == 1);
    moonpipe_close(engine);
    CHECK(!luaL_dostring(L, choose));
    CHECK(logged == 1);
    lua_close(L);
}

static moonpipe_Engine *loud;

static void shout(void *userdata, uint64_t answer, const char *input,
                  size_t length)
{
    CHECK(userdata == NULL && length == strlen(input));
    moonpipe_complete(loud, answer, "\"LOUD\"", 6);
}

/* The VM's own Lua calls a step of the host, and runs the loop. */
static void test_runs_in_the_vms_own_loop(void)
{
    lua_State *L = new_vm();
    Told told;
    moonpipe_Options options = telling(&told, 0);

    loud = moonpipe_attach(L, NULL);
    CHECK(!moonpipe_register(loud, "shout", shout, NULL, 0));
    CHECK(!luaL_dostring(L, "mp = require 'moonpipe'\n"
                            "assert(mp.host.shout:invoke(1) == 'LOUD')"));
    CHECK(start(loud, load(loud, "return require('moonpipe').host.shout"), "1",
                &options) != 0);
    CHECK(!luaL_dostring(L, "mp.update()"));
    CHECK(told.done == 1);
    moonpipe_close(loud);
    CHECK(luaL_dostring(L, "mp.host.shout:invoke(1)") != 0);
    CHECK(
        strstr(lua_tostring(L, -1) ? lua_tostring(L, -1) : "closed", "closed"));
    lua_close(L);
}

static moonpipe_Engine *closed_inside;

static void close_inside(void *userdata, uint64_t call, const char *result,
                         size_t length)
{
    on_done(userdata, call, result, length);
    moonpipe_close(closed_inside);
}

static void test_closes_in_the_vms_own_loop(void)
{
    lua_State *L = new_vm();
    Told told, other;
    moonpipe_Options options = telling(&other, 0);
    uint64_t chain;

    closed_inside = moonpipe_attach(L, NULL);
    chain = load(closed_inside,
                 "return function(s) require('moonpipe').sleep(s) end");
    CHECK(start(closed_inside, chain, "60", &options) != 0);
    options = telling(&told, 0);
    options.on_done = close_inside;
    CHECK(start(closed_inside, chain, "0", &options) != 0);
    CHECK(!luaL_dostring(L, "require('moonpipe').sleep(0.05)"));
    CHECK(told.done == 1);
    CHECK(other.errors == 1 && other.kind == MOONPIPE_KIND_CANCELLED);
    lua_close(L);
}

int main(void)
{
    test_leaves_the_globals();
    test_outlives_the_vm();
    test_logs_while_attached();
    test_runs_in_the_vms_own_loop();
    test_closes_in_the_vms_own_loop();
    return TEST_END();
}
