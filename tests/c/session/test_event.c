/* zcb_session_event: results for an event loop, without a thread that waits in the library. */
#include "channel/block.h"
#include "users.h"

static plat_handle event_of(zcb_session *session)
{
    intptr_t event = PLAT_NO_HANDLE;
    assert_ok(zcb_session_event(session, &event));
    return event;
}

/* Waits as an event loop does. */
static bool is_set_within(plat_handle event, int64_t ms)
{
    unsigned which;
    return zcbi_plat_wait(&event, 1, zcb_deadline_ns(ms), &which) == ZCB_OK;
}

/* Takes what there is and clears the event: the next result, or NULL. */
static zcb_result *collect(zcb_session *session)
{
    zcb_result *result = NULL;
    zcb_wait at_once = {0};
    zcb_error error = zcb_session_next(session, &result, &at_once);
    assert_true(error == ZCB_OK || error == ZCB_ERR_TIMEOUT);
    return result;
}

static zcb_result *collect_within(zcb_session *session, plat_handle event, int64_t ms)
{
    int64_t end = zcb_now_ns() + ms * MS;
    zcb_result *result = collect(session);
    while (!result && zcb_now_ns() < end && is_set_within(event, ms))
        result = collect(session);
    return result;
}

static void assert_collects(zcb_session *session, plat_handle event, uint64_t id, zcb_status status)
{
    zcb_result *result = collect_within(session, event, PATIENCE_MS);
    assert_non_null(result);
    assert_int_equal(zcb_result_id(result), id);
    assert_int_equal(zcb_result_status(result), status);
    zcb_result_free(result);
}

static void assert_quiet(zcb_session *session, plat_handle event)
{
    assert_null(collect(session));
    assert_false(is_set_within(event, 0));
}

static void it_is_set_when_a_result_arrives_and_clear_when_all_are_taken(void **state)
{
    zcb_session *session = *state;
    plat_handle event = event_of(session);
    assert_quiet(session, event);
    for (int i = 0; i < 100; i++) {
        uint64_t first = submit(session, "echo a", ZCB_COMMAND_NOTIFY, ZCB_FOREVER);
        uint64_t second = submit(session, "echo b", ZCB_COMMAND_NOTIFY, ZCB_FOREVER);
        assert_collects(session, event, first, ZCB_STATUS_DONE);
        assert_collects(session, event, second, ZCB_STATUS_DONE);
        assert_quiet(session, event);
    }
}

static void results_that_came_before_it_was_asked_for_are_told(void **state)
{
    zcb_session *session = *state;
    uint64_t id = submit(session, "echo a", ZCB_COMMAND_NOTIFY, ZCB_FOREVER);
    (void)status_of(session, submit(session, "echo b", 0, ZCB_FOREVER)); /* reads both */
    plat_handle event = event_of(session);
    assert_true(is_set_within(event, 0));
    assert_collects(session, event, id, ZCB_STATUS_DONE);
    assert_quiet(session, event);
}

static void a_result_that_another_thread_reads_sets_it(void **state)
{
    zcb_session *session = *state;
    plat_handle event = event_of(session);
    uint64_t id = submit(session, "echo a", ZCB_COMMAND_NOTIFY, ZCB_FOREVER);
    (void)status_of(session, submit(session, "echo b", 0, ZCB_FOREVER));
    assert_true(is_set_within(event, 0));
    assert_collects(session, event, id, ZCB_STATUS_DONE);
    assert_quiet(session, event);
}

static void it_is_set_when_a_timeout_passes(void **state)
{
    zcb_session *session = *state;
    plat_handle event = event_of(session);
    uint64_t id = submit(session, "wait", ZCB_COMMAND_NOTIFY, 30);
    assert_collects(session, event, id, ZCB_STATUS_TIMED_OUT);
    assert_quiet(session, event);
    id = submit(session, "echo", ZCB_COMMAND_NOTIFY, 1000);
    assert_collects(session, event, id, ZCB_STATUS_DONE);
}

static void it_is_set_when_the_engine_ends(void **state)
{
    (void)state;
    zcb_session_options options = fake_options();
    zcb_session *session = start_session(&options);
    plat_handle event = event_of(session);
    uint64_t id = submit(session, "wait", ZCB_COMMAND_NOTIFY, ZCB_FOREVER);
    assert_null(collect(session));
    kill_its_engine(session);
    assert_collects(session, event, id, ZCB_STATUS_LOST);
    zcb_result *result;
    zcb_wait at_once = {0};
    assert_int_equal(zcb_session_next(session, &result, &at_once), ZCB_ERR_CLOSED);
    zcb_session_free(session);
    assert_no_children();
}

static void it_is_set_when_the_session_is_closed(void **state)
{
    zcb_session *session = *state;
    plat_handle event = event_of(session);
    assert_quiet(session, event);
    zcb_session_close(session, 1000);
    assert_true(is_set_within(event, PATIENCE_MS));
}

