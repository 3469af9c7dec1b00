/*
 * io.c: the I/O thread's loop, its timer heap, its life.
 *
 * The process has one, by shared.h. Engines that a forked child has from its
 * parent notice by the generation (os.h) and never touch the old one again.
 */
#include "io.h"

#include "alloc.h"
#include "clock.h"
#include "os.h"
#include "shared.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define FIRST_TIMERS 64
#define SOURCES_MAX  128 /* the multi handles of http, and a few more */
#define ENDS_MAX     8
#define BATCH        256   /* descriptors that one epoll_wait tells of */
#define LATE_US      50000 /* a timer so late finds more than the usual queue */
#define EXIT_US      2000000 /* an exit waits no longer for the I/O thread */
#define LOOKS_MAX    64      /* so that timers fire, whatever keeps coming */
#define FIRST_FDS    64
#define MESSAGES     64 /* acted on between two polls */
#define BUSY         4  /* descriptors in one poll: the next will follow soon */
#define NAP_US       50 /* how long to sleep unarmed then */

/* A descriptor that may stay in the epoll while nobody wants it: its number is
 * not used again without our knowing. */
typedef struct Watch {
    unsigned events; /* that epoll looks for; 0: it is not there */
    unsigned short source;
    bool kept; /* between mp_io_opened and mp_io_closing */
    bool idle; /* nobody wants it now */
} Watch;

struct mp_Io {
    pthread_t thread;
    mp_Queue inbox;
    mp_Node *unread; /* drained from it, not yet acted on */
    atomic_bool stopping;
    int epoll;
    mp_IoSource *sources[SOURCES_MAX];
    unsigned source_count;
    void (*ends[ENDS_MAX])(void);
    unsigned end_count;
    Watch *watches; /* by descriptor */
    int watch_count;
    mp_IoTimer **heap; /* binary, the earliest first */
    size_t timers;
    size_t cap;
};

static mp_Shared shared = MP_SHARED;

/* The loop that this thread runs: timers need no handle to find it. */
static _Thread_local mp_Io *mine;

/* --- timers: a binary heap, 1 + index kept in each timer --- */

static void put(mp_Io *io, size_t index, mp_IoTimer *timer)
{
    io->heap[index] = timer;
    timer->place = index + 1;
}

