/* A wait that watches a second channel. */
#include "channel/block.h"
#include "messages.h"

static void a_wait_for_a_message_ends_when_the_watched_channel_has_one(void **state)
{
    (void)state;
    struct two two = make_two(FRAME);
    two.call.channel = two.used.b;
    for (uint64_t i = 1; i <= 3; i++) {
        pthread_t receiver = start_thread(run_begin, &two.call);
        await_asleep(receiver_asleep(two.used.b));
        assert_ok(send_filled(two.watched.a, i, 10, NULL));
        join_thread(receiver);
        assert_int_equal(two.call.error, ZCB_ERR_WATCHED);
        assert_received(two.watched.b, i, 10);
        assert_works(&two.used); /* the lock was released */
    }
    free_two(&two);
}

static void what_is_there_goes_before_the_watched_channel(void **state)
{
    (void)state;
    struct two two = make_two(FRAME);
    zcb_message message;
    assert_ok(send_filled(two.watched.a, 1, 10, NULL));
    assert_int_equal(zcb_receive_begin(two.used.b, ZCB_WISH_COPY, &message, &two.call.wait),
                     ZCB_ERR_WATCHED);
    assert_ok(
        send_filled(two.used.a, 2, FRAME, NULL)); /* short enough to be read to its end, too */
    assert_true(receive_right(two.used.b, ZCB_WISH_COPY, &message, &two.call.wait));
    assert_ok(send_filled(two.used.a, 3, FRAME, &two.call.wait));
    zcb_lease *lease;
    assert_ok(zcb_receive_begin(two.used.b, ZCB_WISH_LEASE, &message, &two.call.wait));
    assert_ok(zcb_receive_lease(two.used.b, &lease, &two.call.wait));
    assert_ok(zcb_receive_end(two.used.b));
    assert_int_equal(send_filled(two.used.a, 4, 1, &two.call.wait), ZCB_ERR_WATCHED); /* no room */
    zcb_lease_free(lease);
    assert_received(two.watched.b, 1, 10);
    assert_works(&two.used);
    free_two(&two);
}

static void a_wait_for_room_ends_when_the_watched_channel_has_a_message(void **state)
{
    (void)state;
    struct two two = make_two(FRAME);
    assert_ok(send_filled(two.used.a, 1, FRAME, NULL));
    two.call.channel = two.used.a;
    two.call.id = 2;
    two.call.bytes = 10;
    pthread_t sender = start_thread(run_send, &two.call);
    await_asleep(sender_asleep(two.used.a));
    assert_ok(send_filled(two.watched.a, 3, 10, NULL));
    join_thread(sender);
    assert_int_equal(two.call.error, ZCB_ERR_WATCHED);
    assert_received(two.used.b, 1, FRAME);
    assert_empty(two.used.b);
    free_two(&two);
}

static void a_wait_in_line_ends_when_the_watched_channel_has_a_message(void **state)
{
    (void)state;
    struct two two = make_two(FRAME);
    assert_ok(zcbi_ticket_lock_acquire(&two.used.a->tx.lock,
                                       NULL)); /* by another thread, which waits for room */
    two.call.channel = two.used.a;
    two.call.id = 1;
    two.call.bytes = 10;
    pthread_t sender = start_thread(run_send, &two.call);
    await_asleep(receiver_asleep(two.watched.b));
    assert_ok(send_filled(two.watched.a, 2, 10, NULL));
    join_thread(sender);
    assert_int_equal(two.call.error, ZCB_ERR_WATCHED);
    zcbi_ticket_lock_release(&two.used.a->tx.lock);
    assert_received(two.watched.b, 2, 10);
    assert_works(&two.used);
    free_two(&two);
}

static void the_close_of_the_watched_channel_ends_it_too(void **state)
{
    (void)state;
    for (int by_peer = 0; by_peer < 2; by_peer++) {
        struct two two = make_two(FRAME);
        two.call.channel = two.used.b;
        pthread_t receiver = start_thread(run_begin, &two.call);
        await_asleep(receiver_asleep(two.used.b));
        zcb_channel_close(by_peer ? two.watched.a : two.watched.b);
        join_thread(receiver);
        assert_int_equal(two.call.error, ZCB_ERR_WATCHED);
        free_two(&two);
    }
}

