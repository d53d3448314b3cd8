/* Bridges: a send that is refused, and by which receive. */
#include "bridges.h"
#include "channel/block.h"

static void a_send_to_a_receive_that_failed_is_refused_once(void **state)
{
    struct fixture *f = *state;
    uint64_t bad = post(f, "$readonly", ZCB_FOREVER), good = post(f, "$x", ZCB_FOREVER),
             refused_by = 0;
    assert_transfer_failed(f, bad, true);
    assert_int_equal(send_bytes(f->bridge, 10, &refused_by, NULL), ZCB_ERR_REFUSED);
    assert_int_equal(refused_by, bad);
    assert_sent(f, 20);
    assert_arrived(f, good, "$x", 20);
    assert_bridge_works(f);
}

static void a_failure_that_was_seen_refuses_nothing(void **state)
{
    struct fixture *f = *state;
    uint64_t bad = post(f, "$readonly", ZCB_FOREVER), good = post(f, "$x", ZCB_FOREVER);
    assert_transfer_failed(f, bad, true);
    zcb_bridge_seen(f->bridge, bad);
    assert_sent(f, 20);
    assert_arrived(f, good, "$x", 20);
    assert_bridge_works(f);
}

static void what_was_sent_to_a_receive_that_fails_meanwhile_is_lost_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    uint64_t bad = post(f, "$readonly", ZCB_FOREVER), good = post(f, "$x", ZCB_FOREVER);
    assert_sent(f, 10); /* its failure has not been read yet */
    assert_sent(f, 20);
    assert_transfer_failed(f, bad, true);
    assert_arrived(f, good, "$x", 20);
    assert_bridge_works(f);
}

static void a_queued_message_outlives_the_receive_that_refused_it(void **state)
{
    struct fixture *f = *state;
    assert_sent(f, 10);
    assert_sent(f, 20);
    assert_transfer_failed(f, post(f, "$readonly", ZCB_FOREVER), true);
    assert_arrived(f, post(f, "$x", ZCB_FOREVER), "$x", 10);
    assert_arrived(f, post(f, "$x", ZCB_FOREVER), "$x", 20);
    assert_bridge_works(f);
}

static void a_sender_learns_who_dropped_its_message_half_way(void **state)
{
    struct fixture *f = *state;
    for (int untold = 0; untold < 2; untold++) {
        struct sender sender = {
            .bridge = f->bridge, .bytes = LONG, .wait = patience(), .untold = untold};
        uint64_t id = post(f, "$drop", ZCB_FOREVER);
        (void)send_here(&sender);
        assert_int_equal(sender.error, ZCB_ERR_REFUSED);
        assert_int_equal(sender.refused_by, untold ? 0 : id);
        assert_transfer_failed(f, id, false);
        assert_bridge_works(f);
    }
}

static void a_sender_that_came_first_learns_who_dropped_its_message(void **state)
{
    struct fixture *f = *state;
    struct sender sender = {.bridge = f->bridge, .bytes = LONG, .wait = patience()};
    pthread_t thread = start_thread(send_here, &sender);
    await_asleep(&zcb_bridge_channel(f->bridge)->tx.control->producer_asleep);
    uint64_t id = post(f, "$drop", ZCB_FOREVER);
    join_thread(thread);
    assert_int_equal(sender.error, ZCB_ERR_REFUSED);
    assert_int_equal(sender.refused_by, id);
    assert_transfer_failed(f, id, false);
    assert_bridge_works(f);
}

static void a_sender_that_came_first_waits_for_its_receive(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 10; i++) {
        struct sender sender = {.bridge = f->bridge, .bytes = LONG, .wait = patience()};
        pthread_t thread = start_thread(send_here, &sender);
        await_asleep(&zcb_bridge_channel(f->bridge)->tx.control->producer_asleep);
        assert_arrived(f, post(f, "$x", ZCB_FOREVER), "$x", LONG);
        join_thread(thread);
        assert_int_equal(sender.error, ZCB_OK);
    }
    assert_bridge_works(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_send_to_a_receive_that_failed_is_refused_once),
        TEST(a_failure_that_was_seen_refuses_nothing),
        TEST(what_was_sent_to_a_receive_that_fails_meanwhile_is_lost_and_nothing_else),
        TEST(a_queued_message_outlives_the_receive_that_refused_it),
        TEST(a_sender_learns_who_dropped_its_message_half_way),
        TEST(a_sender_that_came_first_learns_who_dropped_its_message),
        TEST(a_sender_that_came_first_waits_for_its_receive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
