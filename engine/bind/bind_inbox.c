/* bind_inbox.c: see bind_inbox.h. */
#include "bind_inbox.h"

#include "alloc.h"
#include "engine.h"
#include "json_text.h"
#include "sse.h"

#include <string.h>

#define INBOX     "moonpipe.inbox"
#define TEXTS_MAX 64 /* read in one go */

typedef struct Inbox {
    mp_Job *job; /* NULL once it has been answered */
    mp_Event *first;
    mp_Event *last;
    size_t offset; /* in the first chunk */
    mp_Sse *sse;   /* of one that is fed bytes, while more may come */
} Inbox;

static void free_first(Inbox *inbox)
{
    mp_Event *event = inbox->first;

    inbox->first = (mp_Event *)event->node.next;
    if (!inbox->first) inbox->last = NULL;
    inbox->offset = 0;
    mp_job_free_event(event);
}

void mp_bind_inbox_new(lua_State *L)
{
    Inbox *inbox = lua_newuserdata(L, sizeof *inbox);

    inbox->job = NULL;
    inbox->first = inbox->last = NULL;
    inbox->offset = 0;
    inbox->sse = NULL;
    luaL_getmetatable(L, INBOX);
    lua_setmetatable(L, -2);
}

void mp_bind_inbox_attach(lua_State *L, int index, mp_Job *job)
{
    Inbox *inbox = luaL_checkudata(L, index, INBOX);

    inbox->job = job;
    job->reader = inbox;
}

static void append(Inbox *inbox, mp_Event *event)
{
    event->node.next = NULL;
    if (inbox->last)
        inbox->last->node.next = &event->node;
    else
        inbox->first = event;
    inbox->last = event;
}

bool mp_bind_inbox_keep(mp_Event **box)
{
    mp_Event *event = *box;
    Inbox *inbox = event->from->reader;
    bool was_empty;

    if (!inbox) {
        mp_job_free_event(event);
        *box = NULL;
        return false;
    }
    was_empty = inbox->first == NULL;
    append(inbox, event);
    if (!was_empty) *box = NULL;
    return was_empty;
}

void mp_bind_inbox_end(mp_Job *job)
{
    Inbox *inbox = job->reader;

    if (inbox) inbox->job = NULL;
}

/* The reader is done with the first chunk; its job may send more. */
static void finish_first(lua_State *L, Inbox *inbox)
{
    mp_Engine *engine = mp_bind_engine(L);

    if (inbox->job && engine)
        mp_engine_was_read(engine, inbox->job, inbox->first->bytes.len);
    free_first(inbox);
}

/* inbox:read() -> data, name | nil: nothing there now */
static int f_read(lua_State *L)
{
    Inbox *inbox = luaL_checkudata(L, 1, INBOX);
    const char *name, *data;
    size_t name_len, data_len;

    while (inbox->first) {
        const mp_Buf *bytes = &inbox->first->bytes;

        if (mp_sse_read(bytes->data, bytes->len, &inbox->offset, &name,
                        &name_len, &data, &data_len)) {
            lua_pushlstring(L, data, data_len);
            lua_pushlstring(L, name, name_len);
            return 2;
        }
        finish_first(L, inbox);
    }
    return 0;
}

/* What stands before and behind the text of a record. */
typedef struct Frame {
    const char *before, *behind;
    size_t before_len, behind_len;
} Frame;

/* The text of a record without a name that is framed so, in good UTF-8 and
 * without escapes; NULL: it is another record. */
static const char *framed_text(const Frame *frame, const char *data,
                               size_t data_len, size_t *len)
{
    size_t around = frame->before_len + frame->behind_len;
    const char *text = data + frame->before_len;

    if (data_len <= around) return NULL;
    *len = data_len - around;
    if (memcmp(data, frame->before, frame->before_len) != 0 ||
        memcmp(text + *len, frame->behind, frame->behind_len) != 0)
        return NULL;
    return mp_json_text_clean(text, text + *len) == text + *len ? text : NULL;
}

/* The same of the next record of the first chunk, which is read then. */
static const char *next_text(Inbox *inbox, const Frame *frame, size_t *len)
{
    const mp_Buf *bytes = &inbox->first->bytes;
    size_t offset = inbox->offset, name_len, data_len;
    const char *name, *data, *text;

    if (!mp_sse_read(bytes->data, bytes->len, &offset, &name, &name_len, &data,
                     &data_len) ||
        name_len > 0)
        return NULL;
    text = framed_text(frame, data, data_len, len);
    if (text) inbox->offset = offset;
    return text;
}

/* Writes the text on top of the stack to the list at index 4, as number
 * [count]. The first one stays where it is until there is a second: most come
 * alone, and the collector looks again at what is written to. */
static void add_text(lua_State *L, int count)
{
    if (count == 1) return;
    if (count == 2) {
        lua_pushvalue(L, -2);
        lua_rawseti(L, 4, 1);
    }
    lua_rawseti(L, 4, count);
}

/* inbox:texts(before, behind, list) -> count, first: writes the texts of the
 * records that are there and are framed so to the list, up to the first that is
 * not; a single one is only returned */
