/* Sessions: who stands by in zcb_session_next, and when it is woken. */
#include "channel/block.h"
#include "users.h"

static bool is_standby(zcb_session *session)
{
    return atomic_load(&session->commands->rx.control->consumer_asleep) == SLEEP_STANDBY;
}

/* Until the bell of those who stand by is to be rung, and one sleeps. */
static void await_standby(zcb_session *session)
{
    await_follower(session);
    while (!is_standby(session))
        sched_yield();
}

/* Until the engine has said something whole that nobody has read. */
static void await_words(zcb_session *session)
{
    uint64_t said, read;
    do {
        sched_yield();
        zcb_channel_counts(session->commands, &said, &read);
    } while (said == read);
}

static void who_stands_by_is_armed_only_while_a_result_may_come_for_it(void **state)
{
    zcb_session *session = *state;
    struct user user = user_of(session, 0);
    pthread_t thread = start_thread(next_here, &user);
    await_follower(session);
    assert_serves(session);
    assert_false(is_standby(session)); /* nothing that notifies is pending */
    uint64_t id = submit(session, "wait", ZCB_COMMAND_NOTIFY, ZCB_FOREVER);
    await_standby(session);
    assert_ok(zcb_session_stop(session, id));
    assert_done(&user, thread, ZCB_STATUS_STOPPED);
}

static void who_stands_by_gets_what_another_threads_wait_reads(void **state)
{
    zcb_session *session = *state;
    for (int i = 0; i < 50; i++) {
        struct user standby = user_of(session, 0);
        pthread_t stands = start_thread(next_here, &standby);
        uint64_t notified =
            submit(session, i % 2 ? "lazy" : "echo", ZCB_COMMAND_NOTIFY, ZCB_FOREVER);
        uint64_t running = submit(session, "wait", 0, ZCB_FOREVER);
        struct user reader = user_of(session, running);
        pthread_t reads = start_thread(wait_here, &reader);
        join_thread(stands); /* while the reader goes on waiting */
        assert_int_equal(standby.error, ZCB_OK);
        assert_int_equal(zcb_result_id(standby.result), notified);
        zcb_result_free(standby.result);
        assert_ok(zcb_session_stop(session, running));
        assert_done(&reader, reads, ZCB_STATUS_STOPPED);
    }
}

static void who_stands_by_reads_when_the_reader_gives_up(void **state)
{
    zcb_session *session = *state;
    struct user reader = user_of(session, submit(session, "wait", 0, ZCB_FOREVER));
    struct user standby = user_of(session, 0);
    (void)submit(session, "echo", ZCB_COMMAND_NOTIFY, ZCB_FOREVER);
    assert_ok(zcb_cancel_create(&reader.wait.cancel));
    pthread_t reads = start_thread(wait_here, &reader);
    await_reader(session);
    pthread_t stands = start_thread(next_here, &standby);
    await_follower(session);
    zcb_cancel_set(reader.wait.cancel);
    join_thread(reads);
    assert_int_equal(reader.error, ZCB_ERR_CANCELLED);
    assert_ok(zcb_session_stop(session, reader.id));
    assert_done(&standby, stands, ZCB_STATUS_DONE);
    assert_int_equal(status_of(session, reader.id), ZCB_STATUS_STOPPED);
    zcb_cancel_free(reader.wait.cancel);
}

static void who_waits_hears_at_once_of_what_is_done_soon(void **state)
{
    zcb_session *session = *state;
    uint64_t stalled = submit(session, "stall", ZCB_COMMAND_NOTIFY, ZCB_FOREVER);
    struct user reader = user_of(session, stalled);
    pthread_t reads = start_thread(wait_here, &reader);
    assert_done(&reader, reads, ZCB_STATUS_DONE); /* the engine has not gone on */
    uint64_t next = submit(session, "echo", 0, ZCB_FOREVER);
    assert_ok(zcb_session_stop(session, next));
    (void)status_of(session, next);
    assert_serves(session);
}

static void who_stands_by_hears_of_it_when_the_engine_goes_on(void **state)
{
    zcb_session *session = *state;
    for (int queued = 0; queued < 2; queued++) {
        struct user standby = user_of(session, 0);
        pthread_t stands = start_thread(next_here, &standby);
        await_follower(session);
        uint64_t stalled = submit(session, "stall", ZCB_COMMAND_NOTIFY, ZCB_FOREVER);
        await_words(session);
        assert_true(is_standby(session)); /* it was not rung for */
        assert_int_equal(sleeping_followers(session), 1);
        uint64_t next = submit(session, queued ? "wait" : "echo", 0, ZCB_FOREVER);
        assert_ok(zcb_session_stop(session, next));
        join_thread(stands);
        assert_int_equal(standby.error, ZCB_OK);
        assert_int_equal(zcb_result_id(standby.result), stalled);
        zcb_result_free(standby.result);
        (void)status_of(session, next);
    }
}

