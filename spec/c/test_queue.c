/* test_queue.c: thread/queue: order, one waking, many pushers. */
#include "alloc.h"
#include "os.h"
#include "queue.h"
#include "test.h"

#include <stdint.h>

enum { PUSHERS = 4, EACH = 5000 };

typedef struct Item {
    mp_Node node;
    int pusher, number;
} Item;

static bool is_ringing(mp_Queue *queue)
{
    return mp_os_wait(queue->waker, 0);
}

static void test_keeps_the_order(void)
{
    Item items[3] = {{.number = 1}, {.number = 2}, {.number = 3}};
    mp_Queue queue;
    mp_Node *node;

    CHECK(mp_queue_init(&queue, NULL) == MP_OK);
    CHECK(mp_queue_drain(&queue) == NULL);
    for (int i = 0; i < 3; i++)
        mp_queue_push(&queue, &items[i].node);
    node = mp_queue_drain(&queue);
    for (int i = 0; i < 3; i++, node = node->next)
        CHECK(((Item *)node)->number == i + 1);
    CHECK(node == NULL);
    CHECK(mp_queue_drain(&queue) == NULL);
    mp_queue_term(&queue);
}

static void test_rings_once_for_a_sleeper(void)
{
    Item items[3];
    mp_Queue queue;

    mp_queue_init(&queue, NULL);
    mp_queue_push(&queue, &items[0].node);
    CHECK(!is_ringing(&queue)); /* nobody sleeps */
    CHECK(!mp_queue_arm(&queue));
    mp_queue_drain(&queue);
    CHECK(mp_queue_arm(&queue));
    mp_queue_push(&queue, &items[1].node);
    CHECK(is_ringing(&queue));
    mp_os_calm(queue.waker);
    mp_queue_push(&queue, &items[2].node);
    CHECK(!is_ringing(&queue)); /* it was woken already */
    mp_queue_drain(&queue);
    mp_queue_term(&queue);
}

static void test_rings_always_for_a_host_that_polls(void)
{
    Item items[3];
    mp_Queue queue;

    mp_queue_init(&queue, NULL);
    mp_queue_push(&queue, &items[0].node);
    mp_queue_keep_armed(&queue);
    CHECK(is_ringing(&queue)); /* for what was there before */
    CHECK(mp_queue_drain(&queue) == &items[0].node);
    CHECK(!is_ringing(&queue));
    mp_queue_push(&queue, &items[1].node);
    CHECK(is_ringing(&queue));
    mp_queue_drain(&queue);
    mp_queue_push(&queue, &items[2].node);
    CHECK(is_ringing(&queue));
    mp_queue_drain(&queue);
    CHECK(!is_ringing(&queue));
    mp_queue_term(&queue);
}

typedef struct Pusher {
    pthread_t thread;
    mp_Queue *queue;
    Item items[EACH];
} Pusher;

static void *push_all(void *arg)
{
    Pusher *pusher = arg;

    for (int i = 0; i < EACH; i++)
        mp_queue_push(pusher->queue, &pusher->items[i].node);
    return NULL;
}

static void start(Pusher *pusher, int index, mp_Queue *queue)
{
    pusher->queue = queue;
    for (int i = 0; i < EACH; i++) {
        pusher->items[i].pusher = index;
        pusher->items[i].number = i;
    }
    CHECK(pthread_create(&pusher->thread, NULL, push_all, pusher) == 0);
}

/* Drains as a worker does: sleeps only when armed and empty. */
static int take_all(mp_Queue *queue, int *next)
{
    int wrong = 0;

    for (int taken = 0; taken < PUSHERS * EACH;) {
        mp_Node *node = mp_queue_drain(queue);

        for (; node; node = node->next, taken++) {
            Item *item = (Item *)node;

            wrong += item->number != next[item->pusher]++;
        }
        if (taken < PUSHERS * EACH && mp_queue_arm(queue)) {
            mp_os_wait(queue->waker, -1);
            mp_os_calm(queue->waker);
        }
    }
    return wrong;
}

static void count_ring(void *userdata)
{
    ++*(int *)userdata;
}

/* As often as the waker: once for what is drained at once. */
static void test_tells_who_asked(void)
{
    mp_Queue queue;
    mp_Node nodes[3];
    int rings = 0;

    mp_queue_init(&queue, NULL);
    mp_queue_tell(&queue, (mp_QueueBell){count_ring, &rings});
    mp_queue_push(&queue, &nodes[0]);
    CHECK(rings == 0); /* nobody sleeps */
    mp_queue_keep_armed(&queue);
    CHECK(rings == 1);
    CHECK(mp_queue_drain(&queue) == &nodes[0]);
    mp_queue_push(&queue, &nodes[1]);
    mp_queue_push(&queue, &nodes[2]);
    CHECK(rings == 2);
    mp_queue_ring(&queue);
    CHECK(rings == 3);
    CHECK(mp_queue_drain(&queue) == &nodes[1]);
    mp_queue_term(&queue);
}

static void test_many_pushers_lose_nothing(void)
{
    Pusher *pushers = mp_alloc_zero(PUSHERS, sizeof *pushers);
    int next[PUSHERS] = {0};
    mp_Queue queue;

    mp_queue_init(&queue, NULL);
    for (int i = 0; i < PUSHERS; i++)
        start(&pushers[i], i, &queue);
    CHECK(take_all(&queue, next) == 0);
    for (int i = 0; i < PUSHERS; i++) {
        pthread_join(pushers[i].thread, NULL);
        CHECK(next[i] == EACH);
    }
    CHECK(mp_queue_drain(&queue) == NULL);
    mp_queue_term(&queue);
    mp_alloc_free(pushers);
}

int main(void)
{
    test_keeps_the_order();
    test_rings_once_for_a_sleeper();
    test_rings_always_for_a_host_that_polls();
    test_tells_who_asked();
    test_many_pushers_lose_nothing();
    return TEST_END();
}
