/* What POSIX systems add to the contract of anonymous files: descriptors with places, blocks. */
#include "support.h"

#include <sys/stat.h>

static void file_appends_wherever_its_descriptor_stands(void **state)
{
    (void)state;
    plat_handle file;
    char text[16];
    size_t bytes;
    assert_int_equal(zcbi_plat_file_create(&file), ZCB_OK);
    assert_int_equal(write((int)file, "one", 3), 3);
    assert_int_equal(lseek((int)file, 0, SEEK_SET), 0);
    assert_int_equal(write((int)file, "two", 3), 3);
    assert_int_equal(zcbi_plat_file_read(file, 2, text, sizeof(text), &bytes), ZCB_OK);
    assert_int_equal(bytes, 4);
    assert_memory_equal(text, "etwo", 4);
    assert_int_equal(fcntl((int)file, F_GETFD), FD_CLOEXEC);
    zcbi_plat_close(file);
}

static void file_forgets_memory_but_no_offset(void **state)
{
    (void)state;
    plat_handle file;
    struct stat status;
    size_t bytes;
    char *text = calloc(1, MIB);
    char last;
    assert_non_null(text);
    memset(text, 'x', MIB);
    assert_int_equal(zcbi_plat_file_create(&file), ZCB_OK);
    assert_int_equal(write((int)file, text, MIB), MIB);
    zcbi_plat_file_forget(file, 0);
    zcbi_plat_file_forget(file, MIB - 1);
    assert_int_equal(fstat((int)file, &status), 0);
    assert_int_equal(status.st_size, MIB);
    assert_true(status.st_blocks * 512 <= 64 * 1024);
    assert_int_equal(zcbi_plat_file_read(file, MIB - 1, &last, 1, &bytes), ZCB_OK);
    assert_int_equal(bytes, 1);
    assert_int_equal(last, 'x');
    free(text);
    zcbi_plat_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_appends_wherever_its_descriptor_stands),
        cmocka_unit_test(file_forgets_memory_but_no_offset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
