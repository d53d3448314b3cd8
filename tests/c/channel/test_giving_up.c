/* Giving up half-way: either side drops, times out, is cancelled or interrupted, or has no memory. */
#include "channel/block.h"
#include "messages.h"

static void dropping_half_way_tells_the_sender(void **state)
{
    struct pair *pair = *state;
    for (int i = 0; i < 50; i++) {
        struct call call = {.channel = pair->a, .wait = patience(), .id = 6, .bytes = LONGEST};
        pthread_t sender = start_thread(run_send, &call);
        zcb_message message;
        unsigned char some[100];
        assert_ok(zcb_receive_begin(pair->b, i % 2 ? ZCB_WISH_COPY : ZCB_WISH_LEASE, &message,
                                    &call.wait));
        assert_ok(zcb_receive_read(pair->b, some, (size_t)i, NULL, &call.wait));
        zcb_receive_drop(pair->b);
        join_thread(sender);
        assert_int_equal(call.error, ZCB_ERR_REFUSED);
        assert_works(pair);
    }
    assert_frame_is_free(pair);
}

static void dropping_a_whole_message_that_still_arrives_tells_the_sender(void **state)
{
    struct pair *pair = *state;
    unsigned char *payload = calloc(1, FRAME), some[100];
    zcb_message message;
    for (int i = 0; i < 2; i++) {
        size_t written = 0;
        send_a_part(pair, 1, payload, FRAME / 2);
        assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_LEASE, &message, NULL));
        assert_ok(zcb_receive_read(pair->b, some, i == 0 ? 0 : sizeof(some), NULL, NULL));
        zcb_receive_drop(pair->b);
        zcb_error error = zcbi_tx_write(pair->a, payload + FRAME / 2, FRAME / 2, &written, NULL);
        assert_int_equal(error, ZCB_ERR_REFUSED);
        zcbi_tx_abort(pair->a);
        zcbi_ticket_lock_release(&pair->a->tx.lock);
        assert_empty(pair->b); /* which gives the block back */
        assert_works(pair);
    }
    free(payload);
    assert_frame_is_free(pair);
}

static void a_dropped_message_whose_sender_is_done_is_discarded(void **state)
{
    struct pair *pair = *state;
    unsigned char *payload = calloc(1, FRAME);
    zcb_message message;
    size_t written = 0;
    send_a_part(pair, 1, payload, FRAME - 1);
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_LEASE, &message, NULL));
    /* The sender does not look any more between these two. */
    assert_ok(zcbi_tx_write(pair->a, payload + FRAME - 1, 1, &written, NULL));
    zcb_receive_drop(pair->b);
    zcbi_ticket_lock_release(&pair->a->tx.lock);
    assert_works(pair);
    assert_ok(send_filled(pair->a, 2, 0, NULL));
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL));
    zcb_receive_drop(pair->b);
    assert_works(pair);
    free(payload);
    assert_frame_is_free(pair);
}

static void assert_aborted(struct pair *pair)
{
    unsigned char *rest = malloc(LONGEST);
    zcb_wait wait = patience();
    assert_int_equal(zcb_receive_read(pair->b, rest, LONGEST - 100, NULL, &wait), ZCB_ERR_ABORTED);
    zcb_receive_drop(pair->b);
    free(rest);
    assert_works(pair);
    assert_frame_is_free(pair);
}

static void a_sender_that_times_out_half_way_aborts_the_message(void **state)
{
    struct pair *pair = *state;
    struct call call = {.channel = pair->a, .wait = within_ms(100), .id = 6, .bytes = LONGEST};
    pthread_t sender = start_stuck_sender(pair, &call, 100);
    join_thread(sender);
    assert_int_equal(call.error, ZCB_ERR_TIMEOUT);
    assert_true(zcb_now_ns() >= call.wait.deadline_ns);
    assert_aborted(pair);
}

static void a_sender_that_is_cancelled_half_way_aborts_the_message(void **state)
{
    struct pair *pair = *state;
    struct call call = {.channel = pair->a, .wait = patience(), .id = 6, .bytes = LONGEST};
    assert_ok(zcb_cancel_create(&call.wait.cancel));
    pthread_t sender = start_stuck_sender(pair, &call, 100);
    zcb_cancel_set(call.wait.cancel);
    join_thread(sender);
    assert_int_equal(call.error, ZCB_ERR_CANCELLED);
    zcb_cancel_free(call.wait.cancel);
    assert_aborted(pair);
}

#if !defined(_WIN32)

struct question {
    _Atomic int is_yes, was_asked;
};

static int say_yes(void *arg)
{
    struct question *question = arg;
    if (!atomic_load(&question->is_yes))
        return 0;
    atomic_store(&question->was_asked, 1);
    return 1;
}

static void a_sender_that_is_interrupted_half_way_aborts_the_message(void **state)
{
    struct pair *pair = *state;
    let_signal_interrupt(SIGUSR1);
    struct question question = {0};
    struct call call = {.channel = pair->a, .wait = patience(), .id = 6, .bytes = LONGEST};
    call.wait.interrupted = say_yes;
    call.wait.arg = &question;
    pthread_t sender = start_stuck_sender(pair, &call, 100);
    atomic_store(&question.is_yes, 1);
    while (!atomic_load(&question.was_asked))
        pthread_kill(sender, SIGUSR1);
    join_thread(sender);
    assert_int_equal(call.error, ZCB_ERR_INTERRUPTED);
    assert_aborted(pair);
}

