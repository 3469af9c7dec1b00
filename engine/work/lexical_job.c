/* lexical_job.c: see lexical_job.h. */
#include "lexical_job.h"

#include "alloc.h"
#include "clock.h"
#include "line.h"

/* Bytes that are read between two looks at the clock: about a millisecond. */
#define PIECE ((size_t)16 << 10)

struct mp_LexicalIndex {
    mp_Line line;
    mp_Lexical lexical;
    size_t numbers; /* given out; of the lock, as is the count */
    size_t count;
};

typedef struct AddJob {
    mp_LineJob line;
    mp_Buf texts;
    size_t *ends;
    size_t count;
    size_t first; /* document */
    size_t row;   /* the text that is read */
    mp_LexicalText text;
    bool cut;
    bool reserved;
} AddJob;

typedef struct DeleteJob {
    mp_LineJob line;
    uint32_t *docs;
    size_t count;
} DeleteJob;

typedef struct SearchJob {
    mp_LineJob line;
    mp_Buf query;
    size_t k;
    bool begun;
    mp_LexicalSearch search;
} SearchJob;

static mp_Lexical *lexical_of(mp_LineJob *job)
{
    return &((mp_LexicalIndex *)job->line)->lexical;
}

/* The count that others see is that of the last job that has ended. */
static void publish(mp_LineJob *job)
{
    mp_LexicalIndex *index = (mp_LexicalIndex *)job->line;

    pthread_mutex_lock(&index->line.lock);
    index->count = index->lexical.live;
    pthread_mutex_unlock(&index->line.lock);
}

/* --- adding --- */

static void open_text(AddJob *self)
{
    size_t begin = self->row ? self->ends[self->row - 1] : 0;

    self->text.bytes = self->texts.data ? self->texts.data + begin : "";
    self->text.len = self->ends[self->row] - begin;
    self->text.at = 0;
    self->text.cut = self->cut;
}

/* Reads up to PIECE bytes of one text. */
static mp_Status read_piece(AddJob *self, mp_Lexical *lexical, mp_Error *err)
{
    mp_LexicalText *text = &self->text;
    mp_Status status = mp_lexical_read(lexical, self->first + self->row, text,
                                       text->at + PIECE, err);

    if (status != MP_OK || text->at < text->len) return status;
    if (++self->row < self->count) open_text(self);
    return MP_OK;
}

static mp_CpuStep add_slice(mp_LineJob *job, int64_t until_us)
{
    AddJob *self = (AddJob *)job;
    mp_Lexical *lexical = lexical_of(job);
    mp_Error *err = &job->cpu.err;

    if (!self->reserved) {
        if (mp_lexical_reserve(lexical, self->first, self->count, err) != MP_OK)
            return MP_CPU_FAILED;
        self->reserved = true;
        open_text(self);
    }
    while (self->row < self->count) {
        if (read_piece(self, lexical, err) != MP_OK) return MP_CPU_FAILED;
        if (mp_clock_us() >= until_us) return MP_CPU_MORE;
    }
    return MP_CPU_DONE;
}

static void add_end(mp_LineJob *job, bool took)
{
    AddJob *self = (AddJob *)job;

    if (took)
        mp_lexical_keep(lexical_of(job), self->first, self->count);
    else if (self->reserved)
        mp_lexical_drop(lexical_of(job), self->first, self->count);
    publish(job);
}

static void add_term(mp_LineJob *job)
{
    AddJob *self = (AddJob *)job;

    mp_buf_term(&self->texts);
    mp_alloc_free(self->ends);
}

static const mp_LineJobClass add_class = {add_slice, add_end, add_term};

mp_Job *mp_lexical_add_job(mp_LexicalIndex *index, size_t first, mp_Buf *texts,
                           size_t *ends, size_t count, bool cut)
{
    AddJob *self = mp_alloc_zero(1, sizeof *self);

    if (!self) return NULL;
    mp_line_job_init(&self->line, &index->line, &add_class);
    self->texts = *texts;
    mp_buf_init(texts, texts->max);
    self->ends = ends;
    self->count = count;
    self->first = first;
    self->cut = cut;
    return &self->line.cpu.job;
}

/* --- deleting --- */

/* What earlier ones left is swept up by the way. */
static mp_CpuStep delete_slice(mp_LineJob *job, int64_t until_us)
{
    while (mp_lexical_tidy(lexical_of(job)))
        if (mp_clock_us() >= until_us) return MP_CPU_MORE;
    return MP_CPU_DONE;
}

static void delete_end(mp_LineJob *job, bool took)
{
    DeleteJob *self = (DeleteJob *)job;

    if (took) mp_lexical_delete(lexical_of(job), self->docs, self->count);
    publish(job);
}

