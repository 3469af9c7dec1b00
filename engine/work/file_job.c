/* file_job.c: see file_job.h. */
#include "file_job.h"

#include "alloc.h"
#include "clock.h"
#include "cpu.h"
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes, and entries, between two looks at the clock. */
#define PIECE   ((size_t)256 << 10)
#define ENTRIES 64

/* --- the handle --- */

struct mp_File {
    atomic_int references;
    int fd;
    char *path; /* for messages */
};

void mp_file_free(mp_File *file)
{
    if (!file || atomic_fetch_sub(&file->references, 1) > 1) return;
    if (file->fd >= 0) close(file->fd);
    mp_alloc_free(file->path);
    mp_alloc_free(file);
}

mp_Status mp_file_new(const char *root, const char *path, mp_File **file,
                      mp_Error *err)
{
    mp_File *self = mp_alloc_zero(1, sizeof *self);
    mp_Status status;

    *file = NULL;
    if (!self) return mp_err_memory(err);
    atomic_init(&self->references, 1);
    self->fd = -1;
    self->path = mp_alloc_copy(path, strlen(path));
    status = self->path ? mp_file_open(root, path, &self->fd, err)
                        : mp_err_memory(err);
    if (status == MP_OK) {
        *file = self;
        return MP_OK;
    }
    self->fd = -1;
    mp_file_free(self);
    return status;
}

/* --- a piece of a file --- */

typedef struct ReadJob {
    mp_CpuJob cpu;
    mp_File *file;
    off_t at;
    size_t left;
} ReadJob;

/* Reads on; [got] is what came. */
static mp_Status read_piece(ReadJob *self, size_t want, size_t *got)
{
    mp_Buf *bytes = &self->cpu.job.end.bytes;
    mp_Error *err = &self->cpu.err;
    mp_Status status;

    mp_buf_reserve(bytes, want);
    status = mp_buf_check(bytes, err);
    if (status != MP_OK) return status;
    status = mp_file_read_at(self->file->fd, self->file->path, self->at,
                             bytes->data + bytes->len, want, got, err);
    if (status != MP_OK) return status;
    bytes->len += *got;
    self->at += (off_t)*got;
    self->left -= *got;
    return MP_OK;
}

static mp_CpuStep read_slice(mp_CpuJob *cpu, int64_t until_us)
{
    ReadJob *self = (ReadJob *)cpu;

    while (self->left > 0) {
        size_t want = self->left < PIECE ? self->left : PIECE, got = 0;

        if (read_piece(self, want, &got) != MP_OK) return MP_CPU_FAILED;
        if (got < want) break;
        if (mp_clock_us() >= until_us && self->left > 0) return MP_CPU_MORE;
    }
    return MP_CPU_DONE;
}

static void term_read(mp_CpuJob *cpu)
{
    mp_file_free(((ReadJob *)cpu)->file);
}

static const mp_CpuClass read_class = {read_slice, term_read};

mp_Job *mp_file_job(mp_File *file, off_t at, size_t max)
{
    ReadJob *self = mp_alloc_zero(1, sizeof *self);

    if (!self) return NULL;
    mp_cpu_init(&self->cpu, &read_class);
    atomic_fetch_add(&file->references, 1);
    self->file = file;
    self->at = at;
    self->left = max;
    return &self->cpu.job;
}

/* --- a folder --- */

typedef struct FolderJob {
    mp_CpuJob cpu;
    char *root; /* or NULL */
    char *path;
    DIR *stream; /* NULL: it has not begun */
} FolderJob;

static mp_Status begin(FolderJob *self)
{
    mp_Error *err = &self->cpu.err;
    int fd = -1;
    mp_Status status = mp_file_open_folder(self->root, self->path, &fd, err);

    if (status != MP_OK) return status;
    self->stream = fdopendir(fd);
    if (self->stream) return MP_OK;
    status = mp_err_os(err, errno, "cannot read a folder");
    close(fd);
    return status;
}

static char kind_of_mode(mode_t mode)
{
    if (S_ISREG(mode)) return 'f';
    if (S_ISDIR(mode)) return 'd';
    return S_ISLNK(mode) ? 'l' : 'o';
}

/* Not all file systems say it in the entry. */
static char kind_of(DIR *stream, const struct dirent *entry)
{
    struct stat seen;

    switch (entry->d_type) {
    case DT_REG: return 'f';
    case DT_DIR: return 'd';
    case DT_LNK: return 'l';
    case DT_UNKNOWN: break;
    default: return 'o';
    }
    if (fstatat(dirfd(stream), entry->d_name, &seen, AT_SYMLINK_NOFOLLOW) != 0)
        return 'o';
    return kind_of_mode(seen.st_mode);
}

static void write_entry(FolderJob *self, const struct dirent *entry)
{
    mp_Buf *bytes = &self->cpu.job.end.bytes;
    const char *name = entry->d_name;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return;
    mp_buf_char(bytes, kind_of(self->stream, entry));
    mp_buf_append(bytes, name, strlen(name) + 1);
}

/* The next entries; [more] is false behind the last one. */
static mp_Status read_entries(FolderJob *self, bool *more)
{
    const struct dirent *entry = NULL;

    for (int i = 0; i < ENTRIES; i++) {
        errno = 0;
        entry = readdir(self->stream);
        if (!entry) break;
        write_entry(self, entry);
    }
    *more = entry != NULL;
    if (!entry && errno != 0)
        return mp_err_os(&self->cpu.err, errno, "cannot read a folder");
    return mp_buf_check(&self->cpu.job.end.bytes, &self->cpu.err);
}

static mp_CpuStep folder_slice(mp_CpuJob *cpu, int64_t until_us)
{
    FolderJob *self = (FolderJob *)cpu;
    bool more = true;

    if (!self->stream && begin(self) != MP_OK) return MP_CPU_FAILED;
    while (more) {
        if (read_entries(self, &more) != MP_OK) return MP_CPU_FAILED;
        if (more && mp_clock_us() >= until_us) return MP_CPU_MORE;
    }
    return MP_CPU_DONE;
}

static void term_folder(mp_CpuJob *cpu)
{
    FolderJob *self = (FolderJob *)cpu;

    if (self->stream) closedir(self->stream);
    mp_alloc_free(self->root);
    mp_alloc_free(self->path);
}

static const mp_CpuClass folder_class = {folder_slice, term_folder};

mp_Job *mp_folder_job(const char *root, const char *path)
{
    FolderJob *self = mp_alloc_zero(1, sizeof *self);

    if (!self) return NULL;
    mp_cpu_init(&self->cpu, &folder_class);
    self->path = mp_alloc_copy(path, strlen(path));
    if (root) self->root = mp_alloc_copy(root, strlen(root));
    if (self->path && !root == !self->root) return &self->cpu.job;
    self->cpu.job.cls->free(&self->cpu.job);
    return NULL;
}
