/* db_stmt.c: see db_stmt.h. */
#include "db_stmt.h"

#if MP_HAVE_SQLITE

#include "alloc.h"

#include <errno.h>
#include <string.h>

#define TEXT_SHOWN 80 /* bytes of a statement in a message */

/* --- what went wrong --- */

static mp_Status busy(mp_DbStmts *self, mp_Error *err)
{
    return mp_err_set(err, MP_KIND_IO,
                      "'%s': database is locked by another process",
                      self->path);
}

/* The world's: what the system said is the reason. */
static mp_Status broken(mp_DbStmts *self, int rc, mp_Error *err)
{
    int os_errno = self->conn ? self->lib->system_errno(self->conn) : 0;
    const char *text =
        self->conn ? self->lib->errmsg(self->conn) : self->lib->errstr(rc);
    mp_Kind kind = MP_KIND_IO;

    if (os_errno == EMFILE || os_errno == ENFILE) kind = MP_KIND_FDS;
    if (os_errno)
        mp_err_set(err, kind, "'%s': %s (%s)", self->path, text,
                   strerrordesc_np(os_errno));
    else
        mp_err_set(err, kind, "'%s': %s", self->path, text);
    if (err) err->os_errno = os_errno;
    return -(mp_Status)kind;
}

static mp_Status wrong(mp_DbStmts *self, mp_Kind kind, const char *text,
                       size_t len, mp_Error *err)
{
    int shown = (int)(len < TEXT_SHOWN ? len : TEXT_SHOWN);

    return mp_err_set(err, kind, "'%s': %s, in: %.*s%s", self->path,
                      self->lib->errmsg(self->conn), shown, text ? text : "",
                      len > TEXT_SHOWN ? "…" : "");
}

mp_Status mp_db_stmt_error(mp_DbStmts *self, int rc, const char *text,
                           size_t len, mp_Error *err)
{
    if (rc == SQLITE_IOERR_NOMEM) return mp_err_memory(err);
    switch (rc & 0xff) {
    case SQLITE_NOMEM: return mp_err_memory(err);
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return busy(self, err);
    case SQLITE_INTERRUPT:
        return mp_err_set(err, MP_KIND_CANCELLED, "the call was cancelled");
    case SQLITE_TOOBIG: return wrong(self, MP_KIND_TOO_LARGE, text, len, err);
    case SQLITE_ERROR:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE:
    case SQLITE_MISUSE:
    case SQLITE_AUTH: return wrong(self, MP_KIND_INPUT, text, len, err);
    default: return broken(self, rc, err);
    }
}

/* --- prepared statements --- */

static mp_DbStmt *find(mp_DbStmts *self, const char *text, size_t len)
{
    for (int i = 0; i < MP_DB_STMTS; i++) {
        mp_DbStmt *one = &self->kept[i];

        if (one->text && one->len == len && memcmp(one->text, text, len) == 0)
            return one;
    }
    return NULL;
}

static void drop(mp_DbStmts *self, mp_DbStmt *one)
{
    if (!one->text) return;
    self->lib->finalize(one->stmt);
    mp_alloc_free(one->text);
    memset(one, 0, sizeof *one);
}

/* A free place, or that of the one that was used longest ago. */
static mp_DbStmt *make_room(mp_DbStmts *self)
{
    mp_DbStmt *oldest = &self->kept[0];

    for (int i = 0; i < MP_DB_STMTS && oldest->text; i++)
        if (!self->kept[i].text || self->kept[i].used < oldest->used)
            oldest = &self->kept[i];
    drop(self, oldest);
    return oldest;
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n;")] == '\0';
}

/* [one]'s text is its own, with a NUL behind. */
static mp_Status prepare(mp_DbStmts *self, mp_DbStmt *one, mp_Error *err)
{
    const char *tail = NULL;
    int rc =
        self->lib->prepare_v3(self->conn, one->text, (int)one->len + 1,
                              SQLITE_PREPARE_PERSISTENT, &one->stmt, &tail);

    if (rc != SQLITE_OK)
        return mp_db_stmt_error(self, rc, one->text, one->len, err);
    if (!one->stmt)
        return mp_err_set(err, MP_KIND_INPUT, "'%s': an empty statement",
                          self->path);
    if (is_blank(tail)) return MP_OK;
    return mp_err_set(err, MP_KIND_INPUT,
                      "'%s': one statement at a time, but there is more: %.*s",
                      self->path, TEXT_SHOWN, tail);
}

