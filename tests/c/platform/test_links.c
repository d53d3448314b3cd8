/* Links: records and the handles that they carry. */
#include "links.h"

static void link_keeps_records_apart(void **state)
{
    (void)state;
    struct links links = make_links();
    char record[PLAT_LINK_BYTES], largest[PLAT_LINK_BYTES];
    size_t bytes;
    unsigned count;
    memset(largest, 'x', sizeof(largest));
    assert_ok(zcbi_plat_link_send(links.a, "one", 3, NULL, 0));
    assert_ok(zcbi_plat_link_send(links.a, largest, sizeof(largest), NULL, 0));
    assert_ok(receive_record(links.b, record, &bytes, &count));
    assert_int_equal(bytes, 3);
    assert_int_equal(count, 0);
    assert_memory_equal(record, "one", 3);
    assert_ok(receive_record(links.b, record, &bytes, &count));
    assert_int_equal(bytes, PLAT_LINK_BYTES);
    assert_memory_equal(record, largest, sizeof(largest));
    assert_int_equal(receive_record(links.b, record, &bytes, &count), ZCB_ERR_TIMEOUT);
    assert_ok(zcbi_plat_link_send(links.b, "back", 4, NULL, 0));
    assert_ok(receive_record(links.a, record, &bytes, &count));
    assert_memory_equal(record, "back", 4);
    close_links(&links);
}

static void link_refuses_records_that_it_cannot_carry(void **state)
{
    (void)state;
    struct links links = make_links();
    char record[PLAT_LINK_BYTES + 1] = {0};
    plat_handle handles[PLAT_LINK_HANDLES + 1] = {0};
    assert_int_equal(zcbi_plat_link_send(links.a, record, 0, NULL, 0), ZCB_ERR_INVALID);
    assert_int_equal(zcbi_plat_link_send(links.a, record, sizeof(record), NULL, 0),
                     ZCB_ERR_INVALID);
    assert_int_equal(zcbi_plat_link_send(links.a, record, 1, handles, PLAT_LINK_HANDLES + 1),
                     ZCB_ERR_INVALID);
    close_links(&links);
}

static void link_carries_handles(void **state)
{
    (void)state;
    struct links links = make_links();
    plat_handle sent[PLAT_LINK_HANDLES], received[PLAT_LINK_HANDLES];
    char record[8];
    size_t bytes;
    unsigned count, ready, before = open_descriptors();
    int64_t sender = 0;
    for (int i = 0; i < PLAT_LINK_HANDLES; i++)
        assert_ok(zcbi_plat_event_create(&sent[i]));
    assert_ok(zcbi_plat_link_send(links.a, "x", 1, sent, PLAT_LINK_HANDLES));
    assert_ok(zcbi_plat_link_receive(links.b, record, sizeof(record), &bytes, received,
                                     PLAT_LINK_HANDLES, &count, &sender));
    assert_int_equal(count, PLAT_LINK_HANDLES);
    assert_int_equal(sender, zcbi_plat_getpid());
    for (int i = 0; i < PLAT_LINK_HANDLES; i++) {
        assert_int_equal(zcbi_plat_wait(&sent[i], 1, 0, &ready), ZCB_ERR_TIMEOUT);
        zcbi_plat_event_set(received[i]);
        assert_ok(zcbi_plat_wait(&sent[i], 1, 0, &ready));
        zcbi_plat_close(received[i]);
        zcbi_plat_close(sent[i]);
    }
    assert_ok(
        zcbi_plat_link_send(links.a, "x", 1, NULL, 0)); /* and hears that the handles were taken */
    assert_int_equal(open_descriptors(), before);
    close_links(&links);
}

static void handles_that_nobody_took_are_closed_with_the_link(void **state)
{
    (void)state;
    unsigned before = open_descriptors();
    struct links links = make_links();
    plat_handle events[3];
    for (int i = 0; i < 3; i++)
        assert_ok(zcbi_plat_event_create(&events[i]));
    assert_ok(zcbi_plat_link_send(links.a, "x", 1, events, 3));
    assert_ok(zcbi_plat_link_send(links.a, "y", 1, events, 2));
    for (int i = 0; i < 3; i++)
        zcbi_plat_close(events[i]);
    close_links(&links);
    assert_int_equal(open_descriptors(), before);
}

static void full_link_times_out(void **state)
{
    (void)state;
    struct links links = make_links();
    char record[PLAT_LINK_BYTES] = {0};
    size_t bytes;
    unsigned count, sent = 0;
    zcb_error error;
    while ((error = zcbi_plat_link_send(links.a, record, sizeof(record), NULL, 0)) == ZCB_OK)
        sent++;
    assert_int_equal(error, ZCB_ERR_TIMEOUT);
    assert_true(sent >= 8);
    for (unsigned i = 0; i < sent; i++)
        assert_ok(receive_record(links.b, record, &bytes, &count));
    assert_int_equal(receive_record(links.b, record, &bytes, &count), ZCB_ERR_TIMEOUT);
    assert_ok(zcbi_plat_link_send(links.a, record, 1, NULL, 0));
    close_links(&links);
}

