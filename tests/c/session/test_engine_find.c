/* Where zcb_engine_find looks, in which order. Engines are empty files below a temporary folder. */
#include "system.h"

#include "zcb/zcb.h"

#if defined(_WIN32)
#define EXE ".exe"
#define SYSTEM "win"
#define AS_GIVEN "" /* the system makes the shortest path */
#else
#include <ftw.h>
#include <sys/stat.h>
#define EXE ""
#define SYSTEM "unix"
#define AS_GIVEN "./"
#endif

#define ENGINE "pwsh" EXE
#define IN_TOOLS(framework) "tools/" framework "/any/" SYSTEM "/" ENGINE
#define PACKAGE IN_TOOLS("net10.0")
#define STORE(version) ".store/powershell/" version "/powershell/" version "/"

static char root[512];

/* <root>/<below>; good until the next but three. */
static const char *at(const char *below)
{
    static char paths[4][1024];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", root, below);
    return path;
}

#if defined(_WIN32)

static void make_folder(const char *path)
{
    (void)CreateDirectoryA(path, NULL);
}

static void make_file(const char *path, bool executable)
{
    (void)executable; /* the name says it */
    HANDLE file = CreateFileA(path, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
    assert_ptr_not_equal(file, INVALID_HANDLE_VALUE);
    CloseHandle(file);
}

static void make_root(void)
{
    wchar_t secret[WINDOWS_SECRET_CHARACTERS];
    char folder[256];
    assert_int_equal(zcbi_windows_secret(secret), ZCB_OK);
    GetTempPathA(sizeof(folder), folder);
    snprintf(root, sizeof(root), "%szcb-engine-%ls", folder, secret);
    make_folder(root);
}

static void remove_tree(const char *path)
{
    char below[1024];
    WIN32_FIND_DATAA entry;
    snprintf(below, sizeof(below), "%s\\*", path);
    HANDLE search = FindFirstFileA(below, &entry);
    if (search != INVALID_HANDLE_VALUE) {
        do {
            snprintf(below, sizeof(below), "%s\\%s", path, entry.cFileName);
            if (strcmp(entry.cFileName, ".") == 0 || strcmp(entry.cFileName, "..") == 0)
                continue;
            if (entry.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY)
                remove_tree(below);
            else
                DeleteFileA(below);
        } while (FindNextFileA(search, &entry));
        FindClose(search);
    }
    RemoveDirectoryA(path);
}

static void enter_folder(const char *path)
{
    assert_true(SetCurrentDirectoryA(path));
}

static void set_home(void)
{
    setenv("USERPROFILE", at("home"), 1);
    setenv("LOCALAPPDATA", at("data"), 1);
    setenv("ProgramFiles", at("programs"), 1);
    setenv("SystemRoot", at("windows"), 1);
}

#else

static void make_folder(const char *path)
{
    (void)mkdir(path, 0755);
}

static void make_file(const char *path, bool executable)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, executable ? 0755 : 0644);
    assert_true(fd >= 0);
    close(fd);
}

