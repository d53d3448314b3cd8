/* Sessions: how they start, and when they do not. */
#include "sessions.h"

static void a_session_runs_commands(void **state)
{
    zcb_session *session = *state;
    zcb_detail why;
    zcb_wait wait = patience();
    zcb_result *result;
    assert_true(zcb_session_alive(session, &why));
    assert_string_equal(why.text, "");
    assert_string_equal(zcb_session_version(session), "7.5.0");
    assert_string_equal(zcb_session_engine(session), fake_engine());
    assert_int_equal(zcb_session_pid(session), number_of(session, "pid"));
    assert_ok(zcb_session_run(session, "echo hello", 10, 0, ZCB_FOREVER, &result, &wait));
    assert_int_equal(zcb_result_op(result), ZCB_OP_RUN);
    assert_int_equal(zcb_result_status(result), ZCB_STATUS_DONE);
    assert_true(zcb_result_success(result));
    assert_int_equal(zcb_result_exit_code(result), 0);
    assert_string_equal(zcb_result_text(result, ZCB_PART_OUT, NULL), "hello");
    for (int i = 1; i < ZCB_STREAMS; i++) {
        assert_string_equal(zcb_result_text(result, ZCB_PART_OUT + i, NULL), "");
        assert_int_equal(text_bytes(result, ZCB_PART_OUT + i), 0);
    }
    zcb_result_free(result);
    assert_ok(zcb_session_run(session, "", 0, 0, ZCB_FOREVER, &result, &wait));
    assert_false(zcb_result_success(result));
    zcb_result_free(result);
    zcb_result_free(NULL);
}

static void options_reach_the_engine(void **state)
{
    (void)state;
    const char *const environment[] = {"ZCB_TEST_A=set", "ZCB_TEST_B", NULL};
    setenv("ZCB_TEST_B", "to be removed", 1);
    zcb_session_options options = fake_options();
    options.environment = environment;
    options.width = 77;
    options.working_directory = "/";
    zcb_session *session = start_session(&options);
    assert_true(says(session, "env ZCB_TEST_A", "set"));
    assert_true(says(session, "env ZCB_TEST_B", ""));
    assert_true(says(session, "env ZCB_MODULE", NOWHERE "module.dll"));
    assert_true(says(session, "env ZCB_LINK", ""));
    assert_true(says(session, "width", "77"));
    zcb_session_free(session);
    assert_no_children();
}

static void assert_start_fails(const char *how, zcb_error expected, const char *says_why)
{
    char variable[64];
    const char *environment[] = {variable, NULL};
    snprintf(variable, sizeof(variable), "FAKE_ENGINE=%s", how);
    zcb_session_options options = fake_options();
    options.environment = environment;
    zcb_wait wait = {.deadline_ns = strcmp(how, "mute") == 0 ? zcb_deadline_ns(200) : ZCB_NEVER};
    zcb_session *session;
    zcb_detail why;
    unsigned before = open_descriptors();
    assert_int_equal(zcb_session_start(&options, &session, &why, &wait), expected);
    if (!strstr(why.text, says_why))
        fail_msg("'%s' lacks '%s'", why.text, says_why);
    assert_int_equal(open_descriptors(), before);
    assert_no_children();
}

static void a_start_that_fails_says_why_and_leaves_nothing(void **state)
{
    (void)state;
    assert_start_fails("die", ZCB_ERR_START, "exited with code 7");
    assert_start_fails("die", ZCB_ERR_START, "it hurts");
    assert_start_fails("forbidden", ZCB_ERR_START, "a policy of this machine forbids");
    assert_start_fails("forbidden", ZCB_ERR_START, "It wrote:     + FullyQualifiedErrorId");
    assert_start_fails("killed", ZCB_ERR_START, KILLED);
    assert_start_fails("mute", ZCB_ERR_TIMEOUT, "did not answer in time");
    assert_start_fails("old", ZCB_ERR_VERSION, "7.3.9");
}

static void a_start_of_what_is_not_there_says_so(void **state)
{
    (void)state;
    zcb_session *session;
    zcb_detail why;
    zcb_session_options options = fake_options();
    options.engine = NOWHERE "pwsh";
    assert_int_equal(zcb_session_start(&options, &session, &why, NULL), ZCB_ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, NOWHERE "pwsh"));
    options = fake_options();
    options.working_directory = NOWHERE "at all";
    assert_int_equal(zcb_session_start(&options, &session, &why, NULL), ZCB_ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, NOWHERE "at all"));
    assert_int_equal(zcb_session_start(&options, &session, NULL, NULL), ZCB_ERR_NOT_FOUND);
    assert_int_equal(zcb_session_start(&options, NULL, &why, NULL), ZCB_ERR_INVALID);
    options = fake_options();
    options.module = NULL;
    assert_int_equal(zcb_session_start(&options, &session, &why, NULL), ZCB_ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "ZeroCopyBridge.dll is neither in "));
    assert_no_children();
}

static void sessions_leave_nothing_behind(void **state)
{
    (void)state;
    unsigned before = open_descriptors();
    for (int i = 0; i < 5; i++) {
        zcb_session_options options = fake_options();
        zcb_session *first = start_session(&options), *second = start_session(&options);
        assert_serves(first);
        assert_serves(second);
        if (i % 2)
            zcb_session_close(first, 1000);
        zcb_session_free(first);
        assert_serves(second);
        zcb_session_free(second);
    }
    assert_int_equal(open_descriptors(), before);
    assert_no_children();
    zcb_session_free(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_session, tear_down_session)
    const struct CMUnitTest tests[] = {
        TEST(a_session_runs_commands),
        cmocka_unit_test(options_reach_the_engine),
        cmocka_unit_test(a_start_that_fails_says_why_and_leaves_nothing),
        cmocka_unit_test(a_start_of_what_is_not_there_says_so),
        cmocka_unit_test(sessions_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
