/*
 * Shared by the files of posix/ and linux/, which keep the contract of platform.h on Linux 5.4 or
 * later. macOS has no memfd, seals, eventfd, pidfd, ppoll or AF_UNIX sockets of type
 * SOCK_SEQPACKET. It would need another folder in place of linux/, and another link.c and wait.c.
 */
#ifndef ZCB_POSIX_H
#define ZCB_POSIX_H

#include "platform/platform.h"

/* The zcb_error for an errno. */
zcb_error zcbi_posix_error(int number);

/* A new unnamed file in memory: read and write, close-on-exec, can be sealed. -1 with errno. */
int zcbi_posix_memfd(const char *label);

/* A pidfd for a process that lives or was not reaped yet. -1 with errno. */
int zcbi_posix_pidfd(int64_t pid);

#endif
