/* Blocks, memory of the frame that is filled in place: what is sent without a copy, and what is copied. */
#include "blocks.h"
#include "channel/block.h"

static void a_filled_block_is_sent_without_a_copy(void **state)
{
    struct pair *pair = *state;
    const uint64_t sizes[] = {1, 64, 1000, 65536, 300000, FRAME};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        zcb_block *block = allocate_filled(pair->a, sizes[i], i + 1);
        assert_ok(send_payload(pair->a, i + 1, zcb_block_data(block), sizes[i]));
        assert_taken(pair->b, i + 1, sizes[i], zcb_block_data(block), true);
        zcb_block_free(block);
    }
    zcb_block *block = allocate_filled(pair->b, 10, 77); /* the other direction */
    assert_ok(send_payload(pair->b, 77, zcb_block_data(block), 10));
    assert_taken(pair->a, 77, 10, zcb_block_data(block), true);
    zcb_block_free(block);
    assert_frame_is_whole(pair->a);
    assert_frame_is_whole(pair->b);
}

static void a_shorter_message_from_its_beginning_is_sent_in_place(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate_filled(pair->a, 5000, 1);
    assert_ok(send_payload(pair->a, 1, zcb_block_data(block), 1));
    assert_taken(pair->b, 1, 1, zcb_block_data(block), true);
    zcb_block_free(block);
    assert_frame_is_whole(pair->a);
}

static void *copy_here(void *arg)
{
    zcb_channel *channel = arg;
    return copies(channel, 1, FRAME / 2) ? arg : NULL;
}

static void a_block_goes_whole_although_its_receiver_will_copy_it(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate_filled(pair->a, FRAME / 2, 1);
    pthread_t receiver = start_thread(copy_here, pair->b);
    await_asleep(receiver_asleep(pair->b));
    assert_ok(send_payload(pair->a, 1, zcb_block_data(block), FRAME / 2));
    void *right;
    pthread_join(receiver, &right);
    assert_non_null(right);
    assert_false(pair->a->tx.now.streaming);
    zcb_block_free(block);
    assert_frame_is_whole(pair->a);
}

static void blocks_and_copied_messages_arrive_in_order(void **state)
{
    struct pair *pair = *state;
    unsigned char copied[100];
    zcb_block *late = allocate_filled(pair->a, 100, 2), *early = allocate_filled(pair->a, 100, 4);
    fill(copied, 100, 1);
    assert_ok(send_payload(pair->a, 1, copied, 100));
    assert_ok(send_payload(pair->a, 2, zcb_block_data(late), 100));
    fill(copied, 100, 3);
    assert_ok(send_payload(pair->a, 3, copied, 100));
    assert_ok(send_payload(pair->a, 4, zcb_block_data(early), 100));
    for (uint64_t id = 1; id <= 4; id++)
        assert_true(copies(pair->b, id, 100));
    zcb_block_free(early);
    zcb_block_free(late);
    assert_frame_is_whole(pair->a);
}

static void what_begins_elsewhere_is_copied(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate_filled(pair->a, 5000, 1);
    unsigned char *inside = (unsigned char *)zcb_block_data(block) + 1;
    fill(inside, 4999, 9);
    assert_ok(send_payload(pair->a, 9, inside, 4999));
    assert_taken(pair->b, 9, 4999, inside, false);
    zcb_block_free(block);
    assert_frame_is_whole(pair->a);
}

static void a_second_send_is_a_copy(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate_filled(pair->a, 5000, 1);
    assert_ok(send_payload(pair->a, 1, zcb_block_data(block), 5000));
    assert_ok(send_payload(pair->a, 1, zcb_block_data(block), 5000));
    assert_taken(pair->b, 1, 5000, zcb_block_data(block), true);
    assert_taken(pair->b, 1, 5000, zcb_block_data(block), false);
    zcb_block_free(block);
    assert_frame_is_whole(pair->a);
}

static void another_channel_copies_it_and_leaves_it_to_its_own(void **state)
{
    struct pair *pair = *state, other = make_pair(FRAME, WINDOW);
    zcb_block *block = allocate_filled(pair->a, 5000, 1);
    assert_ok(send_payload(other.a, 1, zcb_block_data(block), 5000));
    assert_taken(other.b, 1, 5000, zcb_block_data(block), false);
    assert_ok(send_payload(pair->a, 1, zcb_block_data(block), 5000));
    assert_taken(pair->b, 1, 5000, zcb_block_data(block), true);
    zcb_block_free(block);
    assert_frame_is_whole(pair->a);
    assert_frame_is_whole(other.a);
    free_pair(&other);
}

static void what_is_sent_in_steps_is_copied(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate_filled(pair->a, 5000, 1);
    zcb_message message = {.kind = ZCB_KIND_BYTES, .id = 1, .bytes = 5000};
    size_t done = 0;
    assert_ok(zcb_send_begin(pair->a, &message, NULL));
    assert_ok(zcb_send_write(pair->a, zcb_block_data(block), 5000, &done, NULL));
    assert_ok(zcb_send_end(pair->a));
    assert_taken(pair->b, 1, 5000, zcb_block_data(block), false);
    zcb_block_free(block);
    assert_frame_is_whole(pair->a);
}

static void an_empty_message_does_not_use_the_block_up(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate_filled(pair->a, 100, 2);
    assert_ok(send_payload(pair->a, 1, zcb_block_data(block), 0));
    assert_true(copies(pair->b, 1, 0));
    assert_ok(send_payload(pair->a, 2, zcb_block_data(block), 100));
    assert_taken(pair->b, 2, 100, zcb_block_data(block), true);
    zcb_block_free(block);
    assert_frame_is_whole(pair->a);
}

int main(void)
{
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
