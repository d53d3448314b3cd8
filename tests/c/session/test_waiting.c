/* Sessions: several threads that wait for results, of which one reads. */
#include "users.h"

static void *run_many(void *arg)
{
    struct user *user = arg;
    char text[96], out[64];
    for (uint64_t i = 0; i < user->count; i++) {
        snprintf(out, sizeof(out), "%llu of %llu", (unsigned long long)i,
                 (unsigned long long)user->id);
        snprintf(text, sizeof(text), "echo %s", out);
        if (!says(user->session, text, out))
            user->error = ZCB_ERR_INVALID;
    }
    return NULL;
}

static void many_threads_run_commands_at_once(void **state)
{
    struct user users[8];
    pthread_t threads[8];
    for (uint64_t i = 0; i < 8; i++) {
        users[i] = (struct user){.session = *state, .id = i, .count = 300};
        threads[i] = start_thread(run_many, &users[i]);
    }
    for (int i = 0; i < 8; i++) {
        join_thread(threads[i]);
        assert_int_equal(users[i].error, ZCB_OK);
    }
}

static void a_reader_that_gives_up_hands_the_reading_over(void **state)
{
    zcb_session *session = *state;
    uint64_t running = submit(session, "wait", 0, ZCB_FOREVER);
    struct user reader = user_of(session, running);
    struct user follower = user_of(session, submit(session, "echo", 0, ZCB_FOREVER));
    assert_ok(zcb_cancel_create(&reader.wait.cancel));
    pthread_t reads = start_thread(wait_here, &reader);
    await_reader(session);
    pthread_t follows = start_thread(wait_here, &follower);
    await_follower(session);
    zcb_cancel_set(reader.wait.cancel);
    join_thread(reads);
    assert_int_equal(reader.error, ZCB_ERR_CANCELLED);
    assert_ok(zcb_session_stop(session, running));
    assert_done(&follower, follows, ZCB_STATUS_DONE);
    assert_int_equal(status_of(session, running), ZCB_STATUS_STOPPED);
    zcb_cancel_free(reader.wait.cancel);
}

static void a_thread_that_was_told_for_nothing_hands_the_reading_over(void **state)
{
    zcb_session *session = *state;
    for (int i = 0; i < 20; i++) {
        uint64_t running = submit(session, "wait", 0, ZCB_FOREVER);
        struct user reader = user_of(session, running), parked = user_of(session, 0);
        struct user follower = user_of(session, submit(session, "echo", 0, ZCB_FOREVER));
        assert_ok(zcb_cancel_create(&reader.wait.cancel));
        pthread_t reads = start_thread(wait_here, &reader);
        await_reader(session);
        assert_ok(zcb_cancel_create(&parked.wait.cancel));
        pthread_t follows = start_thread(wait_here, &follower),
                  parks = start_thread(next_here, &parked);
        while (sleeping_followers(session) < 2)
            sched_yield();
        zcbi_plat_mutex_lock(&session->lock);
        zcbi_session_wake_standby(session); /* as when another thread takes the result first */
        zcb_cancel_set(reader.wait.cancel);
        zcbi_plat_mutex_unlock(&session->lock);
        join_thread(reads);
        assert_ok(zcb_session_stop(session, running));
        assert_done(&follower, follows, ZCB_STATUS_DONE);
        zcb_cancel_set(parked.wait.cancel);
        join_thread(parks);
        assert_int_equal(parked.error, ZCB_ERR_CANCELLED);
        assert_int_equal(status_of(session, running), ZCB_STATUS_STOPPED);
        zcb_cancel_free(parked.wait.cancel);
        zcb_cancel_free(reader.wait.cancel);
    }
}

static void a_follower_gets_what_the_reader_reads(void **state)
{
    zcb_session *session = *state;
    for (int i = 0; i < 100; i++) {
        uint64_t first = submit(session, "wait", 0, ZCB_FOREVER);
        struct user a = user_of(session, submit(session, "echo", 0, ZCB_FOREVER));
        struct user b = user_of(session, submit(session, "echo", 0, ZCB_FOREVER));
        struct user c = user_of(session, first);
        pthread_t threads[] = {start_thread(wait_here, &a), start_thread(wait_here, &b),
                               start_thread(wait_here, &c)};
        assert_ok(zcb_session_stop(session, first));
        assert_done(&a, threads[0], ZCB_STATUS_DONE);
        assert_done(&b, threads[1], ZCB_STATUS_DONE);
        assert_done(&c, threads[2], ZCB_STATUS_STOPPED);
    }
}

static void one_caller_waits_for_an_id(void **state)
{
    zcb_session *session = *state;
    struct user user = user_of(session, submit(session, "wait", 0, ZCB_FOREVER));
    pthread_t thread = start_thread(wait_here, &user);
    await_reader(session);
    zcb_result *result;
    assert_int_equal(zcb_session_wait(session, user.id, &result, NULL), ZCB_ERR_NOT_FOUND);
    assert_ok(zcb_session_stop(session, user.id));
    assert_done(&user, thread, ZCB_STATUS_STOPPED);
}

