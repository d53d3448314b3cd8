#include "windows.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "platform/error.h"

#define PROGRAM_EXTENSION ".exe"

PRINTF_LIKE(3, 4)
static zcb_error print_path(char *path, size_t path_bytes, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int bytes = vsnprintf(path, path_bytes, format, arguments);
    va_end(arguments);
    return bytes >= 0 && (size_t)bytes < path_bytes ? ZCB_OK : ZCB_ERR_INVALID;
}

static bool is_separator(char c)
{
    return c == '\\' || c == '/';
}

/* "C:\..." or "\\server\...": it does not depend on the current folder and drive. */
static bool is_absolute(const char *path)
{
    bool drive = ((path[0] >= 'A' && path[0] <= 'Z') || (path[0] >= 'a' && path[0] <= 'z')) &&
                 path[1] == ':' && is_separator(path[2]);
    return drive || (is_separator(path[0]) && is_separator(path[1]));
}

/* ---------------------------------------------------------------- the environment
 *
 * The system's, not the C runtime's copy, which other code in the process does not change. */

/* The value of a variable, from malloc; or NULL. */
static char *get_variable(const char *name)
{
    wchar_t *wide_name = zcbi_windows_wide(name);
    DWORD length = wide_name ? GetEnvironmentVariableW(wide_name, NULL, 0) : 0;
    wchar_t *value = length > 0 ? malloc(length * sizeof(*value)) : NULL;
    char *utf8 = NULL;
    if (value && GetEnvironmentVariableW(wide_name, value, length) < length)
        utf8 = zcbi_windows_utf8(value);
    free(value);
    free(wide_name);
    return utf8;
}

bool zcbi_plat_has_variable(const char *name)
{
    char *value = get_variable(name);
    free(value);
    return value != NULL;
}

/* Writes <value><below>. ZCB_ERR_NOT_FOUND unless the value is an absolute path. */
static zcb_error path_by_variable(const char *name, const char *below, char *path,
                                  size_t path_bytes)
{
    char *folder = get_variable(name);
    zcb_error error = ZCB_ERR_NOT_FOUND;
    if (folder && is_absolute(folder))
        error = print_path(path, path_bytes, "%s%s", folder, below);
    free(folder);
    return error;
}

/* ---------------------------------------------------------------- files */

bool zcbi_plat_is_file(const char *utf8)
{
    wchar_t *path = zcbi_windows_path(utf8);
    DWORD attributes = path ? GetFileAttributesW(path) : INVALID_FILE_ATTRIBUTES;
    free(path);
    return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) == 0;
}

static bool ends_as_program(const char *path)
{
    size_t bytes = strlen(path);
    size_t end = sizeof(PROGRAM_EXTENSION) - 1;
    return bytes > end && _stricmp(path + bytes - end, PROGRAM_EXTENSION) == 0;
}

bool zcbi_plat_is_executable(const char *path)
{
    return ends_as_program(path) && zcbi_plat_is_file(path);
}

zcb_error zcbi_plat_absolute_path(const char *given, char *path, size_t path_bytes)
{
    wchar_t *wide = zcbi_windows_wide(given);
    DWORD needed = wide ? GetFullPathNameW(wide, 0, NULL, NULL) : 0;
    wchar_t *full = needed > 0 ? malloc(needed * sizeof(*full)) : NULL;
    zcb_error error = ZCB_ERR_INVALID;
    if (full && GetFullPathNameW(wide, needed, full, NULL) < needed)
        error = zcbi_windows_copy_utf8(full, path, path_bytes);
    free(full);
    free(wide);
    return error;
}