static void sift_up(mp_Io *io, size_t index, mp_IoTimer *timer)
{
    while (index > 0 && timer->at_us < io->heap[(index - 1) / 2]->at_us) {
        put(io, index, io->heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    put(io, index, timer);
}

static void sift_down(mp_Io *io, size_t index, mp_IoTimer *timer)
{
    size_t child;

    while ((child = 2 * index + 1) < io->timers) {
        if (child + 1 < io->timers &&
            io->heap[child + 1]->at_us < io->heap[child]->at_us)
            child++;
        if (io->heap[child]->at_us >= timer->at_us) break;
        put(io, index, io->heap[child]);
        index = child;
    }
    put(io, index, timer);
}

static mp_Status heap_room(mp_Io *io)
{
    size_t cap = io->cap ? io->cap * 2 : FIRST_TIMERS;
    mp_IoTimer **heap;

    if (io->timers < io->cap) return MP_OK;
    heap = mp_alloc_resize(io->heap, cap * sizeof *heap);
    if (!heap) return -MP_KIND_MEMORY;
    io->heap = heap;
    io->cap = cap;
    return MP_OK;
}

mp_Status mp_io_timer_set(mp_IoTimer *timer, int64_t at_us)
{
    mp_Status status = heap_room(mine);

    if (status != MP_OK) return status;
    timer->at_us = at_us;
    sift_up(mine, mine->timers++, timer);
    return MP_OK;
}

void mp_io_timer_clear(mp_IoTimer *timer)
{
    mp_IoTimer *last;
    size_t index = timer->place - 1;

    if (timer->place == 0) return;
    timer->place = 0;
    last = mine->heap[--mine->timers];
    if (last == timer) return;
    if (index > 0 && last->at_us < mine->heap[(index - 1) / 2]->at_us)
        sift_up(mine, index, last);
    else
        sift_down(mine, index, last);
}

/* --- the loop --- */

/* A few, then a look at the sockets: a thousand calls that begin all at once
 * would hold a thousand times what only the beginning needs, and leave holes in
 * the heap. */
static void read_inbox(mp_Io *io)
{
    if (!io->unread) io->unread = mp_queue_drain(&io->inbox);
    for (int i = 0; io->unread && i < MESSAGES; i++) {
        mp_JobMessage *message = (mp_JobMessage *)io->unread;

        io->unread = io->unread->next; /* the job may be gone after act */
        message->act(message->job);
    }
}

/* The waker of the inbox belongs to source 0, which is nobody. */
static uint64_t key_of(unsigned source, int fd)
{
    return (uint64_t)source << 32 | (unsigned)fd;
}

static Watch *watch_of(mp_Io *io, int fd)
{
    return fd < io->watch_count ? &io->watches[fd] : NULL;
}

static void drop(mp_Io *io, int fd)
{
    epoll_ctl(io->epoll, EPOLL_CTL_DEL, fd, NULL);
}

/* What an idle connection has to say (mostly that the server closed it) is read
 * by who takes it next; until then epoll must not tell of it again and again.
 */
static bool dropped_idle(mp_Io *io, int fd)
{
    Watch *watch = watch_of(io, fd);

    if (!watch || !watch->idle) return false;
    drop(io, fd);
    watch->events = 0;
    watch->idle = false;
    return true;
}

static void dispatch(mp_Io *io, const struct epoll_event *event)
{
    unsigned source = (unsigned)(event->data.u64 >> 32);
    int fd = (int)(event->data.u64 & 0xffffffff);

    if (source == 0)
        mp_os_calm(fd);
    else if (!dropped_idle(io, fd))
        io->sources[source - 1]->ready(io->sources[source - 1], fd,
                                       event->events);
}

/* Microseconds until the first timer, -1 without one. */
static int64_t time_to_timer(const mp_Io *io)
{
    int64_t wait_us;

    if (io->timers == 0) return -1;
    wait_us = io->heap[0]->at_us - mp_clock_us();
    return wait_us > 0 ? wait_us : 0;
}

/* How long to sleep; 0 if the inbox has something. To be woken by a message
 * costs its sender more than a whole call takes: while many calls are in
 * flight, which wake us anyway, we look by ourselves. */
static int64_t time_to_sleep(mp_Io *io, bool busy)
{
    int64_t wait_us;

    if (io->unread) return 0;
    if (busy ? !mp_queue_is_empty(&io->inbox) : !mp_queue_arm(&io->inbox))
        return 0;
    wait_us = time_to_timer(io);
    return busy && (wait_us < 0 || wait_us > NAP_US) ? NAP_US : wait_us;
}

/* Returns how many descriptors it told of: BATCH, if there may be more. */
static int poll_once(mp_Io *io, int64_t timeout_us)
{
    struct epoll_event events[BATCH];
    int count = mp_os_epoll_wait(io->epoll, events, BATCH, timeout_us);

    for (int i = 0; i < count; i++)
        dispatch(io, &events[i]);
    return count;
}

/* A process that stood still, or has more to read than one poll tells of, finds
 * timers that are due beside what arrived in time: that comes first, or it
 * would be taken for silence. */
static void catch_up(mp_Io *io, int64_t now)
{
    int looks = 0;

    if (io->timers == 0 || io->heap[0]->at_us > now - LATE_US) return;
    while (poll_once(io, 0) == BATCH && ++looks < LOOKS_MAX)
        continue;
}

static void fire_due(mp_Io *io)
{
    int64_t now = mp_clock_us();

    catch_up(io, now);
    while (io->timers > 0 && io->heap[0]->at_us <= now) {
        mp_IoTimer *timer = io->heap[0];

        mp_io_timer_clear(timer);
        timer->fire(timer);
    }
}

static void *run(void *arg)
{
    mp_Io *io = arg;
    int told = 0;

    mine = io;
    pthread_setname_np(pthread_self(), "moonpipe-io");
    mp_job_hold_back();
    while (!atomic_load(&io->stopping)) {
        told = poll_once(io, time_to_sleep(io, told >= BUSY));
        read_inbox(io);
        fire_due(io);
        mp_job_flush();
    }
    while (io->end_count > 0)
        io->ends[--io->end_count]();
    return NULL;
}

void mp_io_at_end(void (*fn)(void))
{
    if (mine->end_count < ENDS_MAX) mine->ends[mine->end_count++] = fn;
}

mp_Status mp_io_source_add(mp_IoSource *source)
{
    if (mine->source_count == SOURCES_MAX) return -MP_KIND_LIMIT;
    mine->sources[mine->source_count++] = source;
    source->index = mine->source_count;
    return MP_OK;
}

static bool watch_room(mp_Io *io, int fd)
{
    int count = io->watch_count ? io->watch_count : FIRST_FDS;
    Watch *watches;

    if (fd < io->watch_count) return true;
    while (count <= fd)
        count *= 2;
    watches = mp_alloc_resize(io->watches, (size_t)count * sizeof *watches);
    if (!watches) return false;
    memset(watches + io->watch_count, 0,
           (size_t)(count - io->watch_count) * sizeof *watches);
    io->watches = watches;
    io->watch_count = count;
    return true;
}

mp_Status mp_io_opened(int fd)
{
    mp_io_closing(fd);
    if (!watch_room(mine, fd)) return -MP_KIND_MEMORY;
    mine->watches[fd].kept = true;
    return MP_OK;
}

void mp_io_closing(int fd)
{
    Watch *watch = watch_of(mine, fd);

    if (!watch) return;
    if (watch->events) drop(mine, fd);
    memset(watch, 0, sizeof *watch);
}

static int tell_epoll(int fd, unsigned source, unsigned events, bool known)
{
    struct epoll_event event = {.events = events,
                                .data.u64 = key_of(source, fd)};
    int first = known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    int second = known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

    if (epoll_ctl(mine->epoll, first, fd, &event) == 0) return 0;
    return epoll_ctl(mine->epoll, second, fd, &event) == 0 ? 0 : errno;
}

int mp_io_watch(mp_IoSource *source, int fd, unsigned events)
{
    Watch *watch = watch_of(mine, fd);
    int failed;

    if (!watch || !watch->kept)
        return tell_epoll(fd, source->index, events, false);
    watch->idle = false;
    if (watch->events == events && watch->source == source->index) return 0;
    failed = tell_epoll(fd, source->index, events, watch->events != 0);
    watch->events = failed ? 0 : events;
    watch->source = (unsigned short)source->index;
    return failed;
}

void mp_io_unwatch(int fd)
{
    Watch *watch = watch_of(mine, fd);

    if (watch && watch->events)
        watch->idle = true;
    else
        drop(mine, fd);
}

/* --- its life --- */

/* Every signal stays with the host's threads. */
static mp_Status start_thread(mp_Io *io, mp_Error *err)
{
    sigset_t all, old;
    int failed;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    failed = pthread_create(&io->thread, NULL, run, io);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!failed) return MP_OK;
    return mp_err_set(err, MP_KIND_MEMORY, "cannot start the I/O thread");
}

static void discard(mp_Io *io)
{
    mp_os_close(io->epoll);
    mp_queue_term(&io->inbox);
    mp_alloc_free(io->heap);
    mp_alloc_free(io->watches);
    mp_alloc_free(io);
}

static mp_Status open_epoll(mp_Io *io, mp_Error *err)
{
    struct epoll_event event = {.events = EPOLLIN,
                                .data.u64 = key_of(0, io->inbox.waker)};

    io->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (io->epoll < 0) return mp_err_os(err, errno, "cannot make an epoll");
    if (epoll_ctl(io->epoll, EPOLL_CTL_ADD, io->inbox.waker, &event) == 0)
        return MP_OK;
    return mp_err_os(err, errno, "cannot watch the inbox");
}

static mp_Status make(void **out, mp_Error *err)
{
    mp_Io *io = mp_alloc_zero(1, sizeof *io);
    mp_Status status;

    if (!io) return mp_err_memory(err);
    io->epoll = -1;
    status = mp_queue_init(&io->inbox, err);
    if (status == MP_OK) status = open_epoll(io, err);
    if (status == MP_OK) status = start_thread(io, err);
    if (status != MP_OK) {
        discard(io);
        return status;
    }
    *out = io;
    return MP_OK;
}

mp_Status mp_io_acquire(mp_Io **io, mp_Error *err)
{
    void *thing = NULL;
    mp_Status status = mp_shared_acquire(&shared, make, &thing, err);

    *io = thing;
    return status;
}

void mp_io_release(mp_Io *io)
{
    if (!mp_shared_release(&shared, io)) return;
    atomic_store(&io->stopping, true);
    mp_os_wake(io->inbox.waker);
    pthread_join(io->thread, NULL);
    discard(io);
}

void mp_io_send(mp_Io *io, mp_JobMessage *message)
{
    mp_queue_push(&io->inbox, &message->node);
}

/* --- the end of the process --- */

static pthread_once_t exit_once = PTHREAD_ONCE_INIT;
static void (*exit_fns[ENDS_MAX])(void); /* the I/O thread's: there is one */
static int exit_waker;                   /* rings when they have been called */

static void say_goodbye(mp_Job *nobody)
{
    (void)nobody;
    for (int i = 0; i < ENDS_MAX && exit_fns[i]; i++)
        exit_fns[i]();
    mp_os_wake(exit_waker);
}

static void send_goodbye(void *io)
{
    static mp_JobMessage message = {.act = say_goodbye};

    mp_io_send(io, &message);
}

/* The thread is kept alive until the message is there; what it does then needs
 * nobody. */
static void on_exit_of_process(void)
{
    if (mp_os_waker(&exit_waker, NULL) != MP_OK) return;
    if (mp_shared_use(&shared, send_goodbye)) mp_os_wait(exit_waker, EXIT_US);
}

static void watch_exit(void)
{
    atexit(on_exit_of_process);
}

void mp_io_at_exit(void (*fn)(void))
{
    int i = 0;

    while (i < ENDS_MAX - 1 && exit_fns[i] && exit_fns[i] != fn)
        i++;
    exit_fns[i] = fn;
    pthread_once(&exit_once, watch_exit);
}