static void link_is_signalled_when_a_record_is_there(void **state)
{
    (void)state;
    struct links links = make_links();
    char record[PLAT_LINK_BYTES];
    size_t bytes;
    unsigned count, ready;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(zcbi_plat_wait(&links.b, 1, zcbi_plat_now_ns() + MS, &ready),
                         ZCB_ERR_TIMEOUT);
        assert_ok(zcbi_plat_link_send(links.a, "x", 1, NULL, 0));
        assert_ok(zcbi_plat_wait(&links.b, 1, soon(), &ready));
        assert_ok(zcbi_plat_wait(&links.b, 1, 0, &ready));
        assert_ok(receive_record(links.b, record, &bytes, &count));
    }
    close_links(&links);
}

static void link_tells_that_the_other_end_is_closed(void **state)
{
    (void)state;
    struct links links = make_links();
    char record[PLAT_LINK_BYTES];
    size_t bytes;
    unsigned count, ready;
    zcbi_plat_close(links.b);
    assert_ok(zcbi_plat_wait(&links.a, 1, soon(), &ready));
    assert_int_equal(zcbi_plat_link_send(links.a, "x", 1, NULL, 0), ZCB_ERR_PEER_GONE);
    assert_int_equal(receive_record(links.a, record, &bytes, &count), ZCB_ERR_PEER_GONE);
    zcbi_plat_close(links.a);
}

static void records_outlive_the_end_that_sent_them(void **state)
{
    (void)state;
    struct links links = make_links();
    char record[PLAT_LINK_BYTES];
    size_t bytes;
    unsigned count, ready;
    assert_ok(zcbi_plat_link_send(links.a, "unread", 6, NULL, 0));
    assert_ok(zcbi_plat_link_send(links.b, "last words", 10, NULL, 0));
    zcbi_plat_close(links.b);
    assert_ok(receive_record(links.a, record, &bytes, &count));
    assert_memory_equal(record, "last words", 10);
    assert_ok(zcbi_plat_wait(&links.a, 1, soon(), &ready));
    assert_int_equal(receive_record(links.a, record, &bytes, &count), ZCB_ERR_PEER_GONE);
    zcbi_plat_close(links.a);
}

static void records_too_large_are_refused_and_their_handles_closed(void **state)
{
    (void)state;
    struct links links = make_links();
    plat_handle sent[3], handles[2];
    char record[4];
    size_t bytes;
    unsigned count;
    for (int i = 0; i < 3; i++)
        assert_ok(zcbi_plat_event_create(&sent[i]));
    unsigned before = open_descriptors();
    assert_ok(zcbi_plat_link_send(links.a, "12345", 5, sent, 2));
    assert_int_equal(
        zcbi_plat_link_receive(links.b, record, sizeof(record), &bytes, handles, 2, &count, NULL),
        ZCB_ERR_PROTOCOL);
    assert_ok(zcbi_plat_link_send(links.a, "1234", 4, sent, 3));
    assert_int_equal(
        zcbi_plat_link_receive(links.b, record, sizeof(record), &bytes, handles, 2, &count, NULL),
        ZCB_ERR_PROTOCOL);
    assert_ok(zcbi_plat_link_send(links.a, "next", 4, NULL, 0));
    assert_int_equal(open_descriptors(), before);
    for (int i = 0; i < 3; i++)
        zcbi_plat_close(sent[i]);
    close_links(&links);
}

static void what_is_no_link_is_not_taken_for_one(void **state)
{
    (void)state;
    plat_handle link, event;
    char number[32];
    assert_ok(zcbi_plat_event_create(&event));
    snprintf(number, sizeof(number), "%lld", (long long)event);
    const char *const wrong[] = {"",    "x", "-1", " 3", "3x", "1000", "0", "99999999999999999999",
                                 number};
    unsetenv(ZCB_LINK_VARIABLE);
    assert_int_equal(zcbi_plat_link_inherited(&link), ZCB_ERR_NOT_FOUND);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        setenv(ZCB_LINK_VARIABLE, wrong[i], 1);
        assert_int_equal(zcbi_plat_link_inherited(&link), ZCB_ERR_NOT_FOUND);
        assert_false(zcbi_plat_has_variable(ZCB_LINK_VARIABLE));
    }
    zcbi_plat_close(event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(link_keeps_records_apart),
        cmocka_unit_test(link_refuses_records_that_it_cannot_carry),
        cmocka_unit_test(link_carries_handles),
        cmocka_unit_test(handles_that_nobody_took_are_closed_with_the_link),
        cmocka_unit_test(full_link_times_out),
        cmocka_unit_test(link_is_signalled_when_a_record_is_there),
        cmocka_unit_test(link_tells_that_the_other_end_is_closed),
        cmocka_unit_test(records_outlive_the_end_that_sent_them),
        cmocka_unit_test(records_too_large_are_refused_and_their_handles_closed),
        cmocka_unit_test(what_is_no_link_is_not_taken_for_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
