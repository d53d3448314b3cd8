/* What Windows adds to the contract: paths of any script and length, variables without case. */
#include "sessions.h"

/* A new folder below the temporary one, as UTF-8. */
static void make_folder(const char *name, char path[4096])
{
    wchar_t temporary[MAX_PATH + 1], secret[WINDOWS_SECRET_CHARACTERS];
    char folder[1024], unique[64];
    assert_in_range(GetTempPathW(MAX_PATH + 1, temporary), 1, MAX_PATH);
    assert_ok(zcbi_windows_copy_utf8(temporary, folder, sizeof(folder)));
    assert_ok(zcbi_windows_secret(secret));
    assert_ok(zcbi_windows_copy_utf8(secret, unique, sizeof(unique)));
    snprintf(path, 4096, "%szcb-%s-%s", folder, unique, name);
    wchar_t *wide = zcbi_windows_path(path);
    assert_true(CreateDirectoryW(wide, NULL));
    free(wide);
}

static void copy_program(const char *from, const char *to)
{
    wchar_t *source = zcbi_windows_path(from), *target = zcbi_windows_path(to);
    assert_true(CopyFileW(source, target, TRUE));
    free(source);
    free(target);
}

static void remove_path(const char *path)
{
    wchar_t *wide = zcbi_windows_path(path);
    assert_true(DeleteFileW(wide) || RemoveDirectoryW(wide));
    free(wide);
}

static void programs_start_from_folders_of_any_script(void **state)
{
    (void)state;
    char folder[4096], program[4200];
    make_folder("\xc3\xa4 \xe6\xbc\xa2 b", folder); /* with spaces, too */
    snprintf(program, sizeof(program), "%s\\engine of mine.exe", folder);
    copy_program(fake_engine(), program);
    assert_true(zcbi_plat_is_executable(program));
    zcb_session_options options = fake_options();
    options.engine = program;
    options.working_directory = folder;
    zcb_session *session = start_session(&options);
    assert_serves(session);
    assert_string_equal(zcb_session_engine(session), program);
    plat_child child = session->child;
    child.process = copy_of(child.process);
    child.group = PLAT_NO_HANDLE;
    zcb_session_free(session);
    (void)finish_child(&child);
    remove_path(program);
    remove_path(folder);
}

static void files_are_found_beyond_260_characters(void **state)
{
    (void)state;
    char folders[6][4096], file[4200];
    make_folder("long", folders[0]);
    for (int i = 1; i < 6; i++) {
        snprintf(folders[i], sizeof(folders[i]), "%.3900s\\%0*d", folders[i - 1], 60, i);
        wchar_t *wide = zcbi_windows_path(folders[i]);
        assert_true(CreateDirectoryW(wide, NULL));
        free(wide);
    }
    snprintf(file, sizeof(file), "%s\\pwsh.exe", folders[5]);
    assert_true(strlen(file) > 300);
    copy_program(fake_engine(), file);
    assert_true(zcbi_plat_is_executable(file));
    remove_path(file);
    for (int i = 6; i-- > 0;)
        remove_path(folders[i]);
}

static void names_of_variables_have_no_case(void **state)
{
    (void)state;
    static const char *const environment[] = {"zcb_test_case=new", NULL};
    setenv("ZCB_TEST_CASE", "old", 1);
    zcb_session_options options = fake_options();
    options.environment = environment;
    zcb_session *session = start_session(&options);
    assert_true(says(session, "env ZCB_TEST_CASE", "new"));
    zcb_session_free(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_start_from_folders_of_any_script),
        cmocka_unit_test(files_are_found_beyond_260_characters),
        cmocka_unit_test(names_of_variables_have_no_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
