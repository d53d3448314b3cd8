/* Sessions: the end of the engine, and of the session. */
#include "channel/block.h"
#include "users.h"

static void assert_ended(zcb_session *session, const char *says_why)
{
    zcb_detail why;
    zcb_wait wait = patience();
    zcb_command command = {.op = ZCB_OP_RUN, .parts = TEXT_PART("echo", 4), .part_count = 1};
    zcb_result *result;
    assert_false(zcb_session_alive(session, &why));
    if (!strstr(why.text, says_why))
        fail_msg("'%s' lacks '%s'", why.text, says_why);
    zcb_error error = zcb_session_submit(session, &command, ZCB_FOREVER, &wait);
    assert_true(error == ZCB_ERR_PEER_GONE || error == ZCB_ERR_CLOSED);
    assert_int_equal(zcb_session_next(session, &result, &wait), ZCB_ERR_CLOSED);
}

static void exit_reports_its_code(void **state)
{
    zcb_session *session = *state;
    uint64_t id = submit(session, "exit 3", 0, ZCB_FOREVER),
             next = submit(session, "echo", 0, ZCB_FOREVER);
    zcb_result *result = wait_for(session, id);
    assert_int_equal(zcb_result_status(result), ZCB_STATUS_EXITED);
    assert_int_equal(zcb_result_exit_code(result), 3);
    zcb_result_free(result);
    assert_int_equal(status_of(session, next), ZCB_STATUS_LOST);
    assert_ended(session, "exit code 3");
}

static void what_came_before_the_end_is_not_lost(void **state)
{
    zcb_session *session = *state;
    uint64_t echo = submit(session, "echo", 0, ZCB_FOREVER),
             id = submit(session, "exit 3", 0, ZCB_FOREVER);
    unsigned ready;
    assert_ok(zcbi_plat_wait(&session->process, 1, zcb_deadline_ns(PATIENCE_MS), &ready));
    assert_ended(session, "exit code 3");
    assert_int_equal(status_of(session, echo), ZCB_STATUS_DONE);
    assert_int_equal(status_of(session, id), ZCB_STATUS_EXITED);
}

static void an_engine_that_ends_without_a_word_is_noticed(void **state)
{
    zcb_session *session = *state;
    zcb_result *result = wait_for(session, submit(session, "die 5", 0, ZCB_FOREVER));
    assert_int_equal(zcb_result_status(result), ZCB_STATUS_LOST);
    assert_non_null(strstr(zcb_result_text(result, ZCB_PART_ERR, NULL), "exited with code 5"));
    zcb_result_free(result);
    assert_ended(session, "exited with code 5");
}

static void *ping_here(void *arg)
{
    struct user *user = arg;
    user->error = zcb_session_ping(user->session, &user->wait);
    return NULL;
}

static void *submit_here(void *arg)
{
    struct user *user = arg;
    size_t bytes = 2 * COMMANDS_FRAME_BYTES;
    void *text = calloc(1, bytes);
    zcb_command command = {.op = ZCB_OP_RUN, .parts = TEXT_PART(text, bytes), .part_count = 1};
    user->error = zcb_session_submit(user->session, &command, ZCB_FOREVER, &user->wait);
    free(text);
    return NULL;
}

static void a_killed_engine_ends_every_wait(void **state)
{
    zcb_session *session = *state;
    struct user users[5];
    users[0] = user_of(session, submit(session, "wait", 0, ZCB_FOREVER));
    users[1] = user_of(session, submit(session, "echo", 0, ZCB_FOREVER));
    for (int i = 2; i < 5; i++)
        users[i] = user_of(session, 0);
    halt(session); /* so that the ping waits too */
    void *(*const calls[])(void *) = {wait_here, wait_here, next_here, ping_here, submit_here};
    pthread_t threads[5];
    for (int i = 0; i < 5; i++)
        threads[i] = start_thread(calls[i], &users[i]);
    await_follower(session);
    await_asleep(&session->urgent->rx.control->consumer_asleep);
    await_asleep(&session->commands->tx.control->producer_asleep);
    kill_its_engine(session);
    assert_done(&users[0], threads[0], ZCB_STATUS_LOST);
    assert_done(&users[1], threads[1], ZCB_STATUS_LOST);
    for (int i = 2; i < 5; i++)
        join_thread(threads[i]);
    assert_int_equal(users[2].error, ZCB_ERR_CLOSED);
    assert_true(users[3].error == ZCB_ERR_PEER_GONE || users[3].error == ZCB_ERR_CLOSED);
    assert_true(users[4].error == ZCB_ERR_PEER_GONE || users[4].error == ZCB_ERR_CLOSED);
    assert_ended(session, KILLED);
}

