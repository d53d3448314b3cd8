#include "posix.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u /* Linux 6.3 */
#endif

void zcbi_plat_close(plat_handle handle)
{
    /* Not repeated after EINTR: Linux has closed the descriptor then. */
    if (handle != PLAT_NO_HANDLE)
        zcbi_posix_end_close(posix_fd(handle));
}

zcb_error zcbi_posix_error(int number)
{
    switch (number) {
    case ENOMEM:
    case ENOSPC:
    case ENOBUFS:
    case EFBIG:
        return ZCB_ERR_NO_MEMORY;
    case EMFILE:
    case ENFILE:
    case ETOOMANYREFS:
        return ZCB_ERR_NO_HANDLES;
    default:
        return ZCB_ERR_SYSTEM;
    }
}

int zcbi_posix_memfd(const char *label)
{
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    /* A system with vm.memfd_noexec=2 insists on the flag; one before Linux 6.3 does not know
     * it. */
    int fd = memfd_create(label, flags | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(label, flags);
    return fd;
}
