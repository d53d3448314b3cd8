#include "platform/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

zcb_error zcbi_plat_file_create(plat_handle *file)
{
    int fd = zcbi_posix_memfd("zcb-console");
    if (fd < 0)
        return zcbi_posix_error(errno);
    if (fcntl(fd, F_SETFL, O_APPEND) != 0) {
        zcb_error error = zcbi_posix_error(errno);
        close(fd);
        return error;
    }
    *file = fd;
    return ZCB_OK;
}

zcb_error zcbi_plat_file_read(plat_handle file, uint64_t offset, void *buffer, size_t capacity,
                              size_t *bytes)
{
    if (offset > INT64_MAX)
        return ZCB_ERR_INVALID;
    ssize_t taken;
    do
        taken = pread((int)file, buffer, capacity, (off_t)offset);
    while (taken < 0 && errno == EINTR);
    if (taken < 0)
        return zcbi_posix_error(errno);
    *bytes = (size_t)taken;
    return ZCB_OK;
}

void zcbi_plat_file_forget(plat_handle file, uint64_t offset)
{
    uint64_t whole_pages = offset - offset % (uint64_t)sysconf(_SC_PAGESIZE);
    if (whole_pages == 0 || offset > INT64_MAX)
        return;
    (void)fallocate((int)file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)whole_pages);
}

plat_handle zcbi_plat_standard(int stream)
{
    return stream == 1 ? STDOUT_FILENO : STDERR_FILENO;
}
