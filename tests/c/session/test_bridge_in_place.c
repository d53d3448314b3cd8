/* Bridges: messages that are held in place, and blocks that are sent without a copy. */
#include "bridges.h"
#include "channel/block.h"

static uint64_t post_lease(struct fixture *f, const char *target)
{
    zcb_wait wait = patience();
    uint64_t id = 0;
    assert_ok(zcb_bridge_post_receive(f->bridge, target, strlen(target), ZCB_COMMAND_LEASE,
                                      ZCB_FOREVER, &id, &wait));
    return id;
}

/* The engine waits there for a message, to copy it. */
static void await_engine(struct fixture *f)
{
    const struct stream_control *control = zcb_bridge_channel(f->bridge)->tx.control;
    while (atomic_load(&control->wish) == 0)
        sched_yield();
}

static void a_receive_that_holds_its_message_gets_it_in_one_piece(void **state)
{
    struct fixture *f = *state;
    const struct sending *now = &zcb_bridge_channel(f->bridge)->tx.now;
    for (int lease = 0; lease < 2; lease++) {
        uint64_t id = lease ? post_lease(f, "$x") : post(f, "$x", ZCB_FOREVER);
        await_engine(f);
        assert_sent(f, FRAME);
        assert_int_equal(now->streaming, !lease);
        assert_arrived(f, id, "$x", FRAME);
    }
    uint64_t id = post(f, "$x", ZCB_FOREVER); /* the one after it streams as before */
    await_engine(f);
    assert_sent(f, FRAME);
    assert_true(now->streaming);
    assert_arrived(f, id, "$x", FRAME);
}

static void where_the_frame_has_no_room_it_comes_all_the_same(void **state)
{
    struct fixture *f = *state;
    zcb_channel *channel = zcb_bridge_channel(f->bridge);
    zcb_block *block;
    assert_ok(zcb_block_allocate(channel, FRAME, &block, NULL));
    uint64_t id = post_lease(f, "$x");
    assert_sent(f, 1000);
    assert_true(channel->tx.now.streaming);
    assert_arrived(f, id, "$x", 1000);
    zcb_block_free(block);
    assert_bridge_works(f);
}

static void what_cannot_be_held_is_refused_and_the_receive_waits_on(void **state)
{
    struct fixture *f = *state;
    zcb_wait wait = patience();
    uint64_t id = post_lease(f, "$x"), refused_by = 0;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(send_bytes(f->bridge, FRAME + 1, &refused_by, &wait), ZCB_ERR_TOO_LARGE);
        assert_int_equal(refused_by, id);
    }
    assert_sent(f, 77);
    assert_arrived(f, id, "$x", 77);
    id = post_lease(f, "$x"); /* of another kind than bytes it is never held in place */
    unsigned char *text = malloc(LONG);
    fill(text, LONG, LONG);
    assert_ok(zcb_bridge_send(f->bridge, ZCB_KIND_CLIXML, text, LONG, NULL, &wait));
    assert_arrived(f, id, "$x", LONG);
    free(text);
    assert_bridge_works(f);
}

static void a_receive_that_holds_and_waits_again_still_holds(void **state)
{
    struct fixture *f = *state;
    zcb_wait at_once = {0};
    assert_sent(f, FRAME); /* so that the next one finds no room */
    uint64_t takes = post(f, "$first", ZCB_FOREVER);
    assert_arrived(f, takes, "$first", FRAME);
    uint64_t id = post_lease(f, "$x");
    zcb_block *block;
    assert_ok(zcb_block_allocate(zcb_bridge_channel(f->bridge), FRAME, &block, NULL));
    zcb_error error = send_bytes(f->bridge, FRAME, NULL, &at_once); /* gone, or given up half-way */
    zcb_block_free(block);
    if (error) {
        assert_int_equal(error, ZCB_ERR_TIMEOUT);
        await_engine(f);
        assert_sent(f, FRAME);
        assert_false(zcb_bridge_channel(f->bridge)->tx.now.streaming);
    }
    assert_arrived(f, id, "$x", FRAME);
    assert_bridge_works(f);
}

static void a_block_is_sent_by_its_bridge_without_a_copy(void **state)
{
    struct fixture *f = *state;
    zcb_channel *channel = zcb_bridge_channel(f->bridge);
    zcb_wait wait = patience();
    zcb_block *block;
    assert_ok(zcb_block_allocate(channel, 5000, &block, &wait));
    fill(zcb_block_data(block), 5000, 5000);
    uint64_t id = post_lease(f, "$x");
    assert_ok(zcb_bridge_send(f->bridge, ZCB_KIND_BYTES, zcb_block_data(block), 5000, NULL, &wait));
    assert_true(block->sent);
    assert_arrived(f, id, "$x", 5000);
    zcb_bridge_close(f->bridge);
    fill(zcb_block_data(block), 5000, 1); /* it outlives the bridge */
    zcb_block_free(block);
}

static void a_lease_outlives_bridge_and_session(void **state)
{
    (void)state;
    zcb_session_options options = fake_options();
    struct fixture f = {.session = start_session(&options)};
    f.bridge = open_bridge(f.session);
    zcb_message message;
    zcb_lease *lease;
    zcb_wait wait = patience();
    uint64_t id = post_send(&f, "100000");
    assert_int_equal(status_of(f.session, id), ZCB_STATUS_DONE);
    assert_ok(zcb_bridge_receive_begin(f.bridge, ZCB_WISH_LEASE, &message, &wait));
    assert_ok(zcb_receive_lease(zcb_bridge_channel(f.bridge), &lease, &wait));
    assert_ok(zcb_receive_end(zcb_bridge_channel(f.bridge)));
    zcb_session_free(f.session);
    assert_true(is_filled(zcb_lease_data(lease), 100000, 100000));
    zcb_bridge_free(f.bridge);
    assert_true(is_filled(zcb_lease_data(lease), 100000, 100000));
    zcb_lease_free(lease);
    assert_no_children();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lease_outlives_bridge_and_session),
        TEST(a_receive_that_holds_its_message_gets_it_in_one_piece),
        TEST(where_the_frame_has_no_room_it_comes_all_the_same),
        TEST(what_cannot_be_held_is_refused_and_the_receive_waits_on),
        TEST(a_receive_that_holds_and_waits_again_still_holds),
        TEST(a_block_is_sent_by_its_bridge_without_a_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
