/* store_write.c: see store_write.h. */
#include "store_write.h"

#include "alloc.h"
#include "clock.h"
#include "file.h"
#include "line.h"
#include "os.h"

#include <stdio.h>
#include <string.h>

/* Bytes between two looks at the clock: hashing takes up to 1.5 ms of them. */
#define PIECE ((size_t)256 << 10)

struct mp_StoreWriter {
    mp_Line line;
    char *path;
    atomic_uint asked; /* jobs that were made */
    atomic_uint done;  /* ... and that ended */
    mp_FileDraft draft;
    mp_StoreHead head;
    bool begun;
    bool ended;
    mp_Sha256 sum; /* of the section that is written */
    mp_Buf ends;   /* of its texts, in the file's order */
    uint64_t texts_len;
    bool is_texts;
};

typedef struct StoreJob {
    mp_LineJob line;
    unsigned number;          /* of those of the writer, from 0 */
    char name[MP_STORE_NAME]; /* empty: the file ends */
    mp_Buf bytes;
    mp_Floats rows;
    size_t *ends; /* or NULL */
    size_t count; /* of texts */
    size_t at;    /* in the bytes */
} StoreJob;

static mp_StoreWriter *writer_of(const StoreJob *job)
{
    return (mp_StoreWriter *)job->line.line;
}

/* --- pieces --- */

static mp_Status fail(const mp_StoreWriter *writer, int problem, mp_Error *err)
{
    char what[MP_ERROR_TEXT / 2];

    snprintf(what, sizeof what, "cannot write '%s'", writer->path);
    return mp_err_os(err, problem, what);
}

/* Appends to the open section. */
mp_Status mp_store_write_append(mp_StoreWriter *writer, const void *bytes,
                                size_t len, mp_Error *err)
{
    mp_StoreSection *section =
        &writer->head.sections[writer->head.section_count - 1];
    int problem = mp_file_draft_write(
        &writer->draft, (off_t)(section->at + section->len), bytes, len);

    if (problem != 0) return fail(writer, problem, err);
    mp_sha256_feed(&writer->sum, bytes, len);
    section->len += len;
    return MP_OK;
}

/* What stands behind the texts of a section. */
static mp_Status append_ends(mp_StoreWriter *writer, mp_Error *err)
{
    uint8_t count[8];
    mp_Status status = MP_OK;

    mp_store_put64(count, writer->ends.len / 8);
    if (writer->ends.len > 0)
        status = mp_store_write_append(writer, writer->ends.data,
                                       writer->ends.len, err);
    if (status == MP_OK)
        status = mp_store_write_append(writer, count, sizeof count, err);
    mp_buf_clear(&writer->ends);
    writer->texts_len = 0;
    writer->is_texts = false;
    return status;
}

static mp_Status end_section(mp_StoreWriter *writer, mp_Error *err)
{
    mp_StoreHead *head = &writer->head;
    mp_StoreSection *section;

    if (head->section_count == 0) {
        head->size = MP_STORE_HEAD;
        return MP_OK;
    }
    if (writer->is_texts && append_ends(writer, err) != MP_OK)
        return -(mp_Status)err->kind;
    section = &head->sections[head->section_count - 1];
    mp_sha256_end(&writer->sum, section->sum);
    head->size = mp_store_align(section->at + section->len);
    return MP_OK;
}

mp_Status mp_store_write_section(mp_StoreWriter *writer, const char *name,
                                 mp_Error *err)
{
    mp_StoreHead *head = &writer->head;
    mp_StoreSection *section;
    mp_Status status = end_section(writer, err);

    if (status != MP_OK) return status;
    if (head->section_count == MP_STORE_SECTIONS)
        return mp_err_set(err, MP_KIND_TOO_LARGE,
                          "the file of a store has %d sections at most",
                          MP_STORE_SECTIONS);
    section = &head->sections[head->section_count++];
    memset(section, 0, sizeof *section);
    strncpy(section->name, name, MP_STORE_NAME - 1);
    section->at = head->size;
    mp_sha256_init(&writer->sum);
    return MP_OK;
}

