#include "posix.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/error.h"

#ifndef SYS_close_range
#define SYS_close_range 436 /* Linux 5.9 */
#endif

#define REPORT_WAIT_NS INT64_C(1000000000)

/* The new program's descriptors. It gets the first four; the fifth is closed by its exec. */
enum { AS_INPUT, AS_OUTPUT, AS_ERROR, AS_LINK, AS_REPORT, DESCRIPTORS };
#define LINK_ENTRY ZCB_LINK_VARIABLE "=3"
static_assert(AS_LINK == 3, "LINK_ENTRY names it");

/* Of the child, up to the program. */
enum step { STEP_PREPARE, STEP_DIRECTORY, STEP_EXEC };

/* Sent by the child, through a pipe, when a step has failed. */
struct report {
    enum step step;
    int error; /* errno */
};

/* All that the child needs. Made before the vfork: from there to its exec the child shares this
 * process's memory and may only make system calls. */
struct launch {
    const char *path;
    const char *directory; /* or NULL */
    char **arguments;
    char **environment;
    int sources[DESCRIPTORS]; /* all DESCRIPTORS or above, so that no dup3 overwrites another */
};

/* ---------------------------------------------------------------- environment and arguments */

static size_t count_of(const char *const *list)
{
    size_t count = 0;
    while (list && list[count])
        count++;
    return count;
}

static bool names_same(const char *a, const char *b)
{
    size_t bytes = strcspn(a, "=");
    return bytes == strcspn(b, "=") && memcmp(a, b, bytes) == 0;
}

static bool is_named_in(const char *entry, const char *const *list)
{
    for (; list && *list; list++)
        if (names_same(entry, *list))
            return true;
    return names_same(entry, ZCB_LINK_VARIABLE);
}

/* This process's environment with the changes. Its strings are not copied. */
static char **make_environment(const char *const *changes)
{
    size_t most = count_of((const char *const *)environ) + count_of(changes) + 2;
    char **made = calloc(most, sizeof(*made));
    if (!made)
        return NULL;
    size_t count = 0;
    for (char **entry = environ; entry && *entry; entry++)
        if (!is_named_in(*entry, changes))
            made[count++] = *entry;
    for (; changes && *changes; changes++)
        if (strchr(*changes, '=') && !is_named_in(*changes, changes + 1))
            made[count++] = (char *)(uintptr_t)*changes;
    made[count] = (char *)(uintptr_t)LINK_ENTRY;
    return made;
}

static char **make_arguments(const char *path, const char *const *arguments)
{
    size_t count = count_of(arguments);
    char **made = calloc(count + 2, sizeof(*made));
    if (!made)
        return NULL;
    made[0] = (char *)(uintptr_t)path;
    for (size_t i = 0; i < count; i++)
        made[i + 1] = (char *)(uintptr_t)arguments[i];
    return made;
}

/* ---------------------------------------------------------------- in the child: async-signal-safe
 * calls only */

/* By the system call: glibc's sigaction refuses two signals that it uses itself (32 and 33), and
 * GNU make starts its children with these ignored. All zeroes are SIG_DFL (rt_sigaction(2)). */
static void reset_signal_actions(void)
{
    static const unsigned char by_default[64];
    for (int number = 1; number < NSIG; number++)
        (void)syscall(SYS_rt_sigaction, number, by_default, NULL, (size_t)(NSIG - 1) / 8);
}

struct directory_entry { /* getdents64's */
    uint64_t inode;
    int64_t offset;
    unsigned short bytes;
    unsigned char type;
    char name[];
};

/* The number of a name in /proc/self/fd, or -1. */
static int descriptor_named(const char *name)
{
    int number = 0;
    if (*name < '0' || *name > '9')
        return -1;
    for (; *name; name++)
        number = number * 10 + (*name - '0');
    return number;
}

/* Where the kernel has no close_range: closes the descriptors in /proc/self/fd. That moves no entry
 * of it. */
static int close_listed(int first)
{
    _Alignas(struct directory_entry) char buffer[2048];
    int folder = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return -1;
    long bytes;
    while ((bytes = syscall(SYS_getdents64, folder, buffer, sizeof(buffer))) > 0) {
        for (long at = 0; at < bytes;) {
            const struct directory_entry *entry = (const void *)(buffer + at);
            int fd = descriptor_named(entry->name);
            if (fd >= first && fd != folder)
                close(fd);
            at += entry->bytes;
        }
    }
    close(folder);
    return (int)bytes;
}

static int close_from(int first)
{
    if (syscall(SYS_close_range, (unsigned)first, UINT_MAX, 0u) == 0)
        return 0;
    return close_listed(first);
}

static int take_descriptors(const struct launch *launch)
{
    for (int i = 0; i < DESCRIPTORS; i++)
        if (dup3(launch->sources[i], i, i == AS_REPORT ? O_CLOEXEC : 0) < 0)
            return -1;
    return close_from(DESCRIPTORS);
}

static enum step become_program(const struct launch *launch)
{
    sigset_t none;
    sigemptyset(&none);
    if (setsid() < 0 || take_descriptors(launch) != 0)
        return STEP_PREPARE;
    if (launch->directory && chdir(launch->directory) != 0)
        return STEP_DIRECTORY;
    /* In this order: a handler of the parent must not run in the child, which shares its memory. */
    reset_signal_actions();
    if (sigprocmask(SIG_SETMASK, &none, NULL) != 0)
        return STEP_PREPARE;
    execve(launch->path, launch->arguments, launch->environment);
    return STEP_EXEC;
}