static void closing_ends_every_wait(void **state)
{
    zcb_session *session = *state;
    struct user users[5];
    users[0] = user_of(session, submit(session, "hang", 0, ZCB_FOREVER));
    users[1] = user_of(session, submit(session, "echo", 0, ZCB_FOREVER));
    for (int i = 2; i < 5; i++)
        users[i] = user_of(session, 0);
    void *(*const calls[])(void *) = {wait_here, wait_here, next_here, submit_here};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        threads[i] = start_thread(calls[i], &users[i]);
    await_follower(session);
    await_asleep(&session->commands->tx.control->producer_asleep);
    zcb_session_close(session, 10);
    zcb_session_close(session, 10);
    assert_done(&users[0], threads[0], ZCB_STATUS_LOST);
    assert_done(&users[1], threads[1], ZCB_STATUS_LOST);
    join_thread(threads[2]);
    join_thread(threads[3]);
    assert_int_equal(users[2].error, ZCB_ERR_CLOSED);
    assert_int_equal(users[3].error, ZCB_ERR_CLOSED);
    assert_ended(session, "closed");
    await_end_of(zcb_session_pid(session));
}

static void a_reply_that_is_given_up_is_forgotten(void **state)
{
    assert_true(says(*state, "abort", "went on"));
    assert_serves(*state);
}

static void nonsense_ends_the_session_and_nothing_else(void **state)
{
    (void)state;
    for (int which = 0; which < NONSENSE_FATAL; which++) {
        char text[32];
        zcb_session_options options = fake_options();
        zcb_session *session = start_session(&options);
        snprintf(text, sizeof(text), "nonsense %d", which);
        uint64_t id = submit(session, text, 0, ZCB_FOREVER),
                 next = submit(session, "echo", 0, ZCB_FOREVER);
        assert_int_equal(status_of(session, next), ZCB_STATUS_LOST);
        assert_int_equal(status_of(session, id), ZCB_STATUS_LOST);
        assert_ended(session, "protocol error");
        zcb_session_free(session);
    }
    assert_no_children();
}

static void replies_to_nothing_are_dropped(void **state)
{
    zcb_session *session = *state;
    char text[32];
    zcb_result *result;
    zcb_wait wait = within_ms(20);
    snprintf(text, sizeof(text), "nonsense %d", NONSENSE_ID);
    uint64_t id = submit(session, text, 0, ZCB_FOREVER);
    assert_int_equal(zcb_session_wait(session, id, &result, &wait), ZCB_ERR_TIMEOUT);
    assert_serves(session);
    for (int which = NONSENSE_STATUS; which <= NONSENSE_FLAGS; which++) {
        snprintf(text, sizeof(text), "nonsense %d", which);
        zcb_result_free(wait_for(session, submit(session, text, 0, ZCB_FOREVER)));
    }
    assert_serves(session);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_session, tear_down_session)
    const struct CMUnitTest tests[] = {
        TEST(exit_reports_its_code),
        TEST(what_came_before_the_end_is_not_lost),
        TEST(an_engine_that_ends_without_a_word_is_noticed),
        TEST(a_killed_engine_ends_every_wait),
        TEST(closing_ends_every_wait),
        TEST(a_reply_that_is_given_up_is_forgotten),
        cmocka_unit_test(nonsense_ends_the_session_and_nothing_else),
        TEST(replies_to_nothing_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
