/* pg_link.c: see pg_link.h. */
#include "pg_link.h"

#if MP_HAVE_LIBPQ

#include "clock.h"
#include "os.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>

/* --- waiting --- */

static mp_Status gone(mp_PgLink *link, mp_Error *err)
{
    const mp_PgWatch *watch = link->watch;

    link->broken = true;
    if (watch->cancelled(watch->userdata))
        return mp_err_set(err, MP_KIND_CANCELLED, "the call was cancelled");
    return mp_err_set(err, watch->late,
                      watch->late == MP_KIND_TIMEOUT_CONNECT
                          ? "PostgreSQL: no connection in time"
                          : "PostgreSQL: no answer in time");
}

static int milliseconds_left(const mp_PgWatch *watch)
{
    int64_t left;

    if (watch->until_us == MP_CLOCK_NEVER) return -1;
    left = watch->until_us - mp_clock_us();
    if (left <= 0) return 0;
    left = left / 1000 + 1;
    return left < INT_MAX ? (int)left : INT_MAX;
}

mp_Status mp_pg_link_wait(mp_PgLink *link, short events, mp_Error *err)
{
    const mp_PgWatch *watch = link->watch;
    struct pollfd fds[2] = {{link->lib->socket(link->conn), events, 0},
                            {watch->waker, POLLIN, 0}};

    for (;;) {
        int timeout = milliseconds_left(watch);
        int ready;

        if (watch->cancelled(watch->userdata) || timeout == 0) break;
        ready = poll(fds, 2, timeout);
        if (ready < 0 && errno != EINTR)
            return mp_err_os(err, errno, "cannot wait for PostgreSQL");
        if (ready <= 0) continue;
        if (fds[0].revents) return MP_OK;
        mp_os_calm(watch->waker);
    }
    return gone(link, err);
}

mp_Status mp_pg_link_flush(mp_PgLink *link, mp_Error *err)
{
    int left;

    while ((left = link->lib->flush(link->conn)) > 0) {
        mp_Status status = mp_pg_link_wait(link, POLLIN | POLLOUT, err);

        if (status != MP_OK) return status;
        if (!link->lib->consumeInput(link->conn)) break;
    }
    return left == 0 ? MP_OK : mp_pg_link_failed(link, false, err);
}

mp_Status mp_pg_link_settle(mp_PgLink *link, mp_Error *err)
{
    while (link->lib->isBusy(link->conn)) {
        mp_Status status = mp_pg_link_wait(link, POLLIN, err);

        if (status != MP_OK) return status;
        if (!link->lib->consumeInput(link->conn))
            return mp_pg_link_failed(link, false, err);
    }
    return MP_OK;
}

#endif
