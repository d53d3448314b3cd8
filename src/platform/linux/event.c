#include "platform/posix/posix.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

zcb_error zcbi_plat_event_create(plat_handle *event)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        return zcbi_posix_error(errno);
    *event = fd;
    return ZCB_OK;
}

void zcbi_plat_event_set(plat_handle event)
{
    /* The one error of a valid event is EAGAIN: its counter is full, so it is set. */
    uint64_t one = 1;
    ssize_t written = write((int)event, &one, sizeof(one));
    (void)written;
}

void zcbi_plat_event_clear(plat_handle event)
{
    /* Not by read: the other process shares the descriptor's flags, and may have made it
     * blocking. */
    uint64_t counter;
    struct iovec piece = {.iov_base = &counter, .iov_len = sizeof(counter)};
    unsigned ready;
    ssize_t taken = preadv2((int)event, &piece, 1, -1, RWF_NOWAIT);
    if (taken < 0 && errno != EAGAIN && zcbi_plat_wait(&event, 1, 0, &ready) == ZCB_OK)
        taken = read((int)event, &counter, sizeof(counter)); /* before Linux 5.8 */
    (void)taken;
}

bool zcbi_plat_is_event(plat_handle handle)
{
    struct stat status;
    return fstat((int)handle, &status) == 0 && (status.st_mode & S_IFMT) == 0;
}
