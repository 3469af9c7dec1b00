/*
 * module.c: `require "moonpipe"` in somebody else's LuaJIT.
 *
 * No global of the host is touched: `|` works through mp.load and
 * mp.install_loader, and the loop is the host's, through mp.update.
 */
#include "bind.h"

#include "moonpipe.h"

MOONPIPE_API int luaopen_moonpipe(lua_State *L);

int luaopen_moonpipe(lua_State *L)
{
    mp_bind_preload(L);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_getfield(L, -1, "moonpipe");
    lua_pushliteral(L, "moonpipe");
    lua_call(L, 1, 1);
    return 1;
}
