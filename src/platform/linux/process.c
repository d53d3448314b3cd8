#include "platform/posix/posix.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* glibc before 2.36 does not define these. The numbers are the same on every architecture. */
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#define ID_TYPE_PIDFD ((idtype_t)3)

/* For a child whose exit code another part of the process has taken. */
#define EXIT_CODE_UNKNOWN 255

int64_t zcbi_plat_getpid(void)
{
    return getpid();
}

/* EPERM: a filter that does not know the call, as containers had them. */
static bool is_lack(int number)
{
    return number == ENOSYS || number == EPERM;
}

bool zcbi_posix_lacks_pidfd(void)
{
    return syscall(SYS_pidfd_open, -1, 0) < 0 && is_lack(errno);
}

int zcbi_posix_process(int64_t pid, plat_handle link, plat_handle *process)
{
    if (pid <= 0 || pid > INT_MAX)
        return ESRCH;
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (fd >= 0) {
        *process = fd;
        return 0;
    }
    int number = errno;
    if (!is_lack(number))
        return number;
    if (kill((pid_t)pid, 0) != 0 && errno == ESRCH)
        return ESRCH;
    if (!zcbi_posix_is_link(posix_fd(link)))
        return number;
    fd = zcbi_posix_end_copy(posix_fd(link), 0);
    if (fd < 0)
        return errno;
    *process = fd | POSIX_HANG_UP;
    return 0;
}

zcb_error zcbi_posix_process_error(int number)
{
    if (number == 0)
        return ZCB_OK;
    return number == ESRCH || number == EINVAL ? ZCB_ERR_PEER_GONE : zcbi_posix_error(number);
}

zcb_error zcbi_plat_process_open(int64_t pid, plat_handle *process)
{
    return zcbi_posix_process_error(zcbi_posix_process(pid, PLAT_NO_HANDLE, process));
}

zcb_error zcbi_plat_child_open(const plat_child *child, int64_t pid, plat_handle *process)
{
    return zcbi_posix_process_error(zcbi_posix_process(pid, child->process, process));
}

static bool is_signalled(plat_handle process)
{
    unsigned ready;
    return zcbi_plat_wait(&process, 1, 0, &ready) == ZCB_OK;
}

/* waitid with WEXITED and other options. By the number where there is no pidfd, or one that waitid
 * does not know yet (before Linux 5.4): it is the child's until the child is reaped. */
static int wait_for_end(const plat_child *child, int options, siginfo_t *end)
{
    bool by_pid = posix_tells_by_hang_up(child->process);
    for (;;) {
        idtype_t type = by_pid ? P_PID : ID_TYPE_PIDFD;
        id_t id = by_pid ? (id_t)child->pid : (id_t)child->process;
        int outcome = waitid(type, id, end, WEXITED | options);
        if (outcome == 0 || (errno != EINTR && (errno != EINVAL || by_pid)))
            return outcome;
        by_pid = by_pid || errno == EINVAL;
    }
}

bool zcbi_plat_process_ended(plat_child *child, int *exit_code)
{
    siginfo_t end = {0};
    int outcome = wait_for_end(child, WNOHANG, &end);
    if (outcome == 0 && end.si_pid == 0 && posix_tells_by_hang_up(child->process) &&
        is_signalled(child->process)) {
        /* A process that ends closes its end of the link a moment before: SIGKILL does not change
         * its exit code any more. One that has closed it and goes on is ended. */
        kill((pid_t)child->pid, SIGKILL);
        outcome = wait_for_end(child, 0, &end);
    }
    if (outcome != 0) {
        /* ECHILD: the child was reaped already, or this process ignores SIGCHLD. */
        if (!is_signalled(child->process))
            return false;
        *exit_code = EXIT_CODE_UNKNOWN;
        return true;
    }
    if (end.si_pid == 0)
        return false;
    *exit_code = end.si_code == CLD_EXITED ? end.si_status : -end.si_status;
    return true;
}

void zcbi_plat_end_text(int exit_code, char *text, size_t bytes)
{
    if (exit_code < 0)
        snprintf(text, bytes, "was killed by signal %d", -exit_code);
    else
        snprintf(text, bytes, "exited with code %d", exit_code);
}

void zcbi_plat_process_kill(int64_t pid, plat_handle process)
{
    bool by_pid = posix_tells_by_hang_up(process);
    if (!by_pid && syscall(SYS_pidfd_send_signal, (int)process, SIGKILL, NULL, 0) == 0)
        return;
    /* The number may be another process's once the process has ended. */
    if (pid > 1 && pid <= INT_MAX && !is_signalled(process))
        kill((pid_t)pid, SIGKILL);
}

void zcbi_plat_process_hang_up_group(const plat_child *child)
{
    if (child->pid > 1 && child->pid <= INT_MAX)
        kill((pid_t)-child->pid, SIGHUP);
}

void zcbi_plat_end_this_process(int exit_code)
{
    signal(SIGHUP, SIG_IGN);
    kill(0, SIGHUP);
    _exit(exit_code);
}
