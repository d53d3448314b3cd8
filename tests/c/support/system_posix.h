/* What system_windows.h says, on POSIX systems; and what only their tests need. */
#ifndef ZCB_TEST_SYSTEM_POSIX_H
#define ZCB_TEST_SYSTEM_POSIX_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLED "was killed by signal 9"
#define NOWHERE "/nowhere/"
#define EXECUTABLE ""
#define PATH_SEPARATOR ':'
#define FOLDER_SEPARATOR '/'

static inline void unless_wine(const char *reason)
{
    (void)reason;
}

static inline int64_t start_and_leave(const char *program, const char *word)
{
    pid_t pid = fork();
    if (pid == 0) {
        execl(program, program, word, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static inline plat_memory take_memory_away(plat_memory *memory)
{
    plat_memory kept = *memory;
    assert_int_equal(zcbi_plat_event_create(&memory->handle), ZCB_OK); /* no file that could grow */
    return kept;
}

static inline void give_memory_back(plat_memory *memory, plat_memory kept)
{
    zcbi_plat_close(memory->handle);
    *memory = kept;
}

static inline void own_path(char path[4096])
{
    ssize_t bytes = readlink("/proc/self/exe", path, 4095);
    assert_true(bytes > 0);
    path[bytes] = 0;
}

static inline unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

/* Skips the test where it cannot have so many. */
static inline void allow_descriptors(unsigned count)
{
    struct rlimit files;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    if (files.rlim_max < count)
        skip();
    files.rlim_cur = files.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
}

static inline void assert_no_children(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static inline plat_handle copy_of(plat_handle handle)
{
    int fd = fcntl((int)handle, F_DUPFD_CLOEXEC, 0);
    assert_true(fd >= 0);
    return fd;
}

static inline void halt_process(int64_t pid, plat_handle process)
{
    siginfo_t info;
    (void)process;
    kill((pid_t)pid, SIGSTOP);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WSTOPPED), 0);
}

static inline void resume_process(int64_t pid, plat_handle process)
{
    (void)process;
    kill((pid_t)pid, SIGCONT);
}

/* Without a handle of it, as where the kernel has none. */
static inline bool process_runs(int64_t pid)
{
    char path[32], text[512] = "";
    snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t bytes = file < 0 ? -1 : read(file, text, sizeof(text) - 1);
    const char *name_end = bytes > 0 ? strrchr(text, ')') : NULL;
    close(file);
    return name_end != NULL && strncmp(name_end, ") Z", 3) != 0;
}

static inline void leave_link(plat_handle link)
{
    char number[16];
    snprintf(number, sizeof(number), "%d", (int)link);
    setenv(ZCB_LINK_VARIABLE, number, 1);
}

static inline plat_handle put_as_errors(plat_handle file)
{
    int before = dup(STDERR_FILENO);
    assert_int_equal(dup2((int)file, STDERR_FILENO), STDERR_FILENO);
    return before;
}

static inline void put_errors_back(plat_handle before)
{
    dup2((int)before, STDERR_FILENO);
    close((int)before);
}

static inline size_t write_file(plat_handle file, const void *data, size_t bytes)
{
    ssize_t written = write((int)file, data, bytes);
    return written < 0 ? 0 : (size_t)written;
}

/* ---- forked children and signals ---- */

/* A forked child that answers with its exit code: 0 is yes. */
static inline void assert_child_says_yes(pid_t child)
{
    int status;
    assert_true(child >= 0);
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Runs a check in a forked child, where it may spoil limits, signals and descriptors. */
static inline void assert_in_child(bool (*check)(void))
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(check() ? 0 : 1);
    assert_child_says_yes(pid);
}

static inline void ignore_signal(int number)
{
    (void)number;
}

/* It interrupts what waits, and does nothing else. */
static inline void let_signal_interrupt(int number)
{
    struct sigaction action = {.sa_handler = ignore_signal};
    assert_int_equal(sigaction(number, &action, NULL), 0);
}

#endif
