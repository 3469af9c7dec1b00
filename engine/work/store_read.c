/* store_read.c: see store_read.h. */
#include "store_read.h"

#include "alloc.h"
#include "clock.h"
#include "cpu.h"
#include "file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes between two looks at the clock. */
#define PIECE ((uint64_t)256 << 10)

struct mp_StoreReader {
    atomic_int references;
    atomic_bool good;
    char *path;
    uint8_t *map; /* NULL: not yet, or an empty file */
    size_t size;
    mp_StoreHead head;
    mp_Vector *index; /* that was made of it, until it is taken */
    bool lends;       /* ... and has the rows from here */
    bool taken;       /* it was: then what is lent holds a reference */
};

/* --- the job --- */

typedef struct OpenJob {
    mp_CpuJob cpu;
    mp_StoreReader *reader;
    bool begun;
    size_t section; /* that is checked */
    uint64_t at;    /* in it */
    mp_Sha256 sum;
} OpenJob;

static mp_Status fail(const mp_StoreReader *reader, mp_Error *err)
{
    char what[MP_ERROR_TEXT / 2];
    int problem = errno;

    snprintf(what, sizeof what, "cannot read '%s'", reader->path);
    return mp_err_os(err, problem, what);
}

static mp_Status map_file(mp_StoreReader *reader, int fd, mp_Error *err)
{
    struct stat about;
    void *map;

    if (fstat(fd, &about) != 0) return fail(reader, err);
    if (about.st_size == 0) return MP_OK;
    map = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) return fail(reader, err);
    reader->map = map;
    reader->size = (size_t)about.st_size;
    return MP_OK;
}

static mp_Status begin(OpenJob *self)
{
    mp_StoreReader *reader = self->reader;
    mp_Error *err = &self->cpu.err;
    int fd = -1;
    mp_Status status = mp_file_open(NULL, reader->path, &fd, err);

    if (status != MP_OK) return status;
    status = map_file(reader, fd, err);
    close(fd);
    if (status != MP_OK) return status;
    self->begun = true;
    mp_sha256_init(&self->sum);
    return mp_store_read_head(reader->map, reader->size, reader->path,
                              &reader->head, err);
}

/* Whether zeros stand from [at] on, up to where a section may begin. */
static bool has_zeros(const mp_StoreReader *reader, uint64_t at)
{
    uint64_t end = mp_store_align(at);

    while (at < end && reader->map[at] == 0)
        at++;
    return at == end;
}

/* The end of a section: its sum must be the one that the head has. */
static mp_Status compare(OpenJob *self)
{
    const mp_StoreReader *reader = self->reader;
    const mp_StoreSection *section = &reader->head.sections[self->section];
    uint8_t sum[MP_SHA256_BYTES];
    char what[64];

    mp_sha256_end(&self->sum, sum);
    if (memcmp(sum, section->sum, sizeof sum) != 0) {
        snprintf(what, sizeof what, "section '%s' has another checksum",
                 section->name);
        return mp_store_damaged(&self->cpu.err, reader->path, what);
    }
    if (!has_zeros(reader, section->at + section->len))
        return mp_store_damaged(&self->cpu.err, reader->path,
                                "something stands between its sections");
    self->section++;
    self->at = 0;
    mp_sha256_init(&self->sum);
    return MP_OK;
}

static mp_Status check_piece(OpenJob *self)
{
    const mp_StoreReader *reader = self->reader;
    const mp_StoreSection *section = &reader->head.sections[self->section];
    uint64_t part = section->len - self->at;

    if (part > PIECE) part = PIECE;
    mp_sha256_feed(&self->sum, reader->map + section->at + self->at,
                   (size_t)part);
    self->at += part;
    return self->at < section->len ? MP_OK : compare(self);
}

static mp_CpuStep slice(mp_CpuJob *cpu, int64_t until_us)
{
    OpenJob *self = (OpenJob *)cpu;
    mp_StoreReader *reader = self->reader;

    if (!self->begun && begin(self) != MP_OK) return MP_CPU_FAILED;
    while (self->section < reader->head.section_count) {
        if (check_piece(self) != MP_OK) return MP_CPU_FAILED;
        if (mp_clock_us() >= until_us) return MP_CPU_MORE;
    }
    atomic_store(&reader->good, true);
    return MP_CPU_DONE;
}

static void term(mp_CpuJob *cpu)
{
    mp_store_reader_unref(((OpenJob *)cpu)->reader);
}

static const mp_CpuClass open_class = {slice, term};

mp_Job *mp_store_open(mp_StoreReader *reader)
{
    OpenJob *self = mp_alloc_zero(1, sizeof *self);

    if (!self) return NULL;
    mp_cpu_init(&self->cpu, &open_class);
    self->reader = mp_store_reader_ref(reader);
    return &self->cpu.job;
}

/* --- the index --- */

typedef struct IndexJob {
    mp_CpuJob cpu;
    mp_StoreReader *reader;
    mp_VectorShape shape;
    size_t next;
    size_t *numbers; /* of the vectors, where the file need not say them */
} IndexJob;

/* A section that has [len] bytes, or NULL; false where it has others. */
static bool find(const IndexJob *self, const char *name, uint64_t len,
                 const uint8_t **bytes)
{
    uint64_t have = 0;

    *bytes = mp_store_reader_section(self->reader, name, &have);
    return !*bytes || have == len;
}

