/* What the tests ask of Windows. system_posix.h has the same functions. */
#ifndef ZCB_TEST_SYSTEM_WINDOWS_H
#define ZCB_TEST_SYSTEM_WINDOWS_H

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

static inline bool process_runs(int64_t pid)
{
    plat_handle process;
    zcb_error error = zcbi_plat_process_open(pid, &process);
    if (error == ZCB_OK)
        zcbi_plat_close(process);
    return error != ZCB_ERR_PEER_GONE;
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

#endif