static void a_long_copy_ends_for_the_watched_channel_and_goes_on_elsewhere(void **state)
{
    (void)state;
    struct two two = make_two(8 * MIB);
    struct rest rest = {.channel = two.used.b, .bytes = 8 * MIB, .wait = two.call.wait};
    zcb_message message;
    rest.payload = malloc(8 * MIB);
    assert_ok(send_filled(two.used.a, 7, 8 * MIB, NULL));
    assert_ok(send_filled(two.watched.a, 1, 1, NULL));
    assert_ok(zcb_receive_begin(two.used.b, ZCB_WISH_COPY, &message, &rest.wait));
    read_rest(&rest);
    assert_int_equal(rest.error, ZCB_ERR_WATCHED);
    assert_in_range(rest.done, 1, 4 * MIB); /* soon, but not before it was worth it */
    size_t before = rest.done;
    read_rest(&rest);
    assert_int_equal(rest.error, ZCB_ERR_WATCHED);
    assert_true(rest.done > before); /* and each time some of it */
    rest.wait.watch = NULL;
    join_thread(start_thread(read_rest, &rest));
    assert_int_equal(rest.error, ZCB_OK);
    assert_true(is_message(&message, rest.payload));
    assert_ok(zcb_receive_end(two.used.b));
    free(rest.payload);
    free_two(&two);
}

static void a_long_write_ends_for_the_watched_channel_and_goes_on_elsewhere(void **state)
{
    (void)state;
    struct two two = make_two(8 * MIB);
    struct rest rest = {.channel = two.used.a, .bytes = 8 * MIB, .wait = two.call.wait};
    zcb_message message = message_of(7, 8 * MIB);
    rest.payload = malloc(8 * MIB);
    fill(rest.payload, 8 * MIB, 7);
    assert_ok(send_filled(two.watched.a, 1, 1, NULL));
    assert_ok(zcb_send_begin(two.used.a, &message, &rest.wait));
    write_rest(&rest);
    assert_int_equal(rest.error, ZCB_ERR_WATCHED);
    assert_in_range(rest.done, 1, 4 * MIB);
    assert_empty(two.used.b);
    rest.wait.watch = NULL;
    join_thread(start_thread(write_rest, &rest));
    assert_int_equal(rest.error, ZCB_OK);
    assert_ok(zcb_send_end(two.used.a));
    assert_received(two.used.b, 7, 8 * MIB);
    free(rest.payload);
    free_two(&two);
}

static void *send_counted(void *arg)
{
    struct call *call = arg;
    for (uint64_t i = 1; i <= call->bytes && !call->error; i++)
        call->error = send_filled(call->channel, i, i % 700, &call->wait);
    return NULL;
}

static void two_channels_are_served_by_one_thread_and_nothing_is_missed(void **state)
{
    (void)state;
    struct two two = make_two(FRAME);
    enum { COUNT = 3000 };
    struct call senders[2] = {{.channel = two.used.a, .wait = patience(), .bytes = COUNT},
                              {.channel = two.watched.a, .wait = patience(), .bytes = COUNT}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        threads[i] = start_thread(send_counted, &senders[i]);
    uint64_t used = 0, watched = 0;
    zcb_wait at_once = {0};
    while (used < COUNT || watched < COUNT) {
        zcb_message message;
        zcb_error error = ZCB_ERR_WATCHED;
        if (used < COUNT)
            error = zcb_receive_begin(two.used.b, ZCB_WISH_COPY, &message, &two.call.wait);
        if (!error) {
            assert_true(finish_by_copy(two.used.b, &message, &two.call.wait));
            assert_int_equal(message.id, ++used);
            continue;
        }
        assert_int_equal(error, ZCB_ERR_WATCHED);
        while (receive_right(two.watched.b, ZCB_WISH_COPY, &message,
                             used < COUNT ? &at_once : &senders[1].wait)) {
            assert_int_equal(message.id, ++watched);
            if (watched == COUNT)
                break;
        }
        if (watched == COUNT)
            two.call.wait.watch = NULL;
    }
    for (int i = 0; i < 2; i++) {
        join_thread(threads[i]);
        assert_int_equal(senders[i].error, ZCB_OK);
    }
    free_two(&two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_for_a_message_ends_when_the_watched_channel_has_one),
        cmocka_unit_test(what_is_there_goes_before_the_watched_channel),
        cmocka_unit_test(a_wait_for_room_ends_when_the_watched_channel_has_a_message),
        cmocka_unit_test(a_wait_in_line_ends_when_the_watched_channel_has_a_message),
        cmocka_unit_test(the_close_of_the_watched_channel_ends_it_too),
        cmocka_unit_test(a_long_copy_ends_for_the_watched_channel_and_goes_on_elsewhere),
        cmocka_unit_test(a_long_write_ends_for_the_watched_channel_and_goes_on_elsewhere),
        cmocka_unit_test(two_channels_are_served_by_one_thread_and_nothing_is_missed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
