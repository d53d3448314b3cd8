/* The mutex. */
#include "support.h"

static plat_mutex counter_lock;
static long counter;

static void *count_up(void *unused)
{
    (void)unused;
    for (int i = 0; i < 50000; i++) {
        zcbi_plat_mutex_lock(&counter_lock);
        counter++;
        zcbi_plat_mutex_unlock(&counter_lock);
    }
    return NULL;
}

static void mutex_lets_one_thread_in_at_a_time(void **state)
{
    (void)state;
    pthread_t threads[4];
    counter = 0;
    zcbi_plat_mutex_init(&counter_lock);
    for (int i = 0; i < 4; i++)
        threads[i] = start_thread(count_up, NULL);
    for (int i = 0; i < 4; i++)
        join_thread(threads[i]);
    assert_int_equal(counter, 4 * 50000);
    zcbi_plat_mutex_destroy(&counter_lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutex_lets_one_thread_in_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
