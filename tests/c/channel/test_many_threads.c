/* Many threads at one channel, at any moment. */
#include "messages.h"

#define SENDERS 4
#define EACH 250

struct crowd {
    zcb_channel *channel;
    _Atomic uint64_t ids; /* their sum */
    _Atomic uint64_t next;
    _Atomic uint64_t count, wrong;
};

static void *send_many(void *arg)
{
    struct crowd *crowd = arg;
    zcb_wait wait = patience();
    for (int i = 0; i < EACH; i++) {
        uint64_t id = atomic_fetch_add(&crowd->next, 1) + 1;
        uint64_t seed = id;
        uint64_t most = next_random(&seed) % 50 == 0 ? 2 * FRAME : 20000;
        if (send_filled(crowd->channel, id, next_random(&seed) % most, &wait))
            atomic_fetch_add(&crowd->wrong, 1);
    }
    return NULL;
}

static void *receive_some(void *arg)
{
    struct crowd *crowd = arg;
    zcb_wait wait = patience();
    zcb_message message;
    while (atomic_fetch_add(&crowd->count, 1) < (uint64_t)SENDERS * EACH) {
        zcb_wish wish = atomic_load(&crowd->count) % 2 ? ZCB_WISH_COPY : ZCB_WISH_LEASE;
        if (receive_right(crowd->channel, wish, &message, &wait))
            atomic_fetch_add(&crowd->ids, message.id);
        else
            atomic_fetch_add(&crowd->wrong, 1);
    }
    return NULL;
}

static void many_threads_on_one_channel_get_whole_messages(void **state)
{
    struct pair *pair = *state;
    struct crowd senders = {.channel = pair->a}, receivers = {.channel = pair->b};
    pthread_t threads[SENDERS + 3];
    for (int i = 0; i < SENDERS + 3; i++)
        threads[i] = i < SENDERS ? start_thread(send_many, &senders)
                                 : start_thread(receive_some, &receivers);
    for (int i = 0; i < SENDERS + 3; i++)
        join_thread(threads[i]);
    uint64_t all = SENDERS * EACH;
    assert_int_equal(senders.wrong, 0);
    assert_int_equal(receivers.wrong, 0);
    assert_int_equal(receivers.ids, all * (all + 1) / 2);
    assert_frame_is_free(pair);
}

static void both_directions_go_at_once(void **state)
{
    struct pair *pair = *state;
    struct crowd there = {.channel = pair->a}, back = {.channel = pair->b};
    pthread_t threads[10];
    for (int i = 0; i < SENDERS; i++) {
        threads[2 * i] = start_thread(send_many, &there);
        threads[2 * i + 1] = start_thread(send_many, &back);
    }
    threads[8] = start_thread(receive_some, &there);
    threads[9] = start_thread(receive_some, &back);
    for (int i = 0; i < 10; i++)
        join_thread(threads[i]);
    assert_int_equal(there.wrong + back.wrong, 0);
    uint64_t all = SENDERS * EACH;
    assert_int_equal(there.ids, all * (all + 1) / 2);
    assert_int_equal(back.ids, all * (all + 1) / 2);
}

static void a_sender_that_gives_up_at_any_moment_breaks_nothing(void **state)
{
    struct pair *pair = *state;
    struct call receive = {.channel = pair->b, .wait = patience()};
    uint64_t seed = 11, sent = 0, got = 0;
    for (int i = 0; i < 300; i++) {
        struct call call = {
            .channel = pair->a, .id = (uint64_t)i, .bytes = next_random(&seed) % LONGEST};
        call.wait =
            (zcb_wait){.deadline_ns = zcb_now_ns() + (int64_t)(next_random(&seed) % 1000000)};
        pthread_t sender = start_thread(run_send, &call);
        zcb_wait wait = {.deadline_ns = zcb_now_ns() + (int64_t)(next_random(&seed) % 1000000)};
        if (zcb_receive_begin(pair->b, ZCB_WISH_COPY, &receive.message, &wait) == ZCB_OK)
            got += finish_by_copy(pair->b, &receive.message, &receive.wait);
        join_thread(sender);
        sent += call.error == ZCB_OK;
        while (zcb_receive_begin(pair->b, ZCB_WISH_COPY, &receive.message, &(zcb_wait){0}) ==
               ZCB_OK)
            got += finish_by_copy(pair->b, &receive.message, &receive.wait);
    }
    assert_int_equal(got, sent);
    assert_works(pair);
    assert_frame_is_free(pair);
}

static void a_receiver_that_drops_at_any_moment_breaks_nothing(void **state)
{
    struct pair *pair = *state;
    uint64_t seed = 12;
    unsigned char *payload = malloc(LONGEST);
    for (int i = 0; i < 300; i++) {
        struct call call = {
            .channel = pair->a, .wait = patience(), .bytes = next_random(&seed) % LONGEST};
        pthread_t sender = start_thread(run_send, &call);
        assert_ok(zcb_receive_begin(pair->b, i % 2 ? ZCB_WISH_COPY : ZCB_WISH_LEASE, &call.message,
                                    NULL));
        uint64_t some = next_random(&seed) % (call.bytes + 1);
        assert_ok(zcb_receive_read(pair->b, payload, (size_t)some, NULL, &call.wait));
        zcb_receive_drop(pair->b);
        join_thread(sender);
        assert_true(call.error == ZCB_OK || call.error == ZCB_ERR_REFUSED);
        assert_empty(pair->b);
    }
    free(payload);
    assert_works(pair);
    assert_frame_is_free(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(many_threads_on_one_channel_get_whole_messages),
        TEST(both_directions_go_at_once),
        TEST(a_sender_that_gives_up_at_any_moment_breaks_nothing),
        TEST(a_receiver_that_drops_at_any_moment_breaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
