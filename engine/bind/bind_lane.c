/*
 * bind_lane.c: Lua that computes in a VM of its own on a thread of the pool.
 *
 * A job has one VM, from its first slice to its last. What runs there is a
 * coroutine: a hook ends a slice by a yield, where the function itself is
 * running and nothing of C is in between, so that others have their turn and a
 * cancel is noticed. Compiled code hears no hook: a loop is left when it ends.
 * Between the two VMs there are only bytes, which steps/lane.lua writes and
 * reads.
 *
 * Threads: the VM on one pool thread at a time; it is closed there, or on the
 * engine's, when nobody runs it any more.
 */
#include "bind.h"
#include "bind_vm.h"

#include "alloc.h"
#include "clock.h"
#include "cpu.h"

#include <luajit.h>
#include <lualib.h>

#define KEY   "moonpipe.lane"
#define COUNT 10000 /* instructions between two looks: below a millisecond */

typedef struct LaneJob {
    mp_CpuJob cpu;
    mp_Buf given;
    bool jit;
    lua_State *L;  /* NULL: it has not begun, or has ended */
    lua_State *co; /* kept in the registry */
    int arguments; /* of the next resume */
    int64_t until_us;
} LaneJob;

static _Thread_local LaneJob *current; /* whose VM runs on this thread */

/* An error where it cannot yield: a cancelled one goes up from there. */
static void on_count(lua_State *L, lua_Debug *ar)
{
    bool cancelled = mp_job_is_cancelled(&current->cpu.job);

    (void)ar;
    if (!cancelled && mp_clock_us() < current->until_us) return;
    if (L == current->co && lua_isyieldable(L))
        lua_yield(L, 0);
    else if (cancelled)
        luaL_error(L, "cancelled");
}

static int f_begin(lua_State *L)
{
    LaneJob *self = lua_touserdata(L, 1);

    luaL_openlibs(L); /* which turns the compiler on */
    if (!self->jit) luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    mp_bind_preload(L);
    self->co = lua_newthread(L);
    lua_setfield(L, LUA_REGISTRYINDEX, KEY);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "moonpipe.lane_main");
    lua_call(L, 1, 1);
    lua_pushlstring(L, self->given.data, self->given.len);
    lua_xmove(L, self->co, 2);
    self->arguments = 1;
    lua_sethook(L, on_count, LUA_MASKCOUNT, COUNT);
    return 0;
}

static void close_vm(LaneJob *self)
{
    if (!self->L) return;
    lua_sethook(self->L, NULL, 0, 0);
    lua_close(self->L);
    self->L = self->co = NULL;
}

/* What is left on the stack of [L] says why. */
static mp_CpuStep fail(LaneJob *self, lua_State *L, int status)
{
    const char *message = lua_tostring(L, -1);

    if (status == LUA_ERRMEM)
        mp_err_set(&self->cpu.err, MP_KIND_MEMORY, "no memory for a lane");
    else
        mp_err_set(&self->cpu.err, MP_KIND_LUA, "%s",
                   message ? message : "an error without a text");
    close_vm(self);
    return MP_CPU_FAILED;
}

static mp_CpuStep finish(LaneJob *self)
{
    mp_Buf *bytes = &self->cpu.job.end.bytes;
    size_t len = 0;
    const char *text = lua_tolstring(self->co, -1, &len);

    mp_buf_append(bytes, text, len);
    close_vm(self);
    return mp_buf_check(bytes, &self->cpu.err) == MP_OK ? MP_CPU_DONE
                                                        : MP_CPU_FAILED;
}

static mp_CpuStep begin(LaneJob *self)
{
    int status;

    self->L = mp_vm_new();
    if (!self->L) {
        mp_err_memory(&self->cpu.err);
        return MP_CPU_FAILED;
    }
    status = lua_cpcall(self->L, f_begin, self);
    return status == 0 ? MP_CPU_MORE : fail(self, self->L, status);
}

static mp_CpuStep slice(mp_CpuJob *cpu, int64_t until_us)
{
    LaneJob *self = (LaneJob *)cpu;
    int status;

    if (!self->L && begin(self) != MP_CPU_MORE) return MP_CPU_FAILED;
    self->until_us = until_us;
    current = self;
    status = lua_resume(self->co, self->arguments);
    current = NULL;
    self->arguments = 0;
    if (status == LUA_YIELD) {
        lua_settop(self->co, 0);
        return MP_CPU_MORE;
    }
    return status == 0 ? finish(self) : fail(self, self->co, status);
}

static void term(mp_CpuJob *cpu)
{
    LaneJob *self = (LaneJob *)cpu;

    close_vm(self);
    mp_buf_term(&self->given);
}

static const mp_CpuClass lane_class = {slice, term};

static mp_Job *new_job(const char *given, size_t len, bool jit)
{
    LaneJob *self = mp_alloc_zero(1, sizeof *self);
    mp_Error err;

    if (!self) return NULL;
    mp_cpu_init(&self->cpu, &lane_class);
    mp_buf_init(&self->given, 0);
    mp_buf_append(&self->given, given, len);
    self->jit = jit;
    if (mp_buf_check(&self->given, &err) == MP_OK) return &self->cpu.job;
    self->cpu.job.cls->free(&self->cpu.job);
    return NULL;
}

/* lane(given, jit) -> id of a job that gives what lane_main.lua answers to
 * [given] | nil, message, kind */
static int f_lane(lua_State *L)
{
    size_t len;
    const char *given = luaL_checklstring(L, 1, &len);

    return mp_bind_submit(L, new_job(given, len, lua_toboolean(L, 2)));
}

static const luaL_Reg functions[] = {{"lane", f_lane}, {NULL, NULL}};

void mp_bind_lane(lua_State *L)
{
    luaL_register(L, NULL, functions);
}
