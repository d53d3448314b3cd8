/* Sessions: commands that are stopped, and timeouts. */
#include "users.h"

#define LONG_TEXT (80 * MIB) /* more than the frame */

static void a_timeout_stops_the_command_and_keeps_the_session(void **state)
{
    zcb_session *session = *state;
    uint64_t id = submit(session, "wait", 0, 20);
    assert_int_equal(status_of(session, id), ZCB_STATUS_TIMED_OUT);
    assert_serves(session);
}

static void a_timeout_is_kept_by_whoever_waits(void **state)
{
    zcb_session *session = *state;
    uint64_t running = submit(session, "wait", 0, ZCB_FOREVER);
    struct user user = user_of(session, running);
    pthread_t thread = start_thread(wait_here, &user); /* for another one, and without an end */
    await_reader(session);
    uint64_t queued = submit(session, "echo", 0, 20);
    assert_int_equal(status_of(session, queued), ZCB_STATUS_TIMED_OUT);
    assert_ok(zcb_session_stop(session, running));
    assert_done(&user, thread, ZCB_STATUS_STOPPED);
    assert_serves(session);
}

static void a_stopped_command_in_the_queue_never_runs(void **state)
{
    zcb_session *session = *state;
    uint64_t running = submit(session, "wait", 0, ZCB_FOREVER);
    uint64_t queued = submit(session, "exit 1", 0, ZCB_FOREVER);
    assert_ok(zcb_session_stop(session, queued));
    assert_ok(zcb_session_stop(session, running));
    assert_int_equal(status_of(session, running), ZCB_STATUS_STOPPED);
    assert_int_equal(status_of(session, queued), ZCB_STATUS_STOPPED);
    assert_serves(session);
}

static void a_run_that_gives_up_stops_its_command(void **state)
{
    zcb_session *session = *state;
    zcb_wait wait = within_ms(20);
    zcb_result *result;
    assert_int_equal(zcb_session_run(session, "wait", 4, 0, ZCB_FOREVER, &result, &wait),
                     ZCB_ERR_TIMEOUT);
    assert_serves(session);
    assert_null(session->first); /* nothing is kept of it */
}

static void a_run_that_finds_no_room_keeps_its_timeout(void **state)
{
    zcb_session *session = *state;
    uint64_t running = submit(session, "wait", 0, ZCB_FOREVER);
    char *text = calloc(1, LONG_TEXT); /* the engine does not take it in while a command runs */
    zcb_wait wait = patience();
    zcb_result *result;
    int64_t begin = zcb_now_ns();
    assert_non_null(text);
    assert_int_equal(zcb_session_run(session, text, LONG_TEXT, 0, 20, &result, &wait),
                     ZCB_ERR_TIMEOUT);
    assert_true(zcb_now_ns() - begin < INT64_C(5000000000));
    assert_ok(zcb_session_stop(session, running));
    assert_int_equal(status_of(session, running), ZCB_STATUS_STOPPED);
    assert_serves(session);
    free(text);
}

static void an_engine_that_does_not_stop_is_killed_with_what_it_started(void **state)
{
    (void)state;
    zcb_session_options options = fake_options();
    options.grace_ms = 50;
    zcb_session *session = start_session(&options);
    zcb_detail why;
    int64_t child = number_of(session, "spawn");
    uint64_t id = submit(session, "hang", 0, 500), queued = submit(session, "echo", 0, ZCB_FOREVER);
    assert_int_equal(status_of(session, id), ZCB_STATUS_TIMED_OUT);
    assert_int_equal(status_of(session, queued), ZCB_STATUS_LOST);
    assert_false(zcb_session_alive(session, &why));
    assert_non_null(strstr(why.text, "did not stop"));
    await_end_of(zcb_session_pid(session));
    await_end_of(child);
    zcb_session_free(session);
    assert_no_children();
}

