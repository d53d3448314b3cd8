/* Blocks: memory of the frame that is filled in place and sent without a copy. Both ends are in this process
 * and share one mapping, so that a message in place has the address of its block. */
#include "support.h"

#define FRAME (UINT64_C(1) << 20)
#define WINDOW (UINT64_C(256) << 10)

struct pair {
    zcb_channel *a, *b;
};

static struct pair make_pair(void)
{
    struct pair pair;
    zcb_channel_options options = {.frame_bytes = FRAME, .window_bytes = WINDOW};
    assert_ok(zcb_channel_pair(&options, &pair.a, &pair.b));
    return pair;
}

static int set_up(void **state)
{
    static struct pair pair;
    pair = make_pair();
    *state = &pair;
    return 0;
}

static int tear_down(void **state)
{
    struct pair *pair = *state;
    zcb_channel_free(pair->a);
    zcb_channel_free(pair->b);
    return 0;
}

/* ---- blocks and messages whose contents follow from their ids ---- */

static zcb_block *allocate(zcb_channel *channel, uint64_t bytes, uint64_t id)
{
    zcb_block *block = NULL;
    zcb_wait wait = patience();
    assert_ok(zcb_block_allocate(channel, bytes, &block, &wait));
    assert_int_equal(zcb_block_bytes(block), bytes);
    fill(zcb_block_data(block), (size_t)bytes, id);
    return block;
}

static zcb_error allocate_at_once(zcb_channel *channel, uint64_t bytes, zcb_block **block)
{
    zcb_wait at_once = {0};
    return zcb_block_allocate(channel, bytes, block, &at_once);
}

static zcb_error send(zcb_channel *channel, uint64_t id, const void *payload, uint64_t bytes)
{
    zcb_wait wait = patience();
    zcb_message message = {.kind = ZCB_KIND_BYTES, .id = id, .bytes = bytes};
    return zcb_send(channel, &message, payload, &wait);
}

static zcb_lease *take_lease(zcb_channel *channel, uint64_t id, uint64_t bytes)
{
    zcb_message message;
    zcb_lease *lease = NULL;
    zcb_wait wait = patience();
    assert_ok(zcb_receive_begin(channel, ZCB_WISH_LEASE, &message, &wait));
    assert_int_equal(message.id, id);
    assert_int_equal(message.bytes, bytes);
    assert_ok(zcb_receive_lease(channel, &lease, &wait));
    assert_ok(zcb_receive_end(channel));
    return lease;
}

static bool copies(zcb_channel *channel, uint64_t id, uint64_t bytes)
{
    zcb_message message;
    zcb_wait wait = patience();
    unsigned char *copy = malloc((size_t)bytes + 1);
    bool right = zcb_receive_begin(channel, ZCB_WISH_COPY, &message, &wait) == ZCB_OK &&
                 message.id == id && message.bytes == bytes &&
                 zcb_receive_read(channel, copy, (size_t)bytes, NULL, &wait) == ZCB_OK &&
                 is_filled(copy, (size_t)bytes, id) && zcb_receive_end(channel) == ZCB_OK;
    free(copy);
    return right;
}

/* The receiver holds it where the sender filled it, or elsewhere. */
static void assert_taken(zcb_channel *channel, uint64_t id, uint64_t bytes, const void *place,
                         bool in_place)
{
    zcb_lease *lease = take_lease(channel, id, bytes);
    assert_true((zcb_lease_data(lease) == place) == in_place);
    assert_true(is_filled(zcb_lease_data(lease), (size_t)bytes, id));
    zcb_lease_free(lease);
}

/* No byte of the frame is lost or taken twice. */
static void assert_frame_is_free(zcb_channel *channel)
{
    zcb_block *whole = NULL;
    assert_ok(allocate_at_once(channel, FRAME, &whole));
    zcb_block_free(whole);
}

static void assert_frame_is_taken(zcb_channel *channel)
{
    zcb_block *block;
    assert_int_equal(allocate_at_once(channel, 1, &block), ZCB_ERR_TIMEOUT);
}

/* ---------------------------------------------------------------- in place */

