/* A peer whose counters and returned blocks make no sense. */
#include "channel/block.h"
#include "hostile.h"

static void a_senseless_head_ends_the_channel(void **state)
{
    (void)state;
    const uint64_t heads[] = {RING_ENTRIES + 2, UINT64_MAX, UINT64_C(1) << 63, 0};
    for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
        struct pair pair = make_hostile_pair();
        zcb_message message;
        publish(&pair, &(struct descriptor){
                           .kind = 1, .chunk = NO_CHUNK, .marks = MARK_FIRST | MARK_LAST});
        assert_ok(begin_at_once(&pair, &message));
        assert_ok(zcb_receive_end(pair.a));
        atomic_store(&pair.b->tx.control->head, heads[i]);
        assert_int_equal(begin_at_once(&pair, &message), ZCB_ERR_PROTOCOL);
        assert_channel_failed(&pair);
        free_pair(&pair);
    }
}

static void a_senseless_tail_ends_the_channel(void **state)
{
    (void)state;
    const uint64_t tails[] = {2, UINT64_MAX, UINT64_C(1) << 63, UINT64_MAX - RING_ENTRIES};
    for (size_t i = 0; i < sizeof(tails) / sizeof(*tails); i++) {
        struct pair pair = make_hostile_pair();
        assert_ok(send_at_once(&pair, 1));
        atomic_store(&pair.b->rx.control->tail, tails[i]);
        assert_int_equal(send_at_once(&pair, 1), ZCB_ERR_PROTOCOL);
        assert_channel_failed(&pair);
        free_pair(&pair);
    }
}

static void returning_what_is_not_out_ends_the_channel(void **state)
{
    (void)state;
    struct pair probe = make_hostile_pair();
    uint32_t pieces = probe.a->region->geometry.pieces;
    free_pair(&probe);
    const uint32_t blocks[] = {0, pieces + 1, CHUNKS - 1, CHUNKS, NO_CHUNK, UINT32_C(1) << 31};
    for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++) {
        struct pair pair = make_hostile_pair();
        assert_ok(send_at_once(&pair, 1)); /* block `pieces` is out */
        zcbi_rx_give_back(pair.b, blocks[i]);
        assert_int_equal(send_at_once(&pair, 1), ZCB_ERR_PROTOCOL);
        assert_channel_failed(&pair);
        free_pair(&pair);
    }
}

static void returning_a_block_twice_ends_the_channel(void **state)
{
    (void)state;
    struct pair pair = make_hostile_pair();
    uint32_t pieces = pair.a->region->geometry.pieces;
    assert_ok(send_at_once(&pair, 1));
    zcbi_rx_give_back(pair.b, pieces);
    zcbi_rx_give_back(pair.b, pieces);
    assert_int_equal(send_at_once(&pair, 1), ZCB_ERR_PROTOCOL);
    assert_channel_failed(&pair);
    free_pair(&pair);
}

static void a_senseless_count_of_returns_ends_the_channel(void **state)
{
    (void)state;
    const uint64_t counts[] = {CHUNKS + 2, UINT64_MAX, 0, 2};
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        struct pair pair = make_hostile_pair();
        assert_ok(send_at_once(&pair, 1));
        zcbi_rx_give_back(pair.b, pair.a->region->geometry.pieces);
        assert_ok(send_at_once(&pair, 1));
        atomic_store(&pair.b->rx.control->returned, counts[i]);
        assert_int_equal(send_at_once(&pair, 1), ZCB_ERR_PROTOCOL);
        assert_channel_failed(&pair);
        free_pair(&pair);
    }
}

static void a_block_that_is_returned_while_it_is_written_hurts_only_the_peer(void **state)
{
    (void)state;
    struct pair pair = make_hostile_pair();
    zcb_message message = {.kind = 1, .bytes = SMALL_FRAME};
    unsigned char *payload = calloc(1, SMALL_FRAME);
    size_t written = 0;
    zcbi_rx_expect(pair.b, ZCB_WISH_LEASE);
    assert_ok(zcbi_tx_begin(pair.a, &message, 0, NULL));
    assert_ok(zcbi_tx_write(pair.a, payload, SMALL_FRAME / 2, &written, NULL));
    zcbi_rx_give_back(pair.b, pair.a->tx.now.chunk);
    assert_ok(zcbi_tx_write(pair.a, payload, SMALL_FRAME / 2, &written, NULL));
    zcbi_tx_abort(pair.a);
    free(payload);
    free_pair(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_senseless_head_ends_the_channel),
        cmocka_unit_test(a_senseless_tail_ends_the_channel),
        cmocka_unit_test(returning_what_is_not_out_ends_the_channel),
        cmocka_unit_test(returning_a_block_twice_ends_the_channel),
        cmocka_unit_test(a_senseless_count_of_returns_ends_the_channel),
        cmocka_unit_test(a_block_that_is_returned_while_it_is_written_hurts_only_the_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