static void make_root(void)
{
    strcpy(root, "/tmp/zcb-engine-XXXXXX");
    assert_non_null(mkdtemp(root));
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

static void remove_tree(const char *path)
{
    assert_int_equal(nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void enter_folder(const char *path)
{
    assert_int_equal(chdir(path), 0);
}

static void set_home(void)
{
    setenv("HOME", at("home"), 1);
    setenv("XDG_DATA_HOME", at("data"), 1);
}

#endif

static void make(const char *below, bool executable)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s", at(below));
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        make_folder(path);
        *slash = '/';
    }
    make_file(path, executable);
}

static void make_engine(const char *below)
{
    make(below, true);
}

static int make_empty_home(void **state)
{
    (void)state;
    make_root();
    set_home();
    setenv("NUGET_PACKAGES", at("nuget"), 1);
    setenv("PATH", at("bin"), 1);
    return 0;
}

static int remove_home(void **state)
{
    (void)state;
    enter_folder("/");
    remove_tree(root);
    return 0;
}

/* Both separators are the same to Windows. */
static const char *plain(char *path)
{
    for (char *c = path; *c != '\0'; c++)
        if (*c == '\\')
            *c = '/';
    return path;
}

static void assert_same_path(const char *a, const char *b)
{
    char plain_a[1024], plain_b[1024];
    snprintf(plain_a, sizeof(plain_a), "%s", a);
    snprintf(plain_b, sizeof(plain_b), "%s", b);
    assert_string_equal(plain(plain_a), plain(plain_b));
}

static void assert_found(const char *given, const char *expected, const char *expected_origin)
{
    char path[1024];
    const char *origin;
    zcb_detail why = {""};
    zcb_error error = zcb_engine_find(given, path, sizeof(path), &origin, &why);
    if (error != ZCB_OK)
        fail_msg("%s: %s", zcb_error_name(error), why.text);
    assert_same_path(path, at(expected));
    assert_string_equal(origin, expected_origin);
}

static void assert_not_found(const char *given, const char *text)
{
    char path[1024];
    const char *origin = "as before";
    zcb_detail why = {""};
    assert_int_equal(zcb_engine_find(given, path, sizeof(path), &origin, &why), ZCB_ERR_NOT_FOUND);
    assert_string_equal(origin, "as before");
    char said[sizeof(why.text)], expected[1024];
    snprintf(said, sizeof(said), "%s", why.text);
    snprintf(expected, sizeof(expected), "%s", text);
    if (strstr(plain(said), plain(expected)) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", said, expected);
}

static void places_are_looked_at_in_order(void **state)
{
    (void)state;
    make_engine("nuget/powershell/7.6.9/" PACKAGE);
    assert_found(NULL, "nuget/powershell/7.6.9/" PACKAGE, "NuGet");
    make_engine("data/virtualshell/engine/" STORE("7.6.8") PACKAGE);
    assert_found(NULL, "data/virtualshell/engine/" STORE("7.6.8") PACKAGE, "installed");
    make_engine("bin/" ENGINE);
    assert_found(NULL, "bin/" ENGINE, "PATH");
    make_engine("mine/shell" EXE);
    assert_found(at("mine/shell" EXE), "mine/shell" EXE, "given");
}

#if defined(_WIN32)

static void installers_places_come_before_windows_powershell(void **state)
{
    (void)state;
    make_engine("nuget/powershell/7.6.9/" PACKAGE);
    make_engine("windows/System32/WindowsPowerShell/v1.0/powershell.exe");
    assert_found(NULL, "windows/System32/WindowsPowerShell/v1.0/powershell.exe", "system");
    make_engine("data/virtualshell/engine/" STORE("7.6.8") PACKAGE);
    assert_found(NULL, "data/virtualshell/engine/" STORE("7.6.8") PACKAGE, "installed");
    make_engine("data/Microsoft/WindowsApps/pwsh.exe");
    assert_found(NULL, "data/Microsoft/WindowsApps/pwsh.exe", "installed");
    make_engine("programs/PowerShell/7/pwsh.exe");
    assert_found(NULL, "programs/PowerShell/7/pwsh.exe", "installed");
}

#endif

static void what_was_looked_at_is_told(void **state)
{
    (void)state;
    assert_not_found(NULL, "no pwsh on PATH");
    assert_not_found(NULL, at("data/virtualshell/engine"));
    assert_not_found(NULL, at("nuget/powershell"));
    assert_not_found(NULL, "install it (https://aka.ms/powershell), or give its path");
}

static void given_file_need_not_be_called_pwsh(void **state)
{
    (void)state;
    make_engine("mine/powershell-preview" EXE);
    assert_found(at("mine/powershell-preview" EXE), "mine/powershell-preview" EXE, "given");
}

static void given_folder_holds_the_engine(void **state)
{
    (void)state;
    make_engine("mine/" ENGINE);
    assert_found(at("mine"), "mine/" ENGINE, "given");
}

static void given_folder_may_be_a_tool_folder(void **state)
{
    (void)state;
    make_engine("tool/" ENGINE);
    make_engine("tool/" STORE("7.6.9") PACKAGE);
    assert_found(at("tool"), "tool/" STORE("7.6.9") PACKAGE, "given");
}

static void given_path_may_be_relative(void **state)
{
    (void)state;
    make_engine("mine/" ENGINE);
    enter_folder(root);
    assert_found("mine/" ENGINE, "mine/" ENGINE, "given");
    assert_found("./mine", AS_GIVEN "mine/" ENGINE, "given");
    enter_folder("/");
}

static void given_name_is_looked_up_on_path_only(void **state)
{
    (void)state;
    make_engine("bin/pwsh-preview" EXE);
    make_engine("mine/" ENGINE);
    enter_folder(at("mine"));
    assert_found("pwsh-preview", "bin/pwsh-preview" EXE, "given");
    assert_not_found("pwsh", "no program 'pwsh' on PATH");
    enter_folder("/");
}

static void given_path_that_is_wrong_is_not_replaced_by_another(void **state)
{
    (void)state;
    make_engine("bin/" ENGINE);
    make("mine/readme", false);
    assert_not_found(at("mine/readme"), "mine/readme' is neither a program nor a folder");
    assert_not_found(at("mine"), "mine' is neither a program nor a folder");
    assert_not_found("/nonexistent", "/nonexistent' is neither");
    assert_not_found("", "''");
}

static void launcher_of_a_tool_is_skipped(void **state)
{
    (void)state;
    make_engine("bin/" ENGINE);
    make_engine("bin/" STORE("7.6.9") PACKAGE);
    assert_found(NULL, "bin/" STORE("7.6.9") PACKAGE, "PATH");
    assert_found("pwsh", "bin/" STORE("7.6.9") PACKAGE, "given");
    assert_found(at("bin/" ENGINE), "bin/" STORE("7.6.9") PACKAGE, "given");
}

static void other_tools_beside_a_store_stay(void **state)
{
    (void)state;
    make_engine("bin/" ENGINE);
    make_engine("bin/.store/other/1.0.0/other/1.0.0/tools/net10.0/any/other");
    assert_found(NULL, "bin/" ENGINE, "PATH");
    make_engine("bin/shell" EXE);
    make_engine("bin/" STORE("7.6.9") PACKAGE);
    assert_found("shell", "bin/shell" EXE, "given");
}

static void highest_version_is_taken(void **state)
{
    (void)state;
    make_engine("nuget/powershell/7.6.9/" PACKAGE);
    make_engine("nuget/powershell/7.6.10/" PACKAGE);
    make_engine("nuget/powershell/7.6.2/" PACKAGE);
    assert_found(NULL, "nuget/powershell/7.6.10/" PACKAGE, "NuGet");
    make_engine("nuget/powershell/7.10.0-preview.10/" PACKAGE);
    make_engine("nuget/powershell/7.10.0-preview.9/" PACKAGE);
    assert_found(NULL, "nuget/powershell/7.10.0-preview.10/" PACKAGE, "NuGet");
    make_engine("nuget/powershell/7.10.0-rc.1/" PACKAGE);
    assert_found(NULL, "nuget/powershell/7.10.0-rc.1/" PACKAGE, "NuGet");
    make_engine("nuget/powershell/7.10.0/" PACKAGE);
    assert_found(NULL, "nuget/powershell/7.10.0/" PACKAGE, "NuGet");
}

static void versions_without_an_engine_are_passed_over(void **state)
{
    (void)state;
    make_engine("nuget/powershell/7.6.9/" PACKAGE);
#if !defined(_WIN32) /* where each file of this name is a program */
    make("nuget/powershell/7.8.0/" PACKAGE, false);
#endif
    make("nuget/powershell/7.9.0/powershell.nuspec", false);
    make_engine("nuget/powershell/zzz/" PACKAGE);
    assert_found(NULL, "nuget/powershell/7.6.9/" PACKAGE, "NuGet");
}

static void versions_before_7_4_are_passed_over(void **state)
{
    (void)state;
    make_engine("nuget/powershell/7.3.12/" IN_TOOLS("net7.0"));
    make_engine("nuget/powershell/6.2.0/" IN_TOOLS("net7.0"));
    assert_not_found(NULL, "PowerShell 7.4 or later was not found");
    make_engine("nuget/powershell/7.4.0/" IN_TOOLS("net8.0"));
    assert_found(NULL, "nuget/powershell/7.4.0/" IN_TOOLS("net8.0"), "NuGet");
}

static void path_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    char path[16] = "as before";
    zcb_detail why;
    make_engine("bin/" ENGINE);
    assert_int_equal(zcb_engine_find(NULL, path, sizeof(path), NULL, &why), ZCB_ERR_INVALID);
    assert_string_equal(path, "as before");
    assert_non_null(strstr(why.text, ENGINE));
}

static void origin_and_why_may_be_left_out(void **state)
{
    (void)state;
    char path[1024];
    assert_int_equal(zcb_engine_find(NULL, path, sizeof(path), NULL, NULL), ZCB_ERR_NOT_FOUND);
    make_engine("bin/" ENGINE);
    assert_int_equal(zcb_engine_find(NULL, path, sizeof(path), NULL, NULL), ZCB_OK);
}

#define IN_EMPTY_HOME(test) cmocka_unit_test_setup_teardown(test, make_empty_home, remove_home)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_EMPTY_HOME(places_are_looked_at_in_order),
#if defined(_WIN32)
        IN_EMPTY_HOME(installers_places_come_before_windows_powershell),
#endif
        IN_EMPTY_HOME(what_was_looked_at_is_told),
        IN_EMPTY_HOME(given_file_need_not_be_called_pwsh),
        IN_EMPTY_HOME(given_folder_holds_the_engine),
        IN_EMPTY_HOME(given_folder_may_be_a_tool_folder),
        IN_EMPTY_HOME(given_path_may_be_relative),
        IN_EMPTY_HOME(given_name_is_looked_up_on_path_only),
        IN_EMPTY_HOME(given_path_that_is_wrong_is_not_replaced_by_another),
        IN_EMPTY_HOME(launcher_of_a_tool_is_skipped),
        IN_EMPTY_HOME(other_tools_beside_a_store_stay),
        IN_EMPTY_HOME(highest_version_is_taken),
        IN_EMPTY_HOME(versions_without_an_engine_are_passed_over),
        IN_EMPTY_HOME(versions_before_7_4_are_passed_over),
        IN_EMPTY_HOME(path_that_does_not_fit_is_refused),
        IN_EMPTY_HOME(origin_and_why_may_be_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