static void a_filled_block_is_sent_without_a_copy(void **state)
{
    struct pair *pair = *state;
    const uint64_t sizes[] = {1, 64, 1000, 65536, 300000, FRAME};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        zcb_block *block = allocate(pair->a, sizes[i], i + 1);
        assert_ok(send(pair->a, i + 1, zcb_block_data(block), sizes[i]));
        assert_taken(pair->b, i + 1, sizes[i], zcb_block_data(block), true);
        zcb_block_free(block);
    }
    zcb_block *block = allocate(pair->b, 10, 77); /* the other direction */
    assert_ok(send(pair->b, 77, zcb_block_data(block), 10));
    assert_taken(pair->a, 77, 10, zcb_block_data(block), true);
    zcb_block_free(block);
    assert_frame_is_free(pair->a);
    assert_frame_is_free(pair->b);
}

static void a_shorter_message_from_its_beginning_is_sent_in_place(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate(pair->a, 5000, 1);
    assert_ok(send(pair->a, 1, zcb_block_data(block), 1));
    assert_taken(pair->b, 1, 1, zcb_block_data(block), true);
    zcb_block_free(block);
    assert_frame_is_free(pair->a);
}

static void *copy_here(void *arg)
{
    zcb_channel *channel = arg;
    return copies(channel, 1, FRAME / 2) ? arg : NULL;
}

static void a_block_goes_whole_although_its_receiver_will_copy_it(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate(pair->a, FRAME / 2, 1);
    pthread_t receiver = start_thread(copy_here, pair->b);
    await_asleep(&pair->b->rx.control->consumer_asleep);
    assert_ok(send(pair->a, 1, zcb_block_data(block), FRAME / 2));
    void *right;
    pthread_join(receiver, &right);
    assert_non_null(right);
    assert_false(pair->a->tx.now.streaming);
    zcb_block_free(block);
    assert_frame_is_free(pair->a);
}

static void blocks_and_copied_messages_arrive_in_order(void **state)
{
    struct pair *pair = *state;
    unsigned char copied[100];
    zcb_block *late = allocate(pair->a, 100, 2), *early = allocate(pair->a, 100, 4);
    fill(copied, 100, 1);
    assert_ok(send(pair->a, 1, copied, 100));
    assert_ok(send(pair->a, 2, zcb_block_data(late), 100));
    fill(copied, 100, 3);
    assert_ok(send(pair->a, 3, copied, 100));
    assert_ok(send(pair->a, 4, zcb_block_data(early), 100));
    for (uint64_t id = 1; id <= 4; id++)
        assert_true(copies(pair->b, id, 100));
    zcb_block_free(early);
    zcb_block_free(late);
    assert_frame_is_free(pair->a);
}

/* ---------------------------------------------------------------- copied */

static void what_begins_elsewhere_is_copied(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate(pair->a, 5000, 1);
    unsigned char *inside = (unsigned char *)zcb_block_data(block) + 1;
    fill(inside, 4999, 9);
    assert_ok(send(pair->a, 9, inside, 4999));
    assert_taken(pair->b, 9, 4999, inside, false);
    zcb_block_free(block);
    assert_frame_is_free(pair->a);
}

static void a_second_send_is_a_copy(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate(pair->a, 5000, 1);
    assert_ok(send(pair->a, 1, zcb_block_data(block), 5000));
    assert_ok(send(pair->a, 1, zcb_block_data(block), 5000));
    assert_taken(pair->b, 1, 5000, zcb_block_data(block), true);
    assert_taken(pair->b, 1, 5000, zcb_block_data(block), false);
    zcb_block_free(block);
    assert_frame_is_free(pair->a);
}

static void another_channel_copies_it_and_leaves_it_to_its_own(void **state)
{
    struct pair *pair = *state, other = make_pair();
    zcb_block *block = allocate(pair->a, 5000, 1);
    assert_ok(send(other.a, 1, zcb_block_data(block), 5000));
    assert_taken(other.b, 1, 5000, zcb_block_data(block), false);
    assert_ok(send(pair->a, 1, zcb_block_data(block), 5000));
    assert_taken(pair->b, 1, 5000, zcb_block_data(block), true);
    zcb_block_free(block);
    assert_frame_is_free(pair->a);
    assert_frame_is_free(other.a);
    zcb_channel_free(other.a);
    zcb_channel_free(other.b);
}

