/*
 * secret_job.h: the job that gets a key from a command of the user's.
 *
 * The command runs in a shell, with our environment and our standard error and
 * no input. What it prints goes into a page as secret.h has them and nowhere
 * else; the job's events hold none of it.
 */
#ifndef MP_SECRET_JOB_H
#define MP_SECRET_JOB_H

#include "job.h"
#include "secret.h"

/* Where the job leaves the key: shared by it and by who waits for it. */
typedef struct mp_SecretPlace mp_SecretPlace;

/* Returns a job, owned, that runs [command] for at most [limit_us], and in
 * [place], owned, where the key will be when it is done. It fails as `config`:
 * the command ended with a code, printed no key, or took too long; `fds`,
 * `memory`, `io`. NULL without memory. */
mp_Job *mp_secret_job(const char *command, int64_t limit_us,
                      mp_SecretPlace **place);

/* Once the job is done: moves the key out; NULL where there is none. */
mp_Secret *mp_secret_take(mp_SecretPlace *place);

/* Gives it back; NULL is fine. */
void mp_secret_place_free(mp_SecretPlace *place);

#endif
