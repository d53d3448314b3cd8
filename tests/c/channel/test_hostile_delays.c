/* A peer that would let no call end: messages without end, room that never comes, bells that block. */
#include "channel/block.h"
#include "flood.h"
#include "hostile.h"

/* The message's first part is taken; all others are there as fast as they are taken. */
static void begin_message_without_end(struct pair *pair, struct flood *flood)
{
    zcb_message message;
    struct descriptor first = {
        .kind = 1, .message_bytes = UINT64_MAX, .bytes = 1, .marks = MARK_FIRST};
    *flood = (struct flood){.victim = pair->a, .part = {.bytes = 1}};
    publish(pair, &first);
    assert_ok(begin_at_once(pair, &message));
}

static void a_message_without_end_holds_no_call_beyond_its_deadline(void **state)
{
    (void)state;
    struct pair pair = make_hostile_pair();
    struct flood flood;
    zcb_message message;
    zcb_wait at_once = {0};
    static unsigned char destination[64 * RING_ENTRIES];
    begin_message_without_end(&pair, &flood);
    start_flood(&flood);
    for (int i = 0; i < TRIES; i++) {
        size_t done = 0;
        await_flow(&flood);
        assert_int_equal(
            zcb_receive_read(pair.a, destination, sizeof(destination), &done, &at_once),
            ZCB_ERR_TIMEOUT);
        assert_in_range(done, 0, 1 + RING_ENTRIES);
    }
    uint64_t tail = pair.a->rx.tail;
    zcb_receive_drop(pair.a);
    assert_true(pair.a->rx.tail - tail <= RING_ENTRIES);
    tail = pair.a->rx.tail;
    assert_int_equal(begin_at_once(&pair, &message), ZCB_ERR_TIMEOUT);
    assert_true(pair.a->rx.tail - tail <= RING_ENTRIES);
    stop_flood(&flood);
    free_pair(&pair);
}

static void a_cancel_ends_the_discarding_of_a_message_without_end(void **state)
{
    (void)state;
    struct pair pair = make_hostile_pair();
    struct flood flood;
    zcb_message message;
    zcb_wait wait = patience();
    begin_message_without_end(&pair, &flood);
    zcb_receive_drop(pair.a);
    start_flood(&flood);
    assert_ok(zcb_cancel_create(&wait.cancel));
    zcb_cancel_set(wait.cancel);
    uint64_t tail = pair.a->rx.tail;
    assert_int_equal(zcb_receive_begin(pair.a, ZCB_WISH_COPY, &message, &wait), ZCB_ERR_CANCELLED);
    assert_int_equal(pair.a->rx.tail, tail);
    stop_flood(&flood);
    zcb_cancel_free(wait.cancel);
    free_pair(&pair);
}

static void a_sender_times_out_when_the_window_is_never_given_back(void **state)
{
    (void)state;
    struct pair pair = make_hostile_pair();
    zcbi_rx_expect(pair.b, ZCB_WISH_COPY);
    assert_ok(send_at_once(&pair, WINDOW));
    atomic_store(&pair.b->rx.control->tail, pair.a->tx.head); /* taken, and kept */
    assert_int_equal(send_at_once(&pair, WINDOW), ZCB_ERR_TIMEOUT);
    free_pair(&pair);
}

#if !defined(_WIN32)

static void a_bell_that_was_made_to_block_is_cleared_without_waiting(void **state)
{
    (void)state;
    struct pair pair = make_hostile_pair();
    plat_handle bell = pair.a->rx.data_bell;
    assert_int_equal(fcntl((int)bell, F_SETFL, 0), 0);
    zcbi_plat_event_clear(bell); /* nothing is in it */
    zcbi_plat_event_set(bell);
    zcbi_plat_event_clear(bell);
    unsigned ready;
    assert_int_equal(zcbi_plat_wait(&bell, 1, 0, &ready), ZCB_ERR_TIMEOUT);
    free_pair(&pair);
}

static void *send_once(void *arg)
{
    struct pair *pair = arg;
    zcb_wait wait = patience();
    static zcb_error error;
    error = zcb_send(pair->a, &(zcb_message){.kind = ZCB_KIND_BYTES}, NULL, &wait);
    return &error;
}

static void closing_frees_a_thread_that_a_full_bell_blocks(void **state)
{
    (void)state;
    struct pair pair = make_hostile_pair();
    for (int i = 0; i < BELLS; i++) {
        int bell = (int)pair.a->region->bells[i];
        uint64_t most = UINT64_MAX - 1;
        assert_int_equal(write(bell, &most, sizeof(most)), sizeof(most));
        assert_int_equal(fcntl(bell, F_SETFL, 0), 0);
    }
    atomic_store(&pair.b->rx.control->consumer_asleep, SLEEP_BELL); /* so it rings */
    pthread_t thread = start_thread(send_once, &pair);
    zcb_channel_close(pair.a);
    void *error;
    pthread_join(thread, &error);
    assert_true(*(zcb_error *)error == ZCB_OK || *(zcb_error *)error == ZCB_ERR_CLOSED);
    free_pair(&pair);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_without_end_holds_no_call_beyond_its_deadline),
        cmocka_unit_test(a_cancel_ends_the_discarding_of_a_message_without_end),
        cmocka_unit_test(a_sender_times_out_when_the_window_is_never_given_back),
        ON_POSIX(a_bell_that_was_made_to_block_is_cleared_without_waiting, NO_DESCRIPTOR_FLAGS),
        ON_POSIX(closing_frees_a_thread_that_a_full_bell_blocks, NO_DESCRIPTOR_FLAGS),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
