/* test_base.c: base/alloc, base/err, base/buf. */
#include "alloc.h"
#include "buf.h"
#include "err.h"
#include "test.h"
#include "torture.h"

#include <errno.h>
#include <string.h>

/* --- alloc --- */

static void test_alloc_counts_live_blocks(void)
{
    int64_t before = mp_alloc_live();
    char *a = mp_alloc(0);
    char *b = mp_alloc_zero(4, 8);
    char *c = mp_alloc_copy("a\0b", 3);

    CHECK(a && b && c);
    CHECK(mp_alloc_live() == before + 3);
    a = mp_alloc_resize(a, 1000);
    CHECK(mp_alloc_live() == before + 3);
    mp_alloc_free(a);
    mp_alloc_free(b);
    mp_alloc_free(c);
    mp_alloc_free(NULL);
    CHECK(mp_alloc_live() == before);
}

static void test_alloc_fills(void)
{
    static const char zeros[32];
    char *zeroed = mp_alloc_zero(4, 8);
    char *copy = mp_alloc_copy("a\0b", 3);
    char *empty = mp_alloc_copy(NULL, 0);

    CHECK(memcmp(zeroed, zeros, sizeof zeros) == 0);
    CHECK(memcmp(copy, "a\0b", 4) == 0);
    CHECK(empty && *empty == '\0');
    mp_alloc_free(zeroed);
    mp_alloc_free(copy);
    mp_alloc_free(empty);
}

static void test_alloc_refuses_overflow(void)
{
    int64_t before = mp_alloc_live();

    CHECK(mp_alloc_zero(SIZE_MAX / 2, 3) == NULL);
    CHECK(mp_alloc_zero(SIZE_MAX, SIZE_MAX) == NULL);
    CHECK(mp_alloc_copy("", SIZE_MAX) == NULL);
    CHECK(mp_alloc_live() == before);
}

static void test_alloc_zero_accepts_nothing(void)
{
    void *none = mp_alloc_zero(0, 8);
    void *flat = mp_alloc_zero(8, 0);

    CHECK(none && flat);
    mp_alloc_free(none);
    mp_alloc_free(flat);
}

static void test_alloc_fails_once(void)
{
    void *first, *third;

    mp_alloc_fail_at(2, false);
    first = mp_alloc(1);
    CHECK(first != NULL);
    CHECK(mp_alloc(1) == NULL);
    third = mp_alloc(1);
    CHECK(third != NULL);
    CHECK(mp_alloc_count() == 3);
    mp_alloc_fail_at(0, false);
    CHECK(mp_alloc_count() == 0);
    mp_alloc_free(first);
    mp_alloc_free(third);
}

static void test_alloc_fails_forever(void)
{
    void *first;
    int i;

    mp_alloc_fail_at(2, true);
    first = mp_alloc(1);
    CHECK(first != NULL);
    for (i = 0; i < 3; i++)
        CHECK(mp_alloc_zero(1, 1) == NULL);
    CHECK(mp_alloc_copy("x", 1) == NULL);
    mp_alloc_fail_at(0, false);
    mp_alloc_free(first);
}

static void test_failed_resize_keeps_the_block(void)
{
    int64_t before = mp_alloc_live();
    char *text = mp_alloc_copy("kept", 4);

    mp_alloc_fail_at(1, false);
    CHECK(mp_alloc_resize(text, 1 << 20) == NULL);
    mp_alloc_fail_at(0, false);
    CHECK(strcmp(text, "kept") == 0);
    CHECK(mp_alloc_live() == before + 1);
    mp_alloc_free(text);
}

typedef struct Arena {
    char bytes[64];
    int asked, freed;
} Arena;

static void *arena_alloc(void *userdata, void *ptr, size_t size)
{
    Arena *arena = userdata;

    if (size == 0) {
        arena->freed++;
        return NULL;
    }
    arena->asked++;
    return size <= sizeof arena->bytes && !ptr ? arena->bytes : NULL;
}

static void test_alloc_is_replaceable(void)
{
    Arena arena = {.asked = 0};
    int64_t before = mp_alloc_live();
    void *inside;

    mp_alloc_use(arena_alloc, &arena);
    inside = mp_alloc(16);
    CHECK(inside == arena.bytes);
    CHECK(mp_alloc(100) == NULL);
    CHECK(mp_alloc_live() == before + 1);
    mp_alloc_free(inside);
    mp_alloc_use(NULL, NULL);
    CHECK(arena.asked == 2 && arena.freed == 1);
    CHECK(mp_alloc_live() == before);
    inside = mp_alloc(100);
    CHECK(inside != NULL && arena.asked == 2);
    mp_alloc_free(inside);
}

/* --- err --- */

