/* Bridges: which message goes to which receive, and what is withdrawn. */
#include "bridges.h"
#include "channel/block.h"

static void a_receive_is_posted_before_or_after_the_send(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < SIZES; i++) {
        uint64_t id = post(f, "$x", ZCB_FOREVER);
        assert_sent(f, sizes[i]);
        assert_arrived(f, id, "$x", sizes[i]);
        if (sizes[i] > FRAME)
            continue; /* nobody receives: there is no room */
        assert_sent(f, sizes[i]);
        assert_arrived(f, post(f, "$x", ZCB_FOREVER), "$x", sizes[i]);
    }
}

static void messages_go_to_the_receives_in_order_whichever_came_first(void **state)
{
    struct fixture *f = *state;
    uint64_t seed = 1, ids[400];
    unsigned posted = 0, sent = 0;
    while (posted < 400 || sent < 400) {
        if (posted < 400 && next_random(&seed) % 2) {
            char target[16];
            snprintf(target, sizeof(target), "$v%u", posted);
            ids[posted++] = post(f, target, ZCB_FOREVER);
        } else if (sent < 400 && sent < posted + 20) {
            assert_sent(f, 1 + sent++);
        }
    }
    for (unsigned i = 0; i < 400; i++) {
        char target[16];
        snprintf(target, sizeof(target), "$v%u", i);
        assert_arrived(f, ids[i], target, 1 + i);
    }
}

static void a_posted_receive_stops_no_command(void **state)
{
    struct fixture *f = *state;
    uint64_t id = post(f, "$x", ZCB_FOREVER);
    assert_serves(f->session);
    assert_sent(f, 10);
    assert_arrived(f, id, "$x", 10);
}

