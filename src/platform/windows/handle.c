#include "windows.h"

#include <stdio.h>
#include <string.h>

void zcbi_plat_close(plat_handle handle)
{
    if (handle == PLAT_NO_HANDLE)
        return;
    if (zcbi_windows_is_link(handle))
        zcbi_windows_link_close(handle);
    else
        CloseHandle(windows_handle(handle));
}

zcb_error zcbi_windows_error(DWORD number)
{
    switch (number) {
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
    case ERROR_COMMITMENT_LIMIT:
    case ERROR_COMMITMENT_MINIMUM:
    case ERROR_DISK_FULL:
    case ERROR_WORKING_SET_QUOTA:
    case ERROR_PAGEFILE_QUOTA:
        return ZCB_ERR_NO_MEMORY;
    case ERROR_TOO_MANY_OPEN_FILES:
    case ERROR_NO_SYSTEM_RESOURCES:
    case ERROR_NOT_ENOUGH_QUOTA:
        return ZCB_ERR_NO_HANDLES;
    default:
        return ZCB_ERR_SYSTEM;
    }
}

void zcbi_windows_error_text(DWORD number, char *text, size_t bytes)
{
    wchar_t wide[512];
    DWORD length = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL,
                                  number, 0, wide, sizeof(wide) / sizeof(*wide), NULL);
    while (length > 0 && (wide[length - 1] <= L' ' || wide[length - 1] == L'.'))
        length--;
    wide[length] = 0;
    if (length == 0 || zcbi_windows_copy_utf8(wide, text, bytes) != ZCB_OK)
        snprintf(text, bytes, "error %lu", (unsigned long)number);
}
