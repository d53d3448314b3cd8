/* Finding the file of the PowerShell module that the engine loads. */
#include "start.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MODULE_FILE "ZeroCopyBridge.dll"
#define DESKTOP_FOLDER "desktop/" /* has the build for Windows PowerShell */

/* True for Windows PowerShell, which is powershell.exe; PowerShell is pwsh. */
static bool is_desktop(const char *engine)
{
    static const char name[] = "powershell.exe";
    size_t bytes = strlen(engine), name_bytes = sizeof(name) - 1;
    if (bytes < name_bytes)
        return false;
    for (size_t i = 0; i < name_bytes; i++)
        if (tolower((unsigned char)engine[bytes - name_bytes + i]) != name[i])
            return false;
    return bytes == name_bytes || strchr("/\\", engine[bytes - name_bytes - 1]);
}

static bool is_module_at(struct starting *start, const char *folder, const char *below)
{
    snprintf(start->module, sizeof(start->module), "%s/%s%s" MODULE_FILE, folder, below,
             is_desktop(start->engine) ? DESKTOP_FOLDER : "");
    return zcbi_plat_is_file(start->module);
}

/* The options name the module's file, or its folder. */
static zcb_error take_given_module(struct starting *start)
{
    char given[PATH_BYTES - 64];
    zcb_error error = zcbi_plat_absolute_path(start->options->module, given, sizeof(given));
    if (error)
        zcbi_error_detail(start->why, "'%s' is no usable path of a module", start->options->module);
    else if (!is_module_at(start, given, ""))
        snprintf(start->module, sizeof(start->module), "%s", given);
    return error;
}

zcb_error zcbi_start_find_module(struct starting *start)
{
    if (start->options->module)
        return take_given_module(start);
    char folder[PATH_BYTES - 64];
    zcb_error error =
        zcbi_plat_library_folder((const void *)(uintptr_t)&zcb_version, folder, sizeof(folder));
    if (error) {
        zcbi_error_detail(start->why, "the folder of libzcb is unknown: name the module");
        return error;
    }
    if (is_module_at(start, folder, "") || is_module_at(start, folder, "zcb/powershell/"))
        return ZCB_OK;
    zcbi_error_detail(start->why,
                      "%s" MODULE_FILE
                      " is neither in %s nor in zcb/powershell below it: name it in "
                      "zcb_session_options.module",
                      is_desktop(start->engine) ? DESKTOP_FOLDER : "", folder);
    return ZCB_ERR_NOT_FOUND;
}
