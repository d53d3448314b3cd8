/*
 * Stands in for what libzcb calls: the linker sends its call of X to __wrap_X. Each function lists the errors
 * that it can give for what the library asks of it, after the manual pages.
 */
#include "faults.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

#define WRAP(type, name, ...)                                                                      \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)
#define FAILS_WITH(...)                                                                            \
    plan_fails(                                                                                    \
        &__func__ [sizeof("__wrap_") - 1], (const int[]) { __VA_ARGS__, 0 })

/* ---- memory of its own ---- */

static _Atomic long outstanding;

long allocations_outstanding(void)
{
    return atomic_load(&outstanding);
}

static void *counted(void *memory)
{
    if (memory != NULL)
        atomic_fetch_add(&outstanding, 1);
    return memory;
}

WRAP(void *, malloc, size_t bytes)
{
    return FAILS_WITH(ENOMEM) ? NULL : counted(malloc(bytes));
}

WRAP(void *, calloc, size_t count, size_t bytes)
{
    return FAILS_WITH(ENOMEM) ? NULL : counted(calloc(count, bytes));
}

WRAP(void *, realloc, void *old, size_t bytes)
{
    if (FAILS_WITH(ENOMEM))
        return NULL;
    return old == NULL ? counted(malloc(bytes)) : realloc(old, bytes);
}

WRAP(void, free, void *memory)
{
    if (memory != NULL)
        atomic_fetch_sub(&outstanding, 1);
    free(memory);
}

/* ---- shared memory and files ---- */

WRAP(void *, mmap64, void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    return FAILS_WITH(ENOMEM, ENFILE) ? MAP_FAILED : mmap(at, bytes, protection, flags, fd, offset);
}

WRAP(int, madvise, void *memory, size_t bytes, int advice)
{
    /* EINVAL: the kernel does not know the advice. */
    return FAILS_WITH(ENOMEM, EAGAIN, EINTR, EINVAL) ? -1 : madvise(memory, bytes, advice);
}

WRAP(int, memfd_create, const char *name, unsigned flags)
{
    return FAILS_WITH(EMFILE, ENFILE, ENOMEM, EINVAL) ? -1 : memfd_create(name, flags);
}

WRAP(int, ftruncate64, int fd, off_t bytes)
{
    return FAILS_WITH(EFBIG, ENOSPC) ? -1 : ftruncate(fd, bytes);
}

WRAP(int, fallocate64, int fd, int mode, off_t offset, off_t bytes)
{
    return FAILS_WITH(ENOSPC, EINTR, ENOMEM, EOPNOTSUPP) ? -1 : fallocate(fd, mode, offset, bytes);
}

WRAP(int, fcntl64, int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    int argument = command == F_GET_SEALS ? 0 : va_arg(arguments, int);
    va_end(arguments);
    bool fails = false;
    if (command == F_DUPFD_CLOEXEC)
        fails = FAILS_WITH(EMFILE);
    else if (command == F_ADD_SEALS || command == F_SETFL)
        fails = FAILS_WITH(EPERM);
    return fails ? -1 : fcntl(fd, command, argument);
}

WRAP(int, fchmod, int fd, mode_t mode)
{
    return FAILS_WITH(EPERM) ? -1 : fchmod(fd, mode);
}

WRAP(ssize_t, pread64, int fd, void *buffer, size_t capacity, off_t offset)
{
    return FAILS_WITH(EIO, EINTR) ? -1 : pread(fd, buffer, capacity, offset);
}

/* It is closed all the same: close(2). */
WRAP(int, close, int fd)
{
    int outcome = close(fd);
    return FAILS_WITH(EINTR, EIO) ? -1 : outcome;
}

/* ---- events and waiting ---- */

WRAP(int, eventfd, unsigned value, int flags)
{
    return FAILS_WITH(EMFILE, ENFILE, ENOMEM) ? -1 : eventfd(value, flags);
}

WRAP(int, epoll_create1, int flags)
{
    return FAILS_WITH(EMFILE, ENFILE, ENOMEM) ? -1 : epoll_create1(flags);
}

