/* json_number.c: see json_number.h. */
#include "json_number.h"

#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXACT_INTEGER   (UINT64_C(1) << 53)
#define EXACT_POWER     22   /* 10^22 is the last power that a double holds */
#define MANTISSA_DIGITS 19   /* that surely fit a uint64_t */
#define ANY_EXPONENT    9999 /* longer ones are left to strtod */

/* A number taken apart: mantissa * 10^exponent, unless digits were dropped. */
typedef struct Parts {
    uint64_t mantissa;
    int digits; /* of the mantissa, without leading zeros */
    int exponent;
    bool negative;
    bool whole; /* neither a point nor an exponent was written */
    bool dropped;
} Parts;

static bool is_digit(const char *at, const char *end)
{
    return at < end && *at >= '0' && *at <= '9';
}

/* --- the C locale --- */

/* strtod and printf follow LC_NUMERIC, which in many places means a comma. */
typedef struct Scope {
    locale_t plain;
    locale_t old;
} Scope;

static Scope enter_plain_locale(void)
{
    Scope scope;

    scope.plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    scope.old = uselocale(scope.plain);
    return scope;
}

static void leave_plain_locale(Scope scope)
{
    uselocale(scope.old);
    if (scope.plain) freelocale(scope.plain);
}

/* --- reading --- */

static void take_digit(Parts *parts, char c)
{
    if (parts->digits == MANTISSA_DIGITS) {
        parts->dropped = true;
        return;
    }
    parts->mantissa = parts->mantissa * 10 + (uint64_t)(c - '0');
    if (parts->mantissa) parts->digits++;
}

/* Returns the first byte that is no digit; [at] itself if none is there. */
static const char *take_digits(Parts *parts, const char *at, const char *end)
{
    for (; is_digit(at, end); at++)
        take_digit(parts, *at);
    return at;
}

static const char *take_fraction(Parts *parts, const char *at, const char *end)
{
    const char *stop = take_digits(parts, at, end);

    if (!parts->dropped) parts->exponent -= (int)(stop - at);
    return stop;
}

static const char *take_exponent(Parts *parts, const char *at, const char *end)
{
    bool negative = at < end && *at == '-';
    int exponent = 0;

    if (at < end && (*at == '-' || *at == '+')) at++;
    for (; is_digit(at, end); at++) {
        if (exponent < ANY_EXPONENT)
            exponent = exponent * 10 + (*at - '0');
        else
            parts->dropped = true; /* a long fraction may outweigh it */
    }
    parts->exponent += negative ? -exponent : exponent;
    return at;
}

/* Takes the number at [at] apart. Returns its end, where, if [cut] is set, a
 * digit is missing. */
static const char *scan(Parts *parts, const char *at, const char *end,
                        bool *cut)
{
    const char *from;

    parts->negative = at < end && *at == '-';
    at += parts->negative;
    from = at;
    at = is_digit(at, end) && *at == '0' ? at + 1 : take_digits(parts, at, end);
    *cut = at == from;
    if (!*cut && at < end && *at == '.') {
        parts->whole = false;
        from = at + 1;
        at = take_fraction(parts, from, end);
        *cut = at == from;
    }
    if (!*cut && at < end && (*at == 'e' || *at == 'E')) {
        parts->whole = false;
        at = take_exponent(parts, at + 1, end);
        *cut = !is_digit(at - 1, end);
    }
    return at;
}

/* Both the mantissa and the power of ten are exact doubles, so one operation
 * rounds once and gives the nearest double (Clinger's fast path). */
static bool exact(const Parts *parts)
{
    return !parts->dropped && parts->mantissa <= EXACT_INTEGER &&
           parts->exponent >= -EXACT_POWER && parts->exponent <= EXACT_POWER;
}

static double exact_value(const Parts *parts)
{
    static const double powers[] = {
        1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    double value = (double)parts->mantissa;

    if (parts->exponent < 0)
        value /= powers[-parts->exponent];
    else
        value *= powers[parts->exponent];
    return parts->negative ? -value : value;
}

static double slow_value(const char *text)
{
    Scope scope = enter_plain_locale();
    double value = strtod(text, NULL);

    leave_plain_locale(scope);
    return value;
}

mp_JsonNumber mp_json_number_read(const char *text, size_t len, size_t *used,
                                  double *value)
{
    Parts parts = {.whole = true};
    bool cut;

    *used = (size_t)(scan(&parts, text, text + len, &cut) - text);
    if (cut) return MP_JSON_NUMBER_CUT;
    if (parts.whole && (parts.dropped || parts.mantissa > EXACT_INTEGER))
        return MP_JSON_NUMBER_INTEGER;
    *value = exact(&parts) ? exact_value(&parts) : slow_value(text);
    return isinf(*value) ? MP_JSON_NUMBER_HUGE : MP_JSON_NUMBER_DOUBLE;
}

/* --- writing --- */

static size_t write_integer(int64_t value, bool negative, char *out)
{
    char digits[MP_JSON_NUMBER_SIZE], *at = digits + sizeof digits;
    uint64_t rest = (uint64_t)(value < 0 ? -value : value);
    size_t len = 0;

    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (negative) out[len++] = '-';
    while (at < digits + sizeof digits)
        out[len++] = *at++;
    out[len] = '\0';
    return len;
}

/* Between 2^53 and 10^17 the digits may look like an integer, and as such they
 * would be read as text: a point keeps them a number. */
static size_t write_fraction(double value, char *out)
{
    Scope scope = enter_plain_locale();
    int precision, len = 0;

    for (precision = 15; precision <= 17; precision++) {
        len = snprintf(out, MP_JSON_NUMBER_SIZE, "%.*g", precision, value);
        if (precision == 17 || strtod(out, NULL) == value) break;
    }
    leave_plain_locale(scope);
    if (!strpbrk(out, ".e") && fabs(value) > (double)EXACT_INTEGER)
        len += snprintf(out + len, MP_JSON_NUMBER_SIZE - (size_t)len, ".0");
    return (size_t)len;
}

size_t mp_json_number_write(double value, char out[MP_JSON_NUMBER_SIZE])
{
    double limit = (double)EXACT_INTEGER;

    if (isnan(value) || isinf(value)) return 0;
    if (value > -limit && value < limit && value == (double)(int64_t)value)
        return write_integer((int64_t)value, signbit(value) != 0, out);
    return write_fraction(value, out);
}
