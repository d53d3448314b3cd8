/* What POSIX systems add to the contract: where programs and folders are. */
#include "support.h"

static void programs_are_found_on_path(void **state)
{
    (void)state;
    char path[256];
    char *before = strdup(getenv("PATH"));
    setenv("PATH", "/nonexistent::.:bin:/etc:/bin", 1);
    assert_int_equal(zcbi_plat_find_program("sh", path, sizeof(path)), ZCB_OK);
    assert_string_equal(path, "/bin/sh");
    assert_int_equal(zcbi_plat_find_program("sh", path, 7), ZCB_ERR_INVALID);
    assert_int_equal(zcbi_plat_find_program("passwd-", path, sizeof(path)), ZCB_ERR_NOT_FOUND);
    assert_int_equal(zcbi_plat_find_program("", path, sizeof(path)), ZCB_ERR_NOT_FOUND);
    assert_int_equal(zcbi_plat_find_program("../bin/sh", path, sizeof(path)), ZCB_ERR_NOT_FOUND);
    unsetenv("PATH");
    assert_int_equal(zcbi_plat_find_program("sh", path, sizeof(path)), ZCB_ERR_NOT_FOUND);
    setenv("PATH", before, 1);
    free(before);
}

static void only_files_can_be_executable(void **state)
{
    (void)state;
    assert_true(zcbi_plat_is_executable("/bin/sh"));
    assert_false(zcbi_plat_is_executable("/bin"));
    assert_false(zcbi_plat_is_executable("/etc/passwd"));
    assert_false(zcbi_plat_is_executable("/nonexistent"));
}

static void folders_of_the_user_follow_the_environment(void **state)
{
    (void)state;
    char path[256];
    setenv("HOME", "/home/zcb", 1);
    setenv("XDG_DATA_HOME", "/data", 1);
    setenv("NUGET_PACKAGES", "/packages", 1);
    assert_int_equal(zcbi_plat_data_folder(path, sizeof(path)), ZCB_OK);
    assert_string_equal(path, "/data");
    assert_int_equal(zcbi_plat_nuget_folder(path, sizeof(path)), ZCB_OK);
    assert_string_equal(path, "/packages");
    setenv("XDG_DATA_HOME", "not/absolute", 1);
    unsetenv("NUGET_PACKAGES");
    assert_int_equal(zcbi_plat_data_folder(path, sizeof(path)), ZCB_OK);
    assert_string_equal(path, "/home/zcb/.local/share");
    assert_int_equal(zcbi_plat_nuget_folder(path, sizeof(path)), ZCB_OK);
    assert_string_equal(path, "/home/zcb/.nuget/packages");
    unsetenv("HOME");
    assert_int_equal(zcbi_plat_data_folder(path, sizeof(path)), ZCB_OK);
    assert_int_equal(path[0], '/');
}

static void paths_are_made_absolute(void **state)
{
    (void)state;
    char path[256];
    assert_int_equal(chdir("/usr"), 0);
    assert_int_equal(zcbi_plat_absolute_path("/bin/sh", path, sizeof(path)), ZCB_OK);
    assert_string_equal(path, "/bin/sh");
    assert_int_equal(zcbi_plat_absolute_path("./bin/sh", path, sizeof(path)), ZCB_OK);
    assert_string_equal(path, "/usr/./bin/sh");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_are_found_on_path),
        cmocka_unit_test(only_files_can_be_executable),
        cmocka_unit_test(folders_of_the_user_follow_the_environment),
        cmocka_unit_test(paths_are_made_absolute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