/* --- jobs --- */

/* Without what a cancelled job would have written the file is none. */
mp_Status mp_store_write_begin(mp_StoreWriter *writer, unsigned number,
                               mp_Error *err)
{
    int problem;

    if (number != atomic_load(&writer->done) || writer->ended)
        return mp_err_set(err, MP_KIND_CLOSED, "'%s' is written no more",
                          writer->path);
    if (writer->begun) return MP_OK;
    problem = mp_file_draft_begin(&writer->draft, writer->path);
    if (problem != 0) return fail(writer, problem, err);
    writer->begun = true;
    return MP_OK;
}

static mp_Status note_ends(mp_StoreWriter *writer, const StoreJob *job,
                           mp_Error *err)
{
    for (size_t i = 0; i < job->count; i++) {
        uint8_t end[8];

        mp_store_put64(end, writer->texts_len + job->ends[i]);
        mp_buf_append(&writer->ends, end, sizeof end);
    }
    writer->texts_len += job->bytes.len;
    return mp_buf_check(&writer->ends, err);
}

static mp_Status begin_put(StoreJob *job, mp_Error *err)
{
    mp_StoreWriter *writer = writer_of(job);
    const mp_StoreHead *head = &writer->head;
    mp_Status status = mp_store_write_begin(writer, job->number, err);

    if (status == MP_OK &&
        (head->section_count == 0 ||
         strcmp(head->sections[head->section_count - 1].name, job->name) != 0))
        status = mp_store_write_section(writer, job->name, err);
    if (status == MP_OK) writer->is_texts = job->ends != NULL;
    if (status == MP_OK && job->ends) status = note_ends(writer, job, err);
    return status;
}

/* The head goes last, and zeros up to where the file ends. */
static mp_Status finish(const StoreJob *job, mp_Error *err)
{
    static const uint8_t zeros[MP_STORE_ALIGN];
    mp_StoreWriter *writer = writer_of(job);
    mp_StoreHead *head = &writer->head;
    uint8_t bytes[MP_STORE_HEAD];
    const mp_StoreSection *last;
    int problem = 0;
    mp_Status status = mp_store_write_begin(writer, job->number, err);

    if (status == MP_OK) status = end_section(writer, err);
    if (status != MP_OK) return status;
    if (head->section_count > 0) {
        last = &head->sections[head->section_count - 1];
        problem = mp_file_draft_write(
            &writer->draft, (off_t)(last->at + last->len), zeros,
            (size_t)(head->size - last->at - last->len));
    }
    mp_store_write_head(head, bytes);
    if (problem == 0)
        problem = mp_file_draft_write(&writer->draft, 0, bytes, sizeof bytes);
    if (problem == 0) problem = mp_file_draft_keep(&writer->draft);
    writer->ended = problem == 0;
    return problem == 0 ? MP_OK : fail(writer, problem, err);
}

static mp_CpuStep slice(mp_LineJob *line, int64_t until_us)
{
    StoreJob *job = (StoreJob *)line;
    mp_StoreWriter *writer = writer_of(job);
    mp_Error *err = &line->cpu.err;
    const char *bytes = job->bytes.data;
    size_t len = job->bytes.len;

    if (job->rows.data) {
        bytes = (const char *)job->rows.data;
        len = job->rows.rows * job->rows.dim * sizeof(float);
    }
    if (job->name[0] == '\0')
        return finish(job, err) == MP_OK ? MP_CPU_DONE : MP_CPU_FAILED;
    if (job->at == 0 && begin_put(job, err) != MP_OK) return MP_CPU_FAILED;
    while (job->at < len) {
        size_t part = len - job->at < PIECE ? len - job->at : PIECE;

        if (mp_store_write_append(writer, bytes + job->at, part, err) != MP_OK)
            return MP_CPU_FAILED;
        job->at += part;
        if (job->at < len && mp_clock_us() >= until_us) return MP_CPU_MORE;
    }
    return MP_CPU_DONE;
}

