/* json_write.c: see json_write.h. */
#include "json_write.h"

#include "json_number.h"
#include "json_text.h"
#include "utf8.h"

#include <math.h>
#include <string.h>

/* [c] is a quote, a backslash or a control character. */
static void write_escape(mp_Buf *out, unsigned char c)
{
    static const char names[] = "\"\\bfnrt", values[] = "\"\\\b\f\n\r\t";
    const char *value = c ? strchr(values, c) : NULL;

    if (!value) {
        mp_buf_printf(out, "\\u%04x", c);
        return;
    }
    mp_buf_char(out, '\\');
    mp_buf_char(out, names[value - values]);
}

/* Appends what stands at [at], which is nothing that stands for itself, and
 * returns the place behind it. */
static const char *write_special(mp_Buf *out, const char *at, const char *end)
{
    size_t used = 1;

    if ((unsigned char)*at < 0x80) {
        write_escape(out, (unsigned char)*at);
    } else {
        mp_utf8_next(at, (size_t)(end - at), &used);
        mp_buf_text(out, MP_UTF8_FFFD);
    }
    return at + used;
}

mp_Status mp_json_write_text(mp_Buf *out, const char *text, size_t len)
{
    const char *end = text + len, *stop;

    mp_buf_char(out, '"');
    for (;;) {
        stop = mp_json_text_clean(text, end);
        mp_buf_append(out, text, (size_t)(stop - text));
        if (stop == end) break;
        text = write_special(out, stop, end);
    }
    return mp_buf_char(out, '"');
}

mp_Status mp_json_write_number(mp_Buf *out, double number, mp_Error *err)
{
    char text[MP_JSON_NUMBER_SIZE];
    size_t len = mp_json_number_write(number, text);

    if (len > 0) return mp_buf_append(out, text, len);
    return mp_err_set(err, MP_KIND_INPUT, "%s is not a number that JSON has",
                      isnan(number) ? "nan"
                      : number < 0  ? "-inf"
                                    : "inf");
}
