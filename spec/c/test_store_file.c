/* test_store_file.c: work/store_file, store_write and store_read: what was
 * written is read, whole, or the file is refused. */
#include "test.h"

#include "fork_case.h"
#include "store_case.h"
#include "torture.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/test_store_file.XXXXXX";
static char path[300];
static char other[300];

static int files(void)
{
    DIR *dir = opendir(folder);
    int count = -2;

    while (dir && readdir(dir))
        count++;
    if (dir) closedir(dir);
    return count;
}

static size_t read_file(const char *name, uint8_t *room, size_t cap)
{
    FILE *file = fopen(name, "rb");
    size_t len = file ? fread(room, 1, cap, file) : 0;

    if (file) fclose(file);
    return len;
}

static void write_file(const char *name, const uint8_t *bytes, size_t len)
{
    FILE *file = fopen(name, "wb");

    CHECK(file && fwrite(bytes, 1, len, file) == len);
    if (file) fclose(file);
}

static bool is_intact(mp_Engine *engine, const char *name)
{
    mp_Error err;
    mp_StoreReader *reader = read_store(engine, name, &err);
    bool good = reader && holds_store(reader);

    if (reader) mp_store_reader_unref(reader);
    return good;
}

/* Refused as `io`, with [fragment] and the path in the message. */
static bool is_refused(mp_Engine *engine, const char *name,
                       const char *fragment)
{
    mp_Error err;
    mp_StoreReader *reader = read_store(engine, name, &err);

    if (reader) {
        mp_store_reader_unref(reader);
        return false;
    }
    if (err.kind == MP_KIND_IO && strstr(err.message, fragment) &&
        strstr(err.message, name))
        return true;
    fprintf(stderr, "%s: %s\n", mp_err_name(err.kind), err.message);
    return false;
}

static void test_whole(mp_Engine *engine)
{
    struct stat about;
    mp_Error err;

    CHECK(write_store(engine, path, &err) == MP_OK);
    CHECK(is_intact(engine, path));
    CHECK(stat(path, &about) == 0 && (about.st_mode & 0777) == 0600);
    CHECK(write_store(engine, path, &err) == MP_OK);
    CHECK(is_intact(engine, path));
    CHECK(files() == 1);
}

static void test_empty(mp_Engine *engine)
{
    mp_StoreWriter *writer;
    mp_StoreReader *reader;
    mp_Error err;
    uint64_t len;

    writer = new_writer(other);
    CHECK(run_store_job(engine, mp_store_finish(writer), &err) == MP_OK);
    mp_store_writer_unref(writer);
    reader = read_store(engine, other, &err);
    CHECK(reader && mp_store_reader_head(reader)->section_count == 0);
    CHECK(reader && !mp_store_reader_section(reader, "vectors", &len));
    if (reader) mp_store_reader_unref(reader);
    unlink(other);
}

/* Cut off after every byte, each with another value, one too many. */
static void test_damage(mp_Engine *engine)
{
    static uint8_t bytes[4096];
    size_t len = read_file(path, bytes, sizeof bytes - 1);

    CHECK(len > MP_STORE_HEAD && len < sizeof bytes - 1);
    for (size_t cut = 0; cut < len; cut++) {
        write_file(other, bytes, cut);
        CHECK(is_refused(engine, other,
                         cut < 8 ? "no file of a store" : "is damaged"));
    }
    write_file(other, bytes, len + 1);
    CHECK(is_refused(engine, other, "is damaged"));
    for (size_t i = 0; i < len; i++) {
        uint8_t kept = bytes[i];

        bytes[i] ^= (uint8_t)(1 + i % 255);
        write_file(other, bytes, len);
        CHECK(is_refused(engine, other, ""));
        bytes[i] = kept;
    }
    unlink(other);
}

static void test_foreign(mp_Engine *engine)
{
    static uint8_t bytes[4096];
    size_t len = read_file(path, bytes, sizeof bytes);

    CHECK(is_refused(engine, folder, "no regular file"));
    CHECK(is_refused(engine, "/nonexistent/x", "No such file"));
    CHECK(is_refused(engine, "/dev/null", "no regular file"));
    write_file(other, (const uint8_t *)"<html>", 6);
    CHECK(is_refused(engine, other, "give the path that save_local was given"));
    write_file(other, bytes, 0);
    CHECK(is_refused(engine, other, "no file of a store"));
    bytes[8] = 2;
    write_file(other, bytes, len);
    CHECK(is_refused(engine, other, "has format 2, and this moonpipe reads 1"));
    unlink(other);
}