static void delete_term(mp_LineJob *job)
{
    mp_alloc_free(((DeleteJob *)job)->docs);
}

static const mp_LineJobClass delete_class = {delete_slice, delete_end,
                                             delete_term};

mp_Job *mp_lexical_delete_job(mp_LexicalIndex *index, uint32_t *docs,
                              size_t count)
{
    DeleteJob *self = mp_alloc_zero(1, sizeof *self);

    if (!self) return NULL;
    mp_line_job_init(&self->line, &index->line, &delete_class);
    self->docs = docs;
    self->count = count;
    return &self->line.cpu.job;
}

/* --- searching --- */

static mp_Status answer(SearchJob *self)
{
    mp_Event *end = &self->line.cpu.job.end;
    mp_Error *err = &self->line.cpu.err;
    const mp_LexicalSearch *search = &self->search;

    if (search->count == 0) return MP_OK;
    if (mp_floats_init(&end->floats, 1, search->count, err) != MP_OK)
        return -MP_KIND_MEMORY;
    for (size_t i = 0; i < search->count; i++) {
        end->floats.data[i] = (float)search->hits[i].score;
        mp_buf_printf(&end->head, i ? " %u" : "%u",
                      (unsigned)search->hits[i].doc);
    }
    return mp_buf_check(&end->head, err);
}

static mp_CpuStep search_slice(mp_LineJob *job, int64_t until_us)
{
    SearchJob *self = (SearchJob *)job;
    mp_Lexical *lexical = lexical_of(job);

    if (!self->begun && mp_lexical_begin(lexical, &self->search, self->k,
                                         &job->cpu.err) != MP_OK)
        return MP_CPU_FAILED;
    self->begun = true;
    while (mp_lexical_step(lexical, &self->search))
        if (mp_clock_us() >= until_us) return MP_CPU_MORE;
    return answer(self) == MP_OK ? MP_CPU_DONE : MP_CPU_FAILED;
}

static void search_end(mp_LineJob *job, bool took)
{
    (void)took;
    mp_lexical_end(&((SearchJob *)job)->search);
}

static void search_term(mp_LineJob *job)
{
    mp_buf_term(&((SearchJob *)job)->query);
}

static const mp_LineJobClass search_class = {search_slice, search_end,
                                             search_term};

mp_Job *mp_lexical_search_job(mp_LexicalIndex *index, mp_Buf *query, bool cut,
                              size_t k)
{
    SearchJob *self = mp_alloc_zero(1, sizeof *self);

    if (!self) return NULL;
    mp_line_job_init(&self->line, &index->line, &search_class);
    self->query = *query;
    mp_buf_init(query, query->max);
    self->k = k;
    self->search.query.bytes = self->query.data;
    self->search.query.len = self->query.len;
    self->search.query.cut = cut;
    return &self->line.cpu.job;
}

/* --- the index --- */

static void free_index(mp_Line *line)
{
    mp_LexicalIndex *index = (mp_LexicalIndex *)line;

    mp_lexical_term(&index->lexical);
    mp_alloc_free(index);
}

mp_Status mp_lexical_index_new(mp_LexicalIndex **out, double k1, double b,
                               mp_Error *err)
{
    mp_LexicalIndex *index = mp_alloc_zero(1, sizeof *index);

    if (!index) return mp_err_memory(err);
    mp_line_init(&index->line, mp_line_turn, free_index);
    mp_lexical_init(&index->lexical, k1, b);
    *out = index;
    return MP_OK;
}

void mp_lexical_index_unref(mp_LexicalIndex *index)
{
    mp_line_unref(&index->line);
}

mp_Status mp_lexical_index_check(mp_LexicalIndex *index, mp_Error *err)
{
    return mp_line_claim(&index->line, err);
}

mp_Status mp_lexical_index_number(mp_LexicalIndex *index, size_t count,
                                  size_t *first, mp_Error *err)
{
    bool good;

    pthread_mutex_lock(&index->line.lock);
    good = count <= MP_LEXICAL_MOST - index->numbers;
    *first = index->numbers;
    if (good) index->numbers += count;
    pthread_mutex_unlock(&index->line.lock);
    return good ? MP_OK
                : mp_err_set(err, MP_KIND_LIMIT,
                             "an index numbers 4,294,967,295 documents");
}

/* Of what was in use when the process forked, nobody is left who could change
 * it, or who could give its lock back. */
size_t mp_lexical_index_count(mp_LexicalIndex *index)
{
    size_t count;

    if (mp_line_claim(&index->line, NULL) != MP_OK) return index->count;
    pthread_mutex_lock(&index->line.lock);
    count = index->count;
    pthread_mutex_unlock(&index->line.lock);
    return count;
}
