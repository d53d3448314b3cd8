/* What POSIX systems add to the contract of events and the wait: signals, and a bell that is full. */
#include "kernel.h"

static void programs_do_not_inherit_an_event(void **state)
{
    (void)state;
    plat_handle event;
    assert_int_equal(zcbi_plat_event_create(&event), ZCB_OK);
    assert_int_equal(fcntl((int)event, F_GETFD), FD_CLOEXEC);
    zcbi_plat_close(event);
}

static void setting_a_full_event_does_not_block(void **state)
{
    (void)state;
    plat_handle event;
    unsigned ready;
    uint64_t full = UINT64_MAX - 1;
    assert_int_equal(zcbi_plat_event_create(&event), ZCB_OK);
    assert_int_equal(write((int)event, &full, sizeof(full)), sizeof(full));
    zcbi_plat_event_set(event);
    assert_int_equal(zcbi_plat_wait(&event, 1, 0, &ready), ZCB_OK);
    zcbi_plat_close(event);
}

static void wait_is_ended_by_a_signal(void **state)
{
    (void)state;
    unsigned ready;
    start_timer(20000);
    zcb_error error = zcbi_plat_wait(NULL, 0, ZCB_NEVER, &ready);
    stop_timer();
    assert_int_equal(error, ZCB_ERR_INTERRUPTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_do_not_inherit_an_event),
        cmocka_unit_test(setting_a_full_event_does_not_block),
        cmocka_unit_test(wait_is_ended_by_a_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