#endif

static void a_whole_message_that_is_given_up_half_way_is_aborted(void **state)
{
    struct pair *pair = *state;
    unsigned char *payload = calloc(1, FRAME);
    zcb_message message;
    zcb_lease *lease;
    zcb_wait wait = patience();
    for (int held = 0; held < 2; held++) {
        send_a_part(pair, 1, payload, FRAME / 2);
        assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_LEASE, &message, NULL));
        zcbi_tx_abort(pair->a);
        zcbi_ticket_lock_release(&pair->a->tx.lock);
        zcb_error error = held ? zcb_receive_lease(pair->b, &lease, &wait)
                               : zcb_receive_read(pair->b, payload, FRAME, NULL, &wait);
        assert_int_equal(error, ZCB_ERR_ABORTED);
        zcb_receive_drop(pair->b);
        assert_works(pair);
    }
    free(payload);
    assert_frame_is_free(pair);
}

static void a_read_that_times_out_and_drops_leaves_the_channel_working(void **state)
{
    struct pair *pair = *state;
    unsigned char *payload = calloc(1, FRAME);
    zcb_message message;
    zcb_wait at_once = {0};
    send_a_part(pair, 1, payload, FRAME / 2);
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_LEASE, &message, NULL));
    assert_int_equal(zcb_receive_read(pair->b, payload, FRAME, NULL, &at_once), ZCB_ERR_TIMEOUT);
    zcb_receive_drop(pair->b);
    assert_int_equal(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, &at_once),
                     ZCB_ERR_TIMEOUT);
    zcbi_tx_abort(pair->a);
    zcbi_ticket_lock_release(&pair->a->tx.lock);
    assert_empty(pair->b);
    assert_works(pair);
    free(payload);
}

static void an_abort_needs_no_memory(void **state)
{
    struct pair *pair = *state;
    plat_memory *memory = &pair->a->region->memory;
    plat_handle handle = memory->handle, no_file;
    unsigned char *payload = calloc(1, FRAME);
    assert_ok(zcbi_plat_event_create(&no_file));
    /* On both sides of the place where the next page of the ring is missing. */
    for (uint64_t i = 0; i < 140; i++) {
        zcb_message message;
        if (i == 35) {
            assert_ok(send_filled(pair->a, 1, 0, NULL));
            assert_received(pair->b, 1, 0);
        }
        send_a_part(pair, i, payload, FRAME / 2);
        memory->handle = no_file;
        zcbi_tx_abort(pair->a);
        memory->handle = handle;
        zcbi_ticket_lock_release(&pair->a->tx.lock);
        assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL));
        assert_int_equal(zcb_receive_read(pair->b, payload, FRAME, NULL, NULL), ZCB_ERR_ABORTED);
        zcb_receive_drop(pair->b);
    }
    zcbi_plat_close(no_file);
    free(payload);
    assert_works(pair);
}

static void a_full_ring_leaves_room_for_the_end_of_a_message(void **state)
{
    struct pair *pair = *state;
    unsigned char *payload = calloc(1, FRAME);
    zcb_wait wait = patience();
    for (int ended = 0; ended < 2; ended++) {
        zcb_message message;
        size_t written = 0;
        send_a_part(pair, 1, payload, FRAME / 2);
        for (unsigned i = 0; i < RING_ENTRIES + 10;
             i++) /* each shows by itself, while the ring has room */
            assert_ok(zcbi_tx_write(pair->a, payload, 1, &written, NULL));
        if (ended)
            assert_ok(zcbi_tx_write(pair->a, payload, FRAME / 2 - written, &written, NULL));
        else
            zcbi_tx_abort(pair->a);
        zcbi_ticket_lock_release(&pair->a->tx.lock);
        assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, &wait));
        assert_int_equal(zcb_receive_read(pair->b, payload, FRAME, NULL, &wait),
                         ended ? ZCB_OK : ZCB_ERR_ABORTED);
        if (ended)
            assert_ok(zcb_receive_end(pair->b));
        else
            zcb_receive_drop(pair->b);
        assert_works(pair);
    }
    free(payload);
    assert_frame_is_free(pair);
}

static void without_memory_a_message_is_withdrawn(void **state)
{
    struct pair *pair = *state;
    plat_memory *memory = &pair->a->region->memory;
    plat_memory kept = take_memory_away(memory);
    assert_int_not_equal(send_filled(pair->a, 1, 100, NULL), ZCB_OK);
    assert_int_not_equal(send_filled(pair->a, 1, 0, NULL), ZCB_OK);
    give_memory_back(memory, kept);
    assert_empty(pair->b);
    assert_works(pair);
    assert_frame_is_free(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(dropping_half_way_tells_the_sender),
        TEST(dropping_a_whole_message_that_still_arrives_tells_the_sender),
        TEST(a_dropped_message_whose_sender_is_done_is_discarded),
        TEST(a_sender_that_times_out_half_way_aborts_the_message),
        TEST(a_sender_that_is_cancelled_half_way_aborts_the_message),
        TEST_ON_POSIX(a_sender_that_is_interrupted_half_way_aborts_the_message, NO_SIGNALS),
        TEST(a_whole_message_that_is_given_up_half_way_is_aborted),
        TEST(a_read_that_times_out_and_drops_leaves_the_channel_working),
        TEST(an_abort_needs_no_memory),
        TEST(a_full_ring_leaves_room_for_the_end_of_a_message),
        TEST(without_memory_a_message_is_withdrawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
