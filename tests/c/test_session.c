/* Sessions, with an engine that is no PowerShell. */
#include "fake_engine.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define LONG_OUTPUT (80 * MIB) /* more than the frame */
#else
#define LONG_OUTPUT (200 * MIB)
#endif

static int set_up(void **state)
{
    zcb_session_options options = fake_options();
    *state = start_session(&options);
    return 0;
}

static int tear_down(void **state)
{
    zcb_session_free(*state);
    assert_no_children();
    return 0;
}

/* ---------------------------------------------------------------- starting */

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
    assert_int_equal(result->op, ZCB_OP_RUN);
    assert_int_equal(result->status, ZCB_STATUS_DONE);
    assert_true(result->success);
    assert_int_equal(result->exit_code, 0);
    assert_string_equal(result->field[ZCB_FIELD_OUT].text, "hello");
    for (int i = 1; i < ZCB_FIELDS; i++) {
        assert_string_equal(result->field[i].text, "");
        assert_int_equal(result->field[i].bytes, 0);
    }
    zcb_result_free(result);
    assert_ok(zcb_session_run(session, "", 0, 0, ZCB_FOREVER, &result, &wait));
    assert_false(result->success);
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

/* ---------------------------------------------------------------- commands */

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
        assert_int_equal(atoll(result->field[ZCB_FIELD_OUT].text), i);
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
    assert_int_equal(atoll(result->field[ZCB_FIELD_OUT].text), bytes);
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
    const zcb_text *out = &result->field[ZCB_FIELD_OUT];
    assert_int_equal(out->bytes, bytes);
    assert_true(is_filled(out->text, bytes, bytes));
    assert_int_equal(out->text[bytes], 0);
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
    assert_int_equal(result->field[ZCB_FIELD_WARNING].bytes, 100);
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
        zcb_command command = {.op = ZCB_OP_RUN, .text = text, .text_bytes = bytes};
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
        zcb_command command = {
            .op = ZCB_OP_RUN, .flags = ZCB_COMMAND_NOTIFY, .text = text, .text_bytes = bytes};
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
    zcb_command command = {.op = ZCB_OP_SEND, .text = "x", .text_bytes = 1};
    zcb_result *result;
    assert_int_equal(zcb_session_submit(session, &command, 0, NULL), ZCB_ERR_INVALID);
    command = (zcb_command){.op = ZCB_OP_RUN, .text_bytes = 1};
    assert_int_equal(zcb_session_submit(session, &command, 0, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_session_submit(NULL, &command, 0, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_session_wait(NULL, 1, &result, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_session_next(session, NULL, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_session_ping(NULL, NULL), ZCB_ERR_INVALID);
    assert_serves(session);
}

/* ---------------------------------------------------------------- many threads */

struct user {
    zcb_session *session;
    uint64_t id, count;
    zcb_wait wait;
    zcb_error error;
    zcb_result *result;
};

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

static void *wait_here(void *arg)
{
    struct user *user = arg;
    user->error = zcb_session_wait(user->session, user->id, &user->result, &user->wait);
    return NULL;
}

static void *next_here(void *arg)
{
    struct user *user = arg;
    user->error = zcb_session_next(user->session, &user->result, &user->wait);
    return NULL;
}

static struct user user_of(zcb_session *session, uint64_t id)
{
    return (struct user){.session = session, .id = id, .wait = patience()};
}

static void assert_done(struct user *user, pthread_t thread, zcb_status status)
{
    join_thread(thread);
    assert_int_equal(user->error, ZCB_OK);
    assert_int_equal(user->result->status, status);
    zcb_result_free(user->result);
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

static unsigned sleeping_followers(zcb_session *session)
{
    unsigned count = 0;
    plat_mutex_lock(&session->lock);
    for (struct follower *f = session->followers; f; f = f->next)
        count += atomic_load(&f->waiter.asleep) != 0;
    plat_mutex_unlock(&session->lock);
    return count;
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
        plat_mutex_lock(&session->lock);
        session_tell_standby(session); /* as when another thread takes the result first */
        zcb_cancel_set(reader.wait.cancel);
        plat_mutex_unlock(&session->lock);
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
        taker->in_order = taker->in_order && result->id > taker->last;
        taker->last = result->id;
        taker->count += result->status == ZCB_STATUS_DONE;
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

/* ---------------------------------------------------------------- standing by */

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
            submit(session, i % 2 ? "soon" : "echo", ZCB_COMMAND_NOTIFY, ZCB_FOREVER);
        uint64_t running = submit(session, "wait", 0, ZCB_FOREVER);
        struct user reader = user_of(session, running);
        pthread_t reads = start_thread(wait_here, &reader);
        join_thread(stands); /* while the reader goes on waiting */
        assert_int_equal(standby.error, ZCB_OK);
        assert_int_equal(standby.result->id, notified);
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
        assert_int_equal(standby.result->id, stalled);
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
        plat_mutex_lock(&session->lock);
        told_to_stop = pending_find(session, id)->timed_out;
        plat_mutex_unlock(&session->lock);
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
            (void)submit(session, next_random(&seed) % 3 ? "soon" : "echo", ZCB_COMMAND_NOTIFY,
                         next_random(&seed) % 4 ? ZCB_FOREVER : PATIENCE_MS);
            if (next_random(&seed) % 3 == 0)
                assert_serves(session);
        }
        join_thread(stands); /* nobody else waits now */
        assert_int_equal(taker.error, ZCB_OK);
    }
}

/* ---------------------------------------------------------------- stopping and timeouts */

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
    char *text = calloc(1, LONG_OUTPUT); /* the engine does not take it in while a command runs */
    zcb_wait wait = patience();
    zcb_result *result;
    int64_t begin = zcb_now_ns();
    assert_non_null(text);
    assert_int_equal(zcb_session_run(session, text, LONG_OUTPUT, 0, 20, &result, &wait),
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
    uint64_t id = submit(session, "hang", 0, 20), queued = submit(session, "echo", 0, ZCB_FOREVER);
    assert_int_equal(status_of(session, id), ZCB_STATUS_TIMED_OUT);
    assert_int_equal(status_of(session, queued), ZCB_STATUS_LOST);
    assert_false(zcb_session_alive(session, &why));
    assert_non_null(strstr(why.text, "did not stop"));
    await_end_of(zcb_session_pid(session));
    await_end_of(child);
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

/* ---------------------------------------------------------------- the engine's end */

static void assert_ended(zcb_session *session, const char *says_why)
{
    zcb_detail why;
    zcb_wait wait = patience();
    zcb_command command = {.op = ZCB_OP_RUN, .text = "echo", .text_bytes = 4};
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
    assert_int_equal(result->status, ZCB_STATUS_EXITED);
    assert_int_equal(result->exit_code, 3);
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
    assert_ok(plat_wait(&session->process, 1, zcb_deadline_ns(PATIENCE_MS), &ready));
    assert_ended(session, "exit code 3");
    assert_int_equal(status_of(session, echo), ZCB_STATUS_DONE);
    assert_int_equal(status_of(session, id), ZCB_STATUS_EXITED);
}

static void an_engine_that_ends_without_a_word_is_noticed(void **state)
{
    zcb_session *session = *state;
    zcb_result *result = wait_for(session, submit(session, "die 5", 0, ZCB_FOREVER));
    assert_int_equal(result->status, ZCB_STATUS_LOST);
    assert_non_null(strstr(result->field[ZCB_FIELD_ERR].text, "exited with code 5"));
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
    zcb_command command = {.op = ZCB_OP_RUN, .text = calloc(1, bytes), .text_bytes = bytes};
    user->error = zcb_session_submit(user->session, &command, ZCB_FOREVER, &user->wait);
    free((void *)(uintptr_t)command.text);
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

/* ---------------------------------------------------------------- processes */

/* What this program does as the program that a test starts: has a session, tells the engine's pid, and waits. */
static int be_a_program(const char *text)
{
    zcb_session_options options = fake_options();
    zcb_session *session = NULL;
    if (zcb_session_start(&options, &session, NULL, NULL))
        return 1;
    if (*text) {
        zcb_command command = {.op = ZCB_OP_RUN, .text = text, .text_bytes = strlen(text)};
        (void)zcb_session_submit(session, &command, ZCB_FOREVER, NULL);
        (void)zcb_session_ping(session, NULL);
    }
    printf("%lld\n", (long long)zcb_session_pid(session));
    fflush(stdout);
    unsigned ready;
    return (int)plat_wait(NULL, 0, ZCB_NEVER, &ready);
}

/* Waits until the program has written a line, which is a number. */
static int64_t number_in(plat_handle file)
{
    char text[32] = "";
    size_t bytes = 0;
    while (!strchr(text, '\n')) {
        sched_yield();
        assert_ok(plat_file_read(file, 0, text, sizeof(text) - 1, &bytes));
        text[bytes] = '\0';
    }
    return atoll(text);
}

static void assert_engine_ends_with_its_program(const char *text)
{
    char self[4096];
    const char *const arguments[] = {"program", text, NULL};
    plat_handle ours, theirs, out;
    plat_child program;
    zcb_detail why;
    own_path(self);
    assert_ok(plat_link_pair(&ours, &theirs));
    assert_ok(plat_file_create(&out));
    plat_spawn spawn = {
        .path = self, .arguments = arguments, .link = theirs, .out = out, .err = out};
    if (plat_process_spawn(&spawn, &program, &why))
        fail_msg("%s", why.text);
    int64_t engine = number_in(out);
    plat_process_kill(program.pid, program.process);
    (void)finish_child(&program);
    await_end_of(engine);
    plat_close(ours);
    plat_close(theirs);
    plat_close(out);
}

static void a_killed_program_ends_its_engine(void **state)
{
    (void)state;
    const char *const texts[] = {"", "wait", "hang", "flood", "out 300000000"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        assert_engine_ends_with_its_program(texts[i]);
}

#if !defined(_WIN32)

static bool child_is_kept_out(zcb_session *session, uint64_t id)
{
    zcb_command command = {.op = ZCB_OP_RUN, .text = "echo", .text_bytes = 4};
    zcb_result *result;
    zcb_bridge *bridge;
    zcb_detail why;
    bool out = zcb_session_submit(session, &command, 0, NULL) == ZCB_ERR_FORKED &&
               zcb_session_wait(session, id, &result, NULL) == ZCB_ERR_FORKED &&
               zcb_session_next(session, &result, NULL) == ZCB_ERR_FORKED &&
               zcb_session_stop(session, id) == ZCB_ERR_FORKED &&
               zcb_session_ping(session, NULL) == ZCB_ERR_FORKED &&
               zcb_bridge_open(session, NULL, &bridge, NULL) == ZCB_ERR_FORKED &&
               !zcb_session_alive(session, &why);
    zcb_session_close(session, 0);
    zcb_session_free(session);
    return out;
}

static void a_forked_child_is_kept_out_and_the_parent_goes_on(void **state)
{
    zcb_session *session = *state;
    uint64_t id = submit(session, "wait", 0, ZCB_FOREVER);
    pid_t pid = fork();
    if (pid == 0)
        _exit(child_is_kept_out(session, id) ? 0 : 1);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_ok(zcb_session_stop(session, id));
    assert_int_equal(status_of(session, id), ZCB_STATUS_STOPPED);
    assert_serves(session);
}

#endif

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "program") == 0)
        return be_a_program(argv[2]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_session_runs_commands),
        cmocka_unit_test(options_reach_the_engine),
        cmocka_unit_test(a_start_that_fails_says_why_and_leaves_nothing),
        cmocka_unit_test(a_start_of_what_is_not_there_says_so),
        cmocka_unit_test(sessions_leave_nothing_behind),
        TEST(thousands_of_commands_queue_and_end_in_order),
        TEST(commands_of_any_length_pass),
        TEST(outputs_of_any_length_pass),
        TEST(pieces_of_output_are_joined_in_order),
        TEST(two_full_directions_do_not_stop_each_other),
        TEST(a_submit_that_gives_up_half_way_leaves_the_session_working),
        TEST(ids_that_are_not_pending_are_not_found),
        TEST(senseless_arguments_are_refused),
        TEST(many_threads_run_commands_at_once),
        TEST(a_reader_that_gives_up_hands_the_reading_over),
        TEST(a_thread_that_was_told_for_nothing_hands_the_reading_over),
        TEST(a_follower_gets_what_the_reader_reads),
        TEST(one_caller_waits_for_an_id),
        cmocka_unit_test(a_second_thread_takes_the_results_that_notify),
        cmocka_unit_test(several_threads_take_each_result_once),
        TEST(next_waits_while_nothing_is_pending),
        TEST(polling_gets_there),
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
        TEST(a_timeout_stops_the_command_and_keeps_the_session),
        TEST(a_timeout_is_kept_by_whoever_waits),
        TEST(a_stopped_command_in_the_queue_never_runs),
        TEST(a_run_that_gives_up_stops_its_command),
        TEST(a_run_that_finds_no_room_keeps_its_timeout),
        cmocka_unit_test(an_engine_that_does_not_stop_is_killed_with_what_it_started),
        TEST(an_endless_output_hides_no_end_of_the_wait),
        TEST(an_endless_output_is_stopped_by_its_timeout),
        TEST(a_ping_is_answered_while_a_command_runs),
        TEST(exit_reports_its_code),
        TEST(what_came_before_the_end_is_not_lost),
        TEST(an_engine_that_ends_without_a_word_is_noticed),
        TEST(a_killed_engine_ends_every_wait),
        TEST(closing_ends_every_wait),
        TEST(a_reply_that_is_given_up_is_forgotten),
        cmocka_unit_test(nonsense_ends_the_session_and_nothing_else),
        TEST(replies_to_nothing_are_dropped),
        cmocka_unit_test(a_killed_program_ends_its_engine),
        TEST_ON_POSIX(a_forked_child_is_kept_out_and_the_parent_goes_on, NO_FORK),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
