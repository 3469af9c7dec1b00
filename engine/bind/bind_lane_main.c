/*
 * bind_lane_main.c: a lane in a process of its own, which a kill can end
 * wherever it is: in compiled code, in C.
 *
 * It has all rights of its parent. What it prints goes to standard error, for
 * standard output is the channel.
 *
 * Threads: the only one.
 */
#include "bind.h"
#include "bind_frame.h"

#include <fcntl.h>
#include <lualib.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <luajit.h>

typedef struct Lane {
    mp_Buf in, out;
    mp_Error err;
    bool jit;
} Lane;

static int f_run(lua_State *L)
{
    Lane *self = lua_touserdata(L, 1);
    int count;

    luaL_openlibs(L);
    if (!self->jit) luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    mp_bind_preload(L);
    lua_settop(L, 0);
    lua_pushboolean(L, 1);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "moonpipe.lane_main");
    lua_call(L, 1, 1);
    count = mp_frame_push(L, self->in.data, self->in.len);
    if (count != 1) return luaL_error(L, "a lane was given no frame");
    lua_call(L, 1, 1);
    mp_frame_write(L, 1, &self->out);
    return 0;
}

/* What is at the top of the stack says why. */
static int f_fail(lua_State *L)
{
    Lane *self = lua_touserdata(L, 1);

    lua_settop(L, 0);
    lua_pushboolean(L, 0);
    lua_pushstring(L, self->err.message);
    lua_pushstring(L, mp_err_name(self->err.kind));
    mp_buf_clear(&self->out);
    mp_frame_write(L, 1, &self->out);
    return 0;
}

static bool run(Lane *self, lua_State *L)
{
    int status = lua_cpcall(L, f_run, self);
    const char *message;

    if (status == 0 && mp_buf_check(&self->out, &self->err) == MP_OK)
        return true;
    message = status ? lua_tostring(L, -1) : self->err.message;
    if (status == LUA_ERRMEM)
        mp_err_set(&self->err, MP_KIND_MEMORY, "no memory for a lane");
    else if (status)
        mp_err_set(&self->err, MP_KIND_LUA, "%s", message ? message : "?");
    return lua_cpcall(L, f_fail, self) == 0;
}

/* Programs that a lane starts read nothing: what is there is the channel. */
static bool leave_input(void)
{
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    bool left = nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0;

    if (nothing >= 0) close(nothing);
    return left;
}

/* lane JIT PARENT */
int mp_lane_main(int argc, char **argv)
{
    Lane self = {.jit = argc == 4 && argv[2][0] == '1'};
    int channel = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    lua_State *L = luaL_newstate();
    bool done;

    if (argc != 4 || channel < 0 || !L ||
        dup2(STDERR_FILENO, STDOUT_FILENO) < 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 ||
        getppid() != (pid_t)strtol(argv[3], NULL, 10))
        return 2;
    mp_buf_init(&self.in, UINT32_MAX);
    mp_buf_init(&self.out, UINT32_MAX);
    done =
        mp_frame_read(STDIN_FILENO, &self.in) && leave_input() && run(&self, L);
    lua_close(L);
    if (done) done = mp_frame_send(channel, &self.out);
    mp_buf_term(&self.in);
    mp_buf_term(&self.out);
    return done ? 0 : 1;
}
