/*
 * site.c: what P gets to know about an operator or a map: line, operands and
 * entries in the author's words. Also where a key written twice is found.
 */
#include "parse.h"

#include "alloc.h"

#include <string.h>

/* Bytes of an operand's text in messages. */
#define TEXT_MAX 60
#define ELLIPSIS "\xe2\x80\xa6"

/* --- texts --- */

static bool buf_ok(mp_Parse *p)
{
    p->status = mp_buf_check(&p->pipe->texts, p->err);
    return p->status == MP_OK;
}

static void put(mp_Buf *buf, const char *bytes, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        char c = bytes[i];

        if (c == '\n' || c == '\r' || c == '\t') c = ' ';
        mp_buf_char(buf, c);
    }
}

/* Cuts to TEXT_MAX bytes with the ellipsis, never inside a character. */
static void shorten(mp_Buf *buf, size_t start)
{
    size_t end = start + TEXT_MAX - strlen(ELLIPSIS);

    if (buf->status != MP_OK || buf->len <= start + TEXT_MAX) return;
    while (end > start && (buf->data[end] & 0xc0) == 0x80)
        end--;
    buf->len = end;
    mp_buf_text(buf, ELLIPSIS);
}

/* The tokens [from] to [to] - 1 on one line, without comments. */
static bool add_tokens(mp_Parse *p, uint32_t from, uint32_t to,
                       mp_PipeText *text)
{
    mp_Buf *buf = &p->pipe->texts;
    uint32_t end = p->nodes[from].token.at;

    text->at = (uint32_t)buf->len;
    for (uint32_t i = from; i < to && buf->len <= text->at + TEXT_MAX; i++) {
        const mp_Token *token = &p->nodes[i].token;

        if (token->at > end) mp_buf_char(buf, ' ');
        put(buf, p->lex.text + token->at,
            token->len <= TEXT_MAX ? token->len : TEXT_MAX + 1);
        if (buf->status != MP_OK) return buf_ok(p);
        end = token->at + token->len;
    }
    shorten(buf, text->at);
    text->len = (uint32_t)buf->len - text->at;
    return buf_ok(p);
}

static bool add_bytes(mp_Parse *p, const char *bytes, uint32_t len,
                      mp_PipeText *text)
{
    text->at = (uint32_t)p->pipe->texts.len;
    text->len = len;
    mp_buf_append(&p->pipe->texts, bytes, len);
    return buf_ok(p);
}

/* --- spans --- */

static bool is_line_end(char c)
{
    return c == '\n' || c == '\r';
}

/* The tokens [from] to [to] - 1, as far as they are on the line of the first.
 */
static mp_PipeSpan span_of(const mp_Parse *p, uint32_t from, uint32_t to)
{
    const mp_Token *first = &p->nodes[from].token;
    const mp_Token *last = &p->nodes[to - 1].token;
    uint32_t end = last->at + last->len;

    if (last->last_line != first->line)
        for (end = first->at; !is_line_end(p->lex.text[end]);)
            end++;
    return (mp_PipeSpan){first->line, first->column, end - first->at};
}

/* --- sites --- */

static bool add_site(mp_Parse *p, const mp_PipeSite *site, uint32_t *number)
{
    mp_Pipe *pipe = p->pipe;

    if (!mp_parse_grow(p, (void **)&pipe->sites, &p->site_cap, pipe->site_count,
                       sizeof *pipe->sites))
        return false;
    pipe->sites[pipe->site_count++] = *site;
    *number = pipe->site_count;
    return true;
}

bool mp_site_pipe(mp_Parse *p, uint32_t op, uint32_t left, uint32_t right,
                  bool is_first)
{
    mp_PipeSite site = {.line = p->nodes[op].token.line,
                        .right_span = span_of(p, right, p->at)};

    /* Of a later one it would be the whole chain before it. */
    if (is_first) site.left_span = span_of(p, left, op);
    return add_tokens(p, left, op, &site.left) &&
           add_tokens(p, right, p->at, &site.right) &&
           add_site(p, &site, &p->nodes[p->at - 1].pipe);
}

/* --- keys --- */

/* `["name"]`: a quoted string without escapes is a key known here. */
static bool string_key(mp_Parse *p, const mp_Token *token, mp_PipeEntry *entry,
                       bool *known)
{
    const char *text = p->lex.text + token->at;

    *known = token->type == MP_TOKEN_STRING && text[0] != '[' &&
             !memchr(text, '\\', token->len);
    if (!*known) return true;
    entry->kind = MP_PIPE_STRING;
    return add_bytes(p, text + 1, token->len - 2, &entry->key);
}

/* `[3]`: a plain decimal integer likewise. */
static bool integer_key(const mp_Parse *p, const mp_Token *token,
                        mp_PipeEntry *entry)
{
    const char *text = p->lex.text + token->at;
    uint32_t index = 0;

    if (token->type != MP_TOKEN_NUMBER || token->len > 9) return false;
    for (uint32_t i = 0; i < token->len; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        index = index * 10 + (uint32_t)(text[i] - '0');
    }
    entry->kind = MP_PIPE_INDEX;
    entry->index = index;
    return true;
}

