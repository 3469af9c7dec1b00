/* lane.c: see lane.h. */
#include "lane.h"

#include <stdlib.h>
#include <string.h>

enum { MAX = 4096, CELLS = 2 * MAX, REPEAT_MAX = 100000 };

static Lane *cells[CELLS]; /* open addressing */
static Lane *first, *last;
static int count;
static Script *plain;

static size_t hash(Span name)
{
    uint32_t sum = 2166136261u;

    for (size_t i = 0; i < name.len; i++)
        sum = (sum ^ (unsigned char)name.at[i]) * 16777619u;
    return sum;
}

static Lane *make(Span name)
{
    Lane *lane = calloc(1, sizeof *lane);

    if (!lane) abort();
    lane->name = calloc(1, name.len + 1);
    if (!lane->name) abort();
    memcpy(lane->name, name.at, name.len);
    lane->name_len = name.len;
    *(last ? &last->next : &first) = lane;
    last = lane;
    count++;
    return lane;
}

/* The cell that has the name or is free for it. */
static Lane **find(Span name)
{
    size_t at = hash(name) % CELLS;

    while (cells[at]) {
        const Lane *lane = cells[at];

        if (lane->name_len == name.len &&
            memcmp(lane->name, name.at, name.len) == 0)
            break;
        at = (at + 1) % CELLS;
    }
    return &cells[at];
}

Lane *lane_of(Span name)
{
    Lane **cell = find(name);

    if (!*cell && count >= MAX) cell = find(SPAN("(others)"));
    if (!*cell) *cell = make(count < MAX ? name : SPAN("(others)"));
    return *cell;
}

/* --- scripts --- */

static void enqueue(Lane *lane, Script *script)
{
    size_t size = ((size_t)lane->queued + 1) * sizeof(Script *);

    lane->queue = realloc(lane->queue, size);
    if (!lane->queue) abort();
    lane->queue[lane->queued++] = script;
}

static void drop_scripts(Lane *lane)
{
    for (int i = lane->taken; i < lane->queued; i++)
        script_drop(lane->queue[i]);
    free(lane->queue);
    lane->queue = NULL;
    lane->queued = lane->taken = 0;
    script_drop(lane->usual);
    lane->usual = NULL;
}

/* Takes `3x ` from the front of [line]; 1 without it, 0 if it is too much. */
static int64_t read_repeat(Span *line)
{
    Span rest = *line, word = span_split(&rest, ' ');
    int64_t times;

    if (word.len < 2 || word.at[word.len - 1] != 'x') return 1;
    word.len--;
    if (!span_integer(word, &times)) return 1;
    *line = rest;
    return times >= 1 && times <= REPEAT_MAX ? times : 0;
}

static bool add_line(Lane *lane, Span line, Bytes *complaint)
{
    bool usual = span_has_prefix(line, "default");
    int64_t times;
    Script *script;

    if (usual) line = (Span){line.at + 7, line.len - 7};
    times = usual ? 1 : read_repeat(&line);
    if (times == 0) TEXT(complaint, "a script is repeated too often");
    script = times > 0 ? script_parse(line, complaint) : NULL;
    if (!script) return false;
    if (usual) {
        script_drop(lane->usual);
        lane->usual = script;
        return true;
    }
    for (int64_t i = 0; i < times; i++)
        enqueue(lane, script_keep(script));
    script_drop(script);
    return true;
}

bool lane_set(Lane *lane, Span lines, Bytes *complaint)
{
    Lane fresh = {0};
    bool good = true;

    while (good && lines.len > 0) {
        Span line = span_trim(span_split(&lines, '\n'));

        good = add_line(&fresh, line, complaint);
    }
    if (good) {
        drop_scripts(lane);
        lane->queue = fresh.queue;
        lane->queued = fresh.queued;
        lane->usual = fresh.usual;
    } else {
        drop_scripts(&fresh);
    }
    return good;
}

static Script *take(Lane *lane)
{
    if (lane->taken < lane->queued) return lane->queue[lane->taken++];
    return lane->usual ? script_keep(lane->usual) : NULL;
}

Script *lane_take(Lane *lane)
{
    static Lane *star;
    Script *script = take(lane);

    if (!star) star = lane_of(SPAN("*"));
    if (!script) script = take(star);
    if (!script && !plain) plain = script_plain();
    return script ? script : script_keep(plain);
}

/* --- all of them --- */

Lane *lane_first(void)
{
    return first;
}

void lane_clear(void)
{
    for (Lane *lane = first; lane; lane = lane->next) {
        drop_scripts(lane);
        lane->counts = (Counts){0};
    }
}

void lane_term(void)
{
    Lane *next;

    for (Lane *lane = first; lane; lane = next) {
        next = lane->next;
        drop_scripts(lane);
        free(lane->name);
        free(lane);
    }
    script_drop(plain);
    first = last = NULL;
}
