/* json_text.c: see json_text.h. */
#include "json_text.h"

#include "utf8.h"

#include <string.h>

enum { OUTSIDE, ESCAPE, HEX };

/* --- runs of bytes that stand for themselves --- */

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* The high bit of each byte of [w] that is 0; bytes above such a one may have
 * theirs set too, which does not matter to who asks only whether any is. */
static uint64_t zeros(uint64_t w)
{
    return (w - EACH(1)) & ~w & EACH(0x80);
}

/* Whether all 8 bytes at [at] are plain: eight comparisons in one word, which
 * makes long strings four times as fast as a look at each byte. */
static bool plain_word(const char *at)
{
    uint64_t w;

    memcpy(&w, at, sizeof w);
    return (((w | (w - EACH(0x20))) & EACH(0x80)) | zeros(w ^ EACH('"')) |
            zeros(w ^ EACH('\\'))) == 0;
}

static bool plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

const char *mp_json_text_plain(const char *at, const char *end)
{
    while (end - at >= 8 && plain_word(at))
        at += 8;
    while (at < end && plain((unsigned char)*at))
        at++;
    return at;
}

const char *mp_json_text_clean(const char *at, const char *end)
{
    size_t used;

    for (;;) {
        at = mp_json_text_plain(at, end);
        if (at == end || (unsigned char)*at < 0x80) return at;
        if (mp_utf8_next(at, (size_t)(end - at), &used) != MP_UTF8_GOOD)
            return at;
        at += used;
    }
}

/* --- escapes --- */

static void put_code(mp_JsonText *text, unsigned code)
{
    char bytes[4];

    mp_buf_append(&text->buf, bytes, mp_utf8_put(code, bytes));
}

/* The partner of a high surrogate did not come. */
static void give_up_high(mp_JsonText *text)
{
    if (text->high) put_code(text, text->raw ? text->high : 0xfffd);
    text->high = 0;
}

/* A whole \uXXXX was read. */
static void put_unit(mp_JsonText *text, unsigned unit)
{
    bool low = unit >= 0xdc00 && unit <= 0xdfff;

    if (low && text->high) {
        put_code(text,
                 0x10000 + ((text->high - 0xd800) << 10) + (unit - 0xdc00));
        text->high = 0;
        return;
    }
    give_up_high(text);
    if (unit >= 0xd800 && unit <= 0xdbff)
        text->high = unit;
    else
        put_code(text, low && !text->raw ? 0xfffd : unit);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static mp_JsonTextStep refuse(mp_JsonText *text, const char *expected)
{
    text->expected = expected;
    return MP_JSON_TEXT_REFUSED;
}

static mp_JsonTextStep feed_hex(mp_JsonText *text, const char **at)
{
    int value = hex_value(**at);

    if (value < 0) return refuse(text, "a hex digit");
    ++*at;
    text->code = text->code << 4 | (unsigned)value;
    if (--text->hex_left > 0) return MP_JSON_TEXT_MORE;
    text->step = OUTSIDE;
    put_unit(text, text->code);
    return MP_JSON_TEXT_MORE;
}

static mp_JsonTextStep feed_escape(mp_JsonText *text, const char **at)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *name;

    if (**at == 'u') {
        ++*at;
        text->step = HEX;
        text->hex_left = 4;
        text->code = 0;
        return MP_JSON_TEXT_MORE;
    }
    name = **at ? strchr(names, **at) : NULL;
    if (!name) return refuse(text, "an escape character");
    ++*at;
    text->step = OUTSIDE;
    give_up_high(text);
    mp_buf_char(&text->buf, values[name - names]);
    return MP_JSON_TEXT_MORE;
}

/* --- the rest --- */

static void put_bad(mp_JsonText *text, const char *bytes, size_t len)
{
    if (text->raw)
        mp_buf_append(&text->buf, bytes, len);
    else
        mp_buf_text(&text->buf, MP_UTF8_FFFD);
}

/* The character that an earlier piece cut may go on with the byte at [*at]. */
static void feed_held(mp_JsonText *text, const char **at)
{
    size_t used;

    text->held[text->held_len] = **at;
    switch (mp_utf8_next(text->held, text->held_len + 1u, &used)) {
    case MP_UTF8_CUT: text->held_len++; break;
    case MP_UTF8_BAD: /* the byte begins something new: it is not taken */
        put_bad(text, text->held, text->held_len);
        text->held_len = 0;
        return;
    case MP_UTF8_GOOD:
        mp_buf_append(&text->buf, text->held, used);
        text->held_len = 0;
        break;
    }
    ++*at;
}

/* The bytes at [*at] are no good UTF-8, or only the beginning of it. */
static void feed_broken(mp_JsonText *text, const char **at, const char *end)
{
    size_t used;

    if (mp_utf8_next(*at, (size_t)(end - *at), &used) == MP_UTF8_CUT) {
        memcpy(text->held, *at, used);
        text->held_len = (uint8_t)used;
    } else {
        put_bad(text, *at, used);
    }
    *at += used;
}

static mp_JsonTextStep feed_outside(mp_JsonText *text, const char **at,
                                    const char *end)
{
    const char *run = mp_json_text_clean(*at, end);

    if (run < end && *run == '\\' && run == *at) {
        ++*at; /* a high surrogate may find its partner behind it */
        text->step = ESCAPE;
        return MP_JSON_TEXT_MORE;
    }
    give_up_high(text);
    mp_buf_append(&text->buf, *at, (size_t)(run - *at));
    *at = run;
    if (run == end || *run == '\\') return MP_JSON_TEXT_MORE;
    if (*run == '"') return MP_JSON_TEXT_CLOSED;
    if ((unsigned char)*run >= 0x80) {
        feed_broken(text, at, end);
        return MP_JSON_TEXT_MORE;
    }
    if (!text->lenient) return refuse(text, "text or '\"'");
    mp_buf_char(&text->buf, *run);
    ++*at;
    return MP_JSON_TEXT_MORE;
}

void mp_json_text_init(mp_JsonText *text, bool lenient, size_t max)
{
    memset(text, 0, sizeof *text);
    mp_buf_init(&text->buf, max);
    text->lenient = lenient;
}

void mp_json_text_term(mp_JsonText *text)
{
    mp_buf_term(&text->buf);
}

void mp_json_text_begin(mp_JsonText *text)
{
    mp_buf_clear(&text->buf);
    text->step = OUTSIDE;
    text->held_len = 0;
    text->high = 0;
}

mp_JsonTextStep mp_json_text_feed(mp_JsonText *text, const char **at,
                                  const char *end)
{
    mp_JsonTextStep step = MP_JSON_TEXT_MORE;

    while (*at < end && step == MP_JSON_TEXT_MORE) {
        if (text->held_len)
            feed_held(text, at);
        else if (text->step == ESCAPE)
            step = feed_escape(text, at);
        else if (text->step == HEX)
            step = feed_hex(text, at);
        else
            step = feed_outside(text, at, end);
    }
    return step;
}