zcb_error zcbi_plat_folder_each(const char *utf8, plat_folder_entry *each, void *arg)
{
    char pattern[4096];
    WIN32_FIND_DATAW entry;
    if (print_path(pattern, sizeof(pattern), "%s\\*", utf8) != ZCB_OK)
        return ZCB_ERR_NOT_FOUND;
    wchar_t *path = zcbi_windows_path(pattern);
    if (!path)
        return ZCB_ERR_NO_MEMORY;
    HANDLE search = FindFirstFileW(path, &entry);
    free(path);
    if (search == INVALID_HANDLE_VALUE)
        return windows_last_error() == ZCB_ERR_SYSTEM ? ZCB_ERR_NOT_FOUND : windows_last_error();
    do {
        char *name = zcbi_windows_utf8(entry.cFileName);
        if (name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
            each(arg, name);
        free(name);
    } while (FindNextFileW(search, &entry));
    FindClose(search);
    return ZCB_OK;
}

/* ---------------------------------------------------------------- places */

/* Writes <folder>\<name>.exe for one entry of PATH, which may have quotes around it. False: no
 * program. */
static bool program_in(const char *folder, size_t bytes, const char *name, char *path,
                       size_t path_bytes)
{
    const char *extension = ends_as_program(name) ? "" : PROGRAM_EXTENSION;
    if (bytes >= 2 && folder[0] == '"' && folder[bytes - 1] == '"') {
        folder++;
        bytes -= 2;
    }
    /* Relative entries mean the current folder, where other users may have put files. */
    return is_absolute(folder) && bytes <= INT32_MAX &&
           print_path(path, path_bytes, "%.*s\\%s%s", (int)bytes, folder, name, extension) ==
               ZCB_OK &&
           zcbi_plat_is_executable(path);
}

zcb_error zcbi_plat_find_program(const char *name, char *path, size_t path_bytes)
{
    char found[4096];
    char *folders = *name != 0 && !strpbrk(name, "\\/:") ? get_variable("PATH") : NULL;
    zcb_error error = ZCB_ERR_NOT_FOUND;
    const char *folder = folders;
    while (folder && error == ZCB_ERR_NOT_FOUND) {
        size_t bytes = strcspn(folder, ";");
        if (program_in(folder, bytes, name, found, sizeof(found)))
            error = print_path(path, path_bytes, "%s", found);
        folder = folder[bytes] == ';' ? folder + bytes + 1 : NULL;
    }
    free(folders);
    return error;
}

zcb_error zcbi_plat_data_folder(char *path, size_t path_bytes)
{
    zcb_error error = path_by_variable("LOCALAPPDATA", "", path, path_bytes);
    return error == ZCB_ERR_NOT_FOUND
               ? path_by_variable("USERPROFILE", "\\AppData\\Local", path, path_bytes)
               : error;
}

zcb_error zcbi_plat_nuget_folder(char *path, size_t path_bytes)
{
    zcb_error error = path_by_variable("NUGET_PACKAGES", "", path, path_bytes);
    return error == ZCB_ERR_NOT_FOUND
               ? path_by_variable("USERPROFILE", "\\.nuget\\packages", path, path_bytes)
               : error;
}

zcb_error zcbi_plat_engine_place(unsigned place, char *path, size_t path_bytes)
{
    static const struct {
        const char *variable, *below;
    } places[] = {
        /* The MSI package, its preview, the Store. */
        {"ProgramFiles", "\\PowerShell\\7\\pwsh.exe"},
        {"ProgramFiles", "\\PowerShell\\7-preview\\pwsh.exe"},
        {"LOCALAPPDATA", "\\Microsoft\\WindowsApps\\pwsh.exe"},
    };
    if (place >= sizeof(places) / sizeof(*places))
        return ZCB_ERR_NOT_FOUND;
    zcb_error error =
        path_by_variable(places[place].variable, places[place].below, path, path_bytes);
    return error == ZCB_ERR_NOT_FOUND ? print_path(path, path_bytes, "%s", "") : error;
}

zcb_error zcbi_plat_engine_of_system(char *path, size_t path_bytes)
{
    return path_by_variable("SystemRoot", "\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
                            path, path_bytes);
}

const char *const *zcbi_plat_engine_arguments(void)
{
    /* For the engine's process only: the user's setting stays as it is. */
    static const char *const arguments[] = {"-ExecutionPolicy", "Bypass", NULL};
    return arguments;
}

const char *zcbi_plat_engine_in_package(void)
{
    return "any/win/pwsh.exe";
}

zcb_error zcbi_plat_library_folder(const void *address, char *path, size_t path_bytes)
{
    HMODULE library;
    wchar_t file[32768];
    if (!GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS |
                                GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                            (const wchar_t *)address, &library))
        return ZCB_ERR_NOT_FOUND;
    DWORD length = GetModuleFileNameW(library, file, sizeof(file) / sizeof(*file));
    if (length == 0 || length >= sizeof(file) / sizeof(*file))
        return ZCB_ERR_NOT_FOUND;
    *wcsrchr(file, L'\\') = 0;
    return zcbi_windows_copy_utf8(file, path, path_bytes);
}