struct taker {
    zcb_session *session;
    uint64_t count;
    uint64_t last;
    bool in_order;
    zcb_error error;
};

static void *take_all(void *arg)
{
    struct taker *taker = arg;
    taker->in_order = true;
    for (;;) {
        zcb_result *result;
        zcb_wait wait = patience();
        taker->error = zcb_session_next(taker->session, &result, &wait);
        if (taker->error)
            return NULL;
        taker->in_order = taker->in_order && zcb_result_id(result) > taker->last;
        taker->last = zcb_result_id(result);
        taker->count += zcb_result_status(result) == ZCB_STATUS_DONE;
        zcb_result_free(result);
    }
}

static void a_second_thread_takes_the_results_that_notify(void **state)
{
    (void)state;
    zcb_session_options options = fake_options();
    zcb_session *session = start_session(&options);
    struct taker taker = {.session = session};
    uint64_t waited = 0;
    pthread_t thread = start_thread(take_all, &taker);
    for (int i = 0; i < 1000; i++) {
        uint64_t id = submit(session, "echo", ZCB_COMMAND_NOTIFY, ZCB_FOREVER);
        if (i % 3 == 0)
            assert_serves(session);
        if (i % 10 == 0) { /* whoever is first has it */
            zcb_result *result = NULL;
            zcb_wait wait = patience();
            zcb_error error = zcb_session_wait(session, id, &result, &wait);
            assert_true(error == ZCB_OK || error == ZCB_ERR_NOT_FOUND);
            waited += error == ZCB_OK;
            zcb_result_free(result);
        }
    }
    (void)status_of(session, submit(session, "echo", 0, ZCB_FOREVER));
    zcb_session_close(session, 1000);
    join_thread(thread);
    assert_int_equal(taker.error, ZCB_ERR_CLOSED);
    assert_true(taker.in_order);
    assert_int_equal(taker.count + waited, 1000);
    zcb_session_free(session);
}

static void several_threads_take_each_result_once(void **state)
{
    (void)state;
    zcb_session_options options = fake_options();
    zcb_session *session = start_session(&options);
    struct taker takers[3];
    struct user users[2];
    pthread_t threads[5];
    for (int i = 0; i < 3; i++) {
        takers[i] = (struct taker){.session = session};
        threads[i] = start_thread(take_all, &takers[i]);
    }
    for (int i = 0; i < 2; i++) {
        users[i] = (struct user){.session = session, .id = (uint64_t)i, .count = 500};
        threads[3 + i] = start_thread(run_many, &users[i]);
    }
    for (int i = 0; i < 2000; i++)
        (void)submit(session, "echo", ZCB_COMMAND_NOTIFY, ZCB_FOREVER);
    for (int i = 0; i < 2; i++) {
        join_thread(threads[3 + i]);
        assert_int_equal(users[i].error, ZCB_OK);
    }
    (void)status_of(session, submit(session, "echo", 0, ZCB_FOREVER));
    zcb_session_close(session, 1000);
    for (int i = 0; i < 3; i++)
        join_thread(threads[i]);
    assert_int_equal(takers[0].count + takers[1].count + takers[2].count, 2000);
    zcb_session_free(session);
}

static void next_waits_while_nothing_is_pending(void **state)
{
    zcb_session *session = *state;
    zcb_result *result;
    zcb_wait wait = within_ms(5);
    assert_int_equal(zcb_session_next(session, &result, &wait), ZCB_ERR_TIMEOUT);
    struct user user = user_of(session, 0);
    pthread_t thread = start_thread(next_here, &user);
    await_follower(session);
    assert_serves(session);
    (void)submit(session, "echo", ZCB_COMMAND_NOTIFY, ZCB_FOREVER);
    assert_done(&user, thread, ZCB_STATUS_DONE);
}

static void polling_gets_there(void **state)
{
    zcb_session *session = *state;
    zcb_wait at_once = {0};
    zcb_result *result;
    uint64_t id = submit(session, "bits 100", 0, ZCB_FOREVER);
    zcb_error error;
    while ((error = zcb_session_wait(session, id, &result, &at_once)) == ZCB_ERR_TIMEOUT)
        sched_yield();
    assert_ok(error);
    zcb_result_free(result);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_session, tear_down_session)
    const struct CMUnitTest tests[] = {
        TEST(many_threads_run_commands_at_once),
        TEST(a_reader_that_gives_up_hands_the_reading_over),
        TEST(a_thread_that_was_told_for_nothing_hands_the_reading_over),
        TEST(a_follower_gets_what_the_reader_reads),
        TEST(one_caller_waits_for_an_id),
        cmocka_unit_test(a_second_thread_takes_the_results_that_notify),
        cmocka_unit_test(several_threads_take_each_result_once),
        TEST(next_waits_while_nothing_is_pending),
        TEST(polling_gets_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
