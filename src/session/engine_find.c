/* zcb_engine_find: finding PowerShell on this machine. Nothing is started here; the engine's
 * version is checked when it says hello (handshake.c). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/error.h"
#include "platform/platform.h"

#define PATH_BYTES 4096
#define OLDEST_VERSION "7.4"
#define HOW_TO_GET_IT "install it (https://aka.ms/powershell), or give its path"
#define ENGINE_FOLDER "virtualshell/engine" /* below the user's folder for installed data */

/* ---------------------------------------------------------------- paths */

/* Writes <folder>/<name> to path (of PATH_BYTES). False, and "", when it does not fit. */
static bool join_path(char *path, const char *folder, const char *name)
{
    int bytes = snprintf(path, PATH_BYTES, "%s/%s", folder, name);
    if (bytes >= 0 && bytes < PATH_BYTES)
        return true;
    path[0] = 0;
    return false;
}

static const char *last_separator(const char *path)
{
    const char *last = NULL;
    for (; *path; path++)
        if (*path == '/' || *path == '\\')
            last = path;
    return last;
}

static const char *base_name(const char *path)
{
    const char *separator = last_separator(path);
    return separator ? separator + 1 : path;
}

/* "pwsh" or "pwsh.exe". */
static const char *engine_name(void)
{
    return base_name(zcbi_plat_engine_in_package());
}

/* ---------------------------------------------------------------- versions */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "-" begins the name of a preview, which comes before the version itself. */
static int rank_of_character(char c)
{
    return c == '-' ? -1 : (unsigned char)c;
}

/* As strcmp: "7.9.1" < "7.10.0", "7.7.0-preview.2" < "7.7.0-rc.1" < "7.7.0". */
static int compare_versions(const char *a, const char *b)
{
    for (;;) {
        if (is_digit(*a) && is_digit(*b)) {
            char *a_end, *b_end;
            unsigned long a_number = strtoul(a, &a_end, 10);
            unsigned long b_number = strtoul(b, &b_end, 10);
            if (a_number != b_number)
                return a_number < b_number ? -1 : 1;
            a = a_end;
            b = b_end;
        } else if (*a != *b || *a == 0) {
            return rank_of_character(*a) - rank_of_character(*b);
        } else {
            a++;
            b++;
        }
    }
}

/* ---------------------------------------------------------------- folders that hold versions */

/* Writes the path (of PATH_BYTES) of the engine in one entry of a folder. ZCB_ERR_NOT_FOUND: there
 * is none. As in all functions below, another error means that it could not be looked for. */
typedef zcb_error engine_of_entry(const char *folder, const char *name, char *path);

struct newest {
    const char *folder;
    engine_of_entry *engine_of;
    zcb_error error; /* of an entry that could not be looked at */
    char name[64];
    char path[PATH_BYTES];
};

/* A plat_folder_entry: keeps the entry if its version is the highest so far. */
static void consider_entry(void *arg, const char *name)
{
    struct newest *best = arg;
    char path[PATH_BYTES];
    if (strlen(name) >= sizeof(best->name) || compare_versions(name, best->name) <= 0)
        return;
    zcb_error error = best->engine_of(best->folder, name, path);
    if (!error) {
        strcpy(best->name, name);
        strcpy(best->path, path);
    } else if (error != ZCB_ERR_NOT_FOUND) {
        best->error = error;
    }
}

/* The engine of the entry with the highest version. */
static zcb_error find_newest(const char *folder, engine_of_entry *engine_of, char *path)
{
    struct newest best = {.folder = folder, .engine_of = engine_of};
    zcb_error error = zcbi_plat_folder_each(folder, consider_entry, &best);
    if (!error)
        error = best.error;
    if (!error && best.path[0] == 0)
        error = ZCB_ERR_NOT_FOUND;
    if (!error)
        strcpy(path, best.path);
    return error;
}

