/* db_sql.c: see db_sql.h. */
#include "db_sql.h"

#include "db_have.h"

#if MP_HAVE_SQLITE

#include "alloc.h"
#include "clock.h"
#include "db_stmt.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LOOK_EVERY   500   /* steps of SQLite's machine between two looks */
#define SLEEP_MAX_US 10000 /* between two tries of a locked file */

struct mp_DbSql {
    mp_DbStmts stmts;
    const mp_DbWatch *watch; /* of what runs; NULL: nobody cancels */
    int64_t busy_begun_us;
    bool normal; /* as synchronous is set */
    bool broken;
};

/* --- what SQLite asks --- */

static int on_progress(void *userdata)
{
    mp_DbSql *self = userdata;

    return self->watch && self->watch->cancelled(self->watch->userdata);
}

/* Waits a little longer each time; false when that was enough. */
static bool wait_for_others(mp_DbSql *self, int tries)
{
    const mp_DbWatch *watch = self->watch;
    int64_t us = (int64_t)(tries + 1) * 500, left;

    if (!watch) return false;
    if (tries == 0) self->busy_begun_us = mp_clock_us();
    left = watch->busy_us - (mp_clock_us() - self->busy_begun_us);
    if (left <= 0 || watch->cancelled(watch->userdata)) return false;
    if (us > SLEEP_MAX_US) us = SLEEP_MAX_US;
    watch->sleep(watch->userdata, us < left ? us : left);
    return !watch->cancelled(watch->userdata);
}

static int on_busy(void *userdata, int tries)
{
    return wait_for_others(userdata, tries);
}

/* --- small statements of ours --- */

static mp_Status ask(mp_DbSql *self, const char *text, int64_t *value,
                     mp_Error *err)
{
    return mp_db_stmt_ask(&self->stmts, text, value, err);
}

static mp_Status tell(mp_DbSql *self, const char *text, mp_Error *err)
{
    return ask(self, text, NULL, err);
}

static bool in_transaction(const mp_DbSql *self)
{
    return !self->stmts.lib->get_autocommit(self->stmts.conn);
}

/* Many errors have rolled back already. It may not be cancelled. */
static void roll_back(mp_DbSql *self)
{
    self->watch = NULL;
    if (in_transaction(self) && tell(self, "ROLLBACK", NULL) != MP_OK)
        self->broken = true;
}

/* What was cancelled while it waited for others is no matter of theirs. */
static mp_Status judge(mp_DbSql *self, mp_Status status, mp_Error *err)
{
    const mp_DbWatch *watch = self->watch;

    if (status == MP_OK) return MP_OK;
    if (status == -MP_KIND_IO || status == -MP_KIND_FDS) self->broken = true;
    if (watch && watch->cancelled(watch->userdata))
        return mp_err_set(err, MP_KIND_CANCELLED, "the call was cancelled");
    return status;
}

/* --- open and close --- */

/* The conversation of a user is nobody else's: its folder may be open to all.
 * SQLite gives the files beside it the same rights. A file that is there is
 * left alone: closing it would drop the locks that the process has on it. */
static void make_private(const char *path)
{
    int fd = -1;

    if (strcmp(path, MP_DB_MEMORY) != 0)
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
}

/* Two processes may do so at once, and SQLite does not wait then. */
static mp_Status use_wal(mp_DbSql *self, mp_Error *err)
{
    int tries = 0;
    mp_Status status;
    mp_Error why;

    for (;;) {
        status = tell(self, "PRAGMA journal_mode = WAL", &why);
        if (status != -MP_KIND_IO) break;
        if (!strstr(why.message, "locked") || !wait_for_others(self, tries))
            break;
        tries++;
    }
    if (status == -MP_KIND_IO && strstr(why.message, "readonly")) return MP_OK;
    if (status != MP_OK && err) *err = why;
    return status;
}

/* A file may come from anywhere: its schema is not trusted. */
static mp_Status set_up(mp_DbSql *self, mp_Error *err)
{
    const mp_Sqlite *lib = self->stmts.lib;
    sqlite3 *conn = self->stmts.conn;
    mp_Status status;

    lib->extended_result_codes(conn, 1);
    lib->busy_handler(conn, on_busy, self);
    lib->progress_handler(conn, LOOK_EVERY, on_progress, self);
    lib->db_config(conn, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
    lib->db_config(conn, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)NULL);
    status = use_wal(self, err);
    if (status == MP_OK) status = tell(self, "PRAGMA foreign_keys = ON", err);
    if (status == MP_OK) status = tell(self, "PRAGMA synchronous = FULL", err);
    return status;
}

