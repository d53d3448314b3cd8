#include "windows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "platform/error.h"

#ifndef ERROR_ELEVATION_REQUIRED /* not in every winerror.h */
#define ERROR_ELEVATION_REQUIRED 740L
#endif

/* The handles that the new program inherits: its standard streams and the link. */
enum { AS_INPUT, AS_OUTPUT, AS_ERROR, AS_LINK, INHERITED };

/* The arguments of CreateProcessW. */
struct launch {
    wchar_t *path;
    wchar_t *command_line;
    wchar_t *environment;
    wchar_t *directory; /* or NULL */
    HANDLE inherited[INHERITED];
    LPPROC_THREAD_ATTRIBUTE_LIST attributes;
    HANDLE job;
};

/* ---------------------------------------------------------------- the command line
 *
 * One text, which the program splits into arguments. */

/* A text that grows. failed: there was no memory for all of it. */
struct text {
    wchar_t *characters;
    size_t length, capacity;
    bool failed;
};

static void append_wide(struct text *text, const wchar_t *characters, size_t length)
{
    if (text->failed)
        return;
    if (text->length + length > text->capacity) {
        size_t capacity = 2 * (text->length + length);
        wchar_t *grown = realloc(text->characters, capacity * sizeof(*grown));
        if (!grown) {
            text->failed = true;
            return;
        }
        text->characters = grown;
        text->capacity = capacity;
    }
    memcpy(text->characters + text->length, characters, length * sizeof(*characters));
    text->length += length;
}

static void append_repeated(struct text *text, wchar_t character, size_t count)
{
    while (count-- > 0)
        append_wide(text, &character, 1);
}

/* By the rules of CommandLineToArgvW and of the C runtime: backslashes count only before a
 * quote. */
static void append_quoted(struct text *text, const wchar_t *argument)
{
    append_wide(text, L"\"", 1);
    for (;;) {
        size_t backslashes = wcsspn(argument, L"\\");
        argument += backslashes;
        if (!*argument) {
            append_repeated(text, L'\\', 2 * backslashes);
            break;
        }
        append_repeated(text, L'\\', *argument == L'"' ? 2 * backslashes + 1 : backslashes);
        append_wide(text, argument++, 1);
    }
    append_wide(text, L"\"", 1);
}

static zcb_error append_argument(struct text *text, const char *utf8)
{
    wchar_t *argument = zcbi_windows_wide(utf8);
    if (!argument)
        return ZCB_ERR_NO_MEMORY;
    if (text->length > 0)
        append_wide(text, L" ", 1);
    append_quoted(text, argument);
    free(argument);
    return ZCB_OK;
}

static wchar_t *make_command_line(const char *path, const char *const *arguments)
{
    struct text text = {0};
    zcb_error error = append_argument(&text, path);
    for (; *arguments && !error; arguments++)
        error = append_argument(&text, *arguments);
    append_wide(&text, L"", 1);
    if (!error && !text.failed)
        return text.characters;
    free(text.characters);
    return NULL;
}

/* ---------------------------------------------------------------- the environment
 *
 * A sorted list in one block of memory. */

/* Names of the drives' current folders begin with "=". */
static size_t name_length(const wchar_t *entry)
{
    return 1 + wcscspn(entry + 1, L"=");
}

static int compare_names(const wchar_t *a, const wchar_t *b)
{
    return CompareStringOrdinal(a, (int)name_length(a), b, (int)name_length(b), TRUE) - CSTR_EQUAL;
}

static int compare_entries(const void *a, const void *b)
{
    return compare_names(*(wchar_t *const *)a, *(wchar_t *const *)b);
}

/* Each entry is from malloc. */
struct variables {
    wchar_t **entries;
    size_t count, capacity;
};

static void free_variables(struct variables *variables)
{
    for (size_t i = 0; i < variables->count; i++)
        free(variables->entries[i]);
    free(variables->entries);
}

static bool add_variable(struct variables *variables, wchar_t *entry)
{
    if (!entry)
        return false;
    if (variables->count == variables->capacity) {
        size_t capacity = 2 * variables->capacity + 64;
        wchar_t **grown = realloc(variables->entries, capacity * sizeof(*grown));
        if (!grown) {
            free(entry);
            return false;
        }
        variables->entries = grown;
        variables->capacity = capacity;
    }
    variables->entries[variables->count++] = entry;
    return true;
}

static void remove_variable(struct variables *variables, const wchar_t *entry)
{
    for (size_t i = variables->count; i-- > 0;) {
        if (compare_names(variables->entries[i], entry) != 0)
            continue;
        free(variables->entries[i]);
        variables->entries[i] = variables->entries[--variables->count];
    }
}

