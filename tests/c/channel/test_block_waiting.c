/* Blocks: who waits for room in the frame. */
#include "blocks.h"

struct call {
    zcb_channel *channel;
    zcb_wait wait;
    uint64_t bytes;
    zcb_block *block;
    zcb_error error;
};

static void *allocate_here(void *arg)
{
    struct call *call = arg;
    call->error = zcb_block_allocate(call->channel, call->bytes, &call->block, &call->wait);
    return NULL;
}

static void *free_here(void *block)
{
    zcb_block_free(block);
    return NULL;
}

/* Somebody waits for the whole frame, while one byte of it is taken. */
static pthread_t start_waiting(struct call *call)
{
    pthread_t thread = start_thread(allocate_here, call);
    await_asleep(sender_asleep(call->channel));
    return thread;
}

static void assert_has_frame(struct call *call, pthread_t thread)
{
    join_thread(thread);
    assert_int_equal(call->error, ZCB_OK);
    assert_int_equal(zcb_block_bytes(call->block), FRAME);
    zcb_block_free(call->block);
    assert_frame_is_whole(call->channel);
}

static void who_waits_for_room_is_woken_by_a_freed_block(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate_filled(pair->a, 1, 1);
    struct call call = {.channel = pair->a, .wait = patience(), .bytes = FRAME};
    pthread_t waiter = start_waiting(&call);
    join_thread(start_thread(free_here, block));
    assert_has_frame(&call, waiter);
}

static void who_waits_for_room_is_woken_by_a_lease_that_comes_back(void **state)
{
    struct pair *pair = *state;
    unsigned char byte;
    fill(&byte, 1, 1);
    assert_ok(send_payload(pair->a, 1, &byte, 1));
    zcb_lease *lease = take_lease_of(pair->b, 1, 1);
    struct call call = {.channel = pair->a, .wait = patience(), .bytes = FRAME};
    pthread_t waiter = start_waiting(&call);
    zcb_lease_free(lease);
    assert_has_frame(&call, waiter);
}

static void who_waits_for_room_is_woken_by_a_message_that_is_read(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate_filled(pair->a, 1, 1);
    assert_ok(send_payload(pair->a, 1, zcb_block_data(block), 1));
    zcb_block_free(block);
    struct call call = {.channel = pair->a, .wait = patience(), .bytes = FRAME};
    pthread_t waiter = start_waiting(&call);
    assert_true(copies(pair->b, 1, 1));
    assert_has_frame(&call, waiter);
}

static void *send_here(void *arg)
{
    struct call *call = arg;
    unsigned char byte;
    fill(&byte, 1, 1);
    call->error = send_payload(call->channel, 1, &byte, 1);
    return NULL;
}

static void a_sender_that_waits_goes_on_when_a_block_is_freed(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate_filled(pair->a, FRAME, 1);
    struct call call = {.channel = pair->a};
    pthread_t sender = start_thread(send_here, &call);
    await_asleep(sender_asleep(pair->a));
    join_thread(start_thread(free_here, block));
    join_thread(sender);
    assert_int_equal(call.error, ZCB_OK);
    assert_true(copies(pair->b, 1, 1));
    assert_frame_is_whole(pair->a);
}

static void a_wait_for_room_ends_by_timeout_and_cancel(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate_filled(pair->a, FRAME, 1), *none = NULL;
    zcb_wait briefly = within_ms(5);
    assert_int_equal(zcb_block_allocate(pair->a, 1, &none, &briefly), ZCB_ERR_TIMEOUT);
    assert_true(zcb_now_ns() >= briefly.deadline_ns);
    struct call call = {.channel = pair->a, .wait = patience(), .bytes = 1};
    assert_ok(zcb_cancel_create(&call.wait.cancel));
    pthread_t waiter = start_waiting(&call);
    zcb_cancel_set(call.wait.cancel);
    join_thread(waiter);
    assert_int_equal(call.error, ZCB_ERR_CANCELLED);
    zcb_cancel_free(call.wait.cancel);
    zcb_block_free(block);
    assert_frame_is_whole(pair->a);
}

static void a_wait_for_room_ends_by_the_close_of_either_side(void **state)
{
    (void)state;
    for (int by_peer = 0; by_peer < 2; by_peer++) {
        struct pair pair = make_pair(FRAME, WINDOW);
        zcb_block *block = allocate_filled(pair.a, FRAME, 1), *none = NULL;
        struct call call = {.channel = pair.a, .wait = patience(), .bytes = 1};
        pthread_t waiter = start_waiting(&call);
        zcb_channel_close(by_peer ? pair.b : pair.a);
        join_thread(waiter);
        assert_int_equal(call.error, by_peer ? ZCB_ERR_PEER_CLOSED : ZCB_ERR_CLOSED);
        assert_int_equal(zcb_block_allocate(pair.a, 1, &none, NULL), call.error);
        assert_int_equal(send_payload(pair.a, 1, zcb_block_data(block), FRAME), call.error);
        free_pair(&pair);
        zcb_block_free(block);
    }
}

static void a_send_of_a_block_that_gives_up_can_be_made_again(void **state)
{
    struct pair *pair = *state;
    zcb_wait at_once = {0};
    zcb_message message = {.kind = ZCB_KIND_BYTES, .id = 1, .bytes = 100};
    zcb_block *block = allocate_filled(pair->a, 100, 1);
    unsigned queued = 0;
    while (zcb_send(pair->a, &(zcb_message){.kind = ZCB_KIND_BYTES, .id = 9}, NULL, &at_once) ==
           ZCB_OK)
        queued++; /* until the ring of descriptors is full */
    assert_int_equal(zcb_send(pair->a, &message, zcb_block_data(block), &at_once), ZCB_ERR_TIMEOUT);
    assert_true(copies(pair->b, 9, 0));
    assert_ok(zcb_send(pair->a, &message, zcb_block_data(block), &at_once));
    while (--queued > 0)
        assert_true(copies(pair->b, 9, 0));
    assert_taken(pair->b, 1, 100, zcb_block_data(block), true);
    zcb_block_free(block);
    assert_frame_is_whole(pair->a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_waits_for_room_is_woken_by_a_freed_block),
        TEST(who_waits_for_room_is_woken_by_a_lease_that_comes_back),
        TEST(who_waits_for_room_is_woken_by_a_message_that_is_read),
        TEST(a_sender_that_waits_goes_on_when_a_block_is_freed),
        TEST(a_wait_for_room_ends_by_timeout_and_cancel),
        TEST(a_wait_for_room_ends_by_the_close_of_either_side),
        TEST(a_send_of_a_block_that_gives_up_can_be_made_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
