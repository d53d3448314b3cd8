/* Paths, folders and variables. */
#include "support.h"

static void programs_are_found_on_path(void **state)
{
    (void)state;
    char path[4200], self[4096], folder[4096], variable[4300], expected[4200];
    char *before = strdup(getenv("PATH"));
    own_path(self);
    assert_ok(zcbi_plat_library_folder((const void *)(uintptr_t)&soon, folder, sizeof(folder)));
    snprintf(variable, sizeof(variable), NOWHERE "x%c%c.%c%s", PATH_SEPARATOR, PATH_SEPARATOR,
             PATH_SEPARATOR, folder);
    setenv("PATH", variable, 1);
    snprintf(expected, sizeof(expected),
             "%s%c"
             "test_paths%s",
             folder, FOLDER_SEPARATOR, EXECUTABLE);
    assert_ok(zcbi_plat_find_program("test_paths", path, sizeof(path)));
    assert_string_equal(path, expected);
    assert_int_equal(zcbi_plat_find_program("test_paths", path, 7), ZCB_ERR_INVALID);
    assert_int_equal(zcbi_plat_find_program("", path, sizeof(path)), ZCB_ERR_NOT_FOUND);
    assert_int_equal(zcbi_plat_find_program("../c/test_paths", path, sizeof(path)),
                     ZCB_ERR_NOT_FOUND);
    setenv("PATH", ".", 1); /* a relative folder: anybody may have put a file there */
    assert_int_equal(zcbi_plat_find_program("test_paths", path, sizeof(path)), ZCB_ERR_NOT_FOUND);
    unsetenv("PATH");
    assert_int_equal(zcbi_plat_find_program("test_paths", path, sizeof(path)), ZCB_ERR_NOT_FOUND);
    setenv("PATH", before, 1);
    free(before);
}

static void only_programs_are_executable(void **state)
{
    (void)state;
    char self[4096], folder[4096], other[4200];
    own_path(self);
    assert_ok(zcbi_plat_library_folder((const void *)(uintptr_t)&soon, folder, sizeof(folder)));
    snprintf(other, sizeof(other), "%s%cno-program", folder, FOLDER_SEPARATOR);
    assert_true(zcbi_plat_is_executable(self));
    assert_true(zcbi_plat_is_file(self));
    assert_false(zcbi_plat_is_executable(folder));
    assert_false(zcbi_plat_is_file(folder));
    assert_false(zcbi_plat_is_executable(other));
}

static void paths_are_made_absolute(void **state)
{
    (void)state;
    char self[4096], path[4200];
    own_path(self);
    assert_ok(zcbi_plat_absolute_path(self, path, sizeof(path)));
    assert_string_equal(path, self);
    assert_ok(zcbi_plat_absolute_path("some/file", path, sizeof(path)));
    assert_true(strlen(path) > strlen("some/file"));
    assert_int_equal(zcbi_plat_absolute_path("some/file", path, 3), ZCB_ERR_INVALID);
}

static void count_entry(void *arg, const char *name)
{
    unsigned *count = arg;
    assert_string_not_equal(name, ".");
    assert_string_not_equal(name, "..");
    ++*count;
}

static void folder_is_listed(void **state)
{
    (void)state;
    char self[4096], folder[4096];
    unsigned count = 0;
    own_path(self);
    assert_ok(zcbi_plat_library_folder((const void *)(uintptr_t)&soon, folder, sizeof(folder)));
    assert_ok(zcbi_plat_folder_each(folder, count_entry, &count));
    assert_true(count >= 2);
    assert_int_equal(zcbi_plat_folder_each(NOWHERE "at all", count_entry, &count),
                     ZCB_ERR_NOT_FOUND);
    assert_int_equal(zcbi_plat_folder_each(self, count_entry, &count), ZCB_ERR_NOT_FOUND);
}

static void library_is_found_by_an_address_in_it(void **state)
{
    (void)state;
    char path[4096];
    static const char here = 0;
    assert_ok(zcbi_plat_library_folder(&here, path, sizeof(path)));
    assert_int_equal(zcbi_plat_library_folder((const void *)(uintptr_t)1, path, sizeof(path)),
                     ZCB_ERR_NOT_FOUND);
}

static void variables_are_seen(void **state)
{
    (void)state;
    setenv("ZCB_SEEN", "1", 1);
    assert_true(zcbi_plat_has_variable("ZCB_SEEN"));
    unsetenv("ZCB_SEEN");
    assert_false(zcbi_plat_has_variable("ZCB_SEEN"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_are_found_on_path),
        cmocka_unit_test(only_programs_are_executable),
        cmocka_unit_test(paths_are_made_absolute),
        cmocka_unit_test(folder_is_listed),
        cmocka_unit_test(library_is_found_by_an_address_in_it),
        cmocka_unit_test(variables_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