/* Its reply is there; nobody has read it, because nobody waits for it yet. */
static void a_command_that_ended_in_time_is_not_timed_out_by_who_stands_by(void **state)
{
    (void)state;
    zcb_session_options options = fake_options();
    options.grace_ms = 50;
    zcb_session *session = start_session(&options);
    zcb_result *result;
    zcb_wait wait = within_ms(1250);
    uint64_t id = submit(session, "echo", 0, 1000);
    assert_int_equal(zcb_session_next(session, &result, &wait), ZCB_ERR_TIMEOUT);
    assert_int_equal(status_of(session, id), ZCB_STATUS_DONE);
    assert_serves(session);
    zcb_session_free(session);
    assert_no_children();
}

struct asked {
    zcb_session *session;
    int times;
};

/* Calls the session, as a signal handler of Python's may. */
static int ask(void *arg)
{
    struct asked *asked = arg;
    return zcb_session_alive(asked->session, NULL) && ++asked->times == 3;
}

static void an_endless_output_hides_no_end_of_the_wait(void **state)
{
    zcb_session *session = *state;
    zcb_result *result;
    uint64_t id = submit(session, "flood", 0, ZCB_FOREVER);
    zcb_wait wait = within_ms(50);
    assert_int_equal(zcb_session_wait(session, id, &result, &wait), ZCB_ERR_TIMEOUT);
    wait.deadline_ns = 0;
    assert_int_equal(zcb_session_wait(session, id, &result, &wait), ZCB_ERR_TIMEOUT);
    struct asked asked = {session, 0};
    wait =
        (zcb_wait){.deadline_ns = zcb_deadline_ns(PATIENCE_MS), .interrupted = ask, .arg = &asked};
    assert_int_equal(zcb_session_wait(session, id, &result, &wait), ZCB_ERR_INTERRUPTED);
    wait = patience();
    assert_ok(zcb_cancel_create(&wait.cancel));
    zcb_cancel_set(wait.cancel);
    assert_int_equal(zcb_session_wait(session, id, &result, &wait), ZCB_ERR_CANCELLED);
    zcb_cancel_free(wait.cancel);
    wait = within_ms(20);
    assert_int_equal(zcb_session_next(session, &result, &wait), ZCB_ERR_TIMEOUT);
    assert_ok(zcb_session_stop(session, id));
    assert_int_equal(status_of(session, id), ZCB_STATUS_STOPPED);
    assert_serves(session);
}

static void an_endless_output_is_stopped_by_its_timeout(void **state)
{
    assert_int_equal(status_of(*state, submit(*state, "flood", 0, 30)), ZCB_STATUS_TIMED_OUT);
    assert_serves(*state);
}

static void a_ping_is_answered_while_a_command_runs(void **state)
{
    zcb_session *session = *state;
    zcb_wait wait = patience();
    uint64_t id = submit(session, "wait", 0, ZCB_FOREVER);
    for (int i = 0; i < 100; i++)
        assert_ok(zcb_session_ping(session, &wait));
    halt(session);
    zcb_wait brief = within_ms(10);
    assert_int_equal(zcb_session_ping(session, &brief), ZCB_ERR_TIMEOUT);
    resume_process(session->pid, session->process);
    assert_ok(zcb_session_ping(session, &wait)); /* and does not take the late answer for its own */
    assert_ok(zcb_session_stop(session, id));
    assert_int_equal(status_of(session, id), ZCB_STATUS_STOPPED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_session, tear_down_session)
    const struct CMUnitTest tests[] = {
        TEST(a_timeout_stops_the_command_and_keeps_the_session),
        TEST(a_timeout_is_kept_by_whoever_waits),
        TEST(a_stopped_command_in_the_queue_never_runs),
        TEST(a_run_that_gives_up_stops_its_command),
        TEST(a_run_that_finds_no_room_keeps_its_timeout),
        cmocka_unit_test(an_engine_that_does_not_stop_is_killed_with_what_it_started),
        cmocka_unit_test(a_command_that_ended_in_time_is_not_timed_out_by_who_stands_by),
        TEST(an_endless_output_hides_no_end_of_the_wait),
        TEST(an_endless_output_is_stopped_by_its_timeout),
        TEST(a_ping_is_answered_while_a_command_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
