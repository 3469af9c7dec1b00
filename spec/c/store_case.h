/*
 * store_case.h: files of stores, written and read, for the tests of
 * work/store_*. Include after test.h.
 *
 * Threads: one.
 */
#ifndef MP_STORE_CASE_H
#define MP_STORE_CASE_H

#include "alloc.h"
#include "engine_case.h"
#include "store_read.h"
#include "store_write.h"

#include <string.h>

/* Runs [job] to its end. NULL is for want of memory. */
static inline mp_Status run_store_job(mp_Engine *engine, mp_Job *job,
                                      mp_Error *err)
{
    mp_Event *event;
    uint64_t id;
    mp_Status status = mp_engine_submit(engine, job, &id, err);

    if (status != MP_OK) return status;
    event = await_event(engine);
    if (event->kind == MP_EVENT_FAILED) {
        *err = *event->job->err;
        status = -(mp_Status)err->kind;
    }
    mp_job_free_event(event);
    return status;
}

/* Each puts, and frees what it made where that fails. */
static inline mp_Status put_bytes(mp_Engine *engine, mp_StoreWriter *writer,
                                  const char *name, const char *text,
                                  mp_Error *err)
{
    mp_Buf bytes;
    mp_Job *job;

    mp_buf_init(&bytes, 0);
    mp_buf_text(&bytes, text);
    if (mp_buf_check(&bytes, err) != MP_OK) return -MP_KIND_MEMORY;
    job = mp_store_put_bytes(writer, name, &bytes);
    mp_buf_term(&bytes);
    return run_store_job(engine, job, err);
}

static inline mp_Status put_floats(mp_Engine *engine, mp_StoreWriter *writer,
                                   const char *name, float first, size_t rows,
                                   size_t dim, mp_Error *err)
{
    mp_Floats floats;
    mp_Job *job;

    if (mp_floats_init(&floats, rows, dim, err) != MP_OK)
        return -MP_KIND_MEMORY;
    for (size_t i = 0; i < rows * dim; i++)
        floats.data[i] = first + (float)i;
    job = mp_store_put_floats(writer, name, &floats);
    mp_floats_term(&floats);
    return run_store_job(engine, job, err);
}

static inline mp_Status put_texts(mp_Engine *engine, mp_StoreWriter *writer,
                                  const char *name, const char *const *list,
                                  size_t count, mp_Error *err)
{
    size_t *ends = mp_alloc_zero(count, sizeof *ends);
    mp_Buf texts;
    mp_Job *job;

    mp_buf_init(&texts, 0);
    for (size_t i = 0; i < count; i++) {
        mp_buf_text(&texts, list[i]);
        if (ends) ends[i] = texts.len;
    }
    job = ends && texts.status == MP_OK
              ? mp_store_put_texts(writer, name, &texts, ends, count)
              : NULL;
    if (!job) mp_alloc_free(ends);
    mp_buf_term(&texts);
    return run_store_job(engine, job, err);
}

static const char *const store_texts[] = {"one", "", "three"};

/* Two rows of vectors in two pieces, three texts in two, some bytes. */
static inline mp_Status fill_store(mp_Engine *engine, mp_StoreWriter *writer,
                                   mp_Error *err)
{
    mp_Status status = put_floats(engine, writer, "vectors", 0, 1, 3, err);

    if (status == MP_OK)
        status = put_floats(engine, writer, "vectors", 3, 1, 3, err);
    if (status == MP_OK)
        status = put_texts(engine, writer, "texts", store_texts, 2, err);
    if (status == MP_OK)
        status = put_texts(engine, writer, "texts", store_texts + 2, 1, err);
    if (status == MP_OK) status = put_bytes(engine, writer, "about", "{}", err);
    return status;
}

/* A writer, or a check that fails. */
static inline mp_StoreWriter *new_writer(const char *path)
{
    mp_StoreWriter *writer = mp_store_writer_new(path);

    CHECK(writer != NULL);
    return writer;
}

/* Writes the whole file. */
static inline mp_Status write_store(mp_Engine *engine, const char *path,
                                    mp_Error *err)
{
    mp_StoreWriter *writer = mp_store_writer_new(path);
    mp_Status status;

    if (!writer) return mp_err_memory(err);
    status = fill_store(engine, writer, err);
    if (status == MP_OK)
        status = run_store_job(engine, mp_store_finish(writer), err);
    mp_store_writer_unref(writer);
    return status;
}

/* Opens it; NULL with the reason. */
static inline mp_StoreReader *read_store(mp_Engine *engine, const char *path,
                                         mp_Error *err)
{
    mp_StoreReader *reader = mp_store_reader_new(path);

    if (!reader) {
        mp_err_memory(err);
        return NULL;
    }
    if (run_store_job(engine, mp_store_open(reader), err) == MP_OK)
        return reader;
    mp_store_reader_unref(reader);
    return NULL;
}

static inline bool is_text(const mp_StoreTexts *texts, size_t i,
                           const char *expected)
{
    size_t len = 0;
    const char *text = mp_store_text(texts, i, &len);

    return text && len == strlen(expected) && memcmp(text, expected, len) == 0;
}

/* Whether [reader] has what fill_store wrote. */
static inline bool holds_store(const mp_StoreReader *reader)
{
    const mp_StoreHead *head = mp_store_reader_head(reader);
    const float numbers[] = {0, 1, 2, 3, 4, 5};
    const uint8_t *bytes;
    mp_StoreTexts texts;
    uint64_t len;

    if (!head || head->count != 0 || head->section_count != 3) return false;
    bytes = mp_store_reader_section(reader, "vectors", &len);
    if (!bytes || len != sizeof numbers || memcmp(bytes, numbers, len) != 0)
        return false;
    bytes = mp_store_reader_section(reader, "about", &len);
    if (!bytes || len != 2 || memcmp(bytes, "{}", 2) != 0) return false;
    bytes = mp_store_reader_section(reader, "texts", &len);
    if (!bytes || !mp_store_texts(bytes, len, &texts) || texts.count != 3)
        return false;
    for (size_t i = 0; i < 3; i++)
        if (!is_text(&texts, i, store_texts[i])) return false;
    return true;
}

#endif
