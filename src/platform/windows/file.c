#include "windows.h"

#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>
#include <winioctl.h>

/* The file is written only at its end, and deleted with its last handle. */
#define ACCESS                                                                                     \
    (FILE_APPEND_DATA | FILE_READ_DATA | FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES | DELETE |   \
     SYNCHRONIZE)
#define SHARE (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)
#define NAME_CHARACTERS (MAX_PATH + WINDOWS_SECRET_CHARACTERS + 16)

static zcb_error temporary_name(wchar_t name[NAME_CHARACTERS])
{
    wchar_t folder[MAX_PATH + 1];
    wchar_t secret[WINDOWS_SECRET_CHARACTERS];
    DWORD length = GetTempPathW(MAX_PATH + 1, folder);
    if (length == 0 || length > MAX_PATH)
        return ZCB_ERR_SYSTEM;
    zcb_error error = zcbi_windows_secret(secret);
    if (!error)
        swprintf(name, NAME_CHARACTERS, L"%lszcb-%ls.tmp", folder, secret);
    return error;
}

zcb_error zcbi_plat_file_create(plat_handle *file)
{
    wchar_t name[NAME_CHARACTERS];
    windows_security security;
    zcb_error error = temporary_name(name);
    if (!error)
        error = zcbi_windows_security_init(&security);
    if (error)
        return error;
    HANDLE made = CreateFileW(name, ACCESS, SHARE, &security.attributes, CREATE_NEW,
                              FILE_ATTRIBUTE_TEMPORARY | FILE_FLAG_DELETE_ON_CLOSE, NULL);
    error = made != INVALID_HANDLE_VALUE ? ZCB_OK : windows_last_error();
    zcbi_windows_security_destroy(&security);
    if (error)
        return error;
    DWORD used;
    (void)DeviceIoControl(made, FSCTL_SET_SPARSE, NULL, 0, NULL, 0, &used, NULL);
    *file = (plat_handle)made;
    return ZCB_OK;
}

zcb_error zcbi_plat_file_read(plat_handle file, uint64_t offset, void *buffer, size_t capacity,
                              size_t *bytes)
{
    if (offset > INT64_MAX)
        return ZCB_ERR_INVALID;
    OVERLAPPED at = {.Offset = (DWORD)(offset & UINT32_MAX), .OffsetHigh = (DWORD)(offset >> 32)};
    DWORD wanted = capacity < UINT32_MAX ? (DWORD)capacity : UINT32_MAX;
    DWORD taken = 0;
    if (!ReadFile(windows_handle(file), buffer, wanted, &taken, &at) &&
        GetLastError() != ERROR_HANDLE_EOF)
        return windows_last_error();
    *bytes = taken;
    return ZCB_OK;
}

void zcbi_plat_file_forget(plat_handle file, uint64_t offset)
{
    if (offset > INT64_MAX)
        return;
    /* The file's other handles can write only at its end. */
    HANDLE writer = ReOpenFile(windows_handle(file), FILE_WRITE_DATA, SHARE, 0);
    if (writer == INVALID_HANDLE_VALUE)
        return;
    DWORD used;
    FILE_ZERO_DATA_INFORMATION range = {.BeyondFinalZero = {.QuadPart = (LONGLONG)offset}};
    (void)DeviceIoControl(writer, FSCTL_SET_ZERO_DATA, &range, sizeof(range), NULL, 0, &used, NULL);
    CloseHandle(writer);
}

plat_handle zcbi_plat_standard(int stream)
{
    return (plat_handle)GetStdHandle(stream == 1 ? STD_OUTPUT_HANDLE : STD_ERROR_HANDLE);
}
