/* bind_pick.c: see bind_pick.h. */
#include "bind_pick.h"

#include "bind.h"
#include "bind_json.h"
#include "json.h"
#include "json_number.h"

#include <stdint.h>
#include <string.h>

#define PICKER    "moonpipe.picker"
#define NODES_MAX 64
#define NAMES_MAX 1024 /* bytes of all names */
#define KNOWN_MAX 2048 /* bytes of a text that is remembered */
#define NONE      (-1) /* no node; a node whose value is not given */

/* A step of a path. Children are a list. */
typedef struct Node {
    int16_t first, next;
    int16_t slot; /* of the value among the results */
    uint16_t name, name_len;
} Node;

/* Where a value stands in the text that is remembered; of a string what is
 * between the quotes. */
typedef struct Hole {
    uint16_t from, to;
    int16_t slot;
    bool is_text;
} Hole;

typedef struct Picker {
    mp_Json json;
    lua_State *L; /* valid during a call only, as those below */
    int base;     /* stack index before the first result */
    const char *text;
    size_t len;
    int depth;
    int16_t open[MP_JSON_DEPTH]; /* node of each open container, or NONE */
    bool array[MP_JSON_DEPTH];
    uint16_t place[MP_JSON_DEPTH]; /* of the next element of an array */
    int16_t member;                /* node of the key that was read, or NONE */
    uint64_t seen;                 /* nodes that had a value */
    bool learns;                   /* all values so far can be remembered */
    int holes;
    Hole hole[NODES_MAX];
    size_t known_len; /* 0: nothing is remembered */
    char known[KNOWN_MAX];
    int nodes; /* made once, as those below */
    int slots;
    size_t names_len;
    Node node[NODES_MAX]; /* 0: the whole text */
    char names[NAMES_MAX];
} Picker;

static int16_t find_child(const Picker *picker, int16_t parent,
                          const char *name, size_t len)
{
    int16_t i = parent == NONE ? NONE : picker->node[parent].first;

    while (i != NONE) {
        const Node *node = &picker->node[i];

        if (node->name_len == len &&
            memcmp(picker->names + node->name, name, len) == 0)
            break;
        i = node->next;
    }
    return i;
}

/* --- reading a text --- */

/* What stops the decoding; nobody reads it. */
static mp_Status refuse(mp_Error *err)
{
    return mp_err_set(err, MP_KIND_DECODE, "not of this shape");
}

/* The node of the value that comes now. */
static int16_t value_node(Picker *picker)
{
    int top = picker->depth - 1;
    char digit;

    if (top < 0) return 0;
    if (!picker->array[top]) return picker->member;
    if (picker->place[top] > 9) return NONE;
    digit = (char)('0' + picker->place[top]++);
    return find_child(picker, picker->open[top], &digit, 1);
}

/* False where the node had a value before. */
static bool see(Picker *picker, int16_t node)
{
    uint64_t bit = (uint64_t)1 << node;

    if (picker->seen & bit) return false;
    picker->seen |= bit;
    return true;
}

static mp_Status begin(Picker *picker, bool array, mp_Error *err)
{
    int16_t node = value_node(picker);

    if (node != NONE && !see(picker, node)) return refuse(err);
    if (node != NONE && picker->node[node].first == NONE) node = NONE;
    picker->open[picker->depth] = node;
    picker->array[picker->depth] = array;
    picker->place[picker->depth] = 0;
    picker->depth++;
    return MP_OK;
}