/* Where the head's sums are right, its numbers may still be none. */
static void test_wrong_heads(void)
{
    static uint8_t bytes[MP_STORE_HEAD];
    mp_StoreHead head = {.kind = "flat", .metric = "l2", .dim = 3}, read;
    uint64_t size = MP_STORE_HEAD + 128;

    head.size = size;
    head.section_count = 2;
    strcpy(head.sections[0].name, "a");
    head.sections[0].at = MP_STORE_HEAD;
    head.sections[0].len = 64;
    strcpy(head.sections[1].name, "b");
    head.sections[1].at = MP_STORE_HEAD + 64;
    head.sections[1].len = 1;
    mp_store_write_head(&head, bytes);
    CHECK(mp_store_read_head(bytes, size, "x", &read, NULL) == MP_OK);
    CHECK(mp_store_section(&read, "b")->len == 1);
    CHECK(!mp_store_section(&read, "c"));
    for (uint64_t len = 65; len > 64; len *= 2) {
        head.sections[1].len = len;
        mp_store_write_head(&head, bytes);
        CHECK(mp_store_read_head(bytes, size, "x", &read, NULL) == -MP_KIND_IO);
    }
    head.sections[1].len = 1;
    head.sections[1].at = 0;
    mp_store_write_head(&head, bytes);
    CHECK(mp_store_read_head(bytes, size, "x", &read, NULL) == -MP_KIND_IO);
    head.section_count = 1;
    mp_store_write_head(&head, bytes);
    CHECK(mp_store_read_head(bytes, size, "x", &read, NULL) == -MP_KIND_IO);
    head.size = size = MP_STORE_HEAD + 64;
    memset(head.kind, 'x', sizeof head.kind);
    mp_store_write_head(&head, bytes);
    CHECK(mp_store_read_head(bytes, size, "x", &read, NULL) == -MP_KIND_IO);
}

static void test_wrong_texts(void)
{
    uint8_t bytes[40] = {0};
    mp_StoreTexts texts;
    size_t len;

    CHECK(!mp_store_texts(bytes, 7, &texts));
    CHECK(mp_store_texts(bytes, 8, &texts) && texts.count == 0);
    mp_store_put64(bytes + 32, 4);
    CHECK(mp_store_texts(bytes, 40, &texts) && texts.count == 4);
    mp_store_put64(bytes + 32, 5);
    CHECK(!mp_store_texts(bytes, 40, &texts));
    mp_store_put64(bytes + 32, UINT64_MAX);
    CHECK(!mp_store_texts(bytes, 40, &texts));
    mp_store_put64(bytes + 32, 2);
    mp_store_put64(bytes + 16, 17);
    mp_store_put64(bytes + 24, 16);
    CHECK(mp_store_texts(bytes, 40, &texts));
    CHECK(!mp_store_text(&texts, 0, &len) && !mp_store_text(&texts, 1, &len));
    mp_store_put64(bytes + 24, 17);
    CHECK(!mp_store_texts(bytes, 40, &texts));
}

/* A disk that is full: the old file stays, and nothing else. */
static void test_full_disk(mp_Engine *engine)
{
    struct rlimit whole, small;
    mp_StoreWriter *writer;
    mp_Error err;

    getrlimit(RLIMIT_FSIZE, &whole);
    small = whole;
    for (small.rlim_cur = 0; small.rlim_cur < MP_STORE_HEAD + 200;
         small.rlim_cur += 50) {
        CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
        CHECK(write_store(engine, path, &err) == -MP_KIND_IO);
        CHECK(setrlimit(RLIMIT_FSIZE, &whole) == 0);
        CHECK(strstr(err.message, "cannot write '") != NULL);
        CHECK(strstr(err.message, path) != NULL);
        CHECK(is_intact(engine, path) && files() == 1);
    }
    writer = new_writer("/nonexistent/x");
    CHECK(fill_store(engine, writer, &err) == -MP_KIND_IO);
    CHECK(strstr(err.message, "No such file") != NULL);
    CHECK(put_bytes(engine, writer, "x", "y", &err) == -MP_KIND_CLOSED);
    CHECK(run_store_job(engine, mp_store_finish(writer), &err) ==
          -MP_KIND_CLOSED);
    mp_store_writer_unref(writer);
}

