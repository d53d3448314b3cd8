/* Leases: messages that are held in place. */
#include "messages.h"

static void leases_come_back_in_any_order(void **state)
{
    struct pair *pair = *state;
    zcb_lease *leases[32] = {NULL};
    zcb_message messages[32];
    uint64_t seed = 5;
    for (uint64_t i = 1; i <= 3000; i++) {
        unsigned slot = (unsigned)(next_random(&seed) % 32);
        if (leases[slot]) {
            assert_true(is_message(&messages[slot], zcb_lease_data(leases[slot])));
            zcb_lease_free(leases[slot]);
        }
        assert_ok(send_filled(pair->a, i, next_random(&seed) % (FRAME / 64), NULL));
        leases[slot] = take_lease(pair->b, &messages[slot]);
    }
    for (int slot = 31; slot >= 0; slot--) {
        if (leases[slot])
            assert_true(is_message(&messages[slot], zcb_lease_data(leases[slot])));
        zcb_lease_free(leases[slot]);
    }
    assert_frame_is_free(pair);
}

static void *receive_many(void *arg)
{
    struct call *call = arg;
    for (uint64_t i = 0; i < call->id; i++)
        if (!receive_right(call->channel, ZCB_WISH_COPY, &call->message, &call->wait))
            call->error = ZCB_ERR_INVALID;
    return NULL;
}

static void a_lease_is_held_while_a_thousand_messages_pass(void **state)
{
    struct pair *pair = *state;
    zcb_message message;
    zcb_wait wait = patience();
    assert_ok(send_filled(pair->a, 9, FRAME, NULL)); /* all of the frame: the rest must stream */
    zcb_lease *lease = take_lease(pair->b, &message);
    struct call call = {.channel = pair->b, .wait = wait, .id = 1000};
    pthread_t receiver = start_thread(receive_many, &call);
    uint64_t seed = 8;
    for (uint64_t i = 0; i < 1000; i++)
        assert_ok(
            send_filled(pair->a, i, next_random(&seed) % (i % 100 ? 3000 : FRAME + 5), &wait));
    join_thread(receiver);
    assert_int_equal(call.error, ZCB_OK);
    assert_true(is_message(&message, zcb_lease_data(lease)));
    zcb_lease_free(lease);
    assert_frame_is_free(pair);
}

static void a_message_beyond_the_frame_cannot_be_held_but_read(void **state)
{
    struct pair *pair = *state;
    struct call call = {.channel = pair->a, .wait = patience(), .id = 6, .bytes = FRAME + 1};
    pthread_t sender = start_thread(run_send, &call);
    zcb_message message;
    zcb_lease *lease = NULL;
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_LEASE, &message, &call.wait));
    assert_int_equal(zcb_receive_lease(pair->b, &lease, &call.wait), ZCB_ERR_TOO_LARGE);
    assert_null(lease);
    assert_true(finish_by_copy(pair->b, &message, &call.wait));
    join_thread(sender);
    assert_int_equal(call.error, ZCB_OK);
}

static void a_message_is_held_while_its_sender_still_writes_it(void **state)
{
    struct pair *pair = *state;
    struct call call = {.channel = pair->a, .wait = patience(), .id = 6, .bytes = FRAME};
    for (int i = 0; i < 20; i++) {
        pthread_t sender = start_thread(run_send, &call);
        zcb_message message;
        zcb_lease_free(take_lease(pair->b, &message));
        join_thread(sender);
        assert_int_equal(call.error, ZCB_OK);
    }
}

static void a_lease_is_taken_once_and_before_reading(void **state)
{
    struct pair *pair = *state;
    zcb_message message;
    zcb_lease *lease, *second;
    unsigned char byte;
    assert_ok(send_filled(pair->a, 1, 10, NULL));
    assert_ok(send_filled(pair->a, 2, 10, NULL));
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_LEASE, &message, NULL));
    assert_ok(zcb_receive_lease(pair->b, &lease, NULL));
    assert_int_equal(zcb_receive_lease(pair->b, &second, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_receive_read(pair->b, &byte, 1, NULL, NULL), ZCB_ERR_INVALID);
    zcb_receive_drop(pair->b); /* the lease stays */
    assert_true(is_message(&message, zcb_lease_data(lease)));
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_LEASE, &message, NULL));
    assert_ok(zcb_receive_read(pair->b, &byte, 1, NULL, NULL));
    assert_int_equal(zcb_receive_lease(pair->b, &second, NULL), ZCB_ERR_INVALID);
    zcb_receive_drop(pair->b);
    zcb_lease_free(lease);
    assert_frame_is_free(pair);
}

static void a_lease_outlives_both_ends(void **state)
{
    (void)state;
    unsigned before = open_descriptors();
    struct pair pair;
    zcb_message message, empty;
    assert_ok(zcb_channel_pair(NULL, &pair.a, &pair.b));
    assert_ok(send_filled(pair.a, 1, FRAME, NULL));
    assert_ok(send_filled(pair.a, 2, 0, NULL));
    zcb_lease *lease = take_lease(pair.b, &message);
    zcb_lease *nothing = take_lease(pair.b, &empty);
    zcb_channel_free(pair.b);
    assert_int_equal(send_filled(pair.a, 3, 1, NULL), ZCB_ERR_PEER_CLOSED);
    zcb_channel_free(pair.a);
    assert_true(is_message(&message, zcb_lease_data(lease)));
    zcb_lease_free(lease);
    zcb_lease_free(nothing);
    assert_int_equal(open_descriptors(), before);
}

static void *free_lease(void *lease)
{
    zcb_lease_free(lease);
    return NULL;
}

static void leases_come_back_from_any_thread(void **state)
{
    struct pair *pair = *state;
    zcb_message message;
    zcb_wait wait = patience();
    for (uint64_t i = 0; i < 100; i++) {
        pthread_t threads[3];
        for (int k = 0; k < 3; k++) {
            assert_ok(send_filled(pair->a, i, FRAME / 3 - 64, &wait));
            threads[k] = start_thread(free_lease, take_lease(pair->b, &message));
        }
        for (int k = 0; k < 3; k++)
            join_thread(threads[k]);
    }
    assert_frame_is_free(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(leases_come_back_in_any_order),
        TEST(a_lease_is_held_while_a_thousand_messages_pass),
        TEST(a_message_beyond_the_frame_cannot_be_held_but_read),
        TEST(a_message_is_held_while_its_sender_still_writes_it),
        TEST(a_lease_is_taken_once_and_before_reading),
        cmocka_unit_test(a_lease_outlives_both_ends),
        TEST(leases_come_back_from_any_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
