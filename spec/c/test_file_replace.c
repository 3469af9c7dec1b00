/* test_file_replace.c: base/file: a file is replaced whole, or stays as it was.
 */
#include "test.h"

#include "file.h"
#include "torture.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/test_file_replace.XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static bool holds(const char *path, const char *text)
{
    char bytes[64] = {0};
    FILE *file = fopen(path, "rb");
    size_t len = file ? fread(bytes, 1, sizeof bytes - 1, file) : 0;

    if (file) fclose(file);
    return len == strlen(text) && strcmp(bytes, text) == 0;
}

/* Names besides . and .., so that what is left behind is seen. */
static int files(void)
{
    DIR *dir = opendir(folder);
    int count = -2;

    while (dir && readdir(dir))
        count++;
    if (dir) closedir(dir);
    return count;
}

static mp_Status put(const char *path, const char *text, mp_Error *err)
{
    return mp_file_replace(path, text, strlen(text), err);
}

static void test_replaces(void)
{
    const char *path = in_folder("a");
    struct stat about;

    CHECK(put(path, "one", NULL) == MP_OK && holds(path, "one"));
    CHECK(stat(path, &about) == 0 && (about.st_mode & 0777) == 0600);
    CHECK(chmod(path, 0644) == 0);
    CHECK(put(path, "two", NULL) == MP_OK && holds(path, "two"));
    CHECK(stat(path, &about) == 0 && (about.st_mode & 0777) == 0600);
    CHECK(put(path, "", NULL) == MP_OK && holds(path, ""));
    CHECK(files() == 1);
}

static void test_writes_beside(void)
{
    char here[256];

    CHECK(getcwd(here, sizeof here) && chdir(folder) == 0);
    CHECK(put("b", "beside", NULL) == MP_OK && holds("b", "beside"));
    CHECK(chdir(here) == 0);
}

static void test_keeps_what_was(void)
{
    struct rlimit whole, small = {8, 8};
    mp_Error err;

    CHECK(put(in_folder("none/a"), "x", &err) == -MP_KIND_IO);
    CHECK(strstr(err.message, "No such file") != NULL);
    CHECK(put(in_folder("a"), "before", NULL) == MP_OK);
    getrlimit(RLIMIT_FSIZE, &whole);
    small.rlim_max = whole.rlim_max;
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    CHECK(put(in_folder("a"), "longer than that", &err) == -MP_KIND_IO);
    CHECK(setrlimit(RLIMIT_FSIZE, &whole) == 0);
    CHECK(holds(in_folder("a"), "before"));
    CHECK(files() == 2);
}

static mp_Status replace_job(void *path)
{
    return put(path, "three", NULL);
}

static void test_memory(void)
{
    char path[256];

    snprintf(path, sizeof path, "%s", in_folder("a"));
    CHECK(torture(replace_job, path) > 0);
    CHECK(files() == 2);
}

int main(void)
{
    signal(SIGXFSZ, SIG_IGN); /* a limit is an error of write then */
    CHECK(mkdtemp(folder) != NULL);
    test_replaces();
    test_writes_beside();
    test_keeps_what_was();
    test_memory();
    unlink(in_folder("a"));
    unlink(in_folder("b"));
    CHECK(rmdir(folder) == 0);
    return TEST_END();
}
