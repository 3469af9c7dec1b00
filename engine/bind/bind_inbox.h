/*
 * bind_inbox.h: chunks of a job that have come up and wait for their reader.
 *
 * They stay in C until Lua asks, so that a stream makes no garbage before it is
 * read, and so that the engine knows how far behind the reader is. An inbox
 * without a job may be fed bytes instead: a stream that was recorded.
 *
 * Threads: the thread of the lua_State.
 */
#ifndef MP_BIND_INBOX_H
#define MP_BIND_INBOX_H

#include "bind.h"
#include "job.h"

/* [-0, +1] Pushes an inbox without a job. */
void mp_bind_inbox_new(lua_State *L);

/* [-0, +0] Makes the inbox at [index] the reader of [job], which has just been
 * submitted: its chunks come up on this thread, so none is missed. */
void mp_bind_inbox_attach(lua_State *L, int index, mp_Job *job);

/* Takes the chunk in [box] for its reader. True if the reader had nothing to
 * read before: then the event stays in [box] too, for a look at its id; it is
 * the inbox's. Otherwise [box] is NULL; a chunk without a reader is freed. */
bool mp_bind_inbox_keep(mp_Event **box);

/* Says that [job] is going to be freed; what came stays readable. */
void mp_bind_inbox_end(mp_Job *job);

/* [-0, +0] Makes the methods of inboxes known, and adds the function that
 * makes one to be fed to the table at the top of the stack. */
void mp_bind_inbox(lua_State *L);

#endif
