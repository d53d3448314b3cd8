/* Bridges: values that come out of the engine. */
#include "bridges.h"

static void a_value_comes_with_the_id_of_its_send(void **state)
{
    struct fixture *f = *state;
    char text[32];
    for (size_t i = 0; i < SIZES; i++) {
        snprintf(text, sizeof(text), "%llu", (unsigned long long)sizes[i]);
        uint64_t id = post_send(f, text);
        zcb_message message;
        assert_true(receive_bytes(f->bridge, &message));
        assert_int_equal(message.id, id);
        assert_int_equal(message.bytes, sizes[i]);
        assert_int_equal(status_of(f->session, id), ZCB_STATUS_DONE);
    }
}

static void an_unread_value_stops_no_command(void **state)
{
    struct fixture *f = *state;
    uint64_t ids[4];
    for (int i = 0; i < 4; i++)
        ids[i] = post_send(f, "3000000");
    assert_serves(f->session);
    for (int i = 0; i < 4; i++) {
        zcb_message message;
        assert_true(receive_bytes(f->bridge, &message));
        assert_int_equal(message.id, ids[i]);
        assert_int_equal(status_of(f->session, ids[i]), ZCB_STATUS_DONE);
    }
}

static void a_failure_comes_as_a_message_unless_it_was_seen(void **state)
{
    struct fixture *f = *state;
    zcb_message message;
    zcb_wait wait = patience();
    uint64_t bad = post_send(f, "$nosuch");
    assert_ok(zcb_bridge_receive_begin(f->bridge, ZCB_WISH_COPY, &message, &wait));
    assert_int_equal(message.kind, ZCB_KIND_ERROR);
    assert_int_equal(message.id, bad);
    zcb_receive_drop(zcb_bridge_channel(f->bridge));
    assert_transfer_failed(f, bad, false);
    zcb_bridge_seen(f->bridge, bad); /* too late: forgotten at once */
    for (int i = 0; i < 10; i++) {
        uint64_t seen = post_send(f, "$nosuch"), good = post_send(f, "5");
        assert_transfer_failed(f, seen, false);
        zcb_bridge_seen(f->bridge, seen);
        assert_true(receive_bytes(f->bridge, &message));
        assert_int_equal(message.id, good);
        assert_int_equal(status_of(f->session, good), ZCB_STATUS_DONE);
    }
    assert_int_equal(f->session->pending_count, 0);
}

static void a_withdrawn_value_does_not_come(void **state)
{
    struct fixture *f = *state;
    zcb_message message;
    uint64_t blocked = submit(f->session, "wait", 0, ZCB_FOREVER);
    uint64_t first = post_send(f, "3000000"), second = post_send(f, "2000000");
    assert_ok(zcb_session_stop(f->session, blocked));
    assert_int_equal(status_of(f->session, blocked), ZCB_STATUS_STOPPED);
    assert_serves(f->session); /* both are queued for sending now */
    assert_ok(zcb_bridge_withdraw(f->bridge, first));
    assert_int_equal(status_of(f->session, first), ZCB_STATUS_STOPPED);
    zcb_bridge_seen(f->bridge, first); /* otherwise its reader is told */
    assert_true(receive_bytes(f->bridge, &message));
    assert_int_equal(message.id, second);
    assert_int_equal(status_of(f->session, second), ZCB_STATUS_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_value_comes_with_the_id_of_its_send),
        TEST(an_unread_value_stops_no_command),
        TEST(a_failure_comes_as_a_message_unless_it_was_seen),
        TEST(a_withdrawn_value_does_not_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