static void drop(mp_StoreWriter *writer)
{
    if (writer->begun && !writer->ended) mp_file_draft_drop(&writer->draft);
    writer->ended = true;
}

void mp_store_write_end(mp_StoreWriter *writer, bool took)
{
    if (!took) drop(writer);
    atomic_fetch_add(&writer->done, 1);
}

static void end(mp_LineJob *line, bool took)
{
    StoreJob *job = (StoreJob *)line;
    mp_StoreWriter *writer = writer_of(job);

    /* before its turn it did nothing */
    if (job->number == atomic_load(&writer->done))
        mp_store_write_end(writer, took);
}

static void term(mp_LineJob *line)
{
    StoreJob *job = (StoreJob *)line;

    mp_buf_term(&job->bytes);
    mp_floats_term(&job->rows);
    mp_alloc_free(job->ends);
}

static const mp_LineJobClass store_class = {slice, end, term};

unsigned mp_store_write_number(mp_StoreWriter *writer)
{
    return atomic_fetch_add(&writer->asked, 1);
}

static StoreJob *new_job(mp_StoreWriter *writer, const char *name)
{
    StoreJob *self = mp_alloc_zero(1, sizeof *self);

    if (!self) return NULL;
    mp_line_job_init(&self->line, &writer->line, &store_class);
    self->number = mp_store_write_number(writer);
    strncpy(self->name, name, sizeof self->name - 1);
    mp_buf_init(&self->bytes, 0);
    return self;
}

mp_Job *mp_store_put_texts(mp_StoreWriter *writer, const char *name,
                           mp_Buf *texts, size_t *ends, size_t count)
{
    StoreJob *self = new_job(writer, name);

    if (!self) return NULL;
    self->bytes = *texts;
    mp_buf_init(texts, texts->max);
    self->ends = ends;
    self->count = count;
    return &self->line.cpu.job;
}

mp_Job *mp_store_put_bytes(mp_StoreWriter *writer, const char *name,
                           mp_Buf *bytes)
{
    return mp_store_put_texts(writer, name, bytes, NULL, 0);
}

mp_Job *mp_store_put_floats(mp_StoreWriter *writer, const char *name,
                            mp_Floats *rows)
{
    StoreJob *self = new_job(writer, name);

    if (!self) return NULL;
    self->rows = mp_floats_take(rows);
    return &self->line.cpu.job;
}

mp_Job *mp_store_finish(mp_StoreWriter *writer)
{
    StoreJob *self = new_job(writer, "");

    return self ? &self->line.cpu.job : NULL;
}

/* --- the writer --- */

static void free_writer(mp_Line *line)
{
    mp_StoreWriter *writer = (mp_StoreWriter *)line;

    drop(writer);
    mp_buf_term(&writer->ends);
    mp_alloc_free(writer->path);
    mp_alloc_free(writer);
}

mp_StoreWriter *mp_store_writer_new(const char *path)
{
    mp_StoreWriter *writer = mp_alloc_zero(1, sizeof *writer);

    if (!writer) return NULL;
    writer->path = mp_alloc_copy(path, strlen(path));
    if (!writer->path) {
        mp_alloc_free(writer);
        return NULL;
    }
    atomic_init(&writer->asked, 0);
    atomic_init(&writer->done, 0);
    mp_buf_init(&writer->ends, SIZE_MAX / 2);
    mp_line_init(&writer->line, mp_line_turn, free_writer);
    return writer;
}

mp_StoreWriter *mp_store_writer_ref(mp_StoreWriter *writer)
{
    atomic_fetch_add(&writer->line.references, 1);
    return writer;
}

mp_StoreHead *mp_store_write_head_of(mp_StoreWriter *writer)
{
    return &writer->head;
}

void mp_store_writer_unref(mp_StoreWriter *writer)
{
    mp_line_unref(&writer->line);
}

mp_Status mp_store_writer_check(const mp_StoreWriter *writer, mp_Error *err)
{
    if (writer->line.generation == mp_os_generation()) return MP_OK;
    return mp_err_set(err, MP_KIND_CLOSED,
                      "'%s' is being written by another process", writer->path);
}