static void what_is_sent_in_steps_is_copied(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate(pair->a, 5000, 1);
    zcb_message message = {.kind = ZCB_KIND_BYTES, .id = 1, .bytes = 5000};
    size_t done = 0;
    assert_ok(zcb_send_begin(pair->a, &message, NULL));
    assert_ok(zcb_send_write(pair->a, zcb_block_data(block), 5000, &done, NULL));
    assert_ok(zcb_send_end(pair->a));
    assert_taken(pair->b, 1, 5000, zcb_block_data(block), false);
    zcb_block_free(block);
    assert_frame_is_free(pair->a);
}

static void an_empty_message_does_not_use_the_block_up(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate(pair->a, 100, 2);
    assert_ok(send(pair->a, 1, zcb_block_data(block), 0));
    assert_true(copies(pair->b, 1, 0));
    assert_ok(send(pair->a, 2, zcb_block_data(block), 100));
    assert_taken(pair->b, 2, 100, zcb_block_data(block), true);
    zcb_block_free(block);
    assert_frame_is_free(pair->a);
}

/* ---------------------------------------------------------------- whose the memory is */

static void the_memory_of_an_unsent_block_is_used_again(void **state)
{
    struct pair *pair = *state;
    for (int i = 0; i < 3; i++) {
        zcb_block *block = NULL;
        assert_ok(allocate_at_once(pair->a, FRAME, &block));
        assert_frame_is_taken(pair->a);
        zcb_block_free(block);
    }
    zcb_block *thousands[1000];
    for (int i = 0; i < 1000; i++)
        thousands[i] = allocate(pair->a, 1 + (uint64_t)i % 900, 1);
    for (int i = 0; i < 1000; i++)
        zcb_block_free(thousands[(i * 7) % 1000]);
    assert_frame_is_free(pair->a);
}

static void memory_is_free_when_both_have_given_it_up(void **state)
{
    struct pair *pair = *state;
    for (int receiver_first = 0; receiver_first < 2; receiver_first++) {
        zcb_block *block = allocate(pair->a, FRAME, 1);
        assert_ok(send(pair->a, 1, zcb_block_data(block), FRAME));
        zcb_lease *lease = take_lease(pair->b, 1, FRAME);
        assert_frame_is_taken(pair->a);
        if (receiver_first)
            zcb_lease_free(lease);
        else
            zcb_block_free(block);
        assert_frame_is_taken(pair->a);
        if (receiver_first) {
            assert_true(is_filled(zcb_block_data(block), FRAME, 1));
            zcb_block_free(block);
        } else {
            assert_true(is_filled(zcb_lease_data(lease), FRAME, 1));
            zcb_lease_free(lease);
        }
        assert_frame_is_free(pair->a);
    }
}

static void a_block_that_was_freed_while_it_was_queued_arrives(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate(pair->a, FRAME, 1);
    assert_ok(send(pair->a, 1, zcb_block_data(block), FRAME));
    zcb_block_free(block);
    assert_frame_is_taken(pair->a);
    assert_true(copies(pair->b, 1, FRAME));
    assert_frame_is_free(pair->a);
}

static void a_block_whose_message_was_dropped_is_free_again(void **state)
{
    struct pair *pair = *state;
    zcb_message message;
    zcb_block *block = allocate(pair->a, FRAME, 1);
    assert_ok(send(pair->a, 1, zcb_block_data(block), FRAME));
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL));
    zcb_receive_drop(pair->b);
    assert_frame_is_taken(pair->a);
    zcb_block_free(block);
    assert_frame_is_free(pair->a);
}

static void a_block_outlives_its_channel(void **state)
{
    (void)state;
    for (int sent = 0; sent < 2; sent++) {
        unsigned before = open_descriptors();
        struct pair pair = make_pair();
        zcb_block *block = allocate(pair.a, 5000, 1);
        if (sent)
            assert_ok(send(pair.a, 1, zcb_block_data(block), 5000));
        zcb_lease *lease = sent ? take_lease(pair.b, 1, 5000) : NULL;
        zcb_channel_free(pair.a);
        zcb_channel_free(pair.b);
        fill(zcb_block_data(block), 5000, 2);
        assert_true(is_filled(zcb_block_data(block), 5000, 2));
        zcb_block_free(block);
        zcb_lease_free(lease);
        assert_int_equal(open_descriptors(), before);
    }
    zcb_block_free(NULL);
}

