/* Where zcb_engine_find looks, in which order. Engines are empty files below a temporary folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zcb/zcb.h"

#define PACKAGE "tools/net10.0/any/unix/pwsh"
#define STORE(version) ".store/powershell/" version "/powershell/" version "/"

static char root[] = "/tmp/zcb-engine-XXXXXX";

/* <root>/<below>; good until the next but three. */
static const char *at(const char *below)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", root, below);
    return path;
}

static void make_file(const char *below, mode_t mode)
{
    char path[512];
    snprintf(path, sizeof(path), "%s", at(below));
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        (void)mkdir(path, 0755);
        *slash = '/';
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    close(fd);
}

static void make_engine(const char *below)
{
    make_file(below, 0755);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

static int make_empty_home(void **state)
{
    (void)state;
    strcpy(root + strlen(root) - 6, "XXXXXX");
    if (mkdtemp(root) == NULL)
        return -1;
    setenv("HOME", at("home"), 1);
    setenv("XDG_DATA_HOME", at("data"), 1);
    setenv("NUGET_PACKAGES", at("nuget"), 1);
    setenv("PATH", at("bin"), 1);
    return 0;
}

static int remove_home(void **state)
{
    (void)state;
    return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void assert_found(const char *given, const char *expected, const char *expected_origin)
{
    char path[1024];
    const char *origin;
    zcb_detail why = {""};
    zcb_error error = zcb_engine_find(given, path, sizeof(path), &origin, &why);
    if (error != ZCB_OK)
        fail_msg("%s: %s", zcb_error_name(error), why.text);
    assert_string_equal(path, at(expected));
    assert_string_equal(origin, expected_origin);
}

static void assert_not_found(const char *given, const char *text)
{
    char path[1024];
    const char *origin = "as before";
    zcb_detail why = {""};
    assert_int_equal(zcb_engine_find(given, path, sizeof(path), &origin, &why), ZCB_ERR_NOT_FOUND);
    assert_string_equal(origin, "as before");
    if (strstr(why.text, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why.text, text);
}

static void places_are_looked_at_in_order(void **state)
{
    (void)state;
    make_engine("nuget/powershell/7.6.9/" PACKAGE);
    assert_found(NULL, "nuget/powershell/7.6.9/" PACKAGE, "NuGet");
    make_engine("data/virtualshell/engine/" STORE("7.6.8") PACKAGE);
    assert_found(NULL, "data/virtualshell/engine/" STORE("7.6.8") PACKAGE, "installed");
    make_engine("bin/pwsh");
    assert_found(NULL, "bin/pwsh", "PATH");
    make_engine("mine/shell");
    assert_found(at("mine/shell"), "mine/shell", "given");
}

static void what_was_looked_at_is_told(void **state)
{
    (void)state;
    assert_not_found(NULL, "no pwsh on PATH");
    assert_not_found(NULL, at("data/virtualshell/engine"));
    assert_not_found(NULL, at("nuget/powershell"));
    assert_not_found(NULL, "python -m virtualshell install-engine");
}

static void given_file_need_not_be_called_pwsh(void **state)
{
    (void)state;
    make_engine("mine/powershell-preview");
    assert_found(at("mine/powershell-preview"), "mine/powershell-preview", "given");
}

static void given_folder_holds_the_engine(void **state)
{
    (void)state;
    make_engine("mine/pwsh");
    assert_found(at("mine"), "mine/pwsh", "given");
}

static void given_folder_may_be_a_tool_folder(void **state)
{
    (void)state;
    make_engine("tool/pwsh");
    make_engine("tool/" STORE("7.6.9") PACKAGE);
    assert_found(at("tool"), "tool/" STORE("7.6.9") PACKAGE, "given");
}

static void given_path_may_be_relative(void **state)
{
    (void)state;
    make_engine("mine/pwsh");
    assert_int_equal(chdir(root), 0);
    assert_found("mine/pwsh", "mine/pwsh", "given");
    assert_found("./mine", "./mine/pwsh", "given");
    assert_int_equal(chdir("/"), 0);
}

static void given_name_is_looked_up_on_path_only(void **state)
{
    (void)state;
    make_engine("bin/pwsh-preview");
    make_engine("mine/pwsh");
    assert_int_equal(chdir(at("mine")), 0);
    assert_found("pwsh-preview", "bin/pwsh-preview", "given");
    assert_not_found("pwsh", "no program 'pwsh' on PATH");
    assert_int_equal(chdir("/"), 0);
}

static void given_path_that_is_wrong_is_not_replaced_by_another(void **state)
{
    (void)state;
    make_engine("bin/pwsh");
    make_file("mine/readme", 0644);
    assert_not_found(at("mine/readme"), "mine/readme' is neither a program nor a folder");
    assert_not_found(at("mine"), "mine' is neither a program nor a folder");
    assert_not_found("/nonexistent", "'/nonexistent' is neither");
    assert_not_found("", "''");
}

static void launcher_of_a_tool_is_skipped(void **state)
{
    (void)state;
    make_engine("bin/pwsh");
    make_engine("bin/" STORE("7.6.9") PACKAGE);
    assert_found(NULL, "bin/" STORE("7.6.9") PACKAGE, "PATH");
    assert_found("pwsh", "bin/" STORE("7.6.9") PACKAGE, "given");
    assert_found(at("bin/pwsh"), "bin/" STORE("7.6.9") PACKAGE, "given");
}

static void other_tools_beside_a_store_stay(void **state)
{
    (void)state;
    make_engine("bin/pwsh");
    make_engine("bin/.store/other/1.0.0/other/1.0.0/tools/net10.0/any/other");
    assert_found(NULL, "bin/pwsh", "PATH");
    make_engine("bin/shell");
    make_engine("bin/" STORE("7.6.9") PACKAGE);
    assert_found("shell", "bin/shell", "given");
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
    make_file("nuget/powershell/7.8.0/" PACKAGE, 0644);
    make_file("nuget/powershell/7.9.0/powershell.nuspec", 0644);
    make_file("nuget/powershell/zzz/" PACKAGE, 0755);
    assert_found(NULL, "nuget/powershell/7.6.9/" PACKAGE, "NuGet");
}

static void versions_before_7_4_are_passed_over(void **state)
{
    (void)state;
    make_engine("nuget/powershell/7.3.12/tools/net7.0/any/unix/pwsh");
    make_engine("nuget/powershell/6.2.0/tools/net7.0/any/unix/pwsh");
    assert_not_found(NULL, "PowerShell 7.4 or later was not found");
    make_engine("nuget/powershell/7.4.0/tools/net8.0/any/unix/pwsh");
    assert_found(NULL, "nuget/powershell/7.4.0/tools/net8.0/any/unix/pwsh", "NuGet");
}

static void path_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    char path[16] = "as before";
    zcb_detail why;
    make_engine("bin/pwsh");
    assert_int_equal(zcb_engine_find(NULL, path, sizeof(path), NULL, &why), ZCB_ERR_INVALID);
    assert_string_equal(path, "as before");
    assert_non_null(strstr(why.text, at("bin/pwsh")));
}

static void origin_and_why_may_be_left_out(void **state)
{
    (void)state;
    char path[1024];
    assert_int_equal(zcb_engine_find(NULL, path, sizeof(path), NULL, NULL), ZCB_ERR_NOT_FOUND);
    make_engine("bin/pwsh");
    assert_int_equal(zcb_engine_find(NULL, path, sizeof(path), NULL, NULL), ZCB_OK);
}

#define IN_EMPTY_HOME(test) cmocka_unit_test_setup_teardown(test, make_empty_home, remove_home)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_EMPTY_HOME(places_are_looked_at_in_order),
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
