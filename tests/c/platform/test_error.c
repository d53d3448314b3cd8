/* Names, texts and details of errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "platform/error.h"

static void every_error_has_its_name_and_text(void **state)
{
    (void)state;
    assert_string_equal(zcb_error_name(ZCB_OK), "ZCB_OK");
    assert_string_equal(zcb_error_name(ZCB_ERR_TIMEOUT), "ZCB_ERR_TIMEOUT");
    assert_string_equal(zcb_error_text(ZCB_ERR_TOO_LARGE), "data exceeds frame size");
    for (int code = ZCB_OK; code <= ZCB_ERR_WATCHED; code++) {
        assert_string_not_equal(zcb_error_name((zcb_error)code), "ZCB_ERR_UNKNOWN");
        assert_string_not_equal(zcb_error_text((zcb_error)code), "unknown error");
    }
}

static void number_that_is_no_error_is_unknown(void **state)
{
    (void)state;
    assert_string_equal(zcb_error_name((zcb_error)9999), "ZCB_ERR_UNKNOWN");
    assert_string_equal(zcb_error_text((zcb_error)9999), "unknown error");
}

static void version_is_the_headers(void **state)
{
    (void)state;
    assert_string_equal(zcb_version(), ZCB_VERSION);
}

static void detail_is_written_where_it_is_wanted(void **state)
{
    (void)state;
    zcb_detail why;
    zcbi_error_detail(NULL, "%d", 1);
    zcbi_error_detail(&why, "%s: %d", "code", 7);
    assert_string_equal(why.text, "code: 7");
}

/* A text that is `lead` bytes and then `character` again and again, longer than a detail. */
static size_t length_of_cut(size_t lead, const char *character)
{
    char text[2 * sizeof(zcb_detail)];
    size_t width = strlen(character);
    zcb_detail why;
    memset(text, 'a', sizeof(text));
    for (size_t at = lead; at + width < sizeof(text); at += width)
        memcpy(text + at, character, width);
    text[sizeof(text) - 1] = '\0';
    zcbi_error_detail(&why, "%s", text);
    return strlen(why.text);
}

static void long_detail_is_cut_between_characters(void **state)
{
    (void)state;
    assert_int_equal(length_of_cut(0, "a"), 1023);
    assert_int_equal(length_of_cut(1, "\xc3\xa4"), 1023);
    assert_int_equal(length_of_cut(0, "\xc3\xa4"), 1022);
    assert_int_equal(length_of_cut(0, "\xe2\x82\xac"), 1023);
    assert_int_equal(length_of_cut(1, "\xe2\x82\xac"), 1021);
    assert_int_equal(length_of_cut(0, "\xf0\x9f\x98\x80"), 1020);
    assert_int_equal(length_of_cut(3, "\xf0\x9f\x98\x80"), 1023);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_its_name_and_text),
        cmocka_unit_test(number_that_is_no_error_is_unknown),
        cmocka_unit_test(version_is_the_headers),
        cmocka_unit_test(detail_is_written_where_it_is_wanted),
        cmocka_unit_test(long_detail_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