static mp_Status connect(mp_DbSql *self, mp_Error *err)
{
    const int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int rc = self->stmts.lib->open_v2(self->stmts.path, &self->stmts.conn,
                                      flags, NULL);

    if (rc != SQLITE_OK)
        return mp_db_stmt_error(&self->stmts, rc, NULL, 0, err);
    return set_up(self, err);
}

mp_Status mp_db_sql_open(mp_DbSql **sql, const char *path,
                         const mp_DbWatch *watch, mp_Error *err)
{
    const mp_Sqlite *lib = mp_db_lib(err);
    mp_DbSql *self = lib ? mp_alloc_zero(1, sizeof *self) : NULL;
    mp_Status status;

    if (!lib) return -(mp_Status)err->kind;
    if (!self) return mp_err_memory(err);
    self->stmts.lib = lib;
    self->stmts.path = path;
    self->watch = watch;
    make_private(path);
    status = judge(self, connect(self, err), err);
    self->watch = NULL;
    if (status == MP_OK)
        *sql = self;
    else
        mp_db_sql_close(self);
    return status;
}

void mp_db_sql_close(mp_DbSql *self)
{
    if (!self) return;
    self->watch = NULL;
    mp_db_stmt_term(&self->stmts);
    self->stmts.lib->close(self->stmts.conn); /* NULL is fine */
    mp_alloc_free(self);
}

bool mp_db_sql_is_broken(const mp_DbSql *self)
{
    return self->broken;
}

mp_Status mp_db_sql_check_place(mp_DbSql *self, mp_Error *err)
{
    int moved = 0;

    self->stmts.lib->file_control(self->stmts.conn, "main",
                                  SQLITE_FCNTL_HAS_MOVED, &moved);
    if (!moved) return MP_OK;
    self->broken = true;
    return mp_err_set(err, MP_KIND_IO,
                      "'%s' was moved or deleted while it was in use",
                      self->stmts.path);
}

mp_Status mp_db_sql_available(mp_Error *err)
{
    return mp_db_lib(err) ? MP_OK : -(mp_Status)err->kind;
}

/* --- the format of a file --- */

typedef struct Found {
    int64_t application_id;
    int64_t format;
    int64_t tables;
} Found;

/* In a transaction: what is asked is of one moment. */
static mp_Status look(mp_DbSql *self, Found *found, mp_Error *err)
{
    mp_Status status =
        ask(self, "PRAGMA application_id", &found->application_id, err);

    if (status == MP_OK)
        status = ask(self, "PRAGMA user_version", &found->format, err);
    if (status == MP_OK)
        status = ask(self, "SELECT count(*) FROM sqlite_master", &found->tables,
                     err);
    return status;
}

/* True if something is to be done; else the file is as it must be, or [err]. */
static bool is_older(mp_DbSql *self, const mp_DbFormat *format,
                     const Found *found, mp_Error *err)
{
    bool fresh =
        found->application_id == 0 && found->format == 0 && found->tables == 0;

    err->kind = MP_KIND_NONE;
    if (found->application_id != format->application_id && !fresh) {
        mp_err_set(err, MP_KIND_IO,
                   "'%s' is a database of something else (application id %lld, "
                   "not %lld)",
                   self->stmts.path, (long long)found->application_id,
                   (long long)format->application_id);
        return false;
    }
    if (found->format > (int64_t)format->step_count) {
        mp_err_set(err, MP_KIND_IO,
                   "'%s' is of format %lld, of a newer version; this one knows "
                   "%zu",
                   self->stmts.path, (long long)found->format,
                   format->step_count);
        return false;
    }
    return fresh || found->format < (int64_t)format->step_count;
}

/* A step may be several statements. */
static mp_Status run_step(mp_DbSql *self, const char *text, mp_Error *err)
{
    int rc = self->stmts.lib->exec(self->stmts.conn, text, NULL, NULL, NULL);

    if (rc == SQLITE_OK) return MP_OK;
    return mp_db_stmt_error(&self->stmts, rc, text, strlen(text), err);
}