/* Not inlined: its stack frame must not be part of the frame of the function that called vfork. */
__attribute__((noinline, noreturn)) static void run_child(const struct launch *launch)
{
    struct report report = {.step = become_program(launch)};
    report.error = errno;
    ssize_t written = write(AS_REPORT, &report, sizeof(report));
    (void)written;
    _exit(127);
}

/* ---------------------------------------------------------------- in the parent */

static pid_t start_child(const struct launch *launch)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    zcbi_posix_launching(true);
    pid_t pid = vfork();
    if (pid == 0)
        run_child(launch);
    int number = errno;
    zcbi_posix_launching(false);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = number;
    return pid;
}

static void reap_child(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

static bool is_missing(int number)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR:
    case EACCES:
    case EPERM:
    case ENOEXEC:
    case EISDIR:
    case ELOOP:
    case ENAMETOOLONG:
        return true;
    default:
        return false;
    }
}

static zcb_error explain_spawn(const plat_spawn *spawn, const struct report *report,
                               zcb_detail *why)
{
    const char *cause = report->error == EAGAIN
                            ? "there are too many processes (ulimit -u, or the container's limit)"
                            : strerror(report->error);
    switch (report->step) {
    case STEP_DIRECTORY:
        zcbi_error_detail(why, "cannot enter the working directory '%s': %s",
                          spawn->working_directory, cause);
        break;
    case STEP_EXEC:
        zcbi_error_detail(why, "cannot execute '%s': %s", spawn->path, cause);
        break;
    case STEP_PREPARE:
        zcbi_error_detail(why, "cannot start '%s': %s", spawn->path, cause);
        return zcbi_posix_error(report->error);
    }
    return is_missing(report->error) ? ZCB_ERR_NOT_FOUND : zcbi_posix_error(report->error);
}

/* True when the child reports a failure. The report is there when vfork returns. Waits a moment,
 * because some tools make a fork of the vfork. Not for long, because a fork on another thread may
 * have copied the pipe, whose end then stays open. */
static bool take_report(int reports, struct report *report)
{
    plat_handle pipe = reports;
    int64_t deadline_ns = zcbi_plat_now_ns() + REPORT_WAIT_NS;
    unsigned ready;
    while (zcbi_plat_wait(&pipe, 1, deadline_ns, &ready) == ZCB_ERR_INTERRUPTED)
        continue;
    return read(reports, report, sizeof(*report)) == (ssize_t)sizeof(*report);
}

/* The child's handle; without one the child is ended again. 0 or an errno. */
static int adopt_child(pid_t pid, const plat_spawn *spawn, plat_child *child)
{
    plat_handle process;
    int number = zcbi_posix_process(pid, spawn->other_end, &process);
    if (number != 0) {
        kill(pid, SIGKILL);
        reap_child(pid);
        return number;
    }
    *child = (plat_child){.pid = pid, .process = process, .group = PLAT_NO_HANDLE};
    return 0;
}

static void close_sources(struct launch *launch)
{
    for (int i = 0; i < DESCRIPTORS; i++) {
        zcbi_plat_close(launch->sources[i]);
        launch->sources[i] = -1;
    }
}

/* Fills launch->sources with copies, and *reports with the read end of the pipe. 0 or an errno. */
static int gather_descriptors(const plat_spawn *spawn, struct launch *launch, int *reports)
{
    int ends[2] = {-1, -1};
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return errno;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int number = null < 0 ? errno : 0;
    const int wanted[DESCRIPTORS] = {null, (int)spawn->out, (int)spawn->err, (int)spawn->link,
                                     ends[1]};
    for (int i = 0; i < DESCRIPTORS && number == 0; i++) {
        launch->sources[i] = zcbi_posix_end_copy(wanted[i], DESCRIPTORS);
        if (launch->sources[i] < 0)
            number = errno;
    }
    zcbi_plat_close(null);
    close(ends[1]);
    *reports = ends[0];
    return number;
}

zcb_error zcbi_plat_process_spawn(const plat_spawn *spawn, plat_child *child, zcb_detail *why)
{
    struct launch launch = {.path = spawn->path,
                            .directory = spawn->working_directory,
                            .arguments = make_arguments(spawn->path, spawn->arguments),
                            .environment = make_environment(spawn->environment),
                            .sources = {-1, -1, -1, -1, -1}};
    struct report report = {.step = STEP_PREPARE};
    int reports = -1;
    if (!launch.arguments || !launch.environment) {
        report.error = ENOMEM;
        goto cleanup;
    }
    report.error = gather_descriptors(spawn, &launch, &reports);
    if (report.error != 0)
        goto cleanup;
    pid_t pid = start_child(&launch);
    report.error = pid < 0 ? errno : 0;
    close_sources(&launch); /* one of them keeps the pipe open */
    if (pid < 0)
        goto cleanup;
    if (take_report(reports, &report))
        reap_child(pid);
    else
        report.error = adopt_child(pid, spawn, child);

cleanup:
    close_sources(&launch);
    zcbi_plat_close(reports);
    free(launch.arguments);
    free(launch.environment);
    return report.error == 0 ? ZCB_OK : explain_spawn(spawn, &report, why);
}
