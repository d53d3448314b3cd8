/* Finding the engine, in each of its places. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IN_DATA_FOLDER "data/virtualshell/engine/pwsh"
#define IN_NUGET_FOLDER "packages/powershell/7.6.1/tools/net10.0/any/unix/pwsh"

static char root[64];

static void make_engine(const char *below)
{
    char path[256];
    int bytes = snprintf(path, sizeof(path), "%s/%s", root, below);
    for (int i = (int)strlen(root) + 1; i < bytes; i++) {
        if (path[i] != '/')
            continue;
        path[i] = 0;
        (void)mkdir(path, 0700);
        path[i] = '/';
    }
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0700);
    always(fd >= 0, "making an engine's file");
    close(fd);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static void name_folder(const char *variable, const char *below)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", root, below);
    setenv(variable, path, 1);
}

/* `below`: where it lies below the root; NULL: nowhere. */
static void find(const char *given, const char *below, const char *origin)
{
    char path[4096];
    char wanted[512];
    const char *found_by = "";
    zcb_detail why = {""};
    next_step();
    zcb_error expected = below ? ZCB_OK : ZCB_ERR_NOT_FOUND;
    zcb_error error =
        CALL_FOR(expected, zcb_engine_find, given, path, sizeof(path), &found_by, &why);
    snprintf(wanted, sizeof(wanted), "%s/%s", root, below ? below : "");
    if (error)
        always(why.text[0] != 0, "why it was not found");
    else
        right(below && strcmp(path, wanted) == 0 && strcmp(found_by, origin) == 0,
              "the engine that was found");
}

/* The module is neither beside this program nor below. */
static void start_without_module(void)
{
    char engine[256];
    zcb_detail why = {""};
    zcb_session *session = NULL;
    snprintf(engine, sizeof(engine), "%s/" IN_DATA_FOLDER, root);
    zcb_session_options options = {.engine = engine};
    next_step();
    (void)CALL_FOR(ZCB_ERR_NOT_FOUND, zcb_session_start, &options, &session, &why, NULL);
    always(why.text[0] != 0, "why no session was started");
}

/* By the user's entry in the system's list of users; whether there is one is this machine's matter. */
static void find_at_home(void)
{
    char path[4096];
    zcb_detail why = {""};
    next_step();
    zcb_error error = zcb_engine_find(NULL, path, sizeof(path), NULL, &why);
    always(error == ZCB_OK || (is_documented("zcb_engine_find", error) && why.text[0] != 0),
           "what was found at home");
}

static void find_all(void)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/" IN_DATA_FOLDER, root);
    find(path, IN_DATA_FOLDER, "given");
    snprintf(path, sizeof(path), "%s/data/virtualshell/engine", root);
    find(path, IN_DATA_FOLDER, "given");
    find("./" IN_DATA_FOLDER, "./" IN_DATA_FOLDER, "given");
    find("./nothing", NULL, "");
    name_folder("PATH", "data/virtualshell/engine");
    find("pwsh", IN_DATA_FOLDER, "given");
    find(NULL, IN_DATA_FOLDER, "PATH");
    name_folder("PATH", "nothing");
    name_folder("XDG_DATA_HOME", "data");
    name_folder("NUGET_PACKAGES", "packages");
    find(NULL, IN_DATA_FOLDER, "installed");
    name_folder("XDG_DATA_HOME", "nothing");
    find(NULL, IN_NUGET_FOLDER, "NuGet");
    start_without_module();
    unsetenv("XDG_DATA_HOME");
    unsetenv("NUGET_PACKAGES");
    unsetenv("HOME");
    find_at_home();
}

void run_finding(void)
{
    suspend_faults();
    strcpy(root, "/tmp/zcb-faults-XXXXXX");
    char before[4096];
    if (!always(mkdtemp(root) && getcwd(before, sizeof(before)) && chdir(root) == 0,
                "making a folder"))
        return;
    make_engine(IN_DATA_FOLDER);
    make_engine(IN_NUGET_FOLDER);
    resume_faults();
    find_all();
    suspend_faults();
    always(chdir(before) == 0 && nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0,
           "removing the folder");
    conclude(false);
}