/* Half of a reply is nothing to be done: the loop sleeps until more comes. */
static void it_is_clear_while_a_reply_is_under_way(void **state)
{
    zcb_session *session = *state;
    plat_handle event = event_of(session);
    assert_quiet(session, event);
    uint64_t id = submit(session, "half 3000000", ZCB_COMMAND_NOTIFY, ZCB_FOREVER);
    while (session->incoming.got < 1000000) {
        assert_true(is_set_within(event, PATIENCE_MS));
        assert_null(collect(session));
    }
    for (int i = 0; i < 1000 && is_set_within(event, 20); i++)
        assert_null(collect(session));
    assert_quiet(session, event);
    assert_ok(zcb_session_stop(session, id));
    zcb_result *result = collect_within(session, event, PATIENCE_MS);
    assert_non_null(result);
    assert_int_equal(zcb_result_id(result), id);
    assert_int_equal(text_bytes(result, ZCB_PART_OUT), 3000000);
    zcb_result_free(result);
}

/* The timer of a deadline that another thread has acted on says nothing any more. */
static void it_is_clear_after_a_timeout_that_another_thread_acts_on(void **state)
{
    zcb_session *session = *state;
    plat_handle event = event_of(session);
    uint64_t brief = submit(session, "wait", ZCB_COMMAND_NOTIFY, 50);
    struct user reader = user_of(session, submit(session, "wait", 0, ZCB_FOREVER));
    pthread_t reads = start_thread(wait_here, &reader);
    while (atomic_load(&session->commands->rx.control->consumer_asleep) != SLEEP_BELL)
        sched_yield();
    assert_collects(session, event, brief, ZCB_STATUS_TIMED_OUT);
    assert_quiet(session, event);
    assert_ok(zcb_session_stop(session, reader.id));
    assert_done(&reader, reads, ZCB_STATUS_STOPPED);
}

/* A thread in zcb_session_next that the bell woke clears it, and takes one result of two. */
static void a_thread_that_stands_by_does_not_take_the_loops_word_away(void **state)
{
    zcb_session *session = *state;
    plat_handle event = event_of(session);
    for (int i = 0; i < 300; i++) {
        assert_quiet(session, event);
        struct user standby = user_of(session, 0);
        pthread_t stands = start_thread(next_here, &standby);
        await_follower(session);
        uint64_t first = submit(session, "echo", ZCB_COMMAND_NOTIFY, ZCB_FOREVER);
        uint64_t second = submit(session, "echo", ZCB_COMMAND_NOTIFY, ZCB_FOREVER);
        uint64_t last = submit(session, "echo", 0, ZCB_FOREVER);
        (void)status_of(session, last); /* reads all three, or some */
        join_thread(stands);
        assert_int_equal(standby.error, ZCB_OK);
        uint64_t taken = zcb_result_id(standby.result);
        zcb_result_free(standby.result);
        assert_true(is_set_within(event, 0));
        assert_collects(session, event, first + second - taken, ZCB_STATUS_DONE);
    }
}

static void it_stays_set_once_the_session_has_ended(void **state)
{
    zcb_session *session = *state;
    plat_handle event = event_of(session);
    assert_quiet(session, event);
    struct user standby = user_of(session, 0);
    pthread_t stands = start_thread(next_here, &standby);
    await_follower(session);
    zcb_session_close(session, 1000);
    join_thread(stands);
    assert_int_equal(standby.error, ZCB_ERR_CLOSED);
    assert_true(is_set_within(event, 0));
}

static void nobody_but_the_program_itself_can_have_it(void **state)
{
    (void)state;
    intptr_t event;
    assert_int_equal(zcb_session_event(NULL, &event), ZCB_ERR_INVALID);
    assert_int_equal(zcb_session_event(*state, NULL), ZCB_ERR_INVALID);
    assert_int_equal(event_of(*state), event_of(*state)); /* the same for every caller */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_session, tear_down_session)
    const struct CMUnitTest tests[] = {
        TEST(it_is_set_when_a_result_arrives_and_clear_when_all_are_taken),
        TEST(results_that_came_before_it_was_asked_for_are_told),
        TEST(a_result_that_another_thread_reads_sets_it),
        TEST(it_is_set_when_a_timeout_passes),
        cmocka_unit_test(it_is_set_when_the_engine_ends),
        TEST(it_is_set_when_the_session_is_closed),
        TEST(it_is_clear_while_a_reply_is_under_way),
        TEST(it_is_clear_after_a_timeout_that_another_thread_acts_on),
        TEST(a_thread_that_stands_by_does_not_take_the_loops_word_away),
        TEST(it_stays_set_once_the_session_has_ended),
        TEST(nobody_but_the_program_itself_can_have_it),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
