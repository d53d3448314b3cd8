/* The end of a channel and of what waits at it: close, cancel, fork. */
#include "channel/block.h"
#include "messages.h"

static void closing_ends_the_waits_of_both_sides(void **state)
{
    (void)state;
    for (int by_receiver = 0; by_receiver < 2; by_receiver++) {
        struct pair pair = make_pair(FRAME, WINDOW);
        /* a sends and b receives; b's own sending direction is full as well. */
        assert_ok(send_filled(pair.b, 1, FRAME, NULL));
        struct call receive = {.channel = pair.b, .wait = patience()};
        struct call send = {.channel = pair.b, .wait = patience(), .id = 2, .bytes = 1};
        pthread_t receiver = start_thread(run_begin, &receive);
        pthread_t sender = start_thread(run_send, &send);
        await_asleep(receiver_asleep(pair.b));
        await_asleep(sender_asleep(pair.b));
        zcb_channel_close(by_receiver ? pair.b : pair.a);
        join_thread(receiver);
        join_thread(sender);
        zcb_error expected = by_receiver ? ZCB_ERR_CLOSED : ZCB_ERR_PEER_CLOSED;
        assert_int_equal(receive.error, expected);
        assert_int_equal(send.error, expected);
        zcb_channel_close(pair.b);
        zcb_channel_close(pair.b);
        free_pair(&pair);
    }
}

static void closing_ends_the_waits_of_those_in_line(void **state)
{
    struct pair *pair = *state;
    zcb_message message;
    assert_ok(send_filled(pair->a, 1, 10, NULL));
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL)); /* and keeps the lock */
    struct call call = {.channel = pair->b, .wait = patience()};
    pthread_t thread = start_thread(run_begin, &call);
    await_in_line(&pair->b->rx.lock);
    zcb_channel_close(pair->b);
    join_thread(thread);
    assert_int_equal(call.error, ZCB_ERR_CLOSED);
    assert_int_equal(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL), ZCB_ERR_CLOSED);
    assert_true(finish_by_copy(pair->b, &message, NULL));
}

static void whoever_waits_half_way_learns_of_the_close(void **state)
{
    struct pair *pair = *state;
    struct call call = {.channel = pair->a, .wait = patience(), .id = 6, .bytes = LONGEST};
    pthread_t sender = start_stuck_sender(pair, &call, 100);
    zcb_channel_close(pair->b);
    join_thread(sender);
    assert_int_equal(call.error, ZCB_ERR_PEER_CLOSED);
    zcb_receive_drop(pair->b);
}

static void a_receiver_half_way_learns_of_the_close(void **state)
{
    struct pair *pair = *state;
    unsigned char *payload = calloc(1, FRAME);
    zcb_message message;
    send_a_part(pair, 1, payload, FRAME / 2);
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL));
    zcb_channel_close(pair->a);
    assert_int_equal(zcb_receive_read(pair->b, payload, FRAME, NULL, NULL), ZCB_ERR_PEER_CLOSED);
    zcb_receive_drop(pair->b);
    assert_int_equal(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL),
                     ZCB_ERR_PEER_CLOSED);
    zcbi_tx_abort(pair->a);
    zcbi_ticket_lock_release(&pair->a->tx.lock);
    free(payload);
}

static void what_is_queued_outlives_the_close(void **state)
{
    struct pair *pair = *state;
    zcb_message message;
    for (uint64_t i = 1; i <= 10; i++)
        assert_ok(send_filled(pair->a, i, i * 1000, NULL));
    zcb_channel_close(pair->a);
    for (uint64_t i = 1; i <= 10; i++)
        assert_received(pair->b, i, i * 1000);
    assert_int_equal(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL),
                     ZCB_ERR_PEER_CLOSED);
    assert_int_equal(send_filled(pair->b, 1, 1, NULL), ZCB_ERR_PEER_CLOSED);
    assert_int_equal(zcb_receive_begin(pair->a, ZCB_WISH_COPY, &message, NULL), ZCB_ERR_CLOSED);
    assert_int_equal(send_filled(pair->a, 1, 1, NULL), ZCB_ERR_CLOSED);
}