static mp_Status set_pragma(mp_DbSql *self, const char *name, int64_t value,
                            mp_Error *err)
{
    mp_Buf text;
    mp_Status status;

    mp_buf_init(&text, 0);
    mp_buf_printf(&text, "PRAGMA %s = %lld", name, (long long)value);
    status = mp_buf_check(&text, err);
    if (status == MP_OK) status = run_step(self, text.data, err);
    mp_buf_term(&text);
    return status;
}

/* In a transaction: another process may have done it since. */
static mp_Status step_up(mp_DbSql *self, const mp_DbFormat *format,
                         mp_Error *err)
{
    const char *step = format->steps;
    Found found;
    mp_Status status = look(self, &found, err);

    if (status != MP_OK) return status;
    if (!is_older(self, format, &found, err)) return -(mp_Status)err->kind;
    for (size_t i = 0; i < format->step_count && status == MP_OK; i++) {
        if (i >= (size_t)found.format) status = run_step(self, step, err);
        step += strlen(step) + 1;
    }
    if (status == MP_OK)
        status =
            set_pragma(self, "application_id", format->application_id, err);
    if (status == MP_OK)
        status =
            set_pragma(self, "user_version", (int64_t)format->step_count, err);
    return status;
}

static mp_Status bring_up(mp_DbSql *self, const mp_DbFormat *format,
                          mp_Error *err)
{
    Found found;
    mp_Status status = tell(self, "BEGIN", err);

    if (status == MP_OK) status = look(self, &found, err);
    if (status == MP_OK) status = tell(self, "COMMIT", err);
    if (status != MP_OK) return status;
    if (!is_older(self, format, &found, err)) return -(mp_Status)err->kind;
    status = tell(self, "BEGIN IMMEDIATE", err);
    if (status == MP_OK) status = step_up(self, format, err);
    if (status == MP_OK) status = tell(self, "COMMIT", err);
    return status;
}

mp_Status mp_db_sql_format(mp_DbSql *self, const mp_DbFormat *format,
                           const mp_DbWatch *watch, mp_Error *err)
{
    mp_Status status;

    if (format->application_id == 0 && format->step_count == 0) return MP_OK;
    self->watch = watch;
    status = judge(self, bring_up(self, format, err), err);
    roll_back(self);
    self->watch = NULL;
    return status;
}

/* --- work --- */

static mp_Status set_synchronous(mp_DbSql *self, bool normal, mp_Error *err)
{
    mp_Status status;

    if (self->normal == normal) return MP_OK;
    status = tell(self,
                  normal ? "PRAGMA synchronous = NORMAL"
                         : "PRAGMA synchronous = FULL",
                  err);
    if (status == MP_OK) self->normal = normal;
    return status;
}

static mp_Status do_all(mp_DbSql *self, const mp_DbWork *work, mp_Buf *out,
                        mp_Error *err)
{
    mp_Cursor cursor = {work->statements, work->statements + work->len};
    mp_Status status = MP_OK;

    while (status == MP_OK && cursor.at < cursor.end) {
        status = mp_db_stmt_do(&self->stmts, &cursor, out, err);
        if (status == MP_OK && in_transaction(self) != work->atomic)
            status = mp_err_set(err, MP_KIND_INPUT,
                                "'%s': a statement may not begin or end a "
                                "transaction; use transaction{…}",
                                self->stmts.path);
    }
    return status;
}

static mp_Status work_through(mp_DbSql *self, const mp_DbWork *work,
                              mp_Buf *out, mp_Error *err)
{
    mp_Status status = set_synchronous(self, work->normal, err);

    if (status == MP_OK && work->atomic)
        status = tell(self, "BEGIN IMMEDIATE", err);
    if (status == MP_OK) status = do_all(self, work, out, err);
    if (status == MP_OK && work->atomic) status = tell(self, "COMMIT", err);
    return status;
}

mp_Status mp_db_sql_do(mp_DbSql *self, const mp_DbWork *work,
                       const mp_DbWatch *watch, mp_Buf *out, mp_Error *err)
{
    mp_Status status;

    self->watch = watch;
    status = judge(self, work_through(self, work, out, err), err);
    roll_back(self);
    self->watch = NULL;
    return status;
}

#endif
