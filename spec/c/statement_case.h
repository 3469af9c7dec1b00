/* statement_case.h: a statement as SQL jobs read it, for db_case.h and
 * pg_case.h.
 */
#ifndef STATEMENT_CASE_H
#define STATEMENT_CASE_H

#include "buf.h"

#include <stdint.h>
#include <string.h>

/* One statement, with one integer if [value] >= 0. */
static inline void case_write(mp_Buf *out, const char *text, int64_t value)
{
    uint32_t len = (uint32_t)strlen(text), count = value >= 0;

    mp_buf_append(out, &len, sizeof len);
    mp_buf_text(out, text);
    mp_buf_append(out, &count, sizeof count);
    if (!count) return;
    mp_buf_char(out, 'i');
    mp_buf_append(out, &value, sizeof value);
}

#endif
