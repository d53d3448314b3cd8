/* Blocks: whose their memory is. */
#include "blocks.h"
#include "channel/block.h"

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
        thousands[i] = allocate_filled(pair->a, 1 + (uint64_t)i % 900, 1);
    for (int i = 0; i < 1000; i++)
        zcb_block_free(thousands[(i * 7) % 1000]);
    assert_frame_is_whole(pair->a);
}

static void memory_is_free_when_both_have_given_it_up(void **state)
{
    struct pair *pair = *state;
    for (int receiver_first = 0; receiver_first < 2; receiver_first++) {
        zcb_block *block = allocate_filled(pair->a, FRAME, 1);
        assert_ok(send_payload(pair->a, 1, zcb_block_data(block), FRAME));
        zcb_lease *lease = take_lease_of(pair->b, 1, FRAME);
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
        assert_frame_is_whole(pair->a);
    }
}

static void a_block_that_was_freed_while_it_was_queued_arrives(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate_filled(pair->a, FRAME, 1);
    assert_ok(send_payload(pair->a, 1, zcb_block_data(block), FRAME));
    zcb_block_free(block);
    assert_frame_is_taken(pair->a);
    assert_true(copies(pair->b, 1, FRAME));
    assert_frame_is_whole(pair->a);
}

static void a_block_whose_message_was_dropped_is_free_again(void **state)
{
    struct pair *pair = *state;
    zcb_message message;
    zcb_block *block = allocate_filled(pair->a, FRAME, 1);
    assert_ok(send_payload(pair->a, 1, zcb_block_data(block), FRAME));
    assert_ok(zcb_receive_begin(pair->b, ZCB_WISH_COPY, &message, NULL));
    zcb_receive_drop(pair->b);
    assert_frame_is_taken(pair->a);
    zcb_block_free(block);
    assert_frame_is_whole(pair->a);
}

static void a_block_outlives_its_channel(void **state)
{
    (void)state;
    for (int sent = 0; sent < 2; sent++) {
        unsigned before = open_descriptors();
        struct pair pair = make_pair(FRAME, WINDOW);
        zcb_block *block = allocate_filled(pair.a, 5000, 1);
        if (sent)
            assert_ok(send_payload(pair.a, 1, zcb_block_data(block), 5000));
        zcb_lease *lease = sent ? take_lease_of(pair.b, 1, 5000) : NULL;
        free_pair(&pair);
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
    struct pair pair = make_pair(FRAME, WINDOW);
    zcb_block_free(allocate_filled(pair.a, 100, 1));
    zcb_block_free(allocate_filled(pair.a, 100, 1));
    free_pair(&pair);
}

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
    assert_frame_is_whole(pair->a);
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
    assert_frame_is_whole(pair->a);
}

static void every_block_number_can_be_taken_and_none_twice(void **state)
{
    struct pair *pair = *state;
    uint32_t most = CHUNKS - pair->a->region->geometry.pieces;
    zcb_block **blocks = calloc(most, sizeof(zcb_block *));
    for (uint32_t i = 0; i < most; i++)
        blocks[i] = allocate_filled(pair->a, 1, i);
    assert_frame_is_taken(pair->a); /* there is memory, but no number */
    zcb_block_free(blocks[17]);
    blocks[17] = allocate_filled(pair->a, 1, 17);
    for (uint32_t i = 0; i < most; i++) {
        assert_true(is_filled(zcb_block_data(blocks[i]), 1, i));
        zcb_block_free(blocks[i]);
    }
    free(blocks);
    assert_frame_is_whole(pair->a);
}

static void returning_a_block_that_is_held_but_not_out_ends_the_channel(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate_filled(pair->a, 100, 1), *none;
    zcbi_rx_give_back(pair->b, block->freed.chunk);
    assert_int_equal(send_payload(pair->a, 1, zcb_block_data(block), 100), ZCB_ERR_PROTOCOL);
    assert_int_equal(allocate_at_once(pair->a, 1, &none), ZCB_ERR_PROTOCOL);
    fill(zcb_block_data(block), 100, 2); /* the memory is still ours */
    zcb_block_free(block);
}

static void returning_a_sent_block_twice_ends_the_channel(void **state)
{
    struct pair *pair = *state;
    zcb_block *block = allocate_filled(pair->a, 100, 1), *none;
    assert_ok(send_payload(pair->a, 1, zcb_block_data(block), 100));
    uint32_t number = block->freed.chunk;
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
    zcb_block *block = allocate_filled(pair->a, 100, 1);
    pid_t pid = fork();
    if (pid == 0)
        _exit(child_is_kept_out(pair, block) ? 0 : 1);
    assert_child_says_yes(pid);
    zcb_block *next = allocate_filled(pair->a, 100, 2);
    assert_ptr_not_equal(zcb_block_data(next), zcb_block_data(block));
    assert_ok(send_payload(pair->a, 1, zcb_block_data(block), 100));
    assert_taken(pair->b, 1, 100, zcb_block_data(block), true);
    zcb_block_free(block);
    zcb_block_free(next);
    assert_frame_is_whole(pair->a);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_memory_of_an_unsent_block_is_used_again),
        TEST(memory_is_free_when_both_have_given_it_up),
        TEST(a_block_that_was_freed_while_it_was_queued_arrives),
        TEST(a_block_whose_message_was_dropped_is_free_again),
        cmocka_unit_test(a_block_outlives_its_channel),
        cmocka_unit_test(nobody_frees_what_was_freed_last),
        TEST(senseless_sizes_are_refused),
        TEST(without_memory_there_is_no_block),
        TEST(every_block_number_can_be_taken_and_none_twice),
        TEST(returning_a_block_that_is_held_but_not_out_ends_the_channel),
        TEST(returning_a_sent_block_twice_ends_the_channel),
        TEST_ON_POSIX(a_forked_child_is_kept_out_and_the_parent_goes_on, NO_FORK),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
