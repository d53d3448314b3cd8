/*
 * The ends of links, where the kernel has no handles of processes: pidfd_open came with Linux 5.3,
 * and RHEL 8 has 4.18. There the end of a process is told by the hang-up of a link whose other end
 * that process holds.
 *
 * The kernel hangs up when the last copy of an end is closed, so nobody else may keep one. A
 * program that is started inherits none (close-on-exec). A child of fork that goes on without exec,
 * as Python's multiprocessing makes it, would: so this process's ends are noted here, and in such a
 * child each is replaced by something else with the same number.
 *
 * What this cannot promise: a copy that was made past the C library's fork (by the clone system
 * call) counts as the process itself, and so does a launcher between the program and its engine,
 * with all that it has started. Their end is told when the last of them has ended. Who closes the
 * link counts as ended, and is ended (zcbi_plat_process_ended).
 *
 * Where the kernel has handles of processes nothing is noted.
 */
#include "posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

struct end {
    struct end *next;
    int fd;
};

/* No fork comes between the making of an end and its note, or between the two ends of that. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct end *ends;
static bool replaces;    /* forks are handled */
static _Atomic bool any; /* there was one */
static _Thread_local bool launching;

static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&lock);
}

/* The number stays taken: the child, too, may close it once. */
static void replace(int fd)
{
    close(fd);
    int other = eventfd(0, EFD_CLOEXEC);
    if (other < 0 || other == fd)
        return;
    dup3(other, fd, O_CLOEXEC);
    close(other);
}

static void after_fork_in_child(void)
{
    for (const struct end *end = ends; end && !launching; end = end->next)
        replace(end->fd);
    pthread_mutex_unlock(&lock);
}

void zcbi_posix_launching(bool now)
{
    launching = now;
}

/* Under the lock; 0 or an errno. */
static int note_end(int fd)
{
    int number = replaces ? 0 : pthread_atfork(before_fork, after_fork, after_fork_in_child);
    if (number != 0)
        return number;
    replaces = true;
    struct end *end = malloc(sizeof(*end));
    if (!end)
        return ENOMEM;
    *end = (struct end){.next = ends, .fd = fd};
    ends = end;
    atomic_store(&any, true); /* partner: zcbi_posix_end_close */
    return 0;
}

/* Under the lock. */
static struct end **find(int fd)
{
    struct end **link = &ends;
    while (*link && (*link)->fd != fd)
        link = &(*link)->next;
    return link;
}

int zcbi_posix_ends_make(int pair[2])
{
    bool noted = zcbi_posix_lacks_pidfd();
    pthread_mutex_lock(&lock);
    int number = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0 ? 0 : errno;
    for (int i = 0; i < 2 && noted && number == 0; i++)
        number = note_end(pair[i]);
    pthread_mutex_unlock(&lock);
    return number;
}

int zcbi_posix_end_inherit(int fd)
{
    if (!zcbi_posix_lacks_pidfd())
        return 0;
    pthread_mutex_lock(&lock);
    int number = note_end(fd);
    pthread_mutex_unlock(&lock);
    return number;
}

int zcbi_posix_end_copy(int fd, int lowest)
{
    pthread_mutex_lock(&lock);
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, lowest);
    int number = copy >= 0 && *find(fd) ? note_end(copy) : 0;
    if (number != 0) {
        close(copy);
        copy = -1;
        errno = number;
    }
    pthread_mutex_unlock(&lock);
    return copy;
}

void zcbi_posix_end_close(int fd)
{
    /* partner: note_end */
    if (!atomic_load_explicit(&any, memory_order_relaxed)) {
        close(fd);
        return;
    }
    pthread_mutex_lock(&lock);
    struct end **link = find(fd);
    struct end *end = *link;
    if (end)
        *link = end->next;
    close(fd);
    pthread_mutex_unlock(&lock);
    free(end);
}
