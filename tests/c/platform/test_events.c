/* Events, and the wait for handles. */
#include "support.h"

static void event_stays_set_until_it_is_cleared(void **state)
{
    (void)state;
    plat_handle event;
    unsigned ready = 9;
    assert_ok(zcbi_plat_event_create(&event));
    zcbi_plat_event_clear(event);
    assert_int_equal(zcbi_plat_wait(&event, 1, 0, &ready), ZCB_ERR_TIMEOUT);
    assert_int_equal(ready, 9);
    zcbi_plat_event_set(event);
    zcbi_plat_event_set(event);
    assert_ok(zcbi_plat_wait(&event, 1, 0, &ready));
    assert_ok(zcbi_plat_wait(&event, 1, 0, &ready));
    assert_int_equal(ready, 0);
    zcbi_plat_event_clear(event);
    assert_int_equal(zcbi_plat_wait(&event, 1, 0, &ready), ZCB_ERR_TIMEOUT);
    zcbi_plat_close(event);
}

static void files_and_links_are_no_events(void **state)
{
    (void)state;
    plat_handle event, file;
    assert_ok(zcbi_plat_event_create(&event));
    assert_ok(zcbi_plat_file_create(&file));
    assert_true(zcbi_plat_is_event(event));
    assert_false(zcbi_plat_is_event(file));
    zcbi_plat_close(event);
    zcbi_plat_close(file);
}

static void wait_names_the_lowest_ready_handle(void **state)
{
    (void)state;
    plat_handle handles[4] = {PLAT_NO_HANDLE};
    unsigned ready;
    for (int i = 1; i < 4; i++)
        assert_ok(zcbi_plat_event_create(&handles[i]));
    zcbi_plat_event_set(handles[3]);
    assert_ok(zcbi_plat_wait(handles, 4, soon(), &ready));
    assert_int_equal(ready, 3);
    zcbi_plat_event_set(handles[2]);
    assert_ok(zcbi_plat_wait(handles, 4, soon(), &ready));
    assert_int_equal(ready, 2);
    for (int i = 0; i < 4; i++)
        zcbi_plat_close(handles[i]);
}

static void wait_lasts_until_its_deadline(void **state)
{
    (void)state;
    plat_handle event;
    unsigned ready;
    assert_ok(zcbi_plat_event_create(&event));
    for (unsigned count = 0; count < 2; count++) {
        int64_t begin = zcbi_plat_now_ns();
        assert_int_equal(zcbi_plat_wait(&event, count, begin + 30 * MS, &ready), ZCB_ERR_TIMEOUT);
        assert_true(zcbi_plat_now_ns() >= begin + 30 * MS);
    }
    zcbi_plat_close(event);
}

static void wait_does_not_wait_for_a_past_deadline(void **state)
{
    (void)state;
    const int64_t past[] = {0, 1, -1, INT64_MIN, zcbi_plat_now_ns() - 1};
    unsigned ready;
    for (size_t i = 0; i < sizeof(past) / sizeof(*past); i++)
        assert_int_equal(zcbi_plat_wait(NULL, 0, past[i], &ready), ZCB_ERR_TIMEOUT);
}

static void *set_event(void *event)
{
    zcbi_plat_event_set(*(plat_handle *)event);
    return NULL;
}

static void wait_is_ended_by_another_thread(void **state)
{
    (void)state;
    const int64_t deadlines[] = {soon(), ZCB_NEVER, ZCB_NEVER - 1};
    plat_handle event;
    unsigned ready;
    assert_ok(zcbi_plat_event_create(&event));
    for (size_t i = 0; i < sizeof(deadlines) / sizeof(*deadlines); i++) {
        pthread_t thread = start_thread(set_event, &event);
        assert_ok(zcbi_plat_wait(&event, 1, deadlines[i], &ready));
        join_thread(thread);
        zcbi_plat_event_clear(event);
    }
    zcbi_plat_close(event);
}

static void wait_refuses_handles_that_are_not_open(void **state)
{
    (void)state;
    plat_handle closed;
    unsigned ready;
    assert_ok(zcbi_plat_event_create(&closed));
    zcbi_plat_close(closed);
    assert_int_equal(zcbi_plat_wait(&closed, 1, ZCB_NEVER, &ready), ZCB_ERR_SYSTEM);
}

static void wait_takes_only_so_many_handles(void **state)
{
    (void)state;
    plat_handle handles[PLAT_WAIT_MAX + 1];
    unsigned ready;
    for (unsigned i = 0; i <= PLAT_WAIT_MAX; i++)
        handles[i] = PLAT_NO_HANDLE;
    assert_int_equal(zcbi_plat_wait(handles, PLAT_WAIT_MAX, 0, &ready), ZCB_ERR_TIMEOUT);
    assert_int_equal(zcbi_plat_wait(handles, PLAT_WAIT_MAX + 1, 0, &ready), ZCB_ERR_INVALID);
}

static void closing_no_handle_does_nothing(void **state)
{
    (void)state;
    zcbi_plat_close(PLAT_NO_HANDLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event_stays_set_until_it_is_cleared),
        cmocka_unit_test(files_and_links_are_no_events),
        cmocka_unit_test(wait_names_the_lowest_ready_handle),
        cmocka_unit_test(wait_lasts_until_its_deadline),
        cmocka_unit_test(wait_does_not_wait_for_a_past_deadline),
        cmocka_unit_test(wait_is_ended_by_another_thread),
        cmocka_unit_test(wait_refuses_handles_that_are_not_open),
        cmocka_unit_test(wait_takes_only_so_many_handles),
        cmocka_unit_test(closing_no_handle_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