static void test_err_set_formats(void)
{
    mp_Error err;
    mp_Status status =
        mp_err_set(&err, MP_KIND_IO, "cannot open '%s' (%d)", "x.lua", 7);

    CHECK(status == -MP_KIND_IO);
    CHECK(err.kind == MP_KIND_IO && err.os_errno == 0);
    CHECK(strcmp(err.message, "cannot open 'x.lua' (7)") == 0);
    CHECK(mp_err_set(NULL, MP_KIND_DNS, "%d", 1) == -MP_KIND_DNS);
}

static void test_err_cuts_a_long_message(void)
{
    char text[2 * MP_ERROR_TEXT];
    mp_Error err;

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    mp_err_set(&err, MP_KIND_INPUT, "%s", text);
    CHECK(strlen(err.message) == MP_ERROR_TEXT - 1);
}

static void test_err_memory(void)
{
    mp_Error err;

    CHECK(mp_err_memory(NULL) == -MP_KIND_MEMORY);
    CHECK(mp_err_memory(&err) == -MP_KIND_MEMORY);
    CHECK(err.kind == MP_KIND_MEMORY);
    CHECK(strcmp(err.message, "not enough memory") == 0);
}

static void check_os(int os_errno, mp_Kind kind)
{
    mp_Error err;

    CHECK(mp_err_os(&err, os_errno, "cannot read") == -(mp_Status)kind);
    CHECK(err.kind == kind && err.os_errno == os_errno);
    CHECK(strncmp(err.message, "cannot read: ", 13) == 0);
    CHECK(strlen(err.message) > 13);
    CHECK(mp_err_os(NULL, os_errno, "x") == -(mp_Status)kind);
}

static void test_err_os_tells_kinds_apart(void)
{
    check_os(ENOENT, MP_KIND_IO);
    check_os(EMFILE, MP_KIND_FDS);
    check_os(ENFILE, MP_KIND_FDS);
    check_os(ENOMEM, MP_KIND_MEMORY);
    check_os(123456, MP_KIND_IO); /* a number that no libc knows */
}

static void test_err_names(void)
{
    int kind;

    CHECK(strcmp(mp_err_name(MP_KIND_NONE), "none") == 0);
    CHECK(strcmp(mp_err_name(MP_KIND_RATE_LIMIT), "rate_limit") == 0);
    CHECK(strcmp(mp_err_name(MP_KIND_UNSUPPORTED), "unsupported") == 0);
    CHECK(strcmp(mp_err_name(MP_KIND_COUNT), "internal") == 0);
    CHECK(strcmp(mp_err_name((mp_Kind)-1), "internal") == 0);
    for (kind = 0; kind < MP_KIND_COUNT; kind++)
        CHECK(mp_err_name((mp_Kind)kind)[0] != '\0');
}

/* --- buf --- */

static void test_buf_starts_without_memory(void)
{
    int64_t before = mp_alloc_live();
    mp_Buf buf;

    mp_buf_init(&buf, 0);
    CHECK(buf.data == NULL && buf.len == 0 && buf.max == MP_BUF_MAX);
    CHECK(mp_buf_check(&buf, NULL) == MP_OK);
    CHECK(mp_alloc_live() == before);
    mp_buf_clear(&buf);
    mp_buf_term(&buf);
    mp_buf_term(&buf);
}

static void test_buf_appends(void)
{
    mp_Buf buf;

    mp_buf_init(&buf, 0);
    CHECK(mp_buf_append(&buf, "a\0b", 3) == MP_OK);
    CHECK(mp_buf_text(&buf, "text") == MP_OK);
    CHECK(mp_buf_char(&buf, '!') == MP_OK);
    CHECK(mp_buf_printf(&buf, " %s=%d", "x", 42) == MP_OK);
    CHECK(buf.len == 13);
    CHECK(memcmp(buf.data, "a\0btext! x=42", 14) == 0);
    CHECK(mp_buf_append(&buf, NULL, 0) == MP_OK);
    CHECK(mp_buf_printf(&buf, "%s", "") == MP_OK);
    CHECK(buf.len == 13);
    mp_buf_term(&buf);
    CHECK(buf.data == NULL && buf.len == 0);
}

static void test_buf_grows_keeping_its_bytes(void)
{
    mp_Buf buf;
    size_t i, wrong = 0;

    mp_buf_init(&buf, 0);
    for (i = 0; i < 10000; i++)
        mp_buf_char(&buf, (char)i);
    CHECK(buf.status == MP_OK && buf.len == 10000);
    for (i = 0; i < 10000; i++)
        wrong += buf.data[i] != (char)i;
    CHECK(wrong == 0);
    CHECK(buf.data[10000] == '\0');
    mp_buf_term(&buf);
}

static void test_buf_reserve_makes_room(void)
{
    mp_Buf buf;

    mp_buf_init(&buf, 0);
    CHECK(mp_buf_reserve(&buf, 500) == MP_OK);
    CHECK(buf.cap >= 501 && buf.len == 0);
    memset(buf.data, 'r', 500);
    buf.len += 500;
    CHECK(mp_buf_text(&buf, "s") == MP_OK);
    CHECK(buf.len == 501 && buf.data[499] == 'r' && buf.data[500] == 's');
    mp_buf_term(&buf);
}

