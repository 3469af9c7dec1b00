/*
 * child.h: the job that is another program: it lives as long as that does.
 *
 * Its standard output comes up as records, one for each line; so do the lines
 * of its standard error, with the name "stderr". What is written to its
 * standard input is a job of its own, which is done when the bytes are taken
 * over; they are written in the order in which they came.
 *
 * The job fails as `closed` when the program has closed its output or ended,
 * as `too_large` at a line without end. Cancelled, it closes the program's
 * input, and where that is not enough sends SIGTERM, and then SIGKILL, which a
 * worthless one gets at once; it is answered when the program is gone. So no
 * child is left as a zombie.
 *
 * Threads: mp_child_new, mp_child_write, mp_child_cpu_us, mp_child_free any;
 * the rest on the I/O thread.
 */
#ifndef MP_CHILD_H
#define MP_CHILD_H

#include "job.h"
#include "process.h"

/* How long a child that is asked to end has, in microseconds: after its input
 * was closed, and after SIGTERM. */
#define MP_CHILD_CLOSED_US 300000
#define MP_CHILD_TERM_US   1000000

/* What may wait to be read by the child. */
#define MP_CHILD_INPUT_MAX ((size_t)64 << 20)

typedef struct mp_Child mp_Child;

/* A job, owned, of the program that [spec] says, whose buffers it takes, also
 * on failure. Gives its handle, owned, in [child]. With [raw] a record is what
 * came at once, whatever lines it has. NULL without memory. */
mp_Job *mp_child_new(mp_ProcessSpec *spec, bool raw, mp_Child **child);

/* A job, owned, that hands over a copy of [bytes]; behind the [last] of them
 * the program's input ends. NULL without memory. */
mp_Job *mp_child_write(mp_Child *child, const char *bytes, size_t len,
                       bool last);

/* Microseconds of CPU time that the program has used; -1 where it does not run.
 */
int64_t mp_child_cpu_us(mp_Child *child);

/* Gives the handle back; the program is left as it is. NULL is fine. */
void mp_child_free(mp_Child *child);

#endif