static void senseless_arguments_are_refused(void **state)
{
    struct fixture *f = *state;
    uint64_t id;
    const struct {
        const char *text;
        size_t bytes;
    } targets[] = {{"", 0}, {"x", 1}, {"  ", 2}, {"$a\0b", 4}, {"(1)", 3}, {"$x", 0}};
    for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++)
        assert_int_equal(
            zcb_bridge_post_receive(f->bridge, targets[i].text, targets[i].bytes, 0, -1, &id, NULL),
            ZCB_ERR_INVALID);
    assert_int_equal(zcb_bridge_post_receive(f->bridge, NULL, 0, 0, -1, &id, NULL),
                     ZCB_ERR_INVALID);
    assert_int_equal(zcb_bridge_post_send(f->bridge, "", 0, 0, 0, -1, &id, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_bridge_post_send(f->bridge, "1", 1, 101, 0, -1, &id, NULL),
                     ZCB_ERR_INVALID);
    assert_int_equal(zcb_bridge_send(f->bridge, ZCB_KIND_ERROR, "x", 1, NULL, NULL),
                     ZCB_ERR_INVALID);
    assert_int_equal(zcb_bridge_send(f->bridge, ZCB_KIND_BYTES, NULL, 1, NULL, NULL),
                     ZCB_ERR_INVALID);
    assert_int_equal(zcb_bridge_send(f->bridge, ZCB_KIND_BYTES, "x", ZCB_OPEN_ENDED, NULL, NULL),
                     ZCB_ERR_INVALID);
    assert_int_equal(zcb_bridge_send(NULL, ZCB_KIND_BYTES, "x", 1, NULL, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_bridge_withdraw(f->bridge, 4711), ZCB_ERR_NOT_FOUND);
    zcb_bridge_seen(f->bridge, 4711);
    zcb_bridge_seen(NULL, 1);
    zcb_bridge_free(NULL);
    zcb_bridge_close(NULL);
    zcb_channel_options options = {.frame_bytes = 1, .window_bytes = 0};
    zcb_bridge *bridge;
    zcb_detail why;
    assert_int_equal(zcb_bridge_open(f->session, &options, &bridge, &why), ZCB_ERR_INVALID);
    assert_non_null(strstr(why.text, "frame_bytes 1 "));
    assert_bridge_works(f);
}

static void a_withdrawn_receive_takes_nothing(void **state)
{
    struct fixture *f = *state;
    uint64_t first = post(f, "$a", ZCB_FOREVER), second = post(f, "$b", ZCB_FOREVER);
    assert_ok(zcb_bridge_withdraw(f->bridge, first));
    assert_int_equal(zcb_bridge_withdraw(f->bridge, first), ZCB_ERR_TOO_LATE);
    assert_int_equal(status_of(f->session, first), ZCB_STATUS_STOPPED);
    assert_int_equal(zcb_bridge_withdraw(f->bridge, first), ZCB_ERR_NOT_FOUND);
    assert_sent(f, 20);
    assert_arrived(f, second, "$b", 20);
    assert_bridge_works(f);
}

static void a_receive_whose_message_was_sent_cannot_be_withdrawn(void **state)
{
    struct fixture *f = *state;
    uint64_t id = post(f, "$x", ZCB_FOREVER);
    assert_sent(f, 10);
    zcb_error error = zcb_bridge_withdraw(f->bridge, id);
    assert_int_equal(error, ZCB_ERR_TOO_LATE);
    assert_arrived(f, id, "$x", 10);
}

static void a_receive_that_times_out_refuses_the_next_send(void **state)
{
    struct fixture *f = *state;
    uint64_t refused_by = 0, id = post(f, "$x", 10);
    assert_int_equal(status_of(f->session, id), ZCB_STATUS_TIMED_OUT);
    assert_int_equal(send_bytes(f->bridge, 10, &refused_by, NULL), ZCB_ERR_REFUSED);
    assert_int_equal(refused_by, id);
    assert_bridge_works(f);
}

static void a_send_that_gives_up_leaves_its_receive_waiting(void **state)
{
    struct fixture *f = *state;
    zcb_wait at_once = {0};
    assert_sent(f, FRAME); /* queued: the frame is full */
    assert_int_equal(send_bytes(f->bridge, 10, NULL, &at_once), ZCB_ERR_TIMEOUT);
    uint64_t first = post(f, "$a", ZCB_FOREVER), second = post(f, "$b", ZCB_FOREVER);
    assert_sent(f, 30);
    assert_arrived(f, first, "$a", FRAME);
    assert_arrived(f, second, "$b", 30);
    assert_bridge_works(f);
}

static void a_withdrawn_message_leaves_its_taker_to_the_next_one(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 20; i++) {
        struct sender sender = {.bridge = f->bridge, .bytes = LONG, .wait = patience()};
        assert_ok(zcb_cancel_create(&sender.wait.cancel));
        uint64_t blocked =
            submit(f->session, "wait", 0, ZCB_FOREVER); /* the post is not seen meanwhile */
        pthread_t thread = start_thread(send_here, &sender);
        await_asleep(&zcb_bridge_channel(f->bridge)->tx.control->producer_asleep);
        uint64_t id = post(f, "$x", ZCB_FOREVER);
        zcb_cancel_set(sender.wait.cancel);
        join_thread(thread);
        assert_int_equal(sender.error, ZCB_ERR_CANCELLED);
        zcb_cancel_free(sender.wait.cancel);
        assert_ok(zcb_session_stop(f->session, blocked));
        assert_int_equal(status_of(f->session, blocked), ZCB_STATUS_STOPPED);
        assert_sent(f, 77);
        assert_arrived(f, id, "$x", 77);
    }
    assert_bridge_works(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_receive_is_posted_before_or_after_the_send),
        TEST(messages_go_to_the_receives_in_order_whichever_came_first),
        TEST(a_posted_receive_stops_no_command),
        TEST(senseless_arguments_are_refused),
        TEST(a_withdrawn_receive_takes_nothing),
        TEST(a_receive_whose_message_was_sent_cannot_be_withdrawn),
        TEST(a_receive_that_times_out_refuses_the_next_send),
        TEST(a_send_that_gives_up_leaves_its_receive_waiting),
        TEST(a_withdrawn_message_leaves_its_taker_to_the_next_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
