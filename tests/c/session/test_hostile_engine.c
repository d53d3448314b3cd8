/* An engine that writes nonsense, or answers without end. */
#include "channel/block.h"
#include "flood.h"
#include "sessions.h"
#include "wire.h"

#if !defined(_WIN32)
#include <sys/eventfd.h>
#endif

static zcb_session *start_engine(void)
{
    zcb_session_options options = fake_options();
    return start_session(&options);
}

/* A part of no text, to a command that nobody gave. */
#define REPLY_BYTES (sizeof(struct part_wire) + PART_ALIGN)
#define REPLY                                                                                      \
    {                                                                                              \
        .kind = ZCB_KIND_CONTROL, .message_bytes = REPLY_BYTES, .bytes = REPLY_BYTES, .chunk = 20, \
        .marks = MARK_FIRST | MARK_LAST | MARK_WHOLE                                               \
    }

static void an_engine_that_has_ended_but_goes_on_answering_is_gone(void **state)
{
    (void)state;
    zcb_session *session = start_engine();
    struct flood flood = {.victim = session->commands, .part = REPLY};
    zcb_detail why;
    kill_its_engine(session);
    await_end_of(zcb_session_pid(session));
    write_part(session->commands->rx.data, ZCB_PART_OUT, NULL, 0);
    start_flood(&flood); /* as a process that it left behind could */
    uint64_t tail = session->commands->rx.tail;
    assert_false(zcb_session_alive(session, &why));
    assert_non_null(strstr(why.text, KILLED));
    assert_true(session->commands->rx.tail - tail <= RING_ENTRIES + 1);
    stop_flood(&flood);
    zcb_session_free(session);
    assert_no_children();
}

#define PONG_OF_NO_PING                                                                            \
    {                                                                                              \
        .kind = ZCB_KIND_CONTROL, .flags = URGENT_PONG, .chunk = NO_CHUNK,                         \
        .marks = MARK_FIRST | MARK_LAST | MARK_WHOLE                                               \
    }

static void wrong_answers_without_end_do_not_put_off_the_end_of_a_ping(void **state)
{
    (void)state;
    zcb_session *session = start_engine();
    struct flood flood = {.victim = session->urgent, .part = PONG_OF_NO_PING};
    halt(session);
    start_flood(&flood);
    zcb_wait wait = within_ms(50);
    assert_int_equal(zcb_session_ping(session, &wait), ZCB_ERR_TIMEOUT);
    wait = patience();
    assert_ok(zcb_cancel_create(&wait.cancel));
    zcb_cancel_set(wait.cancel);
    for (int i = 0; i < TRIES; i++) {
        await_flow(&flood);
        uint64_t tail = session->urgent->rx.tail;
        assert_int_equal(zcb_session_ping(session, &wait), ZCB_ERR_CANCELLED);
        assert_in_range(session->urgent->rx.tail - tail, 0, 1);
    }
    stop_flood(&flood);
    zcb_cancel_free(wait.cancel);
    zcb_session_free(session);
    assert_no_children();
}

#if !defined(_WIN32)

static void a_bell_that_rings_without_end_does_not_hold_who_stands_by(void **state)
{
    (void)state;
    zcb_session *session = start_engine();
    int bell = (int)session->commands->rx.standby_bell;
    int endless = eventfd(1000000000, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
    assert_int_equal(dup2(endless, bell), bell); /* faster than anybody can clear it */
    (void)submit(session, "wait", ZCB_COMMAND_NOTIFY, ZCB_FOREVER);
    zcb_result *result;
    zcb_wait wait = within_ms(50);
    assert_int_equal(zcb_session_next(session, &result, &wait), ZCB_ERR_TIMEOUT);
    wait = patience();
    assert_ok(zcb_cancel_create(&wait.cancel));
    zcb_cancel_set(wait.cancel);
    assert_int_equal(zcb_session_next(session, &result, &wait), ZCB_ERR_CANCELLED);
    zcb_cancel_free(wait.cancel);
    close(endless);
    zcb_session_free(session);
    assert_no_children();
}

#endif

static void many_requests_to_an_engine_that_does_not_listen_wait_but_once(void **state)
{
    (void)state;
    enum { TRANSFERS = 200 }; /* 20 s when each of them waits */
    zcb_session *session = start_engine();
    zcb_bridge *bridge;
    zcb_wait wait = patience(), at_once = {0};
    uint64_t id;
    zcb_message stop = {.kind = ZCB_KIND_CONTROL, .flags = URGENT_STOP, .id = UINT64_MAX};
    assert_ok(zcb_bridge_open(session, NULL, &bridge, NULL));
    halt(session);
    for (int i = 0; i < TRANSFERS; i++)
        assert_ok(zcb_bridge_post_receive(bridge, "$x", 2, 0, ZCB_FOREVER, &id, &wait));
    while (zcb_send(session->urgent, &stop, NULL, &at_once) == ZCB_OK)
        continue;
    int64_t begin = zcb_now_ns();
    zcb_bridge_close(bridge);
    assert_true(zcb_now_ns() - begin < 5000 * MS);
    zcb_bridge_free(bridge);
    zcb_session_free(session);
    assert_no_children();
}

static void nobody_can_wait_for_a_command_that_was_given_up(void **state)
{
    (void)state;
    zcb_session *session = start_engine();
    zcb_result *result;
    zcb_wait at_once = {0}, wait = patience();
    assert_int_equal(zcb_session_run(session, "wait", 4, 0, ZCB_FOREVER, &result, &at_once),
                     ZCB_ERR_TIMEOUT);
    assert_int_equal(zcb_session_wait(session, 1, &result, &wait), ZCB_ERR_NOT_FOUND);
    zcb_session_free(session);
    assert_no_children();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_engine_that_has_ended_but_goes_on_answering_is_gone),
        cmocka_unit_test(wrong_answers_without_end_do_not_put_off_the_end_of_a_ping),
        ON_POSIX(a_bell_that_rings_without_end_does_not_hold_who_stands_by,
                 "no event sets itself again"),
        cmocka_unit_test(many_requests_to_an_engine_that_does_not_listen_wait_but_once),
        cmocka_unit_test(nobody_can_wait_for_a_command_that_was_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
