#include "windows.h"

#include <stdio.h>

/* Of a process that this library kills; debuggers use the same one (DBG_TERMINATE_PROCESS). */
#define EXIT_CODE_KILLED 0x40010004u
#define EXIT_CODE_UNKNOWN 255
#define RIGHTS (SYNCHRONIZE | PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_TERMINATE)

int64_t zcbi_plat_getpid(void)
{
    return GetCurrentProcessId();
}

static bool is_signalled(HANDLE process)
{
    return WaitForSingleObject(process, 0) == WAIT_OBJECT_0;
}

static zcb_error open_process(int64_t pid, DWORD rights, plat_handle *process)
{
    if (pid <= 0 || pid > UINT32_MAX)
        return ZCB_ERR_PEER_GONE;
    HANDLE opened = OpenProcess(rights, FALSE, (DWORD)pid);
    if (!opened)
        return GetLastError() == ERROR_INVALID_PARAMETER ? ZCB_ERR_PEER_GONE : windows_last_error();
    /* It has ended, but another process has a handle. Or OpenProcess has rounded the id to a
     * multiple of 4. */
    if (is_signalled(opened) || GetProcessId(opened) != (DWORD)pid) {
        CloseHandle(opened);
        return ZCB_ERR_PEER_GONE;
    }
    *process = (plat_handle)opened;
    return ZCB_OK;
}

zcb_error zcbi_plat_process_open(int64_t pid, plat_handle *process)
{
    return open_process(pid, RIGHTS, process);
}

zcb_error zcbi_plat_child_open(const plat_child *child, int64_t pid, plat_handle *process)
{
    plat_handle opened = PLAT_NO_HANDLE;
    BOOL belongs = FALSE;
    zcb_error error = open_process(pid, RIGHTS | PROCESS_QUERY_INFORMATION, &opened);
    if (error)
        return error;
    if (!IsProcessInJob(windows_handle(opened), windows_handle(child->group), &belongs))
        error = windows_last_error();
    else if (!belongs)
        error = ZCB_ERR_PROTOCOL;
    if (error)
        zcbi_plat_close(opened);
    else
        *process = opened;
    return error;
}

bool zcbi_plat_process_ended(plat_child *child, int *exit_code)
{
    HANDLE process = windows_handle(child->process);
    DWORD code;
    if (!is_signalled(process))
        return false;
    *exit_code = GetExitCodeProcess(process, &code) ? (int)code : EXIT_CODE_UNKNOWN;
    return true;
}

void zcbi_plat_end_text(int exit_code, char *text, size_t bytes)
{
    if (exit_code < 0)
        snprintf(text, bytes, "crashed with 0x%08X", (unsigned)exit_code);
    else if ((unsigned)exit_code == EXIT_CODE_KILLED)
        snprintf(text, bytes, "was ended");
    else
        snprintf(text, bytes, "exited with code %d", exit_code);
}

void zcbi_plat_process_kill(int64_t pid, plat_handle process)
{
    (void)pid; /* the id may be another process's by now; the handle cannot */
    TerminateProcess(windows_handle(process), EXIT_CODE_KILLED);
}

void zcbi_plat_process_hang_up_group(const plat_child *child)
{
    if (child->group != PLAT_NO_HANDLE)
        TerminateJobObject(windows_handle(child->group), EXIT_CODE_KILLED);
}

void zcbi_plat_end_this_process(int exit_code)
{
    TerminateProcess(GetCurrentProcess(), (UINT)exit_code);
}
