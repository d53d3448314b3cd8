/* Sessions: commands and their results, of any number and length. */
#include "sessions.h"

#if defined(__SANITIZE_THREAD__)
#define LONG_OUTPUT (80 * MIB) /* more than the frame */
#else
#define LONG_OUTPUT (200 * MIB)
#endif

static void thousands_of_commands_queue_and_end_in_order(void **state)
{
    zcb_session *session = *state;
    enum { COUNT = 10000 };
    static uint64_t ids[COUNT];
    char text[32];
    for (int i = 0; i < COUNT; i++) {
        snprintf(text, sizeof(text), "echo %d", i);
        ids[i] = submit(session, text, 0, ZCB_FOREVER);
        assert_true(i == 0 || ids[i] > ids[i - 1]);
    }
    for (int i = COUNT - 1; i >= 0; i--) {
        zcb_result *result = wait_for(session, ids[i]);
        assert_int_equal(atoll(zcb_result_text(result, ZCB_PART_OUT, NULL)), i);
        zcb_result_free(result);
    }
}

static void assert_size_comes_back(zcb_session *session, size_t bytes)
{
    char *text = malloc(bytes);
    memset(text, 'x', bytes);
    memcpy(text, "size ", 5);
    zcb_wait wait = patience();
    zcb_result *result;
    assert_ok(zcb_session_run(session, text, bytes, 0, ZCB_FOREVER, &result, &wait));
    assert_int_equal(atoll(zcb_result_text(result, ZCB_PART_OUT, NULL)), bytes);
    zcb_result_free(result);
    free(text);
}

static void commands_of_any_length_pass(void **state)
{
    assert_size_comes_back(*state, 5);
    assert_size_comes_back(*state, 10 * MIB);
    assert_size_comes_back(*state, COMMANDS_FRAME_BYTES + 1000);
}

static void assert_output(zcb_session *session, const char *text, size_t bytes)
{
    zcb_result *result = wait_for(session, submit(session, text, 0, ZCB_FOREVER));
    const char *out = zcb_result_text(result, ZCB_PART_OUT, NULL);
    assert_int_equal(text_bytes(result, ZCB_PART_OUT), bytes);
    assert_true(is_filled(out, bytes, bytes));
    assert_int_equal(out[bytes], 0);
    zcb_result_free(result);
}

static void outputs_of_any_length_pass(void **state)
{
    char text[32];
    snprintf(text, sizeof(text), "out %llu", (unsigned long long)LONG_OUTPUT);
    assert_output(*state, "out 1", 1);
    assert_output(*state, "out 1000000", 1000000);
    assert_output(*state, text, LONG_OUTPUT);
}

static void pieces_of_output_are_joined_in_order(void **state)
{
    assert_output(*state, "bits 10000", 30000);
    assert_output(*state, "pieces 320", 320 * 65536);
    zcb_result *result = wait_for(*state, submit(*state, "bits 100", 0, ZCB_FOREVER));
    assert_int_equal(text_bytes(result, ZCB_PART_WARNING), 100);
    zcb_result_free(result);
}

static void two_full_directions_do_not_stop_each_other(void **state)
{
    zcb_session *session = *state;
    size_t bytes = 40 * MIB;
    char *text = malloc(bytes);
    memset(text, 'x', bytes);
    memcpy(text, "size ", 5);
    uint64_t ids[8];
    zcb_wait wait = patience();
    for (int i = 0; i < 8; i++) {
        zcb_command command = {.op = ZCB_OP_RUN, .parts = TEXT_PART(text, bytes), .part_count = 1};
        ids[i] = submit(session, "out 40000000", 0, ZCB_FOREVER);
        if (i % 4 == 3)
            assert_ok(zcb_session_submit(session, &command, ZCB_FOREVER, &wait));
        if (i % 4 == 3)
            assert_int_equal(status_of(session, command.id), ZCB_STATUS_DONE);
    }
    for (int i = 0; i < 8; i++)
        assert_int_equal(status_of(session, ids[i]), ZCB_STATUS_DONE);
    free(text);
}

static void a_submit_that_gives_up_half_way_leaves_the_session_working(void **state)
{
    zcb_session *session = *state;
    size_t bytes = 2 * COMMANDS_FRAME_BYTES;
    char *text = calloc(1, bytes);
    uint64_t waiting = submit(session, "wait", 0, ZCB_FOREVER);
    for (int i = 0; i < 3; i++) {
        zcb_wait wait = within_ms(30);
        zcb_command command = {.op = ZCB_OP_RUN,
                               .flags = ZCB_COMMAND_NOTIFY,
                               .parts = TEXT_PART(text, bytes),
                               .part_count = 1};
        assert_int_equal(zcb_session_submit(session, &command, i == 2 ? 1 : ZCB_FOREVER, &wait),
                         ZCB_ERR_TIMEOUT);
        zcb_result *result;
        assert_int_equal(zcb_session_wait(session, command.id, &result, &wait), ZCB_ERR_NOT_FOUND);
        zcb_wait at_once = {0};
        assert_int_equal(zcb_session_next(session, &result, &at_once), ZCB_ERR_TIMEOUT);
    }
    assert_ok(zcb_session_stop(session, waiting));
    assert_int_equal(status_of(session, waiting), ZCB_STATUS_STOPPED);
    free(text);
    assert_serves(session);
}

static void ids_that_are_not_pending_are_not_found(void **state)
{
    zcb_session *session = *state;
    zcb_result *result;
    uint64_t id = submit(session, "echo", 0, ZCB_FOREVER);
    assert_int_equal(zcb_session_wait(session, 4711, &result, NULL), ZCB_ERR_NOT_FOUND);
    assert_int_equal(zcb_session_stop(session, 4711), ZCB_ERR_NOT_FOUND);
    zcb_result_free(wait_for(session, id));
    assert_int_equal(zcb_session_wait(session, id, &result, NULL), ZCB_ERR_NOT_FOUND);
    assert_int_equal(zcb_session_stop(session, id), ZCB_ERR_NOT_FOUND);
}

static void senseless_arguments_are_refused(void **state)
{
    zcb_session *session = *state;
    zcb_command command = {.op = ZCB_OP_SEND, .parts = TEXT_PART("x", 1), .part_count = 1};
    zcb_result *result;
    assert_int_equal(zcb_session_submit(session, &command, 0, NULL), ZCB_ERR_INVALID);
    command = (zcb_command){.op = ZCB_OP_RUN, .parts = TEXT_PART(NULL, 1), .part_count = 1};
    assert_int_equal(zcb_session_submit(session, &command, 0, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_session_submit(NULL, &command, 0, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_session_wait(NULL, 1, &result, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_session_next(session, NULL, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_session_ping(NULL, NULL), ZCB_ERR_INVALID);
    assert_serves(session);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_session, tear_down_session)
    const struct CMUnitTest tests[] = {
        TEST(thousands_of_commands_queue_and_end_in_order),
        TEST(commands_of_any_length_pass),
        TEST(outputs_of_any_length_pass),
        TEST(pieces_of_output_are_joined_in_order),
        TEST(two_full_directions_do_not_stop_each_other),
        TEST(a_submit_that_gives_up_half_way_leaves_the_session_working),
        TEST(ids_that_are_not_pending_are_not_found),
        TEST(senseless_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
