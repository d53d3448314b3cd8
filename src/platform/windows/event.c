#include "windows.h"

#include <winternl.h>

zcb_error zcbi_plat_event_create(plat_handle *event)
{
    HANDLE made = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!made)
        return windows_last_error();
    *event = (plat_handle)made;
    return ZCB_OK;
}

void zcbi_plat_event_set(plat_handle event)
{
    SetEvent(windows_handle(event));
}

void zcbi_plat_event_clear(plat_handle event)
{
    ResetEvent(windows_handle(event));
}

bool zcbi_plat_is_event(plat_handle handle)
{
    static const wchar_t event[] = L"Event";
    /* PUBLIC_OBJECT_TYPE_INFORMATION begins with the name; its characters lie behind. */
    union {
        UNICODE_STRING name;
        unsigned char bytes[1024];
    } type;
    ULONG used;
    if (NtQueryObject(windows_handle(handle), ObjectTypeInformation, &type, sizeof(type), &used) <
        0)
        return false;
    return type.name.Length == sizeof(event) - sizeof(wchar_t) &&
           memcmp(type.name.Buffer, event, type.name.Length) == 0;
}