static void deadlines_are_kept_while_only_one_stands_by(void **state)
{
    zcb_session *session = *state;
    for (int first = 0; first < 2; first++) {
        struct user standby = user_of(session, 0);
        pthread_t stands;
        if (first) { /* it stands there before, with nothing to wake up for */
            stands = start_thread(next_here, &standby);
            await_follower(session);
        }
        (void)submit(session, "wait", ZCB_COMMAND_NOTIFY, 20);
        if (!first)
            stands = start_thread(next_here, &standby);
        assert_done(&standby, stands, ZCB_STATUS_TIMED_OUT);
    }
    struct user standby = user_of(session, 0);
    pthread_t stands = start_thread(next_here, &standby);
    (void)submit(session, "wait", 0, 20); /* what it holds up would never come */
    (void)submit(session, "echo", ZCB_COMMAND_NOTIFY, ZCB_FOREVER);
    assert_done(&standby, stands, ZCB_STATUS_DONE);
}

static void a_deadline_of_no_concern_to_who_stands_by_is_kept_too(void **state)
{
    zcb_session *session = *state;
    struct user standby = user_of(session, 0);
    assert_ok(zcb_cancel_create(&standby.wait.cancel));
    pthread_t stands = start_thread(next_here, &standby);
    await_follower(session);
    uint64_t id = submit(session, "wait", 0, 5);
    bool told_to_stop = false;
    for (zcb_wait limit = patience(); !told_to_stop && zcb_now_ns() < limit.deadline_ns;) {
        zcbi_plat_mutex_lock(&session->lock);
        told_to_stop = zcbi_pending_find(session, id)->timed_out;
        zcbi_plat_mutex_unlock(&session->lock);
        sched_yield();
    }
    zcb_cancel_set(standby.wait.cancel);
    join_thread(stands);
    assert_int_equal(standby.error, ZCB_ERR_CANCELLED);
    zcb_cancel_free(standby.wait.cancel);
    assert_int_equal(status_of(session, id), ZCB_STATUS_TIMED_OUT);
    assert_true(told_to_stop);
}

static void who_stands_by_learns_of_the_engines_end(void **state)
{
    (void)state;
    for (int pending = 0; pending < 2; pending++) {
        zcb_session_options options = fake_options();
        zcb_session *session = start_session(&options);
        struct user standby = user_of(session, 0);
        pthread_t stands = start_thread(next_here, &standby);
        await_follower(session);
        if (pending)
            (void)submit(session, "wait", ZCB_COMMAND_NOTIFY, ZCB_FOREVER);
        kill_its_engine(session);
        if (pending) {
            assert_done(&standby, stands, ZCB_STATUS_LOST);
            next_here(&standby);
        } else {
            join_thread(stands);
        }
        assert_int_equal(standby.error, ZCB_ERR_CLOSED);
        zcb_session_free(session);
        assert_no_children();
    }
}

static void what_the_engine_said_before_its_end_reaches_who_stands_by(void **state)
{
    (void)state;
    zcb_session_options options = fake_options();
    zcb_session *session = start_session(&options);
    struct user standby = user_of(session, 0);
    pthread_t stands = start_thread(next_here, &standby);
    await_follower(session);
    (void)submit(session, "stall", ZCB_COMMAND_NOTIFY, ZCB_FOREVER);
    await_words(session);
    kill_its_engine(session); /* before it has rung */
    assert_done(&standby, stands, ZCB_STATUS_DONE);
    zcb_session_free(session);
}

struct counter {
    zcb_session *session;
    _Atomic uint64_t *left;
    zcb_error error;
};

static void *take_until_none_is_left(void *arg)
{
    struct counter *counter = arg;
    while (atomic_load(counter->left) > 0) {
        zcb_result *result;
        zcb_wait wait = patience();
        counter->error = zcb_session_next(counter->session, &result, &wait);
        if (counter->error)
            return NULL;
        zcb_result_free(result);
        if (atomic_fetch_sub(counter->left, 1) == 1)
            return NULL;
    }
    return NULL;
}

/* No wake-up is lost between those who stand by and those who read now and then. */
static void those_who_stand_by_get_all_whatever_others_read(void **state)
{
    zcb_session *session = *state;
    uint64_t seed = 7;
    for (int round = 0; round < 300; round++) {
        uint64_t count = 1 + next_random(&seed) % 8;
        _Atomic uint64_t left = count;
        struct counter taker = {.session = session, .left = &left};
        pthread_t stands = start_thread(take_until_none_is_left, &taker);
        for (uint64_t i = 0; i < count; i++) {
            (void)submit(session, next_random(&seed) % 3 ? "lazy" : "echo", ZCB_COMMAND_NOTIFY,
                         next_random(&seed) % 4 ? ZCB_FOREVER : PATIENCE_MS);
            if (next_random(&seed) % 3 == 0)
                assert_serves(session);
        }
        join_thread(stands); /* nobody else waits now */
        assert_int_equal(taker.error, ZCB_OK);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_session, tear_down_session)
    const struct CMUnitTest tests[] = {
        TEST(who_stands_by_is_armed_only_while_a_result_may_come_for_it),
        TEST(who_stands_by_gets_what_another_threads_wait_reads),
        TEST(who_stands_by_reads_when_the_reader_gives_up),
        TEST(who_waits_hears_at_once_of_what_is_done_soon),
        TEST(who_stands_by_hears_of_it_when_the_engine_goes_on),
        TEST(deadlines_are_kept_while_only_one_stands_by),
        TEST(a_deadline_of_no_concern_to_who_stands_by_is_kept_too),
        cmocka_unit_test(who_stands_by_learns_of_the_engines_end),
        cmocka_unit_test(what_the_engine_said_before_its_end_reaches_who_stands_by),
        TEST(those_who_stand_by_get_all_whatever_others_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
