/*
 * db_file.h: what the process shares of a database file: one thread, its line
 * of tasks, its connection.
 *
 * A task is part of what it works on, so sending one cannot fail. A file that
 * nobody holds any more lets its thread close the connection, which may take
 * an fsync; so the thread is joined later, by mp_db_file_join, or in passing
 * when another file is acquired.
 *
 * Threads: any, but for mp_db_file_sleep and what is said to be the file's
 * thread's own.
 */
#ifndef MP_DB_FILE_H
#define MP_DB_FILE_H

#include "db_sql.h"
#include "err.h"
#include "list.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef struct mp_DbFile mp_DbFile;

typedef struct mp_DbTask {
    mp_Link link; /* the file's, as `waits` */
    bool waits;
    /* On the file's thread. The task may be gone on return. */
    void (*run)(struct mp_DbTask *task, mp_DbFile *file);
} mp_DbTask;

struct mp_DbFile {
    mp_DbSql *sql;  /* its thread's own; NULL: not connected */
    unsigned epoch; /* its thread's own: counts the connections */
    char *path;
    struct mp_DbFile *next;
    unsigned references;
    pthread_mutex_t lock;
    pthread_cond_t wake; /* of the thread, wherever it sleeps */
    mp_List line;        /* of tasks */
    bool started;
    bool stopping;
    atomic_bool ended; /* joining does not wait */
    pthread_t thread;
};

/* Gives the file of the canonical [path]; starts and opens nothing. */
mp_Status mp_db_file_acquire(const char *path, mp_DbFile **file, mp_Error *err);

/* Its tasks must have ended. Never in a forked child with the parent's. */
void mp_db_file_release(mp_DbFile *file);

/* Starts the thread unless it runs: before the first task. `memory`. */
mp_Status mp_db_file_start(mp_DbFile *file, mp_Error *err);

/* Moves [task], of which only `run` need be set, to the end of the line. */
void mp_db_file_send(mp_DbFile *file, mp_DbTask *task);

/* True if [task] still waited: it never runs, and is the caller's. False: it
 * runs or has ended; if it sleeps it is woken. */
bool mp_db_file_take_back(mp_DbFile *file, mp_DbTask *task);

/* On the file's thread: sleeps [us], or until take_back. Not at all if
 * awake(task) is true. */
void mp_db_file_sleep(mp_DbFile *file, int64_t us, bool (*awake)(void *),
                      void *task);

/* Joins the threads of files that nobody holds any more. */
void mp_db_file_join(void);

#endif