static int f_texts(lua_State *L)
{
    Inbox *inbox = luaL_checkudata(L, 1, INBOX);
    Frame frame;
    const char *text;
    size_t len;
    int count = 0;

    lua_settop(L, 4);
    frame.before = luaL_checklstring(L, 2, &frame.before_len);
    frame.behind = luaL_checklstring(L, 3, &frame.behind_len);
    luaL_checktype(L, 4, LUA_TTABLE);
    while (inbox->first && count < TEXTS_MAX) {
        if (inbox->offset == inbox->first->bytes.len) {
            finish_first(L, inbox);
        } else if ((text = next_text(inbox, &frame, &len))) {
            lua_pushlstring(L, text, len);
            add_text(L, ++count);
        } else {
            break;
        }
    }
    lua_pushinteger(L, count);
    if (count == 0) return 1;
    lua_pushvalue(L, 5);
    return 2;
}

/* inbox:head() -> status and headers, or nil: once, before the first read */
static int f_head(lua_State *L)
{
    Inbox *inbox = luaL_checkudata(L, 1, INBOX);
    const mp_Buf *head = inbox->first ? &inbox->first->head : NULL;

    if (!head || head->len == 0) return 0;
    lua_pushlstring(L, head->data, head->len);
    return 1;
}

/* inbox:window(bytes): how far the job may be ahead of its reader */
static int f_window(lua_State *L)
{
    Inbox *inbox = luaL_checkudata(L, 1, INBOX);
    mp_Engine *engine = mp_bind_engine(L); /* NULL: it freed the job */
    size_t window = (size_t)luaL_checknumber(L, 2);

    if (inbox->job && engine) mp_engine_set_window(engine, inbox->job, window);
    return 0;
}

/* --- inboxes that are fed --- */

static void free_sse(Inbox *inbox)
{
    if (inbox->sse) mp_sse_term(inbox->sse);
    mp_alloc_free(inbox->sse);
    inbox->sse = NULL;
}

/* inbox("sse" or "ndjson") -> inbox | nil, message, kind: one that is fed bytes
 * and cuts them as a job would */
static int f_inbox(lua_State *L)
{
    static const char *const names[] = {"sse", "ndjson", NULL};
    int framing = luaL_checkoption(L, 1, NULL, names);
    mp_Error err;
    Inbox *inbox;

    mp_bind_inbox_new(L);
    inbox = lua_touserdata(L, -1);
    inbox->sse = mp_alloc(sizeof *inbox->sse);
    if (!inbox->sse) {
        mp_err_memory(&err);
        return mp_bind_fail(L, &err);
    }
    mp_sse_init(inbox->sse, framing == 0 ? MP_SSE_EVENTS : MP_SSE_LINES);
    return 1;
}

/* Cuts the bytes (NULL: no more come) into a chunk of records. */
static mp_Status cut(Inbox *inbox, const char *bytes, size_t len, mp_Error *err)
{
    mp_Event *event = mp_alloc_zero(1, sizeof *event);
    size_t made = 0;
    mp_Status status;

    if (!event) return mp_err_memory(err);
    mp_buf_init(&event->bytes, 0);
    mp_buf_init(&event->head, 0);
    status =
        bytes ? mp_sse_feed(inbox->sse, bytes, len, &event->bytes, &made, err)
              : mp_sse_finish(inbox->sse, &event->bytes, &made, err);
    if (made > 0)
        append(inbox, event);
    else
        mp_job_free_event(event);
    return status;
}

/* inbox:feed(bytes or nil) -> true | nil, message, kind: nil says that no more
 * bytes come. After that, and after a failure, it takes none. */
static int f_feed(lua_State *L)
{
    Inbox *inbox = luaL_checkudata(L, 1, INBOX);
    size_t len = 0;
    const char *bytes = luaL_optlstring(L, 2, NULL, &len);
    mp_Status status;
    mp_Error err;

    if (!inbox->sse) return luaL_error(L, "this inbox takes no bytes");
    status = cut(inbox, bytes, len, &err);
    if (!bytes || status != MP_OK) free_sse(inbox);
    if (status != MP_OK) return mp_bind_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* While the VM closes the engine may be gone, and its jobs with it. */
static int f_gc(lua_State *L)
{
    Inbox *inbox = luaL_checkudata(L, 1, INBOX);

    if (inbox->job && mp_bind_engine(L)) inbox->job->reader = NULL;
    while (inbox->first)
        free_first(inbox);
    free_sse(inbox);
    return 0;
}

static const luaL_Reg methods[] = {
    {"read", f_read},     {"texts", f_texts}, {"head", f_head},
    {"window", f_window}, {"feed", f_feed},   {NULL, NULL},
};

static const luaL_Reg functions[] = {{"inbox", f_inbox}, {NULL, NULL}};

void mp_bind_inbox(lua_State *L)
{
    luaL_newmetatable(L, INBOX);
    lua_pushcfunction(L, f_gc);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_register(L, NULL, functions);
}