static mp_Status describe(const IndexJob *self, mp_VectorState *state,
                          mp_Error *err)
{
    const mp_StoreHead *head = &self->reader->head;
    const uint8_t *rows, *numbers, *alive;
    bool fits = head->dim == self->shape.dim && head->count < SIZE_MAX / 8 &&
                head->next < SIZE_MAX / 2 &&
                head->count <= SIZE_MAX / 8 / (head->dim + 1);

    fits = fits && find(self, "vectors", head->count * head->dim * 4, &rows) &&
           find(self, "numbers", head->count * 8, &numbers) &&
           find(self, "alive", (head->count + 7) / 8, &alive);
    if (!fits)
        return mp_store_damaged(err, self->reader->path,
                                "its sections do not fit together");
    state->shape = self->shape;
    state->count = (size_t)head->count;
    state->next = (size_t)head->next;
    if (self->next > state->next) state->next = self->next;
    state->rows = (const float *)(const void *)rows;
    state->numbers = (const size_t *)(const void *)numbers;
    state->alive = alive;
    return MP_OK;
}

/* What is added next has another number than its row. */
static mp_Status number_rows(IndexJob *self, mp_VectorState *state,
                             mp_Error *err)
{
    if (state->numbers || state->next == state->count) return MP_OK;
    self->numbers = mp_alloc((state->count + 1) * sizeof *self->numbers);
    if (!self->numbers) return mp_err_memory(err);
    for (size_t i = 0; i < state->count; i++)
        self->numbers[i] = i;
    state->numbers = self->numbers;
    return MP_OK;
}

/* An index that nobody took goes with the reader, so it may not hold it. */
static void release(void *owner)
{
    mp_StoreReader *reader = owner;

    if (reader->taken)
        mp_store_reader_unref(reader);
    else
        reader->lends = false;
}

static mp_CpuStep make_index(mp_CpuJob *cpu, int64_t until_us)
{
    IndexJob *self = (IndexJob *)cpu;
    mp_StoreReader *reader = self->reader;
    mp_VectorState state = {.count = 0};
    uint64_t len = 0;
    mp_Status status = describe(self, &state, &cpu->err);

    (void)until_us;
    if (status == MP_OK) status = number_rows(self, &state, &cpu->err);
    if (status != MP_OK) return MP_CPU_FAILED;
    state.payload =
        (const char *)mp_store_reader_section(reader, "index", &len);
    state.payload_len = (size_t)len;
    reader->lends = true;
    status = mp_vector_open(&reader->index, &state, release, reader, &cpu->err);
    return status == MP_OK ? MP_CPU_DONE : MP_CPU_FAILED;
}

static void term_index(mp_CpuJob *cpu)
{
    mp_alloc_free(((IndexJob *)cpu)->numbers);
    mp_store_reader_unref(((IndexJob *)cpu)->reader);
}

static const mp_CpuClass index_class = {make_index, term_index};

mp_Job *mp_store_make_index(mp_StoreReader *reader, const mp_VectorShape *shape,
                            size_t next)
{
    IndexJob *self = mp_alloc_zero(1, sizeof *self);

    if (!self) return NULL;
    mp_cpu_init(&self->cpu, &index_class);
    self->reader = mp_store_reader_ref(reader);
    self->shape = *shape;
    self->next = next;
    return &self->cpu.job;
}

mp_Vector *mp_store_take_index(mp_StoreReader *reader)
{
    mp_Vector *index = reader->index;

    if (!index) return NULL;
    reader->index = NULL;
    reader->taken = true;
    if (reader->lends) mp_store_reader_ref(reader);
    return index;
}

/* --- the reader --- */

mp_StoreReader *mp_store_reader_new(const char *path)
{
    mp_StoreReader *reader = mp_alloc_zero(1, sizeof *reader);

    if (!reader) return NULL;
    reader->path = mp_alloc_copy(path, strlen(path));
    if (!reader->path) {
        mp_alloc_free(reader);
        return NULL;
    }
    atomic_init(&reader->references, 1);
    atomic_init(&reader->good, false);
    return reader;
}

mp_StoreReader *mp_store_reader_ref(mp_StoreReader *reader)
{
    atomic_fetch_add(&reader->references, 1);
    return reader;
}

void mp_store_reader_unref(mp_StoreReader *reader)
{
    if (atomic_fetch_sub(&reader->references, 1) > 1) return;
    if (reader->index) mp_vector_unref(reader->index);
    if (reader->map) munmap(reader->map, reader->size);
    mp_alloc_free(reader->path);
    mp_alloc_free(reader);
}

const mp_StoreHead *mp_store_reader_head(const mp_StoreReader *reader)
{
    return atomic_load(&reader->good) ? &reader->head : NULL;
}

const char *mp_store_reader_path(const mp_StoreReader *reader)
{
    return reader->path;
}

const uint8_t *mp_store_reader_section(const mp_StoreReader *reader,
                                       const char *name, uint64_t *len)
{
    const mp_StoreSection *section = mp_store_section(&reader->head, name);

    if (!section) return NULL;
    *len = section->len;
    return reader->map + section->at;
}
