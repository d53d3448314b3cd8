/* Bridges: how many open, when they do not, and their labels. */
#include "bridges.h"

static void a_session_can_have_a_hundred_bridges(void **state)
{
    struct fixture *f = *state;
    struct fixture all[100];
    uint64_t ids[100];
    for (int i = 0; i < 100; i++)
        all[i] = (struct fixture){f->session, open_bridge(f->session)};
    for (int i = 0; i < 100; i++)
        ids[i] = post(&all[i], "$x", ZCB_FOREVER);
    for (uint64_t i = 0; i < 100; i++)
        assert_sent(&all[99 - i], 1000);
    for (int i = 0; i < 100; i++)
        assert_int_equal(status_of(f->session, ids[i]), ZCB_STATUS_DONE);
    for (int i = 0; i < 100; i++)
        zcb_bridge_free(all[(i * 37) % 100].bridge);
    assert_bridge_works(f);
}

static void bridges_open_beyond_what_the_link_holds(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 400 };
    static struct fixture all[COUNT];
    allow_descriptors(4 * COUNT * (1 + BELLS));
    zcb_session_options options = fake_options();
    zcb_session *session = start_session(&options); /* with that limit */
    for (int i = 0; i < COUNT; i++)
        all[i] = (struct fixture){session, open_bridge(session)};
    for (int i = COUNT; i-- > 0;)
        zcb_bridge_free(all[i].bridge);
    zcb_session_free(session);
    assert_bridge_works(f);
}

static void bridges_that_come_and_go_leave_nothing_behind(void **state)
{
    struct fixture *f = *state;
    assert_bridge_works(f);
    unsigned ours = open_descriptors();
    int64_t engines = number_of(f->session, "descriptors");
    for (int i = 0; i < 300; i++) {
        zcb_channel_options options = {.frame_bytes = 0, .window_bytes = 0};
        zcb_bridge *bridge;
        uint64_t id;
        zcb_wait wait = patience();
        assert_ok(zcb_bridge_open(f->session, &options, &bridge, NULL));
        if (i % 100 == 0) {
            assert_ok(zcb_bridge_post_receive(bridge, "$x", 2, 0, -1, &id, &wait));
            assert_ok(send_bytes(bridge, 10, NULL, &wait));
            assert_int_equal(status_of(f->session, id), ZCB_STATUS_DONE);
        }
        zcb_bridge_free(bridge);
    }
    assert_int_equal(open_descriptors(), ours);
    assert_ok(zcb_session_ping(f->session, NULL)); /* it has heard of the last close */
    /* The fake engine keeps the channels that it has used. */
    int64_t left = number_of(f->session, "descriptors");
    assert_true(left <= engines + 3 * 8);
}

static void a_bridge_of_an_ended_session_does_not_open(void **state)
{
    (void)state;
    zcb_session_options options = fake_options();
    zcb_session *session = start_session(&options);
    zcb_bridge *bridge;
    zcb_detail why;
    unsigned before = open_descriptors();
    zcb_session_close(session, 1000);
    assert_int_equal(zcb_bridge_open(session, NULL, &bridge, &why), ZCB_ERR_CLOSED);
    assert_true(why.text[0] != 0);
    assert_int_equal(open_descriptors(), before);
    zcb_session_free(session);
}

static void labels_are_as_long_as_they_may_be(void **state)
{
    struct fixture *f = *state;
    char label[ZCB_MAX_LABEL_BYTES + 2] = {0};
    zcb_channel_options options = {.frame_bytes = FRAME, .label = label};
    zcb_bridge *bridge;
    zcb_detail why;
    memset(label, 'x', ZCB_MAX_LABEL_BYTES);
    assert_ok(zcb_bridge_open(f->session, &options, &bridge, &why));
    zcb_bridge_free(bridge);
    label[ZCB_MAX_LABEL_BYTES] = 'x';
    assert_int_equal(zcb_bridge_open(f->session, &options, &bridge, &why), ZCB_ERR_INVALID);
    assert_non_null(strstr(why.text, "label"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_session_can_have_a_hundred_bridges),
        TEST(bridges_open_beyond_what_the_link_holds),
        TEST(bridges_that_come_and_go_leave_nothing_behind),
        cmocka_unit_test(a_bridge_of_an_ended_session_does_not_open),
        TEST(labels_are_as_long_as_they_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
