/*
 * db_file.c: see db_file.h.
 *
 * `files`, `leaving` and the counts are guarded by `shared_lock`, a line by the
 * lock of its file. A forked child has none of the threads: it forgets the
 * parent's files, with all that is open in them, and makes its own.
 */
#include "db_file.h"

#include "alloc.h"

#include <signal.h>
#include <string.h>
#include <time.h>

static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static mp_DbFile *files;
static mp_DbFile *leaving;

/* --- the line --- */

static void append_locked(mp_DbFile *file, mp_DbTask *task)
{
    mp_list_append(&file->line, &task->link);
    task->waits = true;
}

static void remove_locked(mp_DbFile *file, mp_DbTask *task)
{
    mp_list_remove(&file->line, &task->link);
    task->waits = false;
}

void mp_db_file_send(mp_DbFile *file, mp_DbTask *task)
{
    pthread_mutex_lock(&file->lock);
    append_locked(file, task);
    pthread_cond_signal(&file->wake);
    pthread_mutex_unlock(&file->lock);
}

bool mp_db_file_take_back(mp_DbFile *file, mp_DbTask *task)
{
    bool waited;

    pthread_mutex_lock(&file->lock);
    waited = task->waits;
    if (waited)
        remove_locked(file, task);
    else
        pthread_cond_signal(&file->wake);
    pthread_mutex_unlock(&file->lock);
    return waited;
}

/* --- the thread --- */

void mp_db_file_sleep(mp_DbFile *file, int64_t us, bool (*awake)(void *),
                      void *task)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(us % 1000000) * 1000;
    until.tv_sec += (time_t)(us / 1000000) + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&file->lock);
    if (!awake(task)) pthread_cond_timedwait(&file->wake, &file->lock, &until);
    pthread_mutex_unlock(&file->lock);
}

/* The oldest task, or NULL when the thread shall end. */
static mp_DbTask *take_next(mp_DbFile *file)
{
    mp_DbTask *task;

    pthread_mutex_lock(&file->lock);
    while (!file->line.first && !file->stopping)
        pthread_cond_wait(&file->wake, &file->lock);
    task = (mp_DbTask *)file->line.first;
    if (task) remove_locked(file, task);
    pthread_mutex_unlock(&file->lock);
    return task;
}

/* The file stays while this runs: who frees it joins first. */
static void *work(void *arg)
{
    mp_DbFile *file = arg;
    mp_DbTask *task;

    pthread_setname_np(pthread_self(), "moonpipe-db");
    while ((task = take_next(file)))
        task->run(task, file);
    mp_db_sql_close(file->sql);
    atomic_store(&file->ended, true);
    return NULL;
}

/* Every signal stays with the host's threads. */
static bool create_thread(mp_DbFile *file)
{
    sigset_t all, old;
    int failed;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    failed = pthread_create(&file->thread, NULL, work, file);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return !failed;
}

mp_Status mp_db_file_start(mp_DbFile *file, mp_Error *err)
{
    bool started;

    pthread_mutex_lock(&file->lock);
    if (!file->started) file->started = create_thread(file);
    started = file->started;
    pthread_mutex_unlock(&file->lock);
    if (started) return MP_OK;
    return mp_err_set(err, MP_KIND_MEMORY, "cannot start a database thread");
}

/* --- its life --- */

static void forget_parent(void)
{
    pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;

    shared_lock = fresh;
    files = leaving = NULL;
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_parent);
}

static void discard(mp_DbFile *file)
{
    if (file->started) pthread_join(file->thread, NULL);
    pthread_cond_destroy(&file->wake);
    pthread_mutex_destroy(&file->lock);
    mp_alloc_free(file->path);
    mp_alloc_free(file);
}

static mp_DbFile *make(const char *path)
{
    mp_DbFile *file = mp_alloc_zero(1, sizeof *file);
    pthread_condattr_t monotonic;

    if (!file) return NULL;
    file->path = mp_alloc_copy(path, strlen(path));
    if (!file->path) {
        mp_alloc_free(file);
        return NULL;
    }
    pthread_mutex_init(&file->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&file->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return file;
}

static mp_DbFile *find_locked(const char *path)
{
    mp_DbFile *file = files;

    if (strcmp(path, MP_DB_MEMORY) == 0) return NULL; /* each has its own */
    while (file && strcmp(file->path, path) != 0)
        file = file->next;
    return file;
}

/* Takes those out of `leaving` that have ended, or [all], and gives them. */
static mp_DbFile *take_leaving(bool all)
{
    mp_DbFile **link = &leaving, *taken = NULL;

    pthread_mutex_lock(&shared_lock);
    while (*link) {
        mp_DbFile *file = *link;

        if (!all && file->started && !atomic_load(&file->ended)) {
            link = &file->next;
            continue;
        }
        *link = file->next;
        file->next = taken;
        taken = file;
    }
    pthread_mutex_unlock(&shared_lock);
    return taken;
}

static void join(bool all)
{
    mp_DbFile *file = take_leaving(all);

    while (file) {
        mp_DbFile *next = file->next;

        discard(file);
        file = next;
    }
}

void mp_db_file_join(void)
{
    join(true);
}

mp_Status mp_db_file_acquire(const char *path, mp_DbFile **out, mp_Error *err)
{
    mp_DbFile *file;

    pthread_once(&fork_once, watch_forks);
    join(false);
    pthread_mutex_lock(&shared_lock);
    file = find_locked(path);
    if (!file && (file = make(path))) {
        file->next = files;
        files = file;
    }
    if (file) file->references++;
    pthread_mutex_unlock(&shared_lock);
    *out = file;
    return file ? MP_OK : mp_err_memory(err);
}

/* False if others hold it still. */
static bool drop_reference(mp_DbFile *file)
{
    mp_DbFile **link = &files;
    bool last;

    pthread_mutex_lock(&shared_lock);
    last = --file->references == 0;
    while (last && *link != file)
        link = &(*link)->next;
    if (last) *link = file->next;
    pthread_mutex_unlock(&shared_lock);
    return last;
}

/* Whoever finds it in `leaving` may free it: that comes last. */
void mp_db_file_release(mp_DbFile *file)
{
    if (!drop_reference(file)) return;
    pthread_mutex_lock(&file->lock);
    file->stopping = true;
    pthread_cond_broadcast(&file->wake);
    pthread_mutex_unlock(&file->lock);
    pthread_mutex_lock(&shared_lock);
    file->next = leaving;
    leaving = file;
    pthread_mutex_unlock(&shared_lock);
}
