/* What one side cannot have is an error that says so, on both sides, and the session goes on. */
#include "channel/block.h"
#include "sessions.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* Returns the limit that was. By the system call: C libraries differ in the type of `resource`. */
static rlim_t set_limit(pid_t pid, int resource, rlim_t soft)
{
    struct rlimit limit, before;
    assert_int_equal(syscall(SYS_prlimit64, pid, resource, NULL, &before), 0);
    limit = before;
    limit.rlim_cur = soft;
    assert_int_equal(syscall(SYS_prlimit64, pid, resource, &limit, NULL), 0);
    return before.rlim_cur;
}

static void memory_beyond_the_limit_on_files_is_refused_without_a_signal(void **state)
{
    zcb_session *session = *state, *other;
    zcb_session_options options = fake_options();
    zcb_bridge *bridge;
    zcb_detail why;
    rlim_t before = set_limit(0, RLIMIT_FSIZE, 1 << 20);
    assert_true(signal(SIGXFSZ, SIG_DFL) == SIG_DFL);
    assert_int_equal(zcb_bridge_open(session, NULL, &bridge, &why), ZCB_ERR_NO_MEMORY);
    assert_non_null(strstr(why.text, "ulimit -f"));
    assert_int_equal(zcb_session_start(&options, &other, &why, NULL), ZCB_ERR_NO_MEMORY);
    set_limit(0, RLIMIT_FSIZE, before);
    assert_ok(zcb_bridge_open(session, NULL, &bridge, &why));
    zcb_bridge_free(bridge);
    assert_serves(session);
}

static void post(zcb_bridge *bridge, zcb_op op, uint64_t *id)
{
    zcb_wait wait = patience();
    if (op == ZCB_OP_SEND)
        assert_ok(zcb_bridge_post_send(bridge, "100", 3, 0, 0, ZCB_FOREVER, id, &wait));
    else
        assert_ok(zcb_bridge_post_receive(bridge, "$x", 2, 0, ZCB_FOREVER, id, &wait));
}

static void assert_fails(zcb_session *session, uint64_t id)
{
    zcb_result *result = wait_for(session, id);
    assert_false(zcb_result_success(result));
    assert_true(zcb_result_refused(result));
    zcb_result_free(result);
}

static void *receive_one(void *bridge)
{
    static zcb_error error;
    zcb_message message;
    zcb_wait wait = patience();
    error = zcb_bridge_receive_begin(bridge, ZCB_WISH_COPY, &message, &wait);
    return &error;
}

/* Keeps the engine from opening more than one descriptor. */
static rlim_t leave_no_descriptors(zcb_session *session)
{
    rlim_t most = (rlim_t)number_of(session, "descriptors");
    return set_limit((pid_t)zcb_session_pid(session), RLIMIT_NOFILE, most - 1);
}

static void an_engine_without_descriptors_opens_a_bridge_once_it_has_some(void **state)
{
    zcb_session *session = *state;
    zcb_bridge *bridge;
    uint64_t id;
    zcb_wait wait = patience();
    rlim_t before = leave_no_descriptors(session);
    assert_ok(zcb_bridge_open(session, NULL, &bridge, NULL));
    post(bridge, ZCB_OP_RECEIVE, &id);
    assert_fails(session, id);
    zcb_bridge_seen(bridge, id);
    assert_serves(session);
    set_limit((pid_t)zcb_session_pid(session), RLIMIT_NOFILE, before);
    post(bridge, ZCB_OP_RECEIVE, &id);
    assert_ok(zcb_bridge_send(bridge, ZCB_KIND_BYTES, "", 0, NULL, &wait));
    assert_int_equal(status_of(session, id), ZCB_STATUS_DONE);
    assert_true(says(session, "check $x", "0 right"));
    zcb_bridge_free(bridge);
}

static void a_receive_ends_when_the_engine_cannot_open_the_bridge(void **state)
{
    zcb_session *session = *state;
    zcb_bridge *bridge;
    uint64_t id;
    void *error;
    rlim_t before = leave_no_descriptors(session);
    assert_ok(zcb_bridge_open(session, NULL, &bridge, NULL));
    pthread_t receiver = start_thread(receive_one, bridge);
    await_asleep(&zcb_bridge_channel(bridge)->rx.control->consumer_asleep);
    post(bridge, ZCB_OP_SEND, &id);
    assert_fails(session, id);
    assert_int_equal(pthread_join(receiver, &error), 0);
    assert_int_equal(*(zcb_error *)error, ZCB_ERR_CLOSED);
    zcb_bridge_free(bridge);
    set_limit((pid_t)zcb_session_pid(session), RLIMIT_NOFILE, before);
    assert_serves(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            memory_beyond_the_limit_on_files_is_refused_without_a_signal, set_up_session,
            tear_down_session),
        cmocka_unit_test_setup_teardown(
            an_engine_without_descriptors_opens_a_bridge_once_it_has_some, set_up_session,
            tear_down_session),
        cmocka_unit_test_setup_teardown(a_receive_ends_when_the_engine_cannot_open_the_bridge,
                                        set_up_session, tear_down_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
