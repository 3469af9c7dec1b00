/*
 * engine_case.h: engines and their events, for the tests of jobs. Include after
 * test.h.
 *
 * Threads: one.
 */
#ifndef MP_ENGINE_CASE_H
#define MP_ENGINE_CASE_H

#include "engine.h"
#include "job.h"

static inline mp_Engine *new_engine(void)
{
    mp_Engine *engine = NULL;

    CHECK(mp_engine_new(&engine, NULL) == MP_OK);
    return engine;
}

static inline uint64_t submit_job(mp_Engine *engine, mp_Job *job)
{
    uint64_t id = 0;

    CHECK(mp_engine_submit(engine, job, &id, NULL) == MP_OK);
    return id;
}

/* Blocks for the next event and returns it owned. */
static inline mp_Event *await_event(mp_Engine *engine)
{
    mp_Event *event;

    while (!(event = mp_engine_next(engine)))
        mp_engine_wait(engine, -1);
    return event;
}

/* Its kind, freed. */
static inline mp_EventKind await_kind(mp_Engine *engine, uint64_t *id)
{
    mp_Event *event = await_event(engine);
    mp_EventKind kind = event->kind;

    *id = event->id;
    mp_job_free_event(event);
    return kind;
}

/* Runs [job] to its end: MP_OK, or why it failed, with the rest in [err]. The
 * event of one that did not fail is given to [out], or freed where that is
 * NULL. */
static inline mp_Status end_job(mp_Engine *engine, mp_Job *job, mp_Event **out,
                                mp_Error *err)
{
    uint64_t id;
    mp_Status status = mp_engine_submit(engine, job, &id, err);
    mp_Event *event;

    if (status != MP_OK) return status;
    event = await_event(engine);
    if (event->kind == MP_EVENT_FAILED) {
        status = -(mp_Status)event->job->err->kind;
        if (err) *err = *event->job->err;
    }
    if (out && status == MP_OK)
        *out = event;
    else
        mp_job_free_event(event);
    return status;
}

#endif
