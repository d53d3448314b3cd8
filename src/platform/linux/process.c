#include "platform/posix/posix.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
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

int zcbi_posix_pidfd(int64_t pid)
{
    return (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
}

zcb_error zcbi_plat_process_open(int64_t pid, plat_handle *process)
{
    if (pid <= 0 || pid > INT_MAX)
        return ZCB_ERR_PEER_GONE;
    int fd = zcbi_posix_pidfd(pid);
    if (fd < 0) /* EINVAL: a thread's id */
        return errno == ESRCH || errno == EINVAL ? ZCB_ERR_PEER_GONE : zcbi_posix_error(errno);
    *process = fd;
    return ZCB_OK;
}

zcb_error zcbi_plat_child_open(const plat_child *child, int64_t pid, plat_handle *process)
{
    (void)child;
    return zcbi_plat_process_open(pid, process);
}

static bool is_signalled(plat_handle process)
{
    struct pollfd polled = {.fd = (int)process, .events = POLLIN};
    return poll(&polled, 1, 0) == 1 && (polled.revents & POLLIN);
}

bool zcbi_plat_process_ended(plat_child *child, int *exit_code)
{
    siginfo_t end = {0};
    int outcome;
    do
        outcome = waitid(ID_TYPE_PIDFD, (id_t)child->process, &end, WEXITED | WNOHANG);
    while (outcome != 0 && errno == EINTR);
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
    (void)pid; /* the id may be another process's by now; the handle cannot */
    syscall(SYS_pidfd_send_signal, (int)process, SIGKILL, NULL, 0);
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
