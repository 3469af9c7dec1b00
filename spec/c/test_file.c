/* test_file.c: base/file, in a folder of the test's own. */
#include "file.h"
#include "test.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[256];

static const char *in_folder(const char *name)
{
    static char path[600];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(in_folder(name), "w");

    CHECK(file != NULL);
    CHECK(fwrite(text, 1, strlen(text), file) == strlen(text));
    fclose(file);
}

static void link_to(const char *target, const char *name)
{
    CHECK(symlink(target, in_folder(name)) == 0);
}

static void make_folder(void)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(folder, sizeof folder, "%s/mp-file-XXXXXX", tmp ? tmp : "/tmp");
    CHECK(mkdtemp(folder) != NULL);
    CHECK(mkdir(in_folder("root"), 0700) == 0);
    CHECK(mkdir(in_folder("root/deep"), 0700) == 0);
    CHECK(mkfifo(in_folder("root/fifo"), 0600) == 0);
    write_file("secret", "secret");
    write_file("root/a", "hello");
    write_file("root/deep/b", "deep");
    write_file("root/empty", "");
    link_to("../secret", "root/out");
    link_to("a", "root/inside");
    link_to("..", "root/up");
    link_to("root", "alias");
}

static bool reads(const char *root, const char *path, const char *expected)
{
    char room[16];
    size_t len = 99;
    mp_Error err;

    return mp_file_read(root, path, room, sizeof room, &len, &err) == MP_OK &&
           len == strlen(expected) && memcmp(room, expected, len) == 0;
}

static bool fails(const char *root, const char *path, mp_Kind kind,
                  const char *fragment)
{
    char room[16];
    size_t len;
    mp_Error err;

    if (mp_file_read(root, path, room, sizeof room, &len, &err) != -(int)kind ||
        err.kind != kind)
        return false;
    if (strstr(err.message, fragment)) return true;
    fprintf(stderr, "  %s\n", err.message);
    return false;
}

static void test_reads_any_path(void)
{
    CHECK(reads(NULL, in_folder("root/a"), "hello"));
    CHECK(reads(NULL, in_folder("root/empty"), ""));
    CHECK(reads(NULL, in_folder("root/out"), "secret"));
}

static void test_reads_below_a_root(void)
{
    char root[512];

    snprintf(root, sizeof root, "%s", in_folder("root"));
    CHECK(reads(root, "a", "hello"));
    CHECK(reads(root, "deep/b", "deep"));
    CHECK(reads(root, ".//deep/./b", "deep"));
    snprintf(root, sizeof root, "%s", in_folder("alias"));
    CHECK(reads(root, "a", "hello"));
}

static void test_never_leaves_a_root(void)
{
    char root[512];

    snprintf(root, sizeof root, "%s", in_folder("root"));
    CHECK(fails(root, "../secret", MP_KIND_INPUT, "leads out of its root"));
    CHECK(fails(root, "deep/../../secret", MP_KIND_INPUT, "leads out"));
    CHECK(fails(root, in_folder("secret"), MP_KIND_INPUT, "no path below"));
    CHECK(fails(root, "out", MP_KIND_INPUT, "symbolic link"));
    CHECK(fails(root, "inside", MP_KIND_INPUT, "symbolic link"));
    CHECK(fails(root, "up/secret", MP_KIND_INPUT, "symbolic link"));
}

static void test_fails_for_what_is_no_file(void)
{
    char root[512], name[400];

    snprintf(root, sizeof root, "%s", in_folder("root"));
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    CHECK(fails(root, "none", MP_KIND_IO, "cannot read 'none': No such file"));
    CHECK(fails(root, "a/b", MP_KIND_IO, "Not a directory"));
    CHECK(fails(root, "deep", MP_KIND_IO, "'deep' is no regular file"));
    CHECK(fails(root, "", MP_KIND_IO, "is no regular file"));
    CHECK(fails(root, "fifo", MP_KIND_IO, "is no regular file"));
    CHECK(fails(root, name, MP_KIND_IO, "File name too long"));
    CHECK(fails(in_folder("none"), "a", MP_KIND_IO, "No such file"));
    CHECK(fails(NULL, root, MP_KIND_IO, "is no regular file"));
    CHECK(fails(NULL, "", MP_KIND_IO, "No such file"));
}

static void test_stops_at_the_end_of_its_room(void)
{
    write_file("root/full", "0123456789abcdef");
    write_file("root/large", "0123456789abcdefg");
    CHECK(reads(NULL, in_folder("root/full"), "0123456789abcdef"));
    CHECK(fails(NULL, in_folder("root/large"), MP_KIND_TOO_LARGE,
                "has more than 16 bytes"));
}

static int descriptors(void)
{
    int fd = dup(0);

    close(fd);
    return fd;
}

static void test_leaves_nothing_open(void)
{
    int before = descriptors();

    test_reads_below_a_root();
    test_never_leaves_a_root();
    test_fails_for_what_is_no_file();
    CHECK(descriptors() == before);
}

static void remove_folder(void)
{
    static const char *const names[] = {
        "root/a",    "root/deep/b", "root/deep",  "root/empty", "root/fifo",
        "root/full", "root/inside", "root/large", "root/out",   "root/up",
        "root",      "alias",       "secret",     "",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        CHECK(remove(in_folder(names[i])) == 0);
}

int main(void)
{
    make_folder();
    test_reads_any_path();
    test_reads_below_a_root();
    test_never_leaves_a_root();
    test_fails_for_what_is_no_file();
    test_stops_at_the_end_of_its_room();
    test_leaves_nothing_open();
    remove_folder();
    return TEST_END();
}