static void a_close_is_never_missed(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        struct pair pair = make_pair(ZCB_MIN_FRAME_BYTES, ZCB_MIN_WINDOW_BYTES);
        struct call receive = {.channel = pair.b, .wait = patience()};
        struct call send = {
            .channel = pair.b, .wait = patience(), .id = 1, .bytes = 2 * ZCB_MIN_FRAME_BYTES};
        pthread_t receiver = start_thread(run_begin, &receive);
        pthread_t sender = start_thread(run_send, &send);
        zcb_channel_close(i % 2 ? pair.a : pair.b);
        join_thread(receiver);
        join_thread(sender);
        assert_int_equal(receive.error, i % 2 ? ZCB_ERR_PEER_CLOSED : ZCB_ERR_CLOSED);
        assert_int_equal(send.error, receive.error);
        free_pair(&pair);
    }
}

static void cancel_ends_waits_until_it_is_reset(void **state)
{
    struct pair *pair = *state;
    struct call call = {.channel = pair->b, .wait = patience()};
    zcb_message message;
    assert_ok(zcb_cancel_create(&call.wait.cancel));
    pthread_t thread = start_thread(run_begin, &call);
    await_asleep(receiver_asleep(pair->b));
    zcb_cancel_set(call.wait.cancel);
    join_thread(thread);
    assert_int_equal(call.error, ZCB_ERR_CANCELLED);
    assert_int_equal(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, &call.wait),
                     ZCB_ERR_CANCELLED);
    zcb_cancel_reset(call.wait.cancel);
    call.wait.deadline_ns = 0;
    assert_int_equal(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, &call.wait),
                     ZCB_ERR_TIMEOUT);
    zcb_cancel_free(call.wait.cancel);
    assert_works(pair);
}

#if !defined(_WIN32)

static bool child_is_kept_out(struct pair *pair, zcb_lease *lease)
{
    zcb_message message = message_of(1, 0);
    zcb_lease *second;
    unsigned char byte;
    bool out = zcb_send(pair->a, &message, NULL, NULL) == ZCB_ERR_FORKED &&
               zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL) == ZCB_ERR_FORKED &&
               zcb_receive_read(pair->b, &byte, 1, NULL, NULL) == ZCB_ERR_FORKED &&
               zcb_receive_lease(pair->b, &second, NULL) == ZCB_ERR_FORKED &&
               zcb_receive_end(pair->b) == ZCB_ERR_FORKED;
    zcb_receive_drop(pair->b);
    zcb_channel_close(pair->a);
    zcb_lease_free(lease);
    zcb_channel_free(pair->a);
    zcb_channel_free(pair->b);
    return out;
}

static void a_forked_child_is_kept_out_and_the_parent_goes_on(void **state)
{
    struct pair *pair = *state;
    zcb_message message, held;
    unsigned char bytes[10];
    assert_ok(send_filled(pair->a, 1, 10, NULL));
    assert_ok(send_filled(pair->a, 2, 10, NULL));
    zcb_lease *lease = take_lease(pair->b, &held);
    assert_ok(
        zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL)); /* and is in the middle of it */
    pid_t pid = fork();
    if (pid == 0)
        _exit(child_is_kept_out(pair, lease) ? 0 : 1);
    assert_child_says_yes(pid);
    assert_ok(send_filled(pair->a, 3, 10, NULL)); /* not where the two messages lie */
    assert_ok(zcb_receive_read(pair->b, bytes, 10, NULL, NULL));
    assert_true(is_message(&message, bytes));
    assert_ok(zcb_receive_end(pair->b));
    assert_true(is_message(&held, zcb_lease_data(lease)));
    zcb_lease_free(lease);
    assert_received(pair->b, 3, 10);
    assert_works(pair);
    assert_frame_is_free(pair);
}

#endif

static void a_channel_leaves_no_descriptor_behind(void **state)
{
    (void)state;
    unsigned before = open_descriptors();
    for (int i = 0; i < 100; i++) {
        struct pair pair;
        assert_ok(zcb_channel_pair(NULL, &pair.a, &pair.b));
        assert_int_equal(zcb_channel_frame_bytes(pair.a), 64 * MIB);
        free_pair(&pair);
    }
    assert_int_equal(open_descriptors(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closing_ends_the_waits_of_both_sides),
        TEST(closing_ends_the_waits_of_those_in_line),
        TEST(whoever_waits_half_way_learns_of_the_close),
        TEST(a_receiver_half_way_learns_of_the_close),
        TEST(what_is_queued_outlives_the_close),
        cmocka_unit_test(a_close_is_never_missed),
        TEST(cancel_ends_waits_until_it_is_reset),
        TEST_ON_POSIX(a_forked_child_is_kept_out_and_the_parent_goes_on, NO_FORK),
        cmocka_unit_test(a_channel_leaves_no_descriptor_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
