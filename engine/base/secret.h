/*
 * secret.h: the bytes of a key, and nothing else of it.
 *
 * They lie in a mapping of their own that no core dump holds and that is
 * locked in memory where the system allows it, and are wiped when it is freed.
 * What may be shown of a key is its mask. Copies that libcurl makes are not
 * ours to hide: a program forbids core dumps.
 *
 * Threads: one owner at a time; mp_secret_id, mp_secret_forbid_cores from any.
 */
#ifndef MP_SECRET_H
#define MP_SECRET_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Longest key, with what stands before it in a header: such as a JWT. */
#define MP_SECRET_MAX ((size_t)16 << 10)

/* Room for what mp_secret_mask writes. */
#define MP_SECRET_MASK 16

typedef struct mp_Secret mp_Secret;

/* Returns a secret, owned, in [secret]: [prefix] (such as "Bearer ") and then
 * [key] without the white space around it. `config` where that is empty, too
 * long, or holds what no header may; `memory`. */
mp_Status mp_secret_new(mp_Secret **secret, const char *prefix, const char *key,
                        size_t len, mp_Error *err);

/* Asks for a key at the terminal of the process, without echo, until the end
 * of the line; [prompt] is shown. `config` where there is no terminal or no
 * key was entered, `cancelled` after Ctrl-C, which then takes its course. All
 * signals of the thread wait meanwhile, so that the echo is back in any case.
 * Limit: not those that another thread of the process takes. */
mp_Status mp_secret_ask(mp_Secret **secret, const char *prompt, mp_Error *err);

/* Reads the key that the file at [path] holds. `config` where that cannot
 * be read, is no regular file, is not the user's own, or can be read or written
 * by others; `fds`, `memory`. Links are followed: what they lead to is judged.
 * Messages do not name it. */
mp_Status mp_secret_file(mp_Secret **secret, const char *path, mp_Error *err);

/* Room to gather a key in, owned, or NULL without memory. Its bytes are what
 * was gathered so far. */
mp_Secret *mp_secret_room(void);

/* Reads once what [fd] has now, to the end of [room]. As read(2); -1 with
 * EFBIG where it is full. */
ssize_t mp_secret_gather(mp_Secret *room, int fd);

/* The process dumps no core, and no other of the user's can look into it, once
 * it holds a key: from now on, or the first one on. For programs: a library
 * has no say in this. */
void mp_secret_forbid_cores(void);

/* Wipes and frees; NULL is fine. */
void mp_secret_free(mp_Secret *secret);

/* Its bytes, prefix included, and a NUL; borrowed. */
const char *mp_secret_bytes(const mp_Secret *secret, size_t *len);

/* The bytes of the key alone; borrowed. */
const char *mp_secret_key(const mp_Secret *secret, size_t *len);

/* Writes `sk-…wxyz`: the last four bytes, and only of a key of 16 or more. */
void mp_secret_mask(const mp_Secret *secret, char out[MP_SECRET_MASK]);

/* The same number for equal keys within this process, another in the next. */
uint64_t mp_secret_id(const mp_Secret *secret);

#endif