/* ZCB_ERR_NOT_FOUND unless the path was joined and is an executable file. */
static zcb_error if_executable(bool joined, const char *path)
{
    return joined && zcbi_plat_is_executable(path) ? ZCB_OK : ZCB_ERR_NOT_FOUND;
}

/* <folder>/net10.0/any/unix/pwsh */
static zcb_error engine_of_framework(const char *folder, const char *name, char *path)
{
    char framework[PATH_BYTES];
    bool joined = strncmp(name, "net", 3) == 0 && join_path(framework, folder, name) &&
                  join_path(path, framework, zcbi_plat_engine_in_package());
    return if_executable(joined, path);
}

/* <folder>/7.6.9/tools/...: as NuGet unpacks it. */
static zcb_error engine_of_package(const char *folder, const char *name, char *path)
{
    char package[PATH_BYTES];
    char tools[PATH_BYTES];
    bool joined = is_digit(name[0]) && compare_versions(name, OLDEST_VERSION) >= 0 &&
                  join_path(package, folder, name) && join_path(tools, package, "tools");
    return joined ? find_newest(tools, engine_of_framework, path) : ZCB_ERR_NOT_FOUND;
}

/* <folder>/7.6.9/powershell/7.6.9/tools/...: as `dotnet tool install` keeps it. */
static zcb_error engine_of_tool(const char *folder, const char *name, char *path)
{
    char version[PATH_BYTES];
    char package[PATH_BYTES];
    bool joined = join_path(version, folder, name) && join_path(package, version, "powershell");
    return joined ? find_newest(package, engine_of_package, path) : ZCB_ERR_NOT_FOUND;
}

/* The engine that `dotnet tool install --tool-path <folder>` put there. */
static zcb_error engine_in_tool_folder(const char *folder, char *path)
{
    char store[PATH_BYTES];
    return join_path(store, folder, ".store/powershell") ? find_newest(store, engine_of_tool, path)
                                                         : ZCB_ERR_NOT_FOUND;
}

static zcb_error engine_in_folder(const char *folder, char *path)
{
    zcb_error error = engine_in_tool_folder(folder, path);
    return error == ZCB_ERR_NOT_FOUND ? if_executable(join_path(path, folder, engine_name()), path)
                                      : error;
}

/* Replaces the path of a .NET tool's launcher by that of the engine behind it: the launcher starts
 * more slowly, and is another process than the engine. Other paths stay. */
static void skip_launcher(char *path)
{
    char folder[PATH_BYTES];
    char engine[PATH_BYTES];
    const char *separator = last_separator(path);
    if (!separator || strcmp(separator + 1, engine_name()) != 0)
        return;
    snprintf(folder, sizeof(folder), "%.*s", (int)(separator - path), path);
    if (engine_in_tool_folder(folder, engine) == ZCB_OK)
        strcpy(path, engine);
}

/* ---------------------------------------------------------------- the places, in order */

static bool find_on_path(const char *name, char *path)
{
    if (zcbi_plat_find_program(name, path, PATH_BYTES) != ZCB_OK)
        return false;
    skip_launcher(path);
    return true;
}

static zcb_error find_given(const char *given, char *path, zcb_detail *why)
{
    char absolute[PATH_BYTES];
    if (!last_separator(given)) {
        if (find_on_path(given, path))
            return ZCB_OK;
        zcbi_error_detail(why, "PowerShell was not found: there is no program '%s' on PATH", given);
        return ZCB_ERR_NOT_FOUND;
    }
    if (zcbi_plat_absolute_path(given, absolute, sizeof(absolute)) != ZCB_OK) {
        zcbi_error_detail(why, "PowerShell was not found: '%s' is no usable path", given);
        return ZCB_ERR_NOT_FOUND;
    }
    if (zcbi_plat_is_executable(absolute)) {
        strcpy(path, absolute);
        skip_launcher(path);
        return ZCB_OK;
    }
    zcb_error error = engine_in_folder(absolute, path);
    if (error != ZCB_ERR_NOT_FOUND)
        return error;
    zcbi_error_detail(why,
                      "PowerShell was not found: '%s' is neither a program nor a folder with %s",
                      absolute, engine_name());
    return ZCB_ERR_NOT_FOUND;
}

