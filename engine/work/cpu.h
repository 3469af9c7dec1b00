/*
 * cpu.h: what all jobs share that compute on the pool instead of waiting on
 * the I/O thread.
 *
 * Such a job works in slices: `slice` works until about the time it is given, a
 * few milliseconds ahead, and says whether more is to do. Between two slices
 * other jobs have their turn and a cancel is noticed, so cancelling and closing
 * never wait longer than one of them. No messages come to it: a cancel takes it
 * out of the line, or sets the flag that the worker looks at.
 *
 * Threads: `slice` on a pool thread, one at a time for one job.
 */
#ifndef MP_CPU_H
#define MP_CPU_H

#include "job.h"
#include "pool.h"

/* DESIGN allows 50 ms; a cancelled run must be over within 20. */
#define MP_CPU_SLICE_US 10000

typedef enum mp_CpuStep {
    MP_CPU_MORE,
    MP_CPU_DONE,   /* the cargo is in job.end */
    MP_CPU_FAILED, /* the reason is in err */
    MP_CPU_PARKED  /* somebody else does the rest and settles the job, which
                    * may be gone already */
} mp_CpuStep;

typedef struct mp_CpuJob mp_CpuJob;

typedef struct mp_CpuClass {
    mp_CpuStep (*slice)(mp_CpuJob *self, int64_t until_us);
    /* On any thread: frees what the job holds besides its cargo. */
    void (*term)(mp_CpuJob *self);
} mp_CpuClass;

/* First member of such a job. */
struct mp_CpuJob {
    mp_Job job;
    mp_Error err; /* what job.err is */
    mp_PoolTask task;
    const mp_CpuClass *cls;
};

/* Fills the common part of a fresh job, zeroed memory of mp_alloc, which is
 * freed with the job. */
void mp_cpu_init(mp_CpuJob *self, const mp_CpuClass *cls);

#endif