static bool add_own_variables(struct variables *variables)
{
    wchar_t *block = GetEnvironmentStringsW();
    bool added = block != NULL;
    for (const wchar_t *entry = block; added && *entry != 0; entry += wcslen(entry) + 1)
        added = add_variable(variables, _wcsdup(entry));
    if (block)
        FreeEnvironmentStringsW(block);
    return added;
}

/* "NAME=VALUE" sets, "NAME" removes. The last change of a name counts. */
static bool change_variable(struct variables *variables, const char *change)
{
    if (!*change)
        return true;
    wchar_t *entry = zcbi_windows_wide(change);
    if (!entry)
        return false;
    remove_variable(variables, entry);
    if (entry[name_length(entry)] == L'=')
        return add_variable(variables, entry);
    free(entry);
    return true;
}

static bool add_link_variable(struct variables *variables, HANDLE link)
{
    char entry[64];
    snprintf(entry, sizeof(entry), ZCB_LINK_VARIABLE "=%llu", (unsigned long long)(uintptr_t)link);
    return change_variable(variables, entry);
}

static wchar_t *make_block(const struct variables *variables)
{
    struct text text = {0};
    qsort(variables->entries, variables->count, sizeof(*variables->entries), compare_entries);
    for (size_t i = 0; i < variables->count; i++)
        append_wide(&text, variables->entries[i], wcslen(variables->entries[i]) + 1);
    append_wide(&text, L"\0", 2); /* an empty block has two NULs as well */
    if (!text.failed)
        return text.characters;
    free(text.characters);
    return NULL;
}

static wchar_t *make_environment(const char *const *changes, HANDLE link)
{
    struct variables variables = {0};
    wchar_t *block = NULL;
    bool made = add_own_variables(&variables);
    for (; made && changes && *changes; changes++)
        made = change_variable(&variables, *changes);
    if (made && add_link_variable(&variables, link))
        block = make_block(&variables);
    free_variables(&variables);
    return block;
}

/* ---------------------------------------------------------------- handles */

/* 0 or an error of GetLastError. */
static DWORD make_inheritable(HANDLE handle, HANDLE *copy)
{
    HANDLE self = GetCurrentProcess();
    return DuplicateHandle(self, handle, self, copy, 0, TRUE, DUPLICATE_SAME_ACCESS)
               ? 0
               : GetLastError();
}

static DWORD gather_handles(const plat_spawn *spawn, struct launch *launch)
{
    HANDLE null = CreateFileW(L"NUL", GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
                              OPEN_EXISTING, 0, NULL);
    DWORD number = null == INVALID_HANDLE_VALUE ? GetLastError() : 0;
    const HANDLE wanted[INHERITED] = {null, windows_handle(spawn->out), windows_handle(spawn->err),
                                      zcbi_windows_link_pipe(spawn->link)};
    for (int i = 0; i < INHERITED && number == 0; i++)
        number = make_inheritable(wanted[i], &launch->inherited[i]);
    if (null != INVALID_HANDLE_VALUE)
        CloseHandle(null);
    return number;
}

/* Names the handles that are inherited: other inheritable ones of this process stay here. */
static DWORD list_handles(struct launch *launch)
{
    SIZE_T bytes = 0;
    InitializeProcThreadAttributeList(NULL, 1, 0, &bytes);
    launch->attributes = malloc(bytes);
    if (!launch->attributes)
        return ERROR_NOT_ENOUGH_MEMORY;
    if (!InitializeProcThreadAttributeList(launch->attributes, 1, 0, &bytes)) {
        DWORD number = GetLastError();
        free(launch->attributes);
        launch->attributes = NULL;
        return number;
    }
    return UpdateProcThreadAttribute(launch->attributes, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST,
                                     launch->inherited, sizeof(launch->inherited), NULL, NULL)
               ? 0
               : GetLastError();
}

/* A job whose processes end when its last handle, which this process has, is closed. A process may
 * leave it if it asks for that. */
static DWORD make_job(HANDLE *job)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {
        .BasicLimitInformation = {.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE |
                                                JOB_OBJECT_LIMIT_BREAKAWAY_OK}};
    HANDLE made = CreateJobObjectW(NULL, NULL);
    if (!made)
        return GetLastError();
    if (!SetInformationJobObject(made, JobObjectExtendedLimitInformation, &limits,
                                 sizeof(limits))) {
        DWORD number = GetLastError();
        CloseHandle(made);
        return number;
    }
    *job = made;
    return 0;
}