static void test_buf_stops_at_its_maximum(void)
{
    mp_Buf buf;

    mp_buf_init(&buf, 10);
    CHECK(mp_buf_append(&buf, "0123456789", 10) == MP_OK);
    CHECK(mp_buf_char(&buf, 'x') == -MP_KIND_TOO_LARGE);
    CHECK(buf.len == 10 && strcmp(buf.data, "0123456789") == 0);
    mp_buf_term(&buf);
    CHECK(buf.max == 10);
    CHECK(mp_buf_printf(&buf, "%s", "01234567890") == -MP_KIND_TOO_LARGE);
    CHECK(buf.data == NULL);
    mp_buf_clear(&buf);
    CHECK(mp_buf_reserve(&buf, SIZE_MAX) == -MP_KIND_TOO_LARGE);
    mp_buf_term(&buf);
}

static void test_buf_failure_is_sticky(void)
{
    mp_Buf buf;
    mp_Error err;

    mp_buf_init(&buf, 3);
    mp_buf_text(&buf, "ab");
    mp_buf_text(&buf, "too long");
    CHECK(mp_buf_char(&buf, 'c') == -MP_KIND_TOO_LARGE);
    CHECK(mp_buf_printf(&buf, "c") == -MP_KIND_TOO_LARGE);
    CHECK(mp_buf_reserve(&buf, 0) == -MP_KIND_TOO_LARGE);
    CHECK(buf.len == 2 && strcmp(buf.data, "ab") == 0);
    CHECK(mp_buf_check(&buf, &err) == -MP_KIND_TOO_LARGE);
    CHECK(strcmp(err.message, "more than 3 bytes") == 0);
    mp_buf_clear(&buf);
    CHECK(buf.len == 0 && buf.data[0] == '\0');
    CHECK(mp_buf_text(&buf, "abc") == MP_OK);
    mp_buf_term(&buf);
}

static void test_buf_failed_growth_keeps_the_bytes(void)
{
    mp_Buf buf;
    mp_Error err;

    mp_buf_init(&buf, 0);
    mp_buf_text(&buf, "kept");
    mp_alloc_fail_at(1, false);
    CHECK(mp_buf_reserve(&buf, 1 << 16) == -MP_KIND_MEMORY);
    mp_alloc_fail_at(0, false);
    CHECK(mp_buf_text(&buf, "x") == -MP_KIND_MEMORY);
    CHECK(mp_buf_check(&buf, &err) == -MP_KIND_MEMORY);
    CHECK(err.kind == MP_KIND_MEMORY);
    CHECK(strcmp(buf.data, "kept") == 0);
    mp_buf_term(&buf);
}

static void test_buf_take_hands_over(void)
{
    mp_Buf buf;
    size_t len = 99;
    char *bytes;

    mp_buf_init(&buf, 5);
    CHECK(mp_buf_take(&buf, &len) == NULL && len == 0);
    mp_buf_text(&buf, "taken");
    bytes = mp_buf_take(&buf, &len);
    CHECK(len == 5 && strcmp(bytes, "taken") == 0);
    CHECK(buf.data == NULL && buf.len == 0 && buf.cap == 0 && buf.max == 5);
    CHECK(mp_buf_text(&buf, "again") == MP_OK);
    mp_alloc_free(bytes);
    mp_buf_term(&buf);
}

static mp_Status write_much(void *userdata)
{
    mp_Buf buf;
    mp_Status status;
    char *copy;
    int i;

    (void)userdata;
    mp_buf_init(&buf, 0);
    for (i = 0; i < 2000; i++)
        mp_buf_printf(&buf, "%d,", i);
    copy = mp_alloc_copy(buf.data ? buf.data : "", buf.len);
    status = copy ? mp_buf_check(&buf, NULL) : -MP_KIND_MEMORY;
    mp_alloc_free(copy);
    mp_buf_term(&buf);
    return status;
}

static void test_every_allocation_failing_in_turn(void)
{
    CHECK(torture(write_much, NULL) > 5);
}

int main(void)
{
    test_alloc_counts_live_blocks();
    test_alloc_fills();
    test_alloc_refuses_overflow();
    test_alloc_zero_accepts_nothing();
    test_alloc_fails_once();
    test_alloc_fails_forever();
    test_failed_resize_keeps_the_block();
    test_alloc_is_replaceable();
    test_err_set_formats();
    test_err_cuts_a_long_message();
    test_err_memory();
    test_err_os_tells_kinds_apart();
    test_err_names();
    test_buf_starts_without_memory();
    test_buf_appends();
    test_buf_grows_keeping_its_bytes();
    test_buf_reserve_makes_room();
    test_buf_stops_at_its_maximum();
    test_buf_failure_is_sticky();
    test_buf_failed_growth_keeps_the_bytes();
    test_buf_take_hands_over();
    test_every_allocation_failing_in_turn();
    return TEST_END();
}
