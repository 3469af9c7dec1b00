/* test_file_job.c: work/file_job and work/html_job. */
#include "alloc.h"
#include "file_job.h"
#include "html.h"
#include "html_job.h"
#include "test.h"
#include "torture.h"

#include "engine_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[256];
static char path[300];

/* Runs [job] to its end; what it gives is left in [text], that must be
 * terminated, where it is done. */
static mp_Status run(mp_Engine *engine, mp_Job *job, mp_Buf *text,
                     mp_Error *err)
{
    uint64_t id;
    mp_Event *event;
    mp_Status status = mp_engine_submit(engine, job, &id, err);

    mp_buf_init(text, 0);
    if (status != MP_OK) return status;
    event = await_event(engine);
    if (event->kind == MP_EVENT_FAILED) {
        *err = *event->job->err;
        status = -(mp_Status)err->kind;
    } else {
        *text = event->bytes;
        mp_buf_init(&event->bytes, 0);
    }
    mp_job_free_event(event);
    return status;
}

static bool is(mp_Buf *text, const char *expected)
{
    bool same =
        text->len == strlen(expected) &&
        (text->len == 0 || memcmp(text->data, expected, text->len) == 0);

    mp_buf_term(text);
    return same;
}

static void test_pieces(void)
{
    mp_Engine *engine = new_engine();
    mp_File *file = NULL;
    mp_Error err;
    mp_Buf text;

    CHECK(mp_file_new(NULL, path, &file, &err) == MP_OK);
    CHECK(run(engine, mp_file_job(file, 0, 4), &text, &err) == MP_OK);
    CHECK(is(&text, "0123"));
    CHECK(run(engine, mp_file_job(file, 7, 100), &text, &err) == MP_OK);
    CHECK(is(&text, "789"));
    CHECK(run(engine, mp_file_job(file, 50, 1), &text, &err) == MP_OK);
    CHECK(is(&text, ""));
    mp_file_free(file);
    mp_file_free(NULL);
    mp_engine_free(engine);
}

/* The handle may go before the job has read. */
static void test_freed_early(void)
{
    mp_Engine *engine = new_engine();
    mp_File *file = NULL;
    mp_Error err;
    mp_Buf text;
    mp_Job *job;

    CHECK(mp_file_new(folder, "a", &file, &err) == MP_OK);
    job = mp_file_job(file, 0, 10);
    mp_file_free(file);
    CHECK(run(engine, job, &text, &err) == MP_OK);
    CHECK(is(&text, "0123456789"));
    CHECK(mp_file_new(folder, "none", &file, &err) == -MP_KIND_IO && !file);
    CHECK(mp_file_new(folder, "../a", &file, &err) == -MP_KIND_INPUT);
    CHECK(mp_file_new(NULL, folder, &file, &err) == -MP_KIND_IO);
    mp_engine_free(engine);
}

static void test_folder(void)
{
    mp_Engine *engine = new_engine();
    mp_Error err;
    mp_Buf text;

    CHECK(run(engine, mp_folder_job(NULL, folder), &text, &err) == MP_OK);
    CHECK(text.len == 3 && memcmp(text.data, "fa", 3) == 0);
    mp_buf_term(&text);
    CHECK(run(engine, mp_folder_job(folder, "."), &text, &err) == MP_OK);
    CHECK(text.len == 3);
    mp_buf_term(&text);
    CHECK(run(engine, mp_folder_job(folder, "a"), &text, &err) == -MP_KIND_IO);
    CHECK(run(engine, mp_folder_job(folder, ".."), &text, &err) ==
          -MP_KIND_INPUT);
    mp_engine_free(engine);
}

static mp_Status read_all(void *userdata)
{
    mp_Engine *engine = NULL;
    mp_File *file = NULL;
    mp_Error err;
    mp_Buf text;
    mp_Status status = mp_engine_new(&engine, &err);

    (void)userdata;
    if (status != MP_OK) return status;
    status = mp_file_new(NULL, path, &file, &err);
    if (status == MP_OK)
        status = run(engine, mp_file_job(file, 0, 100), &text, &err);
    if (status == MP_OK) mp_buf_term(&text);
    if (status == MP_OK)
        status = run(engine, mp_folder_job(folder, "."), &text, &err);
    if (status == MP_OK) mp_buf_term(&text);
    mp_file_free(file);
    mp_engine_free(engine);
    return status;
}

/* --- pages --- */

static mp_Status read_page(void *userdata)
{
    static const char page[] =
        "<title>T</title><p>one <a href='/x'>two</a><script>no</script>";
    mp_Engine *engine = NULL;
    mp_Error err;
    mp_Buf text, bytes;
    mp_Job *job = NULL;
    mp_Status status = mp_engine_new(&engine, &err);

    (void)userdata;
    if (status != MP_OK) return status;
    mp_buf_init(&bytes, 0);
    if (mp_buf_text(&bytes, page) == MP_OK) job = mp_html_job(&bytes);
    status = run(engine, job, &text, &err);
    if (status == MP_OK) CHECK(is(&text, "one two"));
    mp_buf_term(&bytes);
    mp_engine_free(engine);
    return status;
}

static void test_events(void)
{
    mp_Html html;

    mp_html_init(&html);
    mp_html_end(&html, "title"); /* what never began */
    mp_html_end(&html, "pre");
    mp_html_start(&html, "a", NULL);
    mp_html_text(&html, " a  b ", 6);
    CHECK(mp_html_check(&html, NULL) == MP_OK);
    CHECK(html.text.len == 3 && html.links.len == 0);
    for (int i = 0; i <= MP_HTML_DEPTH; i++)
        mp_html_start(&html, "i", NULL);
    CHECK(mp_html_check(&html, NULL) == -MP_KIND_TOO_LARGE);
    mp_html_term(&html);
}

static void make_folder(void)
{
    const char *tmp = getenv("TMPDIR");
    FILE *file;

    snprintf(folder, sizeof folder, "%s/mp-job-XXXXXX", tmp ? tmp : "/tmp");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/a", folder);
    file = fopen(path, "w");
    CHECK(file && fwrite("0123456789", 1, 10, file) == 10);
    fclose(file);
}

int main(void)
{
    make_folder();
    test_pieces();
    test_freed_early();
    test_folder();
    test_events();
    CHECK(torture(read_all, NULL) > 5);
    if (read_page(NULL) != -MP_KIND_UNSUPPORTED)
        CHECK(torture(read_page, NULL) > 5);
    CHECK(unlink(path) == 0 && rmdir(folder) == 0);
    CHECK(mp_alloc_live() == 0);
    return TEST_END();
}
