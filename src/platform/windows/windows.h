/*
 * Shared by the files of this folder, which keep the contract of platform.h on Windows 10, Windows
 * Server 2016 or later. Text is UTF-8; it is UTF-16 only in calls of the system.
 */
#ifndef ZCB_WINDOWS_H
#define ZCB_WINDOWS_H

#define WIN32_LEAN_AND_MEAN
#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0A00
#endif
#include <windows.h>

#include "platform/platform.h"

/* ---- handle.c ---- */

/* The zcb_error for an error of GetLastError. */
zcb_error zcbi_windows_error(DWORD number);
/* The zcb_error for the call that has just failed. Never ZCB_OK. */
static inline zcb_error windows_last_error(void)
{
    zcb_error error = zcbi_windows_error(GetLastError());
    return error ? error : ZCB_ERR_SYSTEM;
}
/* Writes the system's sentence about an error, without a line end. */
void zcbi_windows_error_text(DWORD number, char *text, size_t bytes);

static inline HANDLE windows_handle(plat_handle handle)
{
    return (HANDLE)handle;
}

/* ---- link.c ---- */

/* The handle of a link is the address of its struct link + 1. Handles of the system are multiples
 * of 4. */
bool zcbi_windows_is_link(plat_handle handle);
void zcbi_windows_link_close(plat_handle link);
/* An event that is signalled when zcbi_windows_link_readable may have become true. */
HANDLE zcbi_windows_link_event(plat_handle link);
/* True when a record can be received, or the other end is closed. */
bool zcbi_windows_link_readable(plat_handle link);
/* The end of the pipe, which a started program inherits. */
HANDLE zcbi_windows_link_pipe(plat_handle link);

/* ---- text.c: results are from malloc; NULL: no memory, or invalid text ---- */

wchar_t *zcbi_windows_wide(const char *utf8);
char *zcbi_windows_utf8(const wchar_t *wide);
/* A path for calls of the system: absolute, in the form that has no limit of 260 characters. */
wchar_t *zcbi_windows_path(const char *utf8);
/* Copies text into the caller's buffer. ZCB_ERR_INVALID when it does not fit; _NO_MEMORY. */
zcb_error zcbi_windows_copy_utf8(const wchar_t *wide, char *text, size_t bytes);

/* ---- secure.c ---- */

/* Security attributes for a named object or a file. They let only this process's user, at its
 * integrity level or above, and the system open it. */
typedef struct windows_security {
    SECURITY_ATTRIBUTES attributes;
    void *descriptor; /* LocalFree */
} windows_security;
zcb_error zcbi_windows_security_init(windows_security *security);
void zcbi_windows_security_destroy(windows_security *security);
/* Writes random hexadecimal digits, which no other process can guess, and a NUL. */
#define WINDOWS_SECRET_CHARACTERS 33
zcb_error zcbi_windows_secret(wchar_t text[WINDOWS_SECRET_CHARACTERS]);

#endif
