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

#endif