static bool in_number(char c)
{
    return (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' ||
           c == 'e' || c == 'E';
}

static const char *number_end(const char *at, const char *end)
{
    while (at < end && in_number(*at))
        at++;
    return at;
}

static void note_hole(Picker *picker, const char *from, const char *to,
                      int16_t slot, bool is_text)
{
    Hole *hole = &picker->hole[picker->holes++];

    hole->from = (uint16_t)(from - picker->text);
    hole->to = (uint16_t)(to - picker->text);
    hole->slot = slot;
    hole->is_text = is_text;
}

/* A string that was unescaped does not stand in the text. */
static void learn(Picker *picker, const mp_JsonEvent *event, int16_t slot)
{
    const char *at = picker->text + picker->json.token;
    const char *end = picker->text + picker->len;

    if (event->kind == MP_JSON_NUMBER)
        note_hole(picker, at, number_end(at, end), slot, false);
    else if (event->kind == MP_JSON_STRING && event->text == at + 1)
        note_hole(picker, at + 1, at + 1 + event->len, slot, true);
    else
        picker->learns = false;
}

/* [-0, +1] */
static void push_scalar(lua_State *L, const mp_JsonEvent *event)
{
    switch (event->kind) {
    case MP_JSON_NUMBER: lua_pushnumber(L, event->number); break;
    case MP_JSON_STRING: lua_pushlstring(L, event->text, event->len); break;
    default: lua_pushboolean(L, event->kind == MP_JSON_TRUE); break;
    }
}

static mp_Status scalar(Picker *picker, const mp_JsonEvent *event,
                        mp_Error *err)
{
    int16_t node = value_node(picker), slot;

    if (event->kind == MP_JSON_NULL)
        return node == NONE || see(picker, node) ? MP_OK : refuse(err);
    if (node == NONE || picker->node[node].first != NONE) return refuse(err);
    if (event->kind == MP_JSON_INTEGER || !see(picker, node))
        return refuse(err);
    slot = picker->node[node].slot;
    if (picker->learns) learn(picker, event, slot);
    if (slot == NONE) return MP_OK;
    push_scalar(picker->L, event);
    lua_replace(picker->L, picker->base + 1 + slot);
    return MP_OK;
}

static mp_Status read_event(void *picker_, const mp_JsonEvent *event,
                            mp_Error *err)
{
    Picker *picker = picker_;
    int top = picker->depth - 1;

    switch (event->kind) {
    case MP_JSON_END_ARRAY:
    case MP_JSON_END_OBJECT: picker->depth--; return MP_OK;
    default: break;
    }
    if (top >= 0 && picker->open[top] == NONE) return refuse(err);
    switch (event->kind) {
    case MP_JSON_KEY:
        picker->member =
            find_child(picker, picker->open[top], event->text, event->len);
        return MP_OK;
    case MP_JSON_BEGIN_ARRAY: return begin(picker, true, err);
    case MP_JSON_BEGIN_OBJECT: return begin(picker, false, err);
    default: return scalar(picker, event, err);
    }
}

static bool read_text(Picker *picker)
{
    bool read;

    picker->depth = picker->holes = 0;
    picker->seen = 0;
    picker->known_len = 0;
    picker->learns = picker->len <= KNOWN_MAX;
    mp_json_reset(&picker->json, false);
    read =
        mp_json_feed(&picker->json, picker->text, picker->len, NULL) == MP_OK &&
        mp_json_finish(&picker->json, NULL) == MP_OK;
    mp_bind_json_trim(&picker->json.text.buf);
    if (!read || !picker->learns) return read;
    memcpy(picker->known, picker->text, picker->len);
    picker->known_len = picker->len;
    return true;
}

/* --- reading one like the last --- */

/* Pushes the value that stands at [at]; returns its end, or NULL where it is
 * not that plain. */
static const char *fill_hole(const Picker *picker, const Hole *hole,
                             const char *at, const char *end)
{
    mp_JsonEvent event = {.kind = MP_JSON_STRING, .text = at};
    const char *stop;
    size_t used;

    if (hole->is_text) {
        stop = mp_json_text_clean(at, end);
        event.len = (size_t)(stop - at);
    } else {
        stop = number_end(at, end);
        event.kind = MP_JSON_NUMBER;
        if (mp_json_number_read(at, (size_t)(stop - at), &used,
                                &event.number) != MP_JSON_NUMBER_DOUBLE ||
            at + used != stop)
            return NULL;
    }
    if (hole->slot == NONE) return stop;
    push_scalar(picker->L, &event);
    lua_replace(picker->L, picker->base + 1 + hole->slot);
    return stop;
}

/* Between its values the text must be the one that is remembered, byte by byte;
 * a quote or a comma behind each ends it where it seems to end. */
static bool read_like_known(const Picker *picker)
{
    const char *at = picker->text, *end = at + picker->len;
    size_t known = 0, len;

    for (int i = 0; at && i < picker->holes; i++) {
        const Hole *hole = &picker->hole[i];

        len = hole->from - known;
        if ((size_t)(end - at) < len ||
            memcmp(at, picker->known + known, len) != 0)
            return false;
        known = hole->to;
        at = fill_hole(picker, hole, at + len, end);
    }
    len = picker->known_len - known;
    return at && (size_t)(end - at) == len &&
           memcmp(at, picker->known + known, len) == 0;
}

int mp_bind_pick(lua_State *L, int index, const char *text, size_t len)
{
    Picker *picker = luaL_checkudata(L, index, PICKER);
    int top = lua_gettop(L), count = 1 + picker->slots;

    luaL_checkstack(L, count + 4, "a picker");
    picker->L = L;
    picker->base = top + 1;
    picker->text = text;
    picker->len = len;
    lua_pushboolean(L, 1);
    lua_settop(L, top + count);
    if (picker->known_len > 0 && read_like_known(picker)) return count;
    lua_settop(L, top + 1);
    lua_settop(L, top + count);
    if (read_text(picker)) return count;
    lua_settop(L, top);
    return 0;
}

/* --- making --- */

static int16_t add_node(lua_State *L, Picker *picker, const char *name,
                        size_t len)
{
    Node *node = &picker->node[picker->nodes];

    if (picker->nodes == NODES_MAX || len > NAMES_MAX - picker->names_len)
        luaL_error(L, "a picker has too many paths");
    node->first = node->next = node->slot = NONE;
    node->name = (uint16_t)picker->names_len;
    node->name_len = (uint16_t)len;
    memcpy(picker->names + picker->names_len, name, len);
    picker->names_len += len;
    return (int16_t)picker->nodes++;
}

/* Behind its siblings: texts bring most members in the order of the paths. */
static int16_t add_child(lua_State *L, Picker *picker, int16_t parent,
                         const char *name, size_t len)
{
    int16_t child = add_node(L, picker, name, len);
    int16_t *link = &picker->node[parent].first;

    while (*link != NONE)
        link = &picker->node[*link].next;
    return *link = child;
}

static int16_t add_path(lua_State *L, Picker *picker, const char *path)
{
    int16_t node = 0;

    for (;;) {
        size_t len = strcspn(path, ".");
        int16_t child = find_child(picker, node, path, len);

        node = child != NONE ? child : add_child(L, picker, node, path, len);
        if (!path[len]) return node;
        path += len + 1;
    }
}

/* [-0, +0] Adds the paths of the list at [index]. */
static void add_paths(lua_State *L, Picker *picker, int index, bool wanted)
{
    int count = (int)lua_objlen(L, index);

    for (int i = 1; i <= count; i++) {
        int16_t node;

        lua_rawgeti(L, index, i);
        node = add_path(L, picker, luaL_checkstring(L, -1));
        if (wanted) picker->node[node].slot = (int16_t)picker->slots++;
        lua_pop(L, 1);
    }
}

/* json_picker(wanted, ignored) -> picker: two lists of paths */
static int f_json_picker(lua_State *L)
{
    Picker *picker;

    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    picker = lua_newuserdata(L, sizeof *picker);
    memset(picker, 0, sizeof *picker);
    mp_json_init(&picker->json, read_event, picker, false, 0);
    luaL_getmetatable(L, PICKER);
    lua_setmetatable(L, -2);
    add_node(L, picker, "", 0);
    add_paths(L, picker, 1, true);
    add_paths(L, picker, 2, false);
    return 1;
}

static int f_gc(lua_State *L)
{
    Picker *picker = luaL_checkudata(L, 1, PICKER);

    mp_json_term(&picker->json);
    return 0;
}

/* json_pick(picker, text) -> true, values | nothing */
static int f_json_pick(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);

    return mp_bind_pick(L, 1, text, len);
}

static const luaL_Reg functions[] = {
    {"json_picker", f_json_picker},
    {"json_pick", f_json_pick},
    {NULL, NULL},
};

void mp_bind_picks(lua_State *L)
{
    luaL_newmetatable(L, PICKER);
    lua_pushcfunction(L, f_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_register(L, NULL, functions);
}
