/* Conversion between UTF-8 and UTF-16; paths. */
#include "windows.h"

#include <stdlib.h>
#include <string.h>

#define LONG_PREFIX L"\\\\?\\"
#define LONG_UNC_PREFIX L"\\\\?\\UNC\\"
#define LENGTH(text) (sizeof(text) / sizeof(wchar_t) - 1)

wchar_t *zcbi_windows_wide(const char *utf8)
{
    int length = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, utf8, -1, NULL, 0);
    wchar_t *wide = length > 0 ? malloc((size_t)length * sizeof(*wide)) : NULL;
    if (wide)
        MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, utf8, -1, wide, length);
    return wide;
}

char *zcbi_windows_utf8(const wchar_t *wide)
{
    int bytes = WideCharToMultiByte(CP_UTF8, 0, wide, -1, NULL, 0, NULL, NULL);
    char *utf8 = bytes > 0 ? malloc((size_t)bytes) : NULL;
    if (utf8)
        WideCharToMultiByte(CP_UTF8, 0, wide, -1, utf8, bytes, NULL, NULL);
    return utf8;
}

zcb_error zcbi_windows_copy_utf8(const wchar_t *wide, char *text, size_t bytes)
{
    char *utf8 = zcbi_windows_utf8(wide);
    if (!utf8)
        return ZCB_ERR_NO_MEMORY;
    bool fits = strlen(utf8) < bytes;
    if (fits)
        strcpy(text, utf8);
    free(utf8);
    return fits ? ZCB_OK : ZCB_ERR_INVALID;
}

/* The absolute path of `given`, with `room` characters for a prefix in front. *start: its first
 * character. */
static wchar_t *full_path(const wchar_t *given, size_t room, wchar_t **start)
{
    DWORD needed = GetFullPathNameW(given, 0, NULL, NULL); /* with its NUL */
    wchar_t *path = needed > 0 ? malloc((room + needed) * sizeof(*path)) : NULL;
    if (!path)
        return NULL;
    *start = path + room;
    DWORD written = GetFullPathNameW(given, needed, *start, NULL);
    if (written > 0 && written < needed)
        return path;
    free(path);
    return NULL;
}

wchar_t *zcbi_windows_path(const char *utf8)
{
    wchar_t *given = zcbi_windows_wide(utf8);
    wchar_t *start = NULL;
    wchar_t *path = given ? full_path(given, LENGTH(LONG_UNC_PREFIX), &start) : NULL;
    free(given);
    if (!path)
        return NULL;
    size_t length = wcslen(start);
    if (wcsncmp(start, L"\\\\", 2) != 0 && length >= MAX_PATH) {
        start -= LENGTH(LONG_PREFIX);
        memcpy(start, LONG_PREFIX, LENGTH(LONG_PREFIX) * sizeof(*start));
    } else if (wcsncmp(start, L"\\\\", 2) == 0 && length >= MAX_PATH && start[2] != L'?' &&
               start[2] != L'.') {
        start += 2 - (ptrdiff_t)LENGTH(LONG_UNC_PREFIX); /* the prefix replaces two backslashes */
        memcpy(start, LONG_UNC_PREFIX, LENGTH(LONG_UNC_PREFIX) * sizeof(*start));
    }
    memmove(path, start, (wcslen(start) + 1) * sizeof(*path));
    return path;
}
