#include "posix.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

#define NS_PER_SECOND 1000000000

static struct timespec time_left(int64_t deadline_ns)
{
    int64_t now = zcbi_plat_now_ns();
    int64_t left = deadline_ns > now ? deadline_ns - now : 0;
    return (struct timespec){.tv_sec = left / NS_PER_SECOND, .tv_nsec = left % NS_PER_SECOND};
}

static zcb_error lowest_ready(const struct pollfd *polled, unsigned count, unsigned *ready)
{
    for (unsigned i = 0; i < count; i++) {
        if (polled[i].revents == 0)
            continue;
        /* Such a handle is not open: it would be ready for ever, and the wait would spin. */
        if (polled[i].revents & POLLNVAL)
            return ZCB_ERR_SYSTEM;
        *ready = i;
        return ZCB_OK;
    }
    return ZCB_ERR_TIMEOUT;
}

void zcbi_plat_signals_hold(plat_signals *held, void *event)
{
    (void)event;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &held->before);
}

void zcbi_plat_signals_release(const plat_signals *held)
{
    pthread_sigmask(SIG_SETMASK, &held->before, NULL);
}

zcb_error zcbi_plat_wait(const plat_handle *handles, unsigned count, int64_t deadline_ns,
                         unsigned *ready)
{
    return zcbi_plat_wait_held(handles, count, deadline_ns, NULL, ready);
}

zcb_error zcbi_plat_wait_held(const plat_handle *handles, unsigned count, int64_t deadline_ns,
                              const plat_signals *held, unsigned *ready)
{
    if (count > PLAT_WAIT_MAX)
        return ZCB_ERR_INVALID;
    struct pollfd polled[PLAT_WAIT_MAX];
    for (unsigned i = 0; i < count; i++)
        polled[i] = (struct pollfd){.fd = posix_fd(handles[i]),
                                    .events = posix_tells_by_hang_up(handles[i]) ? 0 : POLLIN};

    struct timespec left;
    struct timespec *limit = NULL;
    if (deadline_ns != ZCB_NEVER) {
        left = time_left(deadline_ns);
        limit = &left;
    }
    if (ppoll(polled, count, limit, held ? &held->before : NULL) < 0)
        return errno == EINTR ? ZCB_ERR_INTERRUPTED : ZCB_ERR_SYSTEM;
    return lowest_ready(polled, count, ready);
}
