/*
 * Shared by the files of posix/ and linux/, which keep the contract of platform.h on Linux 4.18
 * (RHEL 8) or later: they do without younger calls where the kernel refuses them. macOS has no
 * memfd, seals, eventfd, pidfd, ppoll or AF_UNIX sockets of type SOCK_SEQPACKET. It would need
 * another folder in place of linux/, and another link.c and wait.c.
 */
#ifndef ZCB_POSIX_H
#define ZCB_POSIX_H

#include "platform/platform.h"

/* The zcb_error for an errno. */
zcb_error zcbi_posix_error(int number);

/* A new unnamed file in memory: read and write, close-on-exec, can be sealed. -1 with errno. */
int zcbi_posix_memfd(const char *label);

/* ---- handles of processes: pidfds, or else copies of a link whose other end a process has ---- */

/* Marks such a copy in a plat_handle: it is signalled by the hang-up alone, not when it can be
 * read. */
#define POSIX_HANG_UP ((plat_handle)1 << 30)

static inline bool posix_tells_by_hang_up(plat_handle handle)
{
    return handle != PLAT_NO_HANDLE && (handle & POSIX_HANG_UP) != 0;
}

static inline int posix_fd(plat_handle handle)
{
    return handle == PLAT_NO_HANDLE ? -1 : (int)(handle & ~POSIX_HANG_UP);
}

/* True when the kernel, or a container's filter, has no pidfd_open. */
bool zcbi_posix_lacks_pidfd(void);
/* A handle of a process that lives or was not reaped yet. `link` is the link (or a copy of it)
 * whose other end the process has, or PLAT_NO_HANDLE. 0 or an errno: ESRCH; EINVAL, for a thread's
 * id; ENOSYS and EPERM, without pidfd_open and such a link. */
int zcbi_posix_process(int64_t pid, plat_handle link, plat_handle *process);
/* The zcb_error for such an errno. */
zcb_error zcbi_posix_process_error(int number);
bool zcbi_posix_is_link(int fd);

/* ---- ends.c ---- */

/* A link pair, close-on-exec. 0 or an errno; then `pair` has the ends that were made. */
int zcbi_posix_ends_make(int pair[2]);
/* Notes an end that this process has inherited. 0 or an errno. */
int zcbi_posix_end_inherit(int fd);
/* A copy of a descriptor with a number from `lowest` on, close-on-exec. -1 with errno. */
int zcbi_posix_end_copy(int fd, int lowest);
/* Closes any descriptor. */
void zcbi_posix_end_close(int fd);
/* Says that this thread is starting a program: if a tool makes a fork of the vfork, its child keeps
 * its ends. */
void zcbi_posix_launching(bool now);

#endif
