/* What POSIX systems add to the contract: processors that are taken from a process. */
#include "support.h"

static bool one_processor_is_counted(void)
{
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    CPU_SET((size_t)sched_getcpu(), &allowed);
    return sched_setaffinity(0, sizeof(allowed), &allowed) == 0 && zcbi_plat_cpu_count() == 1;
}

static void cpu_count_is_what_the_process_may_use(void **state)
{
    (void)state;
    assert_true(zcbi_plat_cpu_count() >= 1);
    assert_in_child(one_processor_is_counted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpu_count_is_what_the_process_may_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