static DWORD prepare_launch(const plat_spawn *spawn, struct launch *launch)
{
    DWORD number = gather_handles(spawn, launch);
    if (number == 0)
        number = list_handles(launch);
    if (number == 0)
        number = make_job(&launch->job);
    if (number != 0)
        return number;
    launch->path = zcbi_windows_path(spawn->path);
    launch->command_line = make_command_line(spawn->path, spawn->arguments);
    launch->environment = make_environment(spawn->environment, launch->inherited[AS_LINK]);
    if (spawn->working_directory)
        launch->directory = zcbi_windows_path(spawn->working_directory);
    bool made = launch->path && launch->command_line && launch->environment &&
                (launch->directory || !spawn->working_directory);
    return made ? 0 : ERROR_NOT_ENOUGH_MEMORY;
}

static void free_launch(struct launch *launch)
{
    for (int i = 0; i < INHERITED; i++)
        if (launch->inherited[i])
            CloseHandle(launch->inherited[i]);
    if (launch->attributes)
        DeleteProcThreadAttributeList(launch->attributes);
    free(launch->attributes);
    if (launch->job)
        CloseHandle(launch->job);
    free(launch->path);
    free(launch->command_line);
    free(launch->environment);
    free(launch->directory);
}

/* ---------------------------------------------------------------- starting */

/* The process runs only once it is in the job, so that all processes that it starts are in it
 * too. */
static DWORD enter_job(HANDLE job, const PROCESS_INFORMATION *process)
{
    if (AssignProcessToJobObject(job, process->hProcess) &&
        ResumeThread(process->hThread) != (DWORD)-1)
        return 0;
    DWORD number = GetLastError();
    TerminateProcess(process->hProcess, 1);
    return number;
}

static DWORD start_process(struct launch *launch, plat_child *child)
{
    STARTUPINFOEXW startup = {.StartupInfo = {.cb = sizeof(startup),
                                              .dwFlags = STARTF_USESTDHANDLES,
                                              .hStdInput = launch->inherited[AS_INPUT],
                                              .hStdOutput = launch->inherited[AS_OUTPUT],
                                              .hStdError = launch->inherited[AS_ERROR]},
                              .lpAttributeList = launch->attributes};
    /* A hidden console of its own: Ctrl-C in this program's console must not reach it. */
    DWORD flags = CREATE_NO_WINDOW | CREATE_SUSPENDED | CREATE_UNICODE_ENVIRONMENT |
                  EXTENDED_STARTUPINFO_PRESENT;
    PROCESS_INFORMATION process;
    if (!CreateProcessW(launch->path, launch->command_line, NULL, NULL, TRUE, flags,
                        launch->environment, launch->directory, &startup.StartupInfo, &process))
        return GetLastError();
    DWORD number = enter_job(launch->job, &process);
    CloseHandle(process.hThread);
    if (number != 0) {
        CloseHandle(process.hProcess);
        return number;
    }
    *child = (plat_child){.pid = process.dwProcessId,
                          .process = (plat_handle)process.hProcess,
                          .group = (plat_handle)launch->job};
    launch->job = NULL;
    return 0;
}

static bool is_missing(DWORD number)
{
    switch (number) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_ACCESS_DENIED:
    case ERROR_BAD_EXE_FORMAT:
    case ERROR_EXE_MACHINE_TYPE_MISMATCH:
    case ERROR_ELEVATION_REQUIRED:
    case ERROR_DIRECTORY:
    case ERROR_INVALID_NAME:
    case ERROR_BAD_PATHNAME:
        return true;
    default:
        return false;
    }
}

static bool is_folder(const wchar_t *path)
{
    DWORD attributes = GetFileAttributesW(path);
    return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

static zcb_error explain_spawn(const plat_spawn *spawn, const struct launch *launch, DWORD number,
                               zcb_detail *why)
{
    char cause[256];
    zcbi_windows_error_text(number, cause, sizeof(cause));
    if (launch->directory && !is_folder(launch->directory)) {
        zcbi_error_detail(why, "cannot enter the working directory '%s': it is no folder",
                          spawn->working_directory);
        return ZCB_ERR_NOT_FOUND;
    }
    zcbi_error_detail(why, "cannot execute '%s': %s", spawn->path, cause);
    return is_missing(number) ? ZCB_ERR_NOT_FOUND : zcbi_windows_error(number);
}

zcb_error zcbi_plat_process_spawn(const plat_spawn *spawn, plat_child *child, zcb_detail *why)
{
    struct launch launch = {0};
    DWORD number = prepare_launch(spawn, &launch);
    if (number == 0)
        number = start_process(&launch, child);
    zcb_error error = number == 0 ? ZCB_OK : explain_spawn(spawn, &launch, number, why);
    free_launch(&launch);
    return error;
}