/* ENOSPC: the user watches too much (/proc/sys/fs/epoll/max_user_watches). */
WRAP(int, epoll_ctl, int epoll, int operation, int fd, struct epoll_event *event)
{
    return FAILS_WITH(ENOMEM, ENOSPC) ? -1 : epoll_ctl(epoll, operation, fd, event);
}

WRAP(int, timerfd_create, clockid_t clock, int flags)
{
    return FAILS_WITH(EMFILE, ENFILE, ENOMEM, ENODEV) ? -1 : timerfd_create(clock, flags);
}

/* Of an event, or of the report of a child, which has written it or has become the program. */
WRAP(ssize_t, read, int fd, void *buffer, size_t capacity)
{
    return FAILS_WITH(EAGAIN) ? -1 : read(fd, buffer, capacity);
}

WRAP(ssize_t, preadv64v2, int fd, const struct iovec *pieces, int count, off_t offset, int flags)
{
    return FAILS_WITH(EAGAIN, EOPNOTSUPP) ? -1 : preadv2(fd, pieces, count, offset, flags);
}

WRAP(int, ppoll, struct pollfd *polled, nfds_t count, const struct timespec *limit,
     const sigset_t *mask)
{
    return FAILS_WITH(EINTR, ENOMEM) ? -1 : ppoll(polled, count, limit, mask);
}

WRAP(int, sched_getaffinity, pid_t pid, size_t bytes, cpu_set_t *allowed)
{
    return FAILS_WITH(EINVAL) ? -1 : sched_getaffinity(pid, bytes, allowed);
}

/* ---- links ---- */

WRAP(int, socketpair, int domain, int type, int protocol, int ends[2])
{
    return FAILS_WITH(EMFILE, ENFILE, ENOBUFS) ? -1 : socketpair(domain, type, protocol, ends);
}

WRAP(int, setsockopt, int fd, int level, int option, const void *value, socklen_t bytes)
{
    return FAILS_WITH(ENOBUFS) ? -1 : setsockopt(fd, level, option, value, bytes);
}

WRAP(int, getsockopt, int fd, int level, int option, void *value, socklen_t *bytes)
{
    return FAILS_WITH(ENOBUFS) ? -1 : getsockopt(fd, level, option, value, bytes);
}

WRAP(ssize_t, sendmsg, int fd, const struct msghdr *message, int flags)
{
    return FAILS_WITH(EAGAIN, EINTR, ENOBUFS, ETOOMANYREFS) ? -1 : sendmsg(fd, message, flags);
}

/* As the kernel does where there is no descriptor left for what came. */
static void take_handles_away(struct msghdr *message)
{
    bool taken = false;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
         header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        const int *fds = (const int *)(const void *)CMSG_DATA(header);
        for (size_t i = 0; i < (header->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++)
            close(fds[i]);
        taken = true;
    }
    if (!taken)
        return;
    message->msg_controllen = 0;
    message->msg_flags |= MSG_CTRUNC;
}

WRAP(ssize_t, recvmsg, int fd, struct msghdr *message, int flags)
{
    if (!FAILS_WITH(EINTR, ENOMEM, ECONNRESET, EMFILE))
        return recvmsg(fd, message, flags);
    if (errno != EMFILE)
        return -1;
    ssize_t received = recvmsg(fd, message, flags);
    if (received >= 0)
        take_handles_away(message);
    return received;
}

/* ---- processes ---- */

/* A fork: what has called vfork may not return before its child has become something else. */
WRAP(pid_t, vfork, void)
{
    return FAILS_WITH(EAGAIN, ENOMEM) ? -1 : fork();
}

WRAP(int, execve, const char *path, char *const arguments[], char *const environment[])
{
    return FAILS_WITH(ENOMEM, EACCES, ENOENT, E2BIG, ETXTBSY)
               ? -1
               : execve(path, arguments, environment);
}

WRAP(pid_t, setsid, void)
{
    return FAILS_WITH(EPERM) ? -1 : setsid();
}

