/*
 * What the tests ask of the operating system beyond platform.h, and how a test is left out, with its reason, where a
 * system has not what it is about.
 */
#ifndef ZCB_TEST_SYSTEM_H
#define ZCB_TEST_SYSTEM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platform/platform.h"

/* Reasons. */
#define NO_FORK "there is no fork: no process is a copy of another one"
#define NO_SIGNALS "signals interrupt nothing"
#define NO_DESCRIPTOR_FLAGS "handles have no flags that a peer could change"
#define NO_LIMITS "the system has no such limit for a process"

static inline void leave_out(void **state)
{
    print_message("left out: %s\n", (const char *)*state);
    skip();
}
#define LEFT_OUT(test, reason)                                                                     \
    {                                                                                              \
#test, leave_out, NULL, NULL, (void *)(uintptr_t)(reason)                                  \
    }

/* A test of the list that POSIX (Windows) alone runs. */
#if defined(_WIN32)
#define ON_POSIX(test, reason) LEFT_OUT(test, reason)
#define TEST_ON_POSIX(test, reason) LEFT_OUT(test, reason)
#else
#define ON_POSIX(test, reason) cmocka_unit_test(test)
#define TEST_ON_POSIX(test, reason) TEST(test) /* with the file's own set-up */
#endif

#if defined(_WIN32)

#include <process.h>

#include "platform/windows/windows.h"

#define KILLED "was ended"
#define NOWHERE "C:\\nowhere\\" /* a folder that there is not */
#define EXECUTABLE ".exe"
#define PATH_SEPARATOR ';'
#define FOLDER_SEPARATOR '\\'

/* Leaves out the rest of a test that Wine does not stand. */
static inline void unless_wine(const char *reason)
{
    if (GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "wine_get_version") == NULL)
        return;
    print_message("left out: %s\n", reason);
    skip();
}

/* Starts a program with a word, outside of libzcb, and leaves it; its pid. */
static inline int64_t start_and_leave(const char *program, const char *word)
{
    return GetProcessId((HANDLE)_spawnl(_P_NOWAIT, program, "program", word, NULL));
}

/* Lets nothing be committed in `memory` until it is given back. */
static inline plat_memory take_memory_away(plat_memory *memory)
{
    plat_memory kept = *memory;
    memory->base = (unsigned char *)((uintptr_t)1 << 62); /* no program's */
    memory->known = calloc(memory->bytes / PLAT_PAGE_BYTES, 1);
    assert_non_null((void *)memory->known);
    return kept;
}

static inline void give_memory_back(plat_memory *memory, plat_memory kept)
{
    free((void *)memory->known);
    *memory = kept;
}

static inline int setenv(const char *name, const char *value, int overwrite)
{
    return overwrite || getenv(name) == NULL ? _putenv_s(name, value) : 0;
}

static inline int unsetenv(const char *name)
{
    return _putenv_s(name, "");
}

/* The path of this program, in `path`. */
static inline void own_path(char path[4096])
{
    wchar_t wide[4096];
    assert_in_range(GetModuleFileNameW(NULL, wide, 4096), 1, 4095);
    assert_int_equal(zcbi_windows_copy_utf8(wide, path, 4096), ZCB_OK);
}

static inline unsigned open_descriptors(void)
{
    DWORD count = 0;
    assert_true(GetProcessHandleCount(GetCurrentProcess(), &count));
    return count;
}

static inline void allow_descriptors(unsigned count)
{
    (void)count; /* 16 million */
}

/* No process waits to be reaped. */
static inline void assert_no_children(void)
{
}

static inline plat_handle copy_of(plat_handle handle)
{
    HANDLE copy, self = GetCurrentProcess();
    assert_true(DuplicateHandle(self, windows_handle(handle), self, &copy, 0, FALSE,
                                DUPLICATE_SAME_ACCESS));
    return (plat_handle)copy;
}

/* Lets a process not run until it is resumed. */
NTSYSAPI LONG NTAPI NtSuspendProcess(HANDLE process);
NTSYSAPI LONG NTAPI NtResumeProcess(HANDLE process);

static inline void halt_process(int64_t pid, plat_handle process)
{
    (void)pid;
    assert_true(NtSuspendProcess(windows_handle(process)) >= 0);
}

static inline void resume_process(int64_t pid, plat_handle process)
{
    (void)pid;
    assert_true(NtResumeProcess(windows_handle(process)) >= 0);
}

/* Leaves this end of a link to zcbi_plat_link_inherited, as a program that started this one would have. */
static inline void leave_link(plat_handle link)
{
    char number[32];
    plat_handle pipe = copy_of((plat_handle)zcbi_windows_link_pipe(link));
    snprintf(number, sizeof(number), "%llu", (unsigned long long)pipe);
    setenv(ZCB_LINK_VARIABLE, number, 1);
    zcbi_plat_close(link);
}

/* Makes a file the standard error; returns what was it. */
static inline plat_handle put_as_errors(plat_handle file)
{
    plat_handle before = (plat_handle)GetStdHandle(STD_ERROR_HANDLE);
    SetStdHandle(STD_ERROR_HANDLE, windows_handle(file));
    return before;
}

static inline void put_errors_back(plat_handle before)
{
    SetStdHandle(STD_ERROR_HANDLE, windows_handle(before));
}

static inline size_t write_file(plat_handle file, const void *data, size_t bytes)
{
    DWORD written = 0;
    (void)WriteFile(windows_handle(file), data, (DWORD)bytes, &written, NULL);
    return written;
}

#else

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

static inline void unless_wine(const char *reason)
{
    (void)reason;
}

#define PATH_SEPARATOR ':'
#define FOLDER_SEPARATOR '/'

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

#endif
#endif
