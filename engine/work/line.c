/* line.c: see line.h. */
#include "line.h"

#include "clock.h"
#include "os.h"

#include <stddef.h>

/* --- the turn --- */

mp_LineJob *mp_line_take(mp_Line *line, bool (*together)(const mp_LineJob *job),
                         size_t most)
{
    mp_LineJob *first, *last;

    pthread_mutex_lock(&line->lock);
    first = last = line->first;
    if (together && together(first))
        while (--most > 0 && last->next && together(last->next))
            last = last->next;
    line->first = last->next;
    if (!line->first) line->last = NULL;
    pthread_mutex_unlock(&line->lock);
    last->next = NULL;
    return first;
}

static mp_CpuStep work(mp_LineJob *job, int64_t until_us)
{
    if (mp_job_is_cancelled(&job->cpu.job)) return MP_CPU_FAILED;
    job->begun = true;
    return job->cls->slice(job, until_us);
}

static void end(mp_LineJob *job, bool good)
{
    bool in_time =
        mp_job_decide(&job->cpu.job, good ? MP_EVENT_DONE : MP_EVENT_FAILED);

    if (job->begun) job->cls->end(job, good && in_time);
}

static void tell_all(mp_LineJob *job)
{
    while (job) {
        mp_LineJob *next = job->next; /* the job is gone once told */

        mp_job_tell(&job->cpu.job);
        job = next;
    }
}

/* Who gets an answer may fork at once: by then all is as it will be found.
 * The jobs hold the line, so the turn's reference is not the last. */
bool mp_line_end_turn(mp_Line *line, mp_LineJob *ended, bool more)
{
    pthread_mutex_lock(&line->lock);
    more = more || line->first;
    line->active = more;
    pthread_mutex_unlock(&line->lock);
    if (!more) mp_line_unref(line);
    tell_all(ended);
    return more;
}

bool mp_line_turn(mp_PoolTask *task)
{
    mp_Line *line = (mp_Line *)((char *)task - offsetof(mp_Line, turn));
    mp_LineJob *job;
    mp_CpuStep step;

    if (!line->job) line->job = mp_line_take(line, NULL, 1);
    job = line->job;
    step = work(job, mp_clock_us() + MP_CPU_SLICE_US);
    if (step == MP_CPU_MORE) return true;
    end(job, step == MP_CPU_DONE);
    line->job = NULL;
    return mp_line_end_turn(line, job, false);
}

/* --- jobs --- */

static void append_locked(mp_Line *line, mp_LineJob *job)
{
    job->next = NULL;
    if (line->last)
        line->last->next = job;
    else
        line->first = job;
    line->last = job;
}

/* On the pool: joins the line, and sends the turn if it is not on its way.
 * Until then nobody can settle the job, so its engine keeps the pool; a
 * reference held longer could be the last, and no pool thread can join itself.
 */
static mp_CpuStep join_line(mp_CpuJob *cpu, int64_t until_us)
{
    mp_LineJob *self = (mp_LineJob *)cpu;
    mp_Line *line = self->line;
    mp_Pool *pool;
    bool sends;

    (void)until_us;
    if (mp_pool_acquire(&pool, &cpu->err) != MP_OK) return MP_CPU_FAILED;
    mp_pool_release(pool);
    pthread_mutex_lock(&line->lock);
    append_locked(line, self);
    sends = !line->active;
    line->active = true;
    if (sends) {
        line->pool = pool;
        atomic_fetch_add(&line->references, 1);
    }
    pthread_mutex_unlock(&line->lock);
    if (sends) mp_pool_send(pool, &line->turn);
    return MP_CPU_PARKED;
}

static void term(mp_CpuJob *cpu)
{
    mp_LineJob *self = (mp_LineJob *)cpu;

    self->cls->term(self);
    mp_line_unref(self->line);
}

static const mp_CpuClass line_class = {join_line, term};

void mp_line_job_init(mp_LineJob *job, mp_Line *line,
                      const mp_LineJobClass *cls)
{
    mp_cpu_init(&job->cpu, &line_class);
    atomic_fetch_add(&line->references, 1);
    job->line = line;
    job->cls = cls;
}

/* --- the line --- */

void mp_line_init(mp_Line *line, bool (*turn)(mp_PoolTask *task),
                  void (*free)(mp_Line *line))
{
    line->free = free;
    line->first = line->last = line->job = NULL;
    line->active = false;
    line->pool = NULL;
    line->turn.run = turn;
    line->generation = mp_os_generation();
    atomic_init(&line->references, 1);
    pthread_mutex_init(&line->lock, NULL);
}

void mp_line_unref(mp_Line *line)
{
    if (atomic_fetch_sub(&line->references, 1) != 1) return;
    pthread_mutex_destroy(&line->lock);
    line->free(line);
}

/* In a forked child: nobody works on the line, if nobody did before. */
mp_Status mp_line_claim(mp_Line *line, mp_Error *err)
{
    pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;

    if (line->generation == mp_os_generation()) return MP_OK;
    if (line->active || line->first)
        return mp_err_set(err, MP_KIND_CLOSED,
                          "the index was in use when the process forked");
    line->lock = fresh;
    line->generation = mp_os_generation();
    return MP_OK;
}