static void nobody_frees_what_was_freed_last(void **state)
{
    (void)state; /* freed, and no sender took it in any more: a sanitizer would see the leak */
    struct pair pair = make_pair();
    zcb_block_free(allocate(pair.a, 100, 1));
    zcb_block_free(allocate(pair.a, 100, 1));
    zcb_channel_free(pair.a);
    zcb_channel_free(pair.b);
}

/* ---------------------------------------------------------------- what cannot be had */

static void senseless_sizes_are_refused(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = NULL;
    assert_int_equal(zcb_block_allocate(pair->a, FRAME + 1, &block, NULL), ZCB_ERR_TOO_LARGE);
    assert_int_equal(zcb_block_allocate(pair->a, UINT64_MAX, &block, NULL), ZCB_ERR_TOO_LARGE);
    assert_int_equal(zcb_block_allocate(pair->a, 0, &block, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_block_allocate(NULL, 1, &block, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_block_allocate(pair->a, 1, NULL, NULL), ZCB_ERR_INVALID);
    assert_null(block);
    assert_frame_is_free(pair->a);
}

static void without_memory_there_is_no_block(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = NULL;
    plat_memory *memory = &pair->a->region->memory;
    plat_memory kept = take_memory_away(memory);
    assert_int_not_equal(zcb_block_allocate(pair->a, 100, &block, NULL), ZCB_OK);
    assert_null(block);
    give_memory_back(memory, kept);
    assert_frame_is_free(pair->a);
}

static void every_block_number_can_be_taken_and_none_twice(void **state)
{
    struct pair *pair = *state;
    uint32_t most = BLOCKS - pair->a->region->geometry.pieces;
    zcb_block **blocks = calloc(most, sizeof(zcb_block *));
    for (uint32_t i = 0; i < most; i++)
        blocks[i] = allocate(pair->a, 1, i);
    assert_frame_is_taken(pair->a); /* there is memory, but no number */
    zcb_block_free(blocks[17]);
    blocks[17] = allocate(pair->a, 1, 17);
    for (uint32_t i = 0; i < most; i++) {
        assert_true(is_filled(zcb_block_data(blocks[i]), 1, i));
        zcb_block_free(blocks[i]);
    }
    free(blocks);
    assert_frame_is_free(pair->a);
}

/* ---------------------------------------------------------------- waiting for room */

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
    await_asleep(&call->channel->tx.control->producer_asleep);
    return thread;
}

static void assert_has_frame(struct call *call, pthread_t thread)
{
    join_thread(thread);
    assert_int_equal(call->error, ZCB_OK);
    assert_int_equal(zcb_block_bytes(call->block), FRAME);
    zcb_block_free(call->block);
    assert_frame_is_free(call->channel);
}

static void who_waits_for_room_is_woken_by_a_freed_block(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate(pair->a, 1, 1);
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
    assert_ok(send(pair->a, 1, &byte, 1));
    zcb_lease *lease = take_lease(pair->b, 1, 1);
    struct call call = {.channel = pair->a, .wait = patience(), .bytes = FRAME};
    pthread_t waiter = start_waiting(&call);
    zcb_lease_free(lease);
    assert_has_frame(&call, waiter);
}

static void who_waits_for_room_is_woken_by_a_message_that_is_read(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate(pair->a, 1, 1);
    assert_ok(send(pair->a, 1, zcb_block_data(block), 1));
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
    call->error = send(call->channel, 1, &byte, 1);
    return NULL;
}

static void a_sender_that_waits_goes_on_when_a_block_is_freed(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate(pair->a, FRAME, 1);
    struct call call = {.channel = pair->a};
    pthread_t sender = start_thread(send_here, &call);
    await_asleep(&pair->a->tx.control->producer_asleep);
    join_thread(start_thread(free_here, block));
    join_thread(sender);
    assert_int_equal(call.error, ZCB_OK);
    assert_true(copies(pair->b, 1, 1));
    assert_frame_is_free(pair->a);
}

static void a_wait_for_room_ends_by_timeout_and_cancel(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate(pair->a, FRAME, 1), *none = NULL;
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
    assert_frame_is_free(pair->a);
}

static void a_wait_for_room_ends_by_the_close_of_either_side(void **state)
{
    (void)state;
    for (int by_peer = 0; by_peer < 2; by_peer++) {
        struct pair pair = make_pair();
        zcb_block *block = allocate(pair.a, FRAME, 1), *none = NULL;
        struct call call = {.channel = pair.a, .wait = patience(), .bytes = 1};
        pthread_t waiter = start_waiting(&call);
        zcb_channel_close(by_peer ? pair.b : pair.a);
        join_thread(waiter);
        assert_int_equal(call.error, by_peer ? ZCB_ERR_PEER_CLOSED : ZCB_ERR_CLOSED);
        assert_int_equal(zcb_block_allocate(pair.a, 1, &none, NULL), call.error);
        assert_int_equal(send(pair.a, 1, zcb_block_data(block), FRAME), call.error);
        zcb_channel_free(pair.a);
        zcb_channel_free(pair.b);
        zcb_block_free(block);
    }
}

static void a_send_of_a_block_that_gives_up_can_be_made_again(void **state)
{
    struct pair *pair = *state;
    zcb_wait at_once = {0};
    zcb_message message = {.kind = ZCB_KIND_BYTES, .id = 1, .bytes = 100};
    zcb_block *block = allocate(pair->a, 100, 1);
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
    assert_frame_is_free(pair->a);
}

/* ---------------------------------------------------------------- peers and children */

static void returning_a_block_that_is_held_but_not_out_ends_the_channel(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate(pair->a, 100, 1), *none;
    zcbi_rx_give_back(pair->b, block->block);
    assert_int_equal(send(pair->a, 1, zcb_block_data(block), 100), ZCB_ERR_PROTOCOL);
    assert_int_equal(allocate_at_once(pair->a, 1, &none), ZCB_ERR_PROTOCOL);
    fill(zcb_block_data(block), 100, 2); /* the memory is still ours */
    zcb_block_free(block);
}

static void returning_a_sent_block_twice_ends_the_channel(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate(pair->a, 100, 1), *none;
    assert_ok(send(pair->a, 1, zcb_block_data(block), 100));
    uint32_t number = block->block;
    assert_true(copies(pair->b, 1, 100));
    zcbi_rx_give_back(pair->b, number);
    assert_int_equal(allocate_at_once(pair->a, 1, &none), ZCB_ERR_PROTOCOL);
    zcb_block_free(block);
}

#if !defined(_WIN32)

static bool child_is_kept_out(struct pair *pair, zcb_block *block)
{
    zcb_block *none;
    zcb_message message = {.kind = ZCB_KIND_BYTES, .id = 5, .bytes = 100};
    bool out = zcb_block_allocate(pair->a, 1, &none, NULL) == ZCB_ERR_FORKED &&
               zcb_send(pair->a, &message, zcb_block_data(block), NULL) == ZCB_ERR_FORKED;
    zcb_block_free(block);
    zcb_channel_free(pair->a);
    return out;
}

static void a_forked_child_is_kept_out_and_the_parent_goes_on(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate(pair->a, 100, 1);
    pid_t pid = fork();
    if (pid == 0)
        _exit(child_is_kept_out(pair, block) ? 0 : 1);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    zcb_block *next = allocate(pair->a, 100, 2);
    assert_ptr_not_equal(zcb_block_data(next), zcb_block_data(block));
    assert_ok(send(pair->a, 1, zcb_block_data(block), 100));
    assert_taken(pair->b, 1, 100, zcb_block_data(block), true);
    zcb_block_free(block);
    zcb_block_free(next);
    assert_frame_is_free(pair->a);
}

#endif

/* ---------------------------------------------------------------- many threads */

#define THREADS 4
#define BLOCKS_EACH 2000
#define KEPT 3

struct user {
    zcb_channel *channel;
    uint64_t number;
    zcb_error error;
};

static void free_all(zcb_block **kept)
{
    for (int i = 0; i < KEPT; i++) {
        zcb_block_free(kept[i]);
        kept[i] = NULL;
    }
}

/* Takes a block; who has to wait for it lets go of its own ones first. */
static zcb_error take(struct user *user, uint64_t bytes, zcb_block **kept, zcb_block **block)
{
    zcb_wait wait = patience();
    zcb_error error = allocate_at_once(user->channel, bytes, block);
    if (error != ZCB_ERR_TIMEOUT)
        return error;
    free_all(kept);
    return zcb_block_allocate(user->channel, bytes, block, &wait);
}

static void *use_at_random(void *arg)
{
    struct user *user = arg;
    zcb_block *kept[KEPT] = {NULL};
    uint64_t seed = user->number;
    for (uint64_t sent = 0; sent < BLOCKS_EACH && !user->error;) {
        uint64_t bytes = 1 + next_random(&seed) % (FRAME / 16);
        uint64_t id = user->number * BLOCKS_EACH + sent + 1;
        zcb_block *block = NULL;
        user->error = take(user, bytes, kept, &block);
        if (user->error)
            break;
        fill(zcb_block_data(block), (size_t)bytes, id);
        if (next_random(&seed) % 4 > 0) {
            user->error = send(user->channel, id, zcb_block_data(block), bytes);
            sent++;
        }
        uint64_t at = next_random(&seed) % KEPT;
        zcb_block_free(kept[at]);
        kept[at] = block;
    }
    free_all(kept);
    return NULL;
}

static void many_threads_take_send_and_free_at_random(void **state)
{
    struct pair *pair = *state;
    struct user users[THREADS];
    pthread_t threads[THREADS];
    zcb_lease *held[8] = {NULL};
    uint64_t seed = 99, last[THREADS] = {0};
    for (uint64_t i = 0; i < THREADS; i++) {
        users[i] = (struct user){.channel = pair->a, .number = i};
        threads[i] = start_thread(use_at_random, &users[i]);
    }
    for (int i = 0; i < THREADS * BLOCKS_EACH; i++) {
        zcb_message message;
        zcb_lease *lease;
        zcb_wait wait = patience();
        assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_LEASE, &message, &wait));
        assert_ok(zcb_receive_lease(pair->b, &lease, &wait));
        assert_ok(zcb_receive_end(pair->b));
        assert_true(is_filled(zcb_lease_data(lease), (size_t)message.bytes, message.id));
        uint64_t *before = &last[(message.id - 1) / BLOCKS_EACH];
        assert_true(message.id > *before); /* each thread's in its order */
        *before = message.id;
        uint64_t at = next_random(&seed) % 8;
        zcb_lease_free(held[at]);
        held[at] = lease;
    }
    for (int i = 0; i < THREADS; i++) {
        join_thread(threads[i]);
        assert_int_equal(users[i].error, ZCB_OK);
    }
    for (int i = 0; i < 8; i++)
        zcb_lease_free(held[i]);
    assert_frame_is_free(pair->a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_filled_block_is_sent_without_a_copy),
        TEST(a_shorter_message_from_its_beginning_is_sent_in_place),
        TEST(a_block_goes_whole_although_its_receiver_will_copy_it),
        TEST(blocks_and_copied_messages_arrive_in_order),
        TEST(what_begins_elsewhere_is_copied),
        TEST(a_second_send_is_a_copy),
        TEST(another_channel_copies_it_and_leaves_it_to_its_own),
        TEST(what_is_sent_in_steps_is_copied),
        TEST(an_empty_message_does_not_use_the_block_up),
        TEST(the_memory_of_an_unsent_block_is_used_again),
        TEST(memory_is_free_when_both_have_given_it_up),
        TEST(a_block_that_was_freed_while_it_was_queued_arrives),
        TEST(a_block_whose_message_was_dropped_is_free_again),
        cmocka_unit_test(a_block_outlives_its_channel),
        cmocka_unit_test(nobody_frees_what_was_freed_last),
        TEST(senseless_sizes_are_refused),
        TEST(without_memory_there_is_no_block),
        TEST(every_block_number_can_be_taken_and_none_twice),
        TEST(who_waits_for_room_is_woken_by_a_freed_block),
        TEST(who_waits_for_room_is_woken_by_a_lease_that_comes_back),
        TEST(who_waits_for_room_is_woken_by_a_message_that_is_read),
        TEST(a_sender_that_waits_goes_on_when_a_block_is_freed),
        TEST(a_wait_for_room_ends_by_timeout_and_cancel),
        TEST(a_wait_for_room_ends_by_the_close_of_either_side),
        TEST(a_send_of_a_block_that_gives_up_can_be_made_again),
        TEST(returning_a_block_that_is_held_but_not_out_ends_the_channel),
        TEST(returning_a_sent_block_twice_ends_the_channel),
        TEST_ON_POSIX(a_forked_child_is_kept_out_and_the_parent_goes_on, NO_FORK),
        TEST(many_threads_take_send_and_free_at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
