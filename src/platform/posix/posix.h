/*
 * What the files of this folder share. They are written for Linux 5.4 or later. macOS is left out: it
 * has no memfd, seals, eventfd, pidfd, ppoll or SOCK_SEQPACKET for AF_UNIX, so that nearly every file
 * here would be another one there; it needs a folder of its own beside this one.
 */
#ifndef ZCB_POSIX_H
#define ZCB_POSIX_H

#include "platform/platform.h"

/* What an errno means to the caller of a plat_ function. */
zcb_error zcbi_posix_error(int number);

/* A new unnamed file in memory: read and write, close-on-exec, may be sealed. -1 with errno. */
int zcbi_posix_memfd(const char *label);

/* A pidfd for a live or not yet reaped process. -1 with errno. */
int zcbi_posix_pidfd(int64_t pid);

#endif
