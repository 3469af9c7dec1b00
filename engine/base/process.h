/*
 * process.h: a process of somebody else's program, with pipes to its three
 * standard streams.
 *
 * It has a process group of its own, so that what it starts ends with it and
 * Ctrl-C does not reach it; no signal is blocked or ignored in it, and it has
 * no other descriptor of ours. Our ends of the pipes do not block.
 *
 * Threads: any; one owner at a time.
 */
#ifndef MP_PROCESS_H
#define MP_PROCESS_H

#include "buf.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct mp_ProcessSpec {
    mp_Buf argv;     /* each word with its NUL; the first is the program */
    mp_Buf env;      /* NAME=value, each with its NUL: all that it gets */
    const char *cwd; /* or NULL: ours */
    bool familiar;   /* it gets our environment and our standard error */
    bool worthless;  /* it holds nothing that an end at once could spoil */
} mp_ProcessSpec;

typedef struct mp_Process {
    pid_t pid; /* 0 once it was reaped */
    int in;    /* -1 once closed, as the next two */
    int out;
    int err;    /* -1 where it is familiar */
    int status; /* as of waitpid, once it was reaped */
} mp_Process;

/* Starts it. `io` with the program's name, `fds`, `memory`. Then nothing is
 * open. */
mp_Status mp_process_start(mp_Process *process, const mp_ProcessSpec *spec,
                           mp_Error *err);

/* Sends [signal] to it and to what it has started. */
void mp_process_signal(const mp_Process *process, int signal);

/* Whether it has ended: then its status is known, and what it has started is
 * killed. With [wait] it waits for that; only for one that was killed. */
bool mp_process_reap(mp_Process *process, bool wait);

/* Closes one of our ends; fine if it is closed. */
void mp_process_close(int *fd);

/* Reads up to [len] bytes. 0: no more come; -1: none are there now. */
ssize_t mp_process_read(int fd, char *bytes, size_t len);

/* Writes what it takes now. -1: nobody reads it any more. */
ssize_t mp_process_write(int fd, const char *bytes, size_t len);

/* Microseconds of CPU time that it has used, as long as it was not reaped; -1
 * then. */
int64_t mp_process_cpu_us(pid_t pid);

/* How it ended, in words: "exit code 1", "signal 9". */
void mp_process_describe(const mp_Process *process, char *text, size_t len);

#endif