static mp_Status get(mp_DbStmts *self, const char *text, size_t len,
                     mp_DbStmt **out, mp_Error *err)
{
    mp_DbStmt *one = find(self, text, len);
    mp_Status status = MP_OK;

    if (!one) {
        one = make_room(self);
        one->text = mp_alloc_copy(text, len);
        one->len = len;
        if (!one->text) return mp_err_memory(err);
        status = prepare(self, one, err);
        if (status != MP_OK) drop(self, one);
    }
    one->used = ++self->uses;
    *out = one;
    return status;
}

/* --- values in --- */

/* The bytes stay until the statement is reset: nothing is copied. */
static int bind_value(mp_DbStmts *self, sqlite3_stmt *stmt, int place,
                      mp_Cursor *cursor)
{
    char tag = *mp_cursor_take(cursor, 1);
    sqlite3_int64 integer;
    uint32_t len;
    double number;

    switch (tag) {
    case 'i':
        memcpy(&integer, mp_cursor_take(cursor, sizeof integer),
               sizeof integer);
        return self->lib->bind_int64(stmt, place, integer);
    case 'd':
        memcpy(&number, mp_cursor_take(cursor, sizeof number), sizeof number);
        return self->lib->bind_double(stmt, place, number);
    case 't':
        len = mp_cursor_u32(cursor);
        return self->lib->bind_text64(stmt, place, mp_cursor_take(cursor, len),
                                      len, SQLITE_STATIC, SQLITE_UTF8);
    case 'b':
        len = mp_cursor_u32(cursor);
        return self->lib->bind_blob64(stmt, place, mp_cursor_take(cursor, len),
                                      len, SQLITE_STATIC);
    default: return self->lib->bind_null(stmt, place);
    }
}

static mp_Status bind_all(mp_DbStmts *self, const mp_DbStmt *one,
                          mp_Cursor *cursor, mp_Error *err)
{
    uint32_t count = mp_cursor_u32(cursor);
    int wanted = self->lib->bind_parameter_count(one->stmt);

    if (count != (uint32_t)wanted)
        return mp_err_set(err, MP_KIND_INPUT,
                          "'%s': %u values for %d parameters, in: %.*s",
                          self->path, count, wanted, TEXT_SHOWN, one->text);
    for (int i = 1; i <= wanted; i++) {
        int rc = bind_value(self, one->stmt, i, cursor);

        if (rc != SQLITE_OK)
            return mp_db_stmt_error(self, rc, one->text, one->len, err);
    }
    return MP_OK;
}

/* --- answers out --- */

static void write_u32(mp_Buf *out, uint32_t value)
{
    mp_buf_append(out, &value, sizeof value);
}

static void write_i64(mp_Buf *out, int64_t value)
{
    mp_buf_append(out, &value, sizeof value);
}

/* A NULL is what SQLite gives where it has no memory for a text. */
static bool write_bytes(mp_Buf *out, const void *bytes, size_t len)
{
    write_u32(out, (uint32_t)len);
    if (len > 0 && bytes) mp_buf_append(out, bytes, len);
    return bytes || len == 0;
}

static bool write_names(mp_DbStmts *self, sqlite3_stmt *stmt, int count,
                        mp_Buf *out)
{
    write_u32(out, (uint32_t)count);
    for (int i = 0; i < count; i++) {
        const char *name = self->lib->column_name(stmt, i);

        if (!name) return false;
        write_bytes(out, name, strlen(name));
    }
    return true;
}