static bool add_key(mp_Parse *p, const mp_Field *field, mp_PipeEntry *entry)
{
    const mp_Token *token = &p->nodes[field->key].token;
    bool known;

    if (field->kind == MP_PIPE_STRING)
        return add_bytes(p, p->lex.text + token->at, token->len, &entry->key);
    if (field->kind == MP_PIPE_COMPUTED && field->key_end == field->key + 1) {
        if (!string_key(p, token, entry, &known)) return false;
        if (known || integer_key(p, token, entry)) return true;
    }
    return field->kind != MP_PIPE_COMPUTED ||
           add_tokens(p, field->key, field->key_end, &entry->key);
}

/* --- a key written twice --- */

static bool same_key(const mp_Pipe *pipe, const mp_PipeEntry *a,
                     const mp_PipeEntry *b)
{
    const char *texts = pipe->texts.data;

    if (a->kind != b->kind) return false;
    if (a->kind == MP_PIPE_INDEX) return a->index == b->index;
    return a->key.len == b->key.len &&
           (a->key.len == 0 ||
            memcmp(texts + a->key.at, texts + b->key.at, a->key.len) == 0);
}

static uint32_t hash_key(const mp_Pipe *pipe, const mp_PipeEntry *entry)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    if (entry->kind == MP_PIPE_INDEX) return entry->index * 2654435761u;
    for (uint32_t i = 0; i < entry->key.len; i++)
        hash = (hash ^ (unsigned char)pipe->texts.data[entry->key.at + i]) *
               16777619u;
    return hash;
}

static bool fail_twice(mp_Parse *p, const mp_PipeEntry *first,
                       const mp_PipeEntry *second)
{
    const char *name = p->lex.name;

    if (first->kind == MP_PIPE_INDEX)
        p->status = mp_err_set(p->err, MP_KIND_LUA,
                               "%.200s:%u: map key %u is written twice, at "
                               "line %u and at line %u",
                               name, second->line, first->index, first->line,
                               second->line);
    else
        p->status = mp_err_set(
            p->err, MP_KIND_LUA,
            "%.200s:%u: map key '%.*s' is written twice, at "
            "line %u and at line %u",
            name, second->line,
            (int)(first->key.len < 100 ? first->key.len : 100),
            p->pipe->texts.data + first->key.at, first->line, second->line);
    return false;
}

static bool is_known(const mp_PipeEntry *entry)
{
    return entry->kind == MP_PIPE_STRING || entry->kind == MP_PIPE_INDEX;
}

/* Puts each known key of [site] into a table of open addressing. */
static bool check_keys(mp_Parse *p, const mp_PipeSite *site)
{
    uint32_t size = 4, *slots;
    const mp_PipeEntry *entries;
    bool ok = true;

    if (site->count == 0) return true; /* there may be no entries at all */
    entries = p->pipe->entries + site->first;
    while (size < site->count * 2)
        size *= 2;
    slots = mp_alloc_zero(size, sizeof *slots);
    if (!slots) return mp_parse_memory(p);
    for (uint32_t i = 0; ok && i < site->count; i++) {
        uint32_t at;

        if (!is_known(&entries[i])) continue;
        at = hash_key(p->pipe, &entries[i]) & (size - 1);
        while (ok && slots[at]) {
            const mp_PipeEntry *other = &entries[slots[at] - 1];

            if (same_key(p->pipe, other, &entries[i]))
                ok = fail_twice(p, other, &entries[i]);
            at = (at + 1) & (size - 1);
        }
        slots[at] = i + 1;
    }
    mp_alloc_free(slots);
    return ok;
}

/* --- maps --- */

static bool add_entry(mp_Parse *p, const mp_Field *field)
{
    mp_PipeEntry entry = {.kind = field->kind,
                          .line = field->line,
                          .index = field->index,
                          .span = span_of(p, field->value, field->value_end)};
    mp_Pipe *pipe = p->pipe;

    if (!add_key(p, field, &entry) ||
        !add_tokens(p, field->value, field->value_end, &entry.value) ||
        !mp_parse_grow(p, (void **)&pipe->entries, &p->entry_cap,
                       pipe->entry_count, sizeof *pipe->entries))
        return false;
    pipe->entries[pipe->entry_count++] = entry;
    return true;
}

/* Also the constructors that are values of [table]; recursion is bounded by
 * MP_PIPE_LEVELS. */
bool mp_site_map(mp_Parse *p, uint32_t table)
{
    const mp_Table *t = &p->tables[table];
    mp_PipeSite site = {.is_map = true,
                        .line = p->nodes[t->open].token.line,
                        .first = p->pipe->entry_count,
                        .count = t->count};
    uint32_t number, i;

    for (i = t->first; i != MP_PARSE_NONE; i = p->fields[i].next)
        if (!add_entry(p, &p->fields[i])) return false;
    if (!check_keys(p, &site) || !add_site(p, &site, &number)) return false;
    p->nodes[t->open].map = p->nodes[t->close].map = number;
    for (i = t->first; i != MP_PARSE_NONE; i = p->fields[i].next)
        if (p->fields[i].table != MP_PARSE_NONE &&
            !mp_site_map(p, p->fields[i].table))
            return false;
    return true;
}
