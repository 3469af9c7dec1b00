/* test_secret_job.c: work/secret_job: keys that commands print. */
#include "alloc.h"
#include "clock.h"
#include "secret_job.h"
#include "test.h"
#include "torture.h"

#include "engine_case.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#define KEY     "sk-canary-0123456789wxyz"
#define LIMIT   (60 * (int64_t)1000000) /* a busy machine is slow */
#define SHORTER 200000

/* Runs [command], and gives its key, owned, or NULL with what is told. */
static mp_Status run(const char *command, int64_t limit_us, mp_Secret **secret,
                     mp_Error *err)
{
    mp_Engine *engine;
    mp_SecretPlace *place = NULL;
    mp_Status status = mp_engine_new(&engine, err);
    uint64_t id;

    *secret = NULL;
    if (status != MP_OK) return status;
    status = mp_engine_submit(engine, mp_secret_job(command, limit_us, &place),
                              &id, err);
    if (status == MP_OK) {
        mp_Event *event = await_event(engine);

        CHECK(event->bytes.len == 0 && event->head.len == 0);
        if (event->kind == MP_EVENT_FAILED) {
            *err = *event->job->err;
            status = -(mp_Status)err->kind;
        }
        mp_job_free_event(event);
        *secret = mp_secret_take(place);
    }
    mp_secret_place_free(place);
    mp_engine_free(engine);
    return status;
}

static void check_key(const char *command)
{
    mp_Secret *secret;
    mp_Error err;
    size_t len;

    CHECK(run(command, LIMIT, &secret, &err) == MP_OK);
    CHECK(secret && strcmp(mp_secret_key(secret, &len), KEY) == 0);
    mp_secret_free(secret);
}

static void check_refused(const char *command, int64_t limit_us,
                          const char *message)
{
    mp_Secret *secret;
    mp_Error err;

    CHECK(run(command, limit_us, &secret, &err) == -MP_KIND_CONFIG);
    CHECK(!secret);
    CHECK(strcmp(err.message, message) == 0);
}

static void test_keys(void)
{
    check_key("echo " KEY);
    check_key("printf %s " KEY);
    check_key("cat; echo " KEY); /* there is no input */
    check_key("printf sk-canary; sleep 0.05; echo -0123456789wxyz");
    check_key("echo " KEY "; exec >&-; sleep 0.05");
}

static void test_refusals(void)
{
    check_refused("echo " KEY "; exit 7", LIMIT,
                  "the command ended with exit code 7");
    check_refused("kill -TERM $$", LIMIT, "the command ended with signal 15");
    check_refused(":", LIMIT, "the command printed no key");
    check_refused("yes " KEY, LIMIT, "the command printed more than a key");
    check_refused("sleep 60", SHORTER, "the command gave no key within 0.2 s");
    check_refused("exec >&-; sleep 60", SHORTER,
                  "the command gave no key within 0.2 s");
}

/* The engine is closed while the command runs, or before it does. */
static void test_closed(void)
{
    mp_SecretPlace *place;
    mp_Engine *engine = new_engine();

    submit_job(engine, mp_secret_job("sleep 60", LIMIT, &place));
    mp_engine_wait(engine, SHORTER);
    mp_engine_free(engine);
    CHECK(!mp_secret_take(place));
    mp_secret_place_free(place);
    engine = new_engine();
    submit_job(engine, mp_secret_job("sleep 60", LIMIT, &place));
    mp_secret_place_free(place); /* nobody waits for it */
    mp_engine_free(engine);
}

static mp_Status whole(void *nothing)
{
    mp_Secret *secret;
    mp_Error err;
    mp_Status status = run("echo " KEY, LIMIT, &secret, &err);

    (void)nothing;
    mp_secret_free(secret);
    return status;
}

static int descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;

    while (folder && readdir(folder))
        count++;
    if (folder) closedir(folder);
    return count;
}

int main(void)
{
    int before = descriptors();

    test_keys();
    test_refusals();
    test_closed();
    CHECK(torture(whole, NULL) > 4);
    CHECK(descriptors() == before);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    return TEST_END();
}
