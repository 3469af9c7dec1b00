/*
 * bind_html.c: the text of pages.
 */
#include "bind.h"

#include "html_job.h"

/* html(page) -> id of a job that gives its text, and as head what html_job.h
 * says | nil, message, kind. The page is UTF-8. */
static int f_html(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    mp_Job *job = NULL;
    mp_Buf page;

    mp_buf_init(&page, 0);
    if (mp_buf_append(&page, text, len) == MP_OK) job = mp_html_job(&page);
    mp_buf_term(&page);
    return mp_bind_submit(L, job);
}

static const luaL_Reg functions[] = {
    {"html", f_html},
    {NULL, NULL},
};

void mp_bind_html(lua_State *L)
{
    luaL_register(L, NULL, functions);
}
