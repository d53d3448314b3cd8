/*
 * What the files of this folder share. They are written for Windows 10 and Windows Server 2016 or later.
 * Text is UTF-8 outside and UTF-16 at the system's edge.
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

/* What an error of GetLastError means to the caller of a plat_ function. */
zcb_error zcbi_windows_error(DWORD number);
/* Likewise of the call that has just failed; never ZCB_OK. */
static inline zcb_error windows_last_error(void)
{
    zcb_error error = zcbi_windows_error(GetLastError());
    return error != ZCB_OK ? error : ZCB_ERR_SYSTEM;
}
/* The system's own sentence on it, without a line end. */
void zcbi_windows_error_text(DWORD number, char *text, size_t bytes);

static inline HANDLE windows_handle(plat_handle handle)
{
    return (HANDLE)handle;
}

/* ---- link.c ---- */

/* A link is a pointer to its state, made odd: the system's handles are multiples of 4. */
bool zcbi_windows_is_link(plat_handle handle);
void zcbi_windows_link_close(plat_handle link);
/* Signalled when something has come, which zcbi_windows_link_readable then looks at; NULL with GetLastError. */
HANDLE zcbi_windows_link_event(plat_handle link);
/* True when a record can be received or the other end is closed. */
bool zcbi_windows_link_readable(plat_handle link);
/* The pipe's end that a program started with this link inherits. */
HANDLE zcbi_windows_link_pipe(plat_handle link);

/* ---- text.c: NULL without memory, or for what is no text; the caller frees ---- */

wchar_t *zcbi_windows_wide(const char *utf8);
char *zcbi_windows_utf8(const wchar_t *wide);
/* A path for the system's calls: absolute, without their limit of 260 characters. */
wchar_t *zcbi_windows_path(const char *utf8);
/* Copies it into the caller's buffer. ZCB_ERR_INVALID when it does not fit. */
zcb_error zcbi_windows_copy_utf8(const wchar_t *wide, char *text, size_t bytes);

/* ---- secure.c ---- */

/* Who may open a named object or a file of this process: its own user, at its own integrity level or above,
 * and the system itself. */
typedef struct windows_security {
    SECURITY_ATTRIBUTES attributes;
    void *descriptor; /* LocalFree */
} windows_security;
zcb_error zcbi_windows_security_init(windows_security *security);
void zcbi_windows_security_destroy(windows_security *security);
/* Hexadecimal digits that nobody can guess, and a NUL. */
#define WINDOWS_SECRET_CHARACTERS 33
zcb_error zcbi_windows_secret(wchar_t text[WINDOWS_SECRET_CHARACTERS]);

#endif
