#include "posix.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

zcb_error plat_event_create(plat_handle *event)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        return posix_error(errno);
    *event = fd;
    return ZCB_OK;
}

void plat_event_set(plat_handle event)
{
    /* EAGAIN, the one failure of a valid event, says that its counter is full: it is set. */
    uint64_t one = 1;
    ssize_t written = write((int)event, &one, sizeof(one));
    (void)written;
}

void plat_event_clear(plat_handle event)
{
    uint64_t counter;
    ssize_t taken = read((int)event, &counter, sizeof(counter));
    (void)taken;
}
