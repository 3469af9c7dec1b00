/*
 * bind_watch.c: says so when a function of the user's does not come back.
 *
 * Each resumed task and each wait counts a turn (mp_bind_turn), which is all it
 * costs. An alarm of the thread's own time looks whether turns are made. If
 * none was for the whole time, a hook asks Lua where it is; a compiled loop
 * hears no hook, so after a while the place that was compiled last is told: it
 * is the loop, or was compiled before it.
 *
 * Threads: that of the VM; `ring` in a signal handler on it.
 */
#include "bind_watch.h"
#include "alarm.h"
#include "bind.h"
#include "engine.h"

#include <string.h>
#include <unistd.h>

#define RINGS    4 /* of the alarm, without a turn */
#define PATIENCE 2 /* more, for the hook */
#define NOTE     400

atomic_uint mp_bind_turns;

static lua_State *watched; /* the VM, while it is watched */
static unsigned seen, rings;
static char compiled[NOTE]; /* what to say of the code compiled last */

static const char key; /* of the function to tell, in the registry */

/* --- in Lua --- */

static int is_ours(const lua_Debug *ar)
{
    return strncmp(ar->source, "=moonpipe:", 10) == 0 || *ar->what == 'C';
}

/* The function that our library has called, in [at] its inner one: the first
 * frames that are the user's. */
static int find_user(lua_State *L, lua_Debug *outer, lua_Debug *at)
{
    lua_Debug ar;
    int found = 0;

    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (found && is_ours(&ar) && *ar.what != 'C') break;
        if (is_ours(&ar)) continue;
        if (!found) *at = ar;
        *outer = ar;
        found = 1;
    }
    return found;
}

/* A script that computes and keeps nobody waiting may do so. */
static int is_harmless(lua_State *L, const lua_Debug *outer)
{
    mp_Engine *engine = mp_bind_engine(L);

    return strcmp(outer->what, "main") == 0 &&
           (!engine || mp_engine_live(engine) == 0);
}

static void tell(lua_State *L, lua_Debug *ar)
{
    lua_Debug outer, at;

    (void)ar;
    lua_sethook(L, NULL, 0, 0);
    if (!find_user(L, &outer, &at) || is_harmless(L, &outer)) return;
    lua_pushlightuserdata(L, (void *)&key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_pushfstring(L, "%s:%d", outer.short_src, outer.linedefined);
    lua_pushfstring(L, "%s:%d", at.short_src, at.currentline);
    if (lua_pcall(L, 2, 0, 0) != 0) lua_pop(L, 1);
}

/* --- in the handler --- */

static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0) return;
}

static void tell_compiled(void)
{
    lua_sethook(watched, NULL, 0, 0);
    if (!compiled[0]) return;
    say("moonpipe: ");
    say(compiled);
    say("\n");
}

/* lua_sethook may be called here, as on Ctrl-C. A hook of others stays. */
static void ring(void)
{
    unsigned turns = atomic_load_explicit(&mp_bind_turns, memory_order_relaxed);

    if (turns != seen) {
        if (rings >= RINGS && lua_gethook(watched) == tell)
            lua_sethook(watched, NULL, 0, 0);
        seen = turns;
        rings = 0;
        return;
    }
    rings++;
    if (rings == RINGS && !lua_gethook(watched))
        lua_sethook(watched, tell, LUA_MASKCOUNT, 1);
    else if (rings == RINGS + PATIENCE && lua_gethook(watched) == tell)
        tell_compiled();
}

/* --- its life --- */

static int f_end(lua_State *L)
{
    (void)L;
    mp_alarm_stop();
    watched = NULL;
    return 0;
}

/* Something that ends the watch with the VM. */
static void push_guard(lua_State *L)
{
    lua_newuserdata(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, f_end);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
}

/* watch(seconds, tell(outer, at)) -> true if it is on: one VM of a process can
 * be watched */
static int f_watch(lua_State *L)
{
    double seconds = luaL_checknumber(L, 1);

    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    if (watched || !(seconds > 0 && seconds < 1e6)) return 0;
    lua_pushlightuserdata(L, (void *)&key);
    lua_insert(L, 2);
    lua_rawset(L, LUA_REGISTRYINDEX);
    push_guard(L);
    luaL_ref(L, LUA_REGISTRYINDEX);
    watched = L;
    if (!mp_alarm_start((int64_t)(seconds * 1e6 / RINGS), ring)) {
        watched = NULL;
        return 0;
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* watch_note(text): the warning, should the code compiled just now be it */
static int f_watch_note(lua_State *L)
{
    strncpy(compiled, luaL_checkstring(L, 1), sizeof compiled - 1);
    return 0;
}

static const luaL_Reg functions[] = {
    {"watch", f_watch},
    {"watch_note", f_watch_note},
    {NULL, NULL},
};

void mp_bind_watch(lua_State *L)
{
    luaL_register(L, NULL, functions);
}