/* Writes <root>/<below>, or, after an error, a text for messages. */
static bool path_below_root(zcb_error error, const char *root, const char *below, char *folder)
{
    if (!error && join_path(folder, root, below))
        return true;
    snprintf(folder, PATH_BYTES, "<no home folder>/%s", below);
    return false;
}

/* The places where PowerShell's installers put it on this system. */
static bool find_where_installers_put_it(char *path)
{
    for (unsigned i = 0; zcbi_plat_engine_place(i, path, PATH_BYTES) == ZCB_OK; i++)
        if (zcbi_plat_is_executable(path))
            return true;
    return false;
}

static zcb_error find_installed(char *path, const char **origin, zcb_detail *why)
{
    char root[PATH_BYTES];
    char installed[PATH_BYTES];
    char packages[PATH_BYTES];
    zcb_error error = ZCB_OK;
    *origin = "PATH";
    if (find_on_path("pwsh", path))
        return ZCB_OK;
    *origin = "installed";
    if (find_where_installers_put_it(path))
        return ZCB_OK;
    error = zcbi_plat_data_folder(root, sizeof(root));
    error = path_below_root(error, root, ENGINE_FOLDER, installed)
                ? engine_in_folder(installed, path)
                : ZCB_ERR_NOT_FOUND;
    if (error != ZCB_ERR_NOT_FOUND)
        return error;
    *origin = "system";
    if (zcbi_plat_engine_of_system(path, PATH_BYTES) == ZCB_OK && zcbi_plat_is_executable(path))
        return ZCB_OK;
    *origin = "NuGet";
    error = zcbi_plat_nuget_folder(root, sizeof(root));
    error = path_below_root(error, root, "powershell", packages)
                ? find_newest(packages, engine_of_package, path)
                : ZCB_ERR_NOT_FOUND;
    if (error != ZCB_ERR_NOT_FOUND)
        return error;
    zcbi_error_detail(why,
                      "PowerShell " OLDEST_VERSION
                      " or later was not found: no pwsh on PATH, none in "
                      "'%s', none in '%s'; " HOW_TO_GET_IT,
                      installed, packages);
    return ZCB_ERR_NOT_FOUND;
}

zcb_error zcb_engine_folder(char *path, size_t path_bytes)
{
    char root[PATH_BYTES], folder[PATH_BYTES];
    if (!path)
        return ZCB_ERR_INVALID;
    zcb_error error = zcbi_plat_data_folder(root, sizeof(root));
    if (!path_below_root(error, root, ENGINE_FOLDER, folder))
        return error ? error : ZCB_ERR_NOT_FOUND;
    if (strlen(folder) >= path_bytes)
        return ZCB_ERR_INVALID;
    strcpy(path, folder);
    return ZCB_OK;
}

zcb_error zcb_engine_find(const char *given, char *path, size_t path_bytes, const char **origin,
                          zcb_detail *why)
{
    char found[PATH_BYTES];
    const char *found_by = "given";
    zcb_error error = given ? find_given(given, found, why) : find_installed(found, &found_by, why);
    if (error && error != ZCB_ERR_NOT_FOUND)
        zcbi_error_detail(why, "looking for PowerShell");
    if (error)
        return error;
    if (!path || strlen(found) >= path_bytes) {
        zcbi_error_detail(why, "the path of the engine takes %zu bytes: '%s'", strlen(found) + 1,
                          found);
        return ZCB_ERR_INVALID;
    }
    strcpy(path, found);
    if (origin)
        *origin = found_by;
    return ZCB_OK;
}
