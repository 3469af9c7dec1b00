/* vector.c: see vector.h. */
#include "vector.h"

#include "scan.h"

#include <math.h>
#include <stdlib.h>

enum { DIMS = 1536, DIMS_MAX = 65536, INPUTS_MAX = 2048 };

typedef struct Wish {
    Span model, input;
    Span inputs[INPUTS_MAX];
    int count;
    int64_t dims;
    bool base64;
} Wish;

static const char *add_input(Wish *wish, Span input)
{
    if (wish->count == INPUTS_MAX) return "more than 2048 inputs";
    if (span_is(input, "\"\"")) return "an input is empty";
    wish->inputs[wish->count++] = input;
    return NULL;
}

/* A string, strings, token numbers, or lists of them. */
static const char *parse_inputs(Wish *wish)
{
    Scan scan;
    Span item;
    const char *complaint;

    if (wish->input.len == 0) return "'input' is missing";
    if (*wish->input.at == '"') return add_input(wish, wish->input);
    scan = scan_open(wish->input, '[');
    while (scan_item(&scan, &item)) {
        if (*item.at != '"' && *item.at != '[')
            return add_input(wish, wish->input);
        if ((complaint = add_input(wish, item))) return complaint;
    }
    if (scan.failed) return "'input' is no text and no list";
    return wish->count > 0 ? NULL : "'input' is empty";
}

static const char *parse(Wish *wish, Span body)
{
    Scan scan = scan_open(body, '{');
    Span key, value;

    wish->dims = DIMS;
    while (scan_member(&scan, &key, &value)) {
        if (span_is(key, "model")) wish->model = scan_string(value);
        if (span_is(key, "input")) wish->input = value;
        if (span_is(key, "dimensions")) span_integer(value, &wish->dims);
        if (span_is(key, "encoding_format"))
            wish->base64 = span_is(value, "\"base64\"");
    }
    if (!scan_closed(&scan)) return "the body is not JSON";
    if (wish->model.len == 0) return "'model' is missing";
    if (wish->dims < 1 || wish->dims > DIMS_MAX)
        return "'dimensions' is out of range";
    return parse_inputs(wish);
}

/* splitmix64 */
static double next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)(int64_t)(z ^ z >> 31) / 9223372036854775808.0;
}

static uint64_t hash(Span text)
{
    uint64_t state = 1469598103934665603u;

    for (size_t i = 0; i < text.len; i++)
        state = (state ^ (unsigned char)text.at[i]) * 1099511628211u;
    return state;
}

/* In units of 1e-8. */
static void make(Span text, int32_t *units, int64_t dims)
{
    uint64_t start = hash(text), state = start;
    double sum = 0, scale;

    for (int64_t i = 0; i < dims; i++) {
        double x = next_random(&state);

        sum += x * x;
    }
    scale = 1e8 / sqrt(sum);
    state = start;
    for (int64_t i = 0; i < dims; i++)
        units[i] = (int32_t)lrint(next_random(&state) * scale);
}

static void add_floats(const int32_t *units, int64_t dims, Bytes *out)
{
    TEXT(out, "[");
    for (int64_t i = 0; i < dims; i++) {
        uint32_t unit = (uint32_t)abs(units[i]);
        char text[] = "-0.00000000";
        size_t sign = units[i] < 0 ? 1 : 0;

        for (int at = 10; at > 2; at--, unit /= 10)
            text[at] = (char)('0' + unit % 10);
        text[1] = (char)('0' + unit);
        if (i > 0) TEXT(out, ",");
        bytes_add(out, text + 1 - sign, 10 + sign);
    }
    TEXT(out, "]");
}

/* float32, little-endian, as every machine is that runs this. */
static void add_base64(const int32_t *units, int64_t dims, Bytes *out)
{
    float *floats = malloc((size_t)dims * sizeof *floats);

    if (!floats) abort();
    for (int64_t i = 0; i < dims; i++)
        floats[i] = (float)(units[i] / 1e8);
    TEXT(out, "\"");
    bytes_base64(out, floats, (size_t)dims * sizeof *floats);
    TEXT(out, "\"");
    free(floats);
}

static void add_item(const Wish *wish, int index, int32_t *units, Bytes *out)
{
    make(wish->inputs[index], units, wish->dims);
    TEXT(out, "{\"object\":\"embedding\",\"index\":");
    bytes_number(out, index);
    TEXT(out, ",\"embedding\":");
    if (wish->base64)
        add_base64(units, wish->dims, out);
    else
        add_floats(units, wish->dims, out);
    TEXT(out, "}");
}

/* Shuffled: the second half of the list comes first. */
static int pick(const Wish *wish, const Script *script, int place)
{
    if (!script->shuffle) return place;
    return (place + (wish->count + 1) / 2) % wish->count;
}

static void add_items(const Wish *wish, const Script *script, Bytes *out)
{
    int count = wish->count - (script->missing ? 1 : 0);
    int32_t *units = malloc((size_t)wish->dims * sizeof *units);

    if (!units) abort();
    for (int i = 0; i < count; i++) {
        if (i > 0) TEXT(out, ",");
        add_item(wish, pick(wish, script, i), units, out);
    }
    free(units);
}

static int64_t tokens_of(const Wish *wish)
{
    size_t bytes = 0;

    for (int i = 0; i < wish->count; i++)
        bytes += wish->inputs[i].len;
    return (int64_t)(bytes + 3) / 4;
}

const char *vector_body(Span body, const Script *script, Bytes *out)
{
    static Wish wish; /* large, and one thread */
    const char *complaint;

    wish.model = wish.input = (Span){"", 0};
    wish.count = 0;
    wish.base64 = false;
    complaint = parse(&wish, body);
    if (complaint) return complaint;
    if (script->dims > 0) wish.dims = script->dims;
    if (script->floats) wish.base64 = false;
    TEXT(out, "{\"object\":\"list\",\"data\":[");
    add_items(&wish, script, out);
    TEXT(out, "],\"model\":\"");
    bytes_span(out, wish.model);
    TEXT(out, "\",\"usage\":{\"prompt_tokens\":");
    bytes_number(out, tokens_of(&wish));
    TEXT(out, ",\"total_tokens\":");
    bytes_number(out, tokens_of(&wish));
    TEXT(out, "}}");
    return NULL;
}