static bool is_left_alone(void *writer)
{
    bool refused = mp_store_writer_check(writer, NULL) == -MP_KIND_CLOSED;

    mp_store_writer_unref(writer);
    return refused;
}

/* Given up, cancelled, or forked away: no draft stays, none is taken away. */
static void test_given_up(mp_Engine *engine)
{
    mp_StoreWriter *writer;
    mp_Error err;
    uint64_t id, at;

    writer = new_writer(path);
    CHECK(put_bytes(engine, writer, "x", "y", &err) == MP_OK);
    CHECK(files() == 2);
    if (FORKS_BUSY) CHECK(fork_finds(is_left_alone, writer));
    CHECK(files() == 2);
    id = submit_job(engine, mp_store_finish(writer));
    mp_engine_cancel(engine, id);
    await_kind(engine, &at);
    CHECK(at == id);
    CHECK(put_bytes(engine, writer, "x", "y", &err) == -MP_KIND_CLOSED);
    mp_store_writer_unref(writer);
    CHECK(files() == 1);
}

static void test_many_sections(mp_Engine *engine)
{
    mp_StoreWriter *writer;
    mp_Error err;
    char name[3] = "a";

    writer = new_writer(other);
    for (; name[0] < 'a' + MP_STORE_SECTIONS; name[0]++)
        CHECK(put_bytes(engine, writer, name, "y", &err) == MP_OK);
    CHECK(put_bytes(engine, writer, name, "y", &err) == -MP_KIND_TOO_LARGE);
    mp_store_writer_unref(writer);
    CHECK(files() == 1);
}

/* Larger than a slice, in pieces. */
static void test_large(mp_Engine *engine)
{
    mp_StoreWriter *writer;
    mp_StoreReader *reader;
    const uint8_t *bytes;
    mp_Error err;
    uint64_t len = 0;
    float last = 0;

    writer = new_writer(other);
    for (int i = 0; i < 4; i++)
        CHECK(put_floats(engine, writer, "vectors", (float)i, 1000, 250,
                         &err) == MP_OK);
    CHECK(run_store_job(engine, mp_store_finish(writer), &err) == MP_OK);
    mp_store_writer_unref(writer);
    reader = read_store(engine, other, &err);
    CHECK(reader != NULL);
    unlink(other);
    if (!reader) return;
    bytes = mp_store_reader_section(reader, "vectors", &len);
    CHECK(len == 4000000 && (uintptr_t)bytes % MP_STORE_ALIGN == 0);
    memcpy(&last, bytes + len - sizeof last, sizeof last);
    CHECK(last == 3 + 249999);
    mp_store_reader_unref(reader);
}

static mp_Status whole_job(void *userdata)
{
    mp_Engine *engine = NULL;
    mp_StoreReader *reader = NULL;
    mp_Error err;
    mp_Status status = mp_engine_new(&engine, &err);

    (void)userdata;
    if (status != MP_OK) return status;
    status = write_store(engine, path, &err);
    if (status == MP_OK) {
        reader = read_store(engine, path, &err);
        status = reader ? MP_OK : -(mp_Status)err.kind;
    }
    if (reader) mp_store_reader_unref(reader);
    mp_engine_free(engine);
    return status;
}

static void test_memory(mp_Engine *engine)
{
    CHECK(torture(whole_job, NULL) > 0);
    CHECK(is_intact(engine, path) && files() == 1);
}

int main(void)
{
    mp_Engine *engine = new_engine();

    signal(SIGXFSZ, SIG_IGN); /* a limit is an error of write then */
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/a", folder);
    snprintf(other, sizeof other, "%s/b", folder);
    test_whole(engine);
    test_empty(engine);
    test_damage(engine);
    test_foreign(engine);
    test_wrong_heads();
    test_wrong_texts();
    test_full_disk(engine);
    test_given_up(engine);
    test_many_sections(engine);
    test_large(engine);
    test_memory(engine);
    mp_engine_free(engine);
    unlink(path);
    CHECK(rmdir(folder) == 0);
    return TEST_END();
}