/* Never EINTR: the child holds all signals back. */
WRAP(int, dup3, int from, int to, int flags)
{
    return FAILS_WITH(EMFILE) ? -1 : dup3(from, to, flags);
}

WRAP(int, chdir, const char *path)
{
    return FAILS_WITH(ENOENT, EACCES, ENOMEM) ? -1 : chdir(path);
}

WRAP(int, pipe2, int ends[2], int flags)
{
    return FAILS_WITH(EMFILE, ENFILE) ? -1 : pipe2(ends, flags);
}

WRAP(pid_t, waitpid, pid_t pid, int *status, int options)
{
    return FAILS_WITH(EINTR) ? -1 : waitpid(pid, status, options);
}

/* ECHILD: somebody else of this program has reaped it. EINVAL: the kernel waits for no pidfd. */
WRAP(int, waitid, idtype_t type, id_t id, siginfo_t *end, int options)
{
    if (type == P_PID ? !FAILS_WITH(EINTR, ECHILD) : !FAILS_WITH(EINTR, ECHILD, EINVAL))
        return waitid(type, id, end, options);
    int number = errno;
    if (number == ECHILD && (waitid(type, id, end, options) != 0 || end->si_pid == 0))
        return 0;
    errno = number;
    return -1;
}

/* An error by its return value. */
WRAP(int, pthread_atfork, void (*before)(void), void (*after)(void), void (*in_child)(void))
{
    return FAILS_WITH(ENOMEM) ? errno : pthread_atfork(before, after, in_child);
}

/* rt_sigaction and getdents64 do not fail with the arguments that they get. ENOSYS: an old kernel. */
WRAP(long, syscall, long number, ...)
{
    long a[6];
    va_list arguments;
    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(arguments, long);
    va_end(arguments);
    bool fails = false;
    if (number == SYS_pidfd_open)
        fails = FAILS_WITH(EMFILE, ENFILE, ENOMEM, ENOSYS);
    else if (number == SYS_pidfd_send_signal)
        fails = FAILS_WITH(ENOSYS);
    else if (number == SYS_close_range)
        fails = FAILS_WITH(ENOSYS, ENOMEM);
    return fails ? -1 : syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ---- threads ---- */

WRAP(int, pthread_create, pthread_t *thread, const pthread_attr_t *attributes,
     void *(*work)(void *), void *arg)
{
    return FAILS_WITH(EAGAIN) ? errno : pthread_create(thread, attributes, work, arg);
}

/* ---- paths ---- */

WRAP(int, open64, const char *path, int flags, ...)
{
    return FAILS_WITH(EMFILE, ENFILE, ENOENT, EACCES) ? -1 : open(path, flags);
}

WRAP(DIR *, opendir, const char *path)
{
    return FAILS_WITH(EMFILE, ENOMEM, EACCES) ? NULL : opendir(path);
}

WRAP(struct dirent *, readdir64, DIR *folder)
{
    return FAILS_WITH(EIO) ? NULL : readdir(folder);
}

WRAP(int, stat64, const char *path, struct stat *status)
{
    return FAILS_WITH(ENOENT, EACCES, ENOMEM) ? -1 : stat(path, status);
}

WRAP(int, access, const char *path, int mode)
{
    return FAILS_WITH(EACCES, ENOMEM) ? -1 : access(path, mode);
}

WRAP(char *, getcwd, char *path, size_t capacity)
{
    return FAILS_WITH(ENOENT, ENOMEM) ? NULL : getcwd(path, capacity);
}

WRAP(char *, realpath, const char *path, char *resolved)
{
    return FAILS_WITH(EACCES, ENOENT, ENOMEM) ? NULL : realpath(path, resolved);
}

WRAP(int, dladdr, const void *address, Dl_info *library)
{
    return FAILS_WITH(ENOENT) ? 0 : dladdr(address, library);
}

WRAP(int, getpwuid_r, uid_t uid, struct passwd *user, char *text, size_t capacity,
     struct passwd **found)
{
    return FAILS_WITH(EMFILE, EIO, ENOMEM) ? errno : getpwuid_r(uid, user, text, capacity, found);
}
