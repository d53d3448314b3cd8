/* Anonymous files. */
#include "support.h"

static void file_appends_and_is_read_anywhere(void **state)
{
    (void)state;
    plat_handle file;
    char text[16];
    size_t bytes;
    assert_ok(zcbi_plat_file_create(&file));
    assert_ok(zcbi_plat_file_read(file, 0, text, sizeof(text), &bytes));
    assert_int_equal(bytes, 0);
    assert_int_equal(write_file(file, "one", 3), 3);
    assert_ok(zcbi_plat_file_read(file, 0, text, 1, &bytes)); /* moves no place to write to */
    assert_int_equal(write_file(file, "two", 3), 3);
    assert_ok(zcbi_plat_file_read(file, 2, text, sizeof(text), &bytes));
    assert_int_equal(bytes, 4);
    assert_memory_equal(text, "etwo", 4);
    assert_ok(zcbi_plat_file_read(file, 100, text, sizeof(text), &bytes));
    assert_int_equal(bytes, 0);
    assert_int_equal(zcbi_plat_file_read(file, UINT64_MAX, text, 1, &bytes), ZCB_ERR_INVALID);
    zcbi_plat_close(file);
}

static void file_that_forgets_keeps_its_offsets(void **state)
{
    (void)state;
    plat_handle file;
    size_t bytes;
    char last = 0, *text = calloc(1, MIB);
    assert_non_null(text);
    memset(text, 'x', MIB);
    assert_ok(zcbi_plat_file_create(&file));
    assert_int_equal(write_file(file, text, MIB), MIB);
    zcbi_plat_file_forget(file, 0);
    zcbi_plat_file_forget(file, MIB - 1);
    assert_ok(zcbi_plat_file_read(file, MIB - 1, &last, 1, &bytes));
    assert_int_equal(bytes, 1);
    assert_int_equal(last, 'x');
    assert_int_equal(write_file(file, "y", 1), 1);
    zcbi_plat_file_forget(file, MIB);
    assert_ok(zcbi_plat_file_read(file, MIB, &last, 1, &bytes));
    assert_int_equal(last, 'y');
    free(text);
    zcbi_plat_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_appends_and_is_read_anywhere),
        cmocka_unit_test(file_that_forgets_keeps_its_offsets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
