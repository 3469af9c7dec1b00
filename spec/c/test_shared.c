/* test_shared.c: one thing for many holders, made and ended once, forgotten in
 * a forked child. */
#include "shared.h"
#include "test.h"

#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 8, ROUNDS = 500 };

static mp_Shared shared = MP_SHARED, other = MP_SHARED;
static atomic_int made, alive;
static int things[2];
static bool fails;

static mp_Status make(void **thing, mp_Error *err)
{
    if (fails) return mp_err_memory(err);
    atomic_fetch_add(&made, 1);
    atomic_fetch_add(&alive, 1);
    *thing = &things[0];
    return MP_OK;
}

static mp_Status make_other(void **thing, mp_Error *err)
{
    (void)err;
    *thing = &things[1];
    return MP_OK;
}

static void test_is_made_once(void)
{
    void *a = NULL, *b = NULL;

    made = alive = 0;
    CHECK(mp_shared_acquire(&shared, make, &a, NULL) == MP_OK);
    CHECK(mp_shared_acquire(&shared, make, &b, NULL) == MP_OK);
    CHECK(a == &things[0] && b == a && made == 1);
    CHECK(!mp_shared_release(&shared, a));
    CHECK(mp_shared_release(&shared, b));
    CHECK(mp_shared_acquire(&shared, make, &a, NULL) == MP_OK);
    CHECK(made == 2);
    CHECK(mp_shared_release(&shared, a));
}

static void test_tells_why_it_is_not_made(void)
{
    mp_Error err;
    void *thing = NULL;

    fails = true;
    CHECK(mp_shared_acquire(&shared, make, &thing, &err) == -MP_KIND_MEMORY);
    CHECK(err.kind == MP_KIND_MEMORY && thing == NULL);
    fails = false;
    CHECK(mp_shared_acquire(&shared, make, &thing, &err) == MP_OK);
    CHECK(mp_shared_release(&shared, thing));
}

static void *used;

static void use(void *thing)
{
    used = thing;
}

static void test_is_used_if_it_is_there(void)
{
    void *thing;

    CHECK(!mp_shared_use(&shared, use) && used == NULL);
    CHECK(mp_shared_acquire(&shared, make, &thing, NULL) == MP_OK);
    CHECK(mp_shared_use(&shared, use) && used == thing);
    CHECK(mp_shared_release(&shared, thing));
}

static void *come_and_go(void *failed)
{
    for (int i = 0; i < ROUNDS; i++) {
        void *thing;

        if (mp_shared_acquire(&shared, make, &thing, NULL) != MP_OK)
            return failed;
        if (atomic_load(&alive) < 1) return failed;
        if (mp_shared_release(&shared, thing)) atomic_fetch_sub(&alive, 1);
    }
    return NULL;
}

static void test_serves_many_threads(void)
{
    pthread_t threads[THREADS];

    made = alive = 0;
    for (int i = 0; i < THREADS; i++)
        CHECK(!pthread_create(&threads[i], NULL, come_and_go, threads));
    for (int i = 0; i < THREADS; i++) {
        void *failed;

        pthread_join(threads[i], &failed);
        CHECK(failed == NULL);
    }
    CHECK(alive == 0 && made >= 1);
    CHECK(!mp_shared_use(&shared, use));
}

/* What the child has from its parent counts for nothing there. */
static int in_child(void *theirs)
{
    void *own = NULL;

    if (mp_shared_use(&shared, use) || mp_shared_use(&other, use)) return 1;
    if (mp_shared_release(&shared, theirs)) return 2;
    if (mp_shared_acquire(&shared, make_other, &own, NULL) != MP_OK) return 3;
    if (own != &things[1] || mp_shared_release(&shared, theirs)) return 4;
    return mp_shared_release(&shared, own) ? 0 : 5;
}

static void test_is_forgotten_in_a_child(void)
{
    void *thing, *second;
    int status = -1;
    pid_t child;

    CHECK(mp_shared_acquire(&shared, make, &thing, NULL) == MP_OK);
    CHECK(mp_shared_acquire(&other, make_other, &second, NULL) == MP_OK);
    child = fork();
    if (child == 0) _exit(in_child(thing));
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(mp_shared_release(&shared, thing));
    CHECK(mp_shared_release(&other, second));
}

int main(void)
{
    test_is_made_once();
    test_tells_why_it_is_not_made();
    test_is_used_if_it_is_there();
    test_serves_many_threads();
    test_is_forgotten_in_a_child();
    return TEST_END();
}
