/* What is to be told to the engine while there is no memory to tell it is told later, and nothing is lost. */
#include "channel/block.h"
#include "sessions.h"

#define GRACE_MS 50
#define LESS_THAN_PATIENCE_MS 200

struct fixture {
    zcb_session *session;
    plat_memory kept; /* of the urgent channel, while it is taken away */
};

static int set_up(void **state)
{
    static struct fixture fixture;
    zcb_session_options options = fake_options();
    options.grace_ms = GRACE_MS;
    fixture.session = start_session(&options);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    zcb_session_free(f->session);
    assert_no_children();
    return 0;
}

/* From here on no urgent request can be sent, for want of memory. */
static void take_away(struct fixture *f)
{
    zcb_channel *urgent = f->session->urgent;
    while (urgent->tx.head + 1 < urgent->tx.ring_committed) /* requests that have their memory */
        assert_ok(zcb_session_ping(f->session, NULL));
    f->kept = take_memory_away(&urgent->region->memory);
}

static void give_back(struct fixture *f)
{
    give_memory_back(&f->session->urgent->region->memory, f->kept);
}

static void a_run_that_was_given_up_is_stopped_later(void **state)
{
    struct fixture *f = *state;
    zcb_result *result;
    zcb_wait wait = patience();
    assert_ok(zcb_cancel_create(&wait.cancel));
    zcb_cancel_set(wait.cancel);
    take_away(f);
    assert_int_equal(zcb_session_run(f->session, "wait", 4, 0, ZCB_FOREVER, &result, &wait),
                     ZCB_ERR_CANCELLED);
    give_back(f);
    assert_serves(f->session); /* it comes after the other one */
    assert_int_equal(f->session->pending_count, 0);
    zcb_cancel_free(wait.cancel);
}

static void a_queued_command_has_not_timed_out_before_it_cannot_run_any_more(void **state)
{
    struct fixture *f = *state;
    zcb_result *result;
    zcb_wait briefly = within_ms(LESS_THAN_PATIENCE_MS);
    uint64_t running = submit(f->session, "wait", 0, ZCB_FOREVER);
    uint64_t queued = submit(f->session, "die 3", 0, 1);
    take_away(f);
    assert_int_equal(zcb_session_wait(f->session, queued, &result, &briefly), ZCB_ERR_TIMEOUT);
    give_back(f);
    assert_int_equal(status_of(f->session, queued), ZCB_STATUS_TIMED_OUT);
    assert_ok(zcb_session_stop(f->session, running));
    assert_int_equal(status_of(f->session, running), ZCB_STATUS_STOPPED);
    assert_serves(f->session);
}

static zcb_bridge *open_bridge(struct fixture *f)
{
    static const zcb_channel_options options = {.frame_bytes = MIB, .window_bytes = MIB};
    zcb_bridge *bridge;
    assert_ok(zcb_bridge_open(f->session, &options, &bridge, NULL));
    return bridge;
}

static void a_closed_bridge_is_forgotten_later(void **state)
{
    struct fixture *f = *state;
    int64_t before = number_of(f->session, "descriptors");
    zcb_bridge *bridge = open_bridge(f);
    zcb_bridge_free(open_bridge(f)); /* so that the engine takes in the first one, too */
    assert_ok(zcb_session_ping(f->session, NULL)); /* it has done so */
    take_away(f);
    zcb_bridge_free(bridge);
    give_back(f);
    if (before > 0) /* Wine counts no handles */
        assert_true(number_of(f->session, "descriptors") > before);
    zcb_bridge_free(open_bridge(f));
    assert_ok(zcb_session_ping(f->session, NULL)); /* it has heard of the last one */
    assert_true(number_of(f->session, "descriptors") < before + 1 + BELLS);
}

static void a_session_may_end_before_its_engine_was_told(void **state)
{
    struct fixture *f = *state;
    zcb_bridge *first = open_bridge(f), *second = open_bridge(f);
    take_away(f);
    zcb_bridge_free(first);
    zcb_bridge_close(second);
    give_back(f);
    zcb_session_close(f->session, 0);
    zcb_bridge_free(second);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_run_that_was_given_up_is_stopped_later),
        TEST(a_queued_command_has_not_timed_out_before_it_cannot_run_any_more),
        TEST(a_closed_bridge_is_forgotten_later),
        TEST(a_session_may_end_before_its_engine_was_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
