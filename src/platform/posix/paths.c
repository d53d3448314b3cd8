#include "posix.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/error.h"

PRINTF_LIKE(3, 4)
static zcb_error print_path(char *path, size_t path_bytes, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int bytes = vsnprintf(path, path_bytes, format, arguments);
    va_end(arguments);
    return bytes >= 0 && (size_t)bytes < path_bytes ? ZCB_OK : ZCB_ERR_INVALID;
}

/* The value of a variable that names a folder by an absolute path, or NULL. */
static const char *folder_variable(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] == '/' ? value : NULL;
}

bool zcbi_plat_is_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

bool zcbi_plat_is_executable(const char *path)
{
    return zcbi_plat_is_file(path) && access(path, X_OK) == 0;
}

zcb_error zcbi_plat_find_program(const char *name, char *path, size_t path_bytes)
{
    const char *folder = getenv("PATH");
    if (!folder || *name == 0 || strchr(name, '/'))
        return ZCB_ERR_NOT_FOUND;
    char found[PATH_MAX];
    for (;;) {
        int bytes = (int)strcspn(folder, ":");
        /* Empty and relative entries mean the current folder, where other users may have put
         * files. */
        if (*folder == '/' &&
            print_path(found, sizeof(found), "%.*s/%s", bytes, folder, name) == 0 &&
            zcbi_plat_is_executable(found))
            return print_path(path, path_bytes, "%s", found);
        if (folder[bytes] == 0)
            return ZCB_ERR_NOT_FOUND;
        folder += bytes + 1;
    }
}

zcb_error zcbi_plat_absolute_path(const char *given, char *path, size_t path_bytes)
{
    char current[PATH_MAX];
    if (given[0] == '/')
        return print_path(path, path_bytes, "%s", given);
    if (!getcwd(current, sizeof(current)))
        return errno == ENOENT ? ZCB_ERR_NOT_FOUND : zcbi_posix_error(errno);
    return print_path(path, path_bytes, "%s/%s", current, given);
}

/* A file or folder below the user's home folder. */
static zcb_error path_at_home(const char *below, char *path, size_t path_bytes)
{
    const char *home = folder_variable("HOME");
    if (home)
        return print_path(path, path_bytes, "%s/%s", home, below);
    char text[4096];
    struct passwd user;
    struct passwd *found = NULL;
    if (getpwuid_r(getuid(), &user, text, sizeof(text), &found) != 0 || !found)
        return ZCB_ERR_NOT_FOUND;
    return print_path(path, path_bytes, "%s/%s", user.pw_dir, below);
}

zcb_error zcbi_plat_data_folder(char *path, size_t path_bytes)
{
    const char *folder = folder_variable("XDG_DATA_HOME");
    if (folder)
        return print_path(path, path_bytes, "%s", folder);
    return path_at_home(".local/share", path, path_bytes);
}

zcb_error zcbi_plat_nuget_folder(char *path, size_t path_bytes)
{
    const char *folder = folder_variable("NUGET_PACKAGES");
    if (folder)
        return print_path(path, path_bytes, "%s", folder);
    return path_at_home(".nuget/packages", path, path_bytes);
}

bool zcbi_plat_has_variable(const char *name)
{
    return getenv(name) != NULL;
}

zcb_error zcbi_plat_engine_place(unsigned place, char *path, size_t path_bytes)
{
    /* The installers put a link on PATH. */
    (void)place;
    (void)path;
    (void)path_bytes;
    return ZCB_ERR_NOT_FOUND;
}

zcb_error zcbi_plat_engine_of_system(char *path, size_t path_bytes)
{
    (void)path;
    (void)path_bytes;
    return ZCB_ERR_NOT_FOUND;
}

const char *const *zcbi_plat_engine_arguments(void)
{
    static const char *const none[] = {NULL};
    return none;
}

const char *zcbi_plat_engine_in_package(void)
{
    return "any/unix/pwsh";
}

zcb_error zcbi_plat_folder_each(const char *path, plat_folder_entry *each, void *arg)
{
    DIR *folder = opendir(path);
    if (!folder) {
        bool missing = errno == ENOENT || errno == ENOTDIR || errno == EACCES;
        return missing ? ZCB_ERR_NOT_FOUND : zcbi_posix_error(errno);
    }
    const struct dirent *entry;
    while ((entry = readdir(folder)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            each(arg, entry->d_name);
    closedir(folder);
    return ZCB_OK;
}

zcb_error zcbi_plat_library_folder(const void *address, char *path, size_t path_bytes)
{
    Dl_info library;
    char file[PATH_MAX];
    if (dladdr(address, &library) == 0 || !realpath(library.dli_fname, file))
        return ZCB_ERR_NOT_FOUND;
    *strrchr(file, '/') = 0;
    return print_path(path, path_bytes, "%s", file[0] != 0 ? file : "/");
}
