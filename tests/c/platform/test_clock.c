/* The clock and the processors. */
#include "support.h"

static void clock_never_goes_back_and_is_never_0(void **state)
{
    (void)state;
    int64_t before = zcbi_plat_now_ns();
    assert_true(before > 0);
    for (int i = 0; i < 10000; i++) {
        int64_t now = zcbi_plat_now_ns();
        assert_true(now >= before);
        before = now;
    }
}

static void there_is_a_processor_at_least(void **state)
{
    (void)state;
    assert_true(zcbi_plat_cpu_count() >= 1);
}

static void *yield_until_set(void *set)
{
    while (!atomic_load((_Atomic bool *)set))
        zcbi_plat_yield();
    return NULL;
}

static void yielding_lets_others_run(void **state)
{
    (void)state;
    _Atomic bool set = false;
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        threads[i] = start_thread(yield_until_set, &set);
    atomic_store(&set, true);
    for (int i = 0; i < 8; i++)
        join_thread(threads[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clock_never_goes_back_and_is_never_0),
        cmocka_unit_test(there_is_a_processor_at_least),
        cmocka_unit_test(yielding_lets_others_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
