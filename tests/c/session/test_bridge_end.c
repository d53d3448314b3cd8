/* Bridges: what ends them, and what waits at them. */
#include "bridges.h"
#include "channel/block.h"

struct receiver {
    zcb_bridge *bridge;
    zcb_message message;
    zcb_error error;
};

static void *begin_here(void *arg)
{
    struct receiver *receiver = arg;
    zcb_wait wait = patience();
    receiver->error =
        zcb_bridge_receive_begin(receiver->bridge, ZCB_WISH_COPY, &receiver->message, &wait);
    return NULL;
}

static void end_bridge(struct fixture *f, int how)
{
    if (how == 0)
        zcb_bridge_close(f->bridge);
    else if (how == 1)
        zcb_session_close(f->session, 100);
    else
        kill_its_engine(f->session);
}

static void the_end_of_a_bridge_ends_its_waits_and_transfers(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        zcb_session_options options = fake_options();
        struct fixture f = {.session = start_session(&options)};
        f.bridge = open_bridge(f.session);
        zcb_channel *channel = zcb_bridge_channel(f.bridge);
        uint64_t running = submit(f.session, "wait", 0, ZCB_FOREVER);
        struct receiver receiver = {.bridge = f.bridge};
        struct sender sender = {.bridge = f.bridge, .bytes = LONG, .wait = patience()};
        pthread_t receives = start_thread(begin_here, &receiver),
                  sends = start_thread(send_here, &sender);
        await_asleep(&channel->rx.control->consumer_asleep);
        await_asleep(&channel->tx.control->producer_asleep);
        uint64_t posts[] = {post(&f, "$a", ZCB_FOREVER), post(&f, "$b", ZCB_FOREVER),
                            post_send(&f, "5")};
        end_bridge(&f, how);
        join_thread(receives);
        join_thread(sends);
        zcb_error expected = how == 2 ? ZCB_ERR_PEER_GONE : ZCB_ERR_CLOSED;
        assert_int_equal(receiver.error, expected);
        assert_int_equal(sender.error, expected);
        for (int i = 0; i < 3; i++)
            assert_int_equal(status_of(f.session, posts[i]),
                             how == 0 ? ZCB_STATUS_STOPPED : ZCB_STATUS_LOST);
        if (how == 0) {
            uint64_t id;
            assert_int_equal(zcb_bridge_post_receive(f.bridge, "$x", 2, 0, -1, &id, NULL),
                             ZCB_ERR_CLOSED);
            assert_ok(zcb_session_stop(f.session, running));
            assert_int_equal(status_of(f.session, running), ZCB_STATUS_STOPPED);
            assert_serves(f.session);
        }
        zcb_error later = send_bytes(f.bridge, 1, NULL, NULL);
        assert_int_equal(later, expected);
        zcb_bridge_free(f.bridge);
        zcb_session_free(f.session);
    }
    assert_no_children();
}

static void what_was_sent_before_the_engine_died_can_be_received(void **state)
{
    struct fixture *f = *state;
    zcb_message message;
    uint64_t id = post_send(f, "100");
    assert_int_equal(status_of(f->session, id), ZCB_STATUS_DONE);
    kill_its_engine(f->session);
    await_end_of(zcb_session_pid(f->session));
    assert_true(receive_bytes(f->bridge, &message));
    zcb_wait wait = patience();
    assert_int_equal(zcb_bridge_receive_begin(f->bridge, ZCB_WISH_COPY, &message, &wait),
                     ZCB_ERR_PEER_GONE);
}

#if !defined(_WIN32)

static bool child_is_kept_out(struct fixture *f, uint64_t id)
{
    uint64_t other;
    zcb_message message;
    bool out =
        zcb_bridge_post_receive(f->bridge, "$x", 2, 0, -1, &other, NULL) == ZCB_ERR_FORKED &&
        zcb_bridge_send(f->bridge, ZCB_KIND_BYTES, "x", 1, NULL, NULL) == ZCB_ERR_FORKED &&
        zcb_bridge_receive_begin(f->bridge, ZCB_WISH_COPY, &message, NULL) == ZCB_ERR_FORKED &&
        zcb_bridge_withdraw(f->bridge, id) == ZCB_ERR_FORKED;
    zcb_bridge_seen(f->bridge, id);
    zcb_bridge_close(f->bridge);
    zcb_bridge_free(f->bridge);
    zcb_session_free(f->session);
    return out;
}

static void a_forked_child_is_kept_out_and_the_parent_goes_on(void **state)
{
    struct fixture *f = *state;
    uint64_t id = post(f, "$x", ZCB_FOREVER);
    pid_t pid = fork();
    if (pid == 0)
        _exit(child_is_kept_out(f, id) ? 0 : 1);
    assert_child_says_yes(pid);
    assert_sent(f, 10);
    assert_arrived(f, id, "$x", 10);
    assert_bridge_works(f);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_of_a_bridge_ends_its_waits_and_transfers),
        TEST(what_was_sent_before_the_engine_died_can_be_received),
        TEST_ON_POSIX(a_forked_child_is_kept_out_and_the_parent_goes_on, NO_FORK),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
