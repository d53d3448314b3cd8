/* What is sent before anybody receives it: how much the frame holds, and who waits for room. */
#include "messages.h"

static void the_frame_queues_what_fits_and_refuses_the_rest_without_a_trace(void **state)
{
    struct pair *pair = *state;
    zcb_wait at_once = {0};
    uint64_t seed = 3, sent = 0, count = 0, lengths[4096];
    zcb_error error = ZCB_OK;
    while (!error) {
        lengths[count] = 1 + next_random(&seed) % (FRAME / 10);
        error = send_filled(pair->a, count + 1, lengths[count], &at_once);
        if (!error)
            sent += lengths[count++];
    }
    assert_int_equal(error, ZCB_ERR_TIMEOUT);
    assert_true(sent > FRAME - FRAME / 10 - count * 64);
    assert_ok(send_filled(pair->a, ++count, 1, &at_once));
    lengths[count - 1] = 1;
    for (uint64_t i = 0; i < count; i++)
        assert_received(pair->b, i + 1, lengths[i]);
    assert_empty(pair->b);
    assert_frame_is_free(pair);
}

static void one_message_of_the_frames_size_queues(void **state)
{
    struct pair *pair = *state;
    zcb_wait at_once = {0};
    assert_ok(send_filled(pair->a, 1, FRAME, &at_once));
    assert_int_equal(send_filled(pair->a, 2, 1, &at_once), ZCB_ERR_TIMEOUT);
    assert_ok(send_filled(pair->a, 3, 0, &at_once));
    assert_received(pair->b, 1, FRAME);
    assert_received(pair->b, 3, 0);
    assert_int_equal(send_filled(pair->a, 4, FRAME + 1, &at_once), ZCB_ERR_TIMEOUT);
    assert_empty(pair->b);
    assert_works(pair);
}

static void thousands_of_small_messages_queue(void **state)
{
    struct pair *pair = *state;
    zcb_wait at_once = {0};
    for (int round = 0; round < 3; round++) {
        uint64_t count = 0;
        uint64_t bytes = round == 0 ? 0 : 8;
        while (send_filled(pair->a, count + 1, bytes, &at_once) == ZCB_OK)
            count++;
        assert_true(count >= 4000);
        for (uint64_t i = 0; i < count; i++)
            assert_received(pair->b, i + 1, bytes);
        assert_empty(pair->b);
    }
    assert_frame_is_free(pair);
}

static void a_sender_that_waits_goes_on_when_there_is_room(void **state)
{
    struct pair *pair = *state;
    struct call call = {.channel = pair->a, .wait = patience(), .id = 3, .bytes = FRAME / 2 + 1};
    assert_ok(send_filled(pair->a, 1, FRAME / 2, NULL));
    assert_ok(send_filled(pair->a, 2, FRAME / 2, NULL));
    pthread_t sender = start_thread(run_send, &call);
    await_asleep(sender_asleep(pair->a));
    assert_received(pair->b, 1, FRAME / 2);
    assert_received(pair->b, 2, FRAME / 2);
    assert_received(pair->b, 3, FRAME / 2 + 1);
    join_thread(sender);
    assert_int_equal(call.error, ZCB_OK);
}

static void a_sender_that_waits_goes_on_when_a_lease_comes_back(void **state)
{
    struct pair *pair = *state;
    struct call call = {.channel = pair->a, .wait = patience(), .id = 2, .bytes = 100};
    zcb_message message;
    assert_ok(send_filled(pair->a, 1, FRAME, NULL));
    zcb_lease *lease = take_lease(pair->b, &message);
    pthread_t sender = start_thread(run_send, &call);
    await_asleep(sender_asleep(pair->a));
    zcb_lease_free(lease);
    join_thread(sender); /* nobody receives */
    assert_int_equal(call.error, ZCB_OK);
    assert_received(pair->b, 2, 100);
}

static void a_sender_that_waits_is_withdrawn_without_a_trace(void **state)
{
    struct pair *pair = *state;
    zcb_cancel *cancel;
    assert_ok(zcb_cancel_create(&cancel));
    struct call call = {.channel = pair->a, .wait = patience(), .id = 2, .bytes = LONGEST};
    call.wait.cancel = cancel;
    assert_ok(send_filled(pair->a, 1, FRAME, NULL));
    pthread_t sender = start_thread(run_send, &call);
    await_asleep(sender_asleep(pair->a));
    zcb_cancel_set(cancel);
    join_thread(sender);
    assert_int_equal(call.error, ZCB_ERR_CANCELLED);
    assert_received(pair->b, 1, FRAME);
    assert_empty(pair->b);
    assert_works(pair);
    zcb_cancel_free(cancel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_frame_queues_what_fits_and_refuses_the_rest_without_a_trace),
        TEST(one_message_of_the_frames_size_queues),
        TEST(thousands_of_small_messages_queue),
        TEST(a_sender_that_waits_goes_on_when_there_is_room),
        TEST(a_sender_that_waits_goes_on_when_a_lease_comes_back),
        TEST(a_sender_that_waits_is_withdrawn_without_a_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