static bool write_value(mp_DbStmts *self, sqlite3_stmt *stmt, int column,
                        mp_Buf *out)
{
    const mp_Sqlite *lib = self->lib;
    const void *bytes;
    double number;

    switch (lib->column_type(stmt, column)) {
    case SQLITE_INTEGER:
        mp_buf_char(out, 'i');
        write_i64(out, lib->column_int64(stmt, column));
        return true;
    case SQLITE_FLOAT:
        mp_buf_char(out, 'd');
        number = lib->column_double(stmt, column);
        mp_buf_append(out, &number, sizeof number);
        return true;
    case SQLITE_TEXT:
        mp_buf_char(out, 't');
        bytes = lib->column_text(stmt, column);
        if (!bytes) return false;
        break;
    case SQLITE_BLOB:
        mp_buf_char(out, 'b');
        bytes = lib->column_blob(stmt, column);
        break;
    default: mp_buf_char(out, 'n'); return true;
    }
    return write_bytes(out, bytes, (size_t)lib->column_bytes(stmt, column));
}

static mp_Status write_row(mp_DbStmts *self, sqlite3_stmt *stmt, int count,
                           mp_Buf *out, mp_Error *err)
{
    mp_buf_char(out, 'r');
    for (int i = 0; i < count; i++)
        if (!write_value(self, stmt, i, out)) return mp_err_memory(err);
    if (out->status == -MP_KIND_TOO_LARGE)
        return mp_err_set(err, MP_KIND_TOO_LARGE,
                          "'%s': the rows are more than %zu bytes", self->path,
                          out->max);
    return mp_buf_check(out, err);
}

/* What it changed is known at the end: its place is left free. Which columns
 * there are, only after the first step: that prepares a kept statement anew
 * where the schema has changed. */
static mp_Status step_all(mp_DbStmts *self, const mp_DbStmt *one, mp_Buf *out,
                          mp_Error *err)
{
    int rc = self->lib->step(one->stmt);
    int count = self->lib->column_count(one->stmt);

    if (!write_names(self, one->stmt, count, out)) return mp_err_memory(err);
    for (; rc == SQLITE_ROW; rc = self->lib->step(one->stmt)) {
        mp_Status status = write_row(self, one->stmt, count, out, err);

        if (status != MP_OK) return status;
    }
    if (rc != SQLITE_DONE)
        return mp_db_stmt_error(self, rc, one->text, one->len, err);
    mp_buf_char(out, 'e');
    return mp_buf_check(out, err);
}

static void write_changes(mp_DbStmts *self, mp_Buf *out, size_t place,
                          int before)
{
    bool changed = self->lib->total_changes(self->conn) != before;
    int64_t changes = changed ? self->lib->changes(self->conn) : 0;
    int64_t rowid = self->lib->last_insert_rowid(self->conn);

    memcpy(out->data + place, &changes, sizeof changes);
    memcpy(out->data + place + sizeof changes, &rowid, sizeof rowid);
}

mp_Status mp_db_stmt_do(mp_DbStmts *self, mp_Cursor *cursor, mp_Buf *out,
                        mp_Error *err)
{
    uint32_t len = mp_cursor_u32(cursor);
    const char *text = mp_cursor_take(cursor, len);
    int before = self->lib->total_changes(self->conn);
    size_t place = out->len;
    mp_DbStmt *one;
    mp_Status status = get(self, text, len, &one, err);

    if (status != MP_OK) return status;
    write_i64(out, 0);
    write_i64(out, 0);
    status = bind_all(self, one, cursor, err);
    if (status == MP_OK) status = step_all(self, one, out, err);
    self->lib->reset(one->stmt);
    self->lib->clear_bindings(one->stmt);
    if (status == MP_OK) write_changes(self, out, place, before);
    return status;
}

mp_Status mp_db_stmt_ask(mp_DbStmts *self, const char *text, int64_t *value,
                         mp_Error *err)
{
    mp_DbStmt *one;
    mp_Status status = get(self, text, strlen(text), &one, err);
    int rc;

    if (status != MP_OK) return status;
    rc = self->lib->step(one->stmt);
    if (value)
        *value = rc == SQLITE_ROW ? self->lib->column_int64(one->stmt, 0) : 0;
    while (rc == SQLITE_ROW)
        rc = self->lib->step(one->stmt);
    self->lib->reset(one->stmt);
    if (rc == SQLITE_DONE) return MP_OK;
    return mp_db_stmt_error(self, rc, text, strlen(text), err);
}

void mp_db_stmt_term(mp_DbStmts *self)
{
    for (int i = 0; i < MP_DB_STMTS; i++)
        drop(self, &self->kept[i]);
}

#endif
