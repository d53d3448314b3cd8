#include "platform/posix/posix.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define NS_PER_SECOND 1000000000

/* The epoll instance watches the event, the process and a timer for the deadline. */
struct timer {
    int fd;
};

/* A hang-up is reported without being asked for. */
static bool watch_handle(int epoll, plat_handle handle)
{
    struct epoll_event event = {.events = posix_tells_by_hang_up(handle) ? 0 : EPOLLIN};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, posix_fd(handle), &event) == 0;
}

zcb_error zcbi_plat_loop_event_create(plat_handle event, plat_handle process,
                                      plat_loop_event *loop_event)
{
    struct timer *timer = malloc(sizeof(*timer));
    if (!timer)
        return ZCB_ERR_NO_MEMORY;
    timer->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    int epoll = timer->fd < 0 ? -1 : epoll_create1(EPOLL_CLOEXEC);
    if (epoll >= 0 && watch_handle(epoll, event) && watch_handle(epoll, process) &&
        watch_handle(epoll, timer->fd)) {
        *loop_event = (plat_loop_event){.handle = epoll, .deadline_ns = ZCB_NEVER, .state = timer};
        return ZCB_OK;
    }
    zcb_error error = zcbi_posix_error(errno);
    if (epoll >= 0)
        close(epoll);
    if (timer->fd >= 0)
        close(timer->fd);
    free(timer);
    return error;
}

void zcbi_plat_loop_event_set_deadline(plat_loop_event *loop_event, int64_t deadline_ns)
{
    const struct timer *timer = loop_event->state;
    if (deadline_ns == loop_event->deadline_ns)
        return;
    loop_event->deadline_ns = deadline_ns;
    struct itimerspec time = {0}; /* disarms the timer, which is no longer readable then */
    if (deadline_ns != ZCB_NEVER) {
        int64_t at = deadline_ns > 0 ? deadline_ns : 1;
        time.it_value =
            (struct timespec){.tv_sec = at / NS_PER_SECOND, .tv_nsec = at % NS_PER_SECOND};
    }
    (void)timerfd_settime(timer->fd, TFD_TIMER_ABSTIME, &time, NULL);
}

void zcbi_plat_loop_event_destroy(plat_loop_event *loop_event)
{
    struct timer *timer = loop_event->state;
    if (loop_event->handle == PLAT_NO_HANDLE)
        return;
    close((int)loop_event->handle);
    close(timer->fd);
    free(timer);
    loop_event->handle = PLAT_NO_HANDLE;
}
