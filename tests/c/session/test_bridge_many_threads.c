/* Many threads at one bridge. */
#include "bridges.h"

struct crowd {
    struct fixture *f;
    _Atomic unsigned wrong;
};

static void *send_some(void *arg)
{
    struct crowd *crowd = arg;
    uint64_t seed = (uint64_t)(uintptr_t)&seed;
    zcb_wait wait = patience();
    for (int i = 0; i < 100; i++)
        if (send_bytes(crowd->f->bridge, next_random(&seed) % 40000, NULL, &wait))
            atomic_fetch_add(&crowd->wrong, 1);
    return NULL;
}

static bool succeeds(struct fixture *f, uint64_t id, const zcb_wait *wait)
{
    zcb_result *result = NULL;
    bool right =
        zcb_session_wait(f->session, id, &result, wait) == ZCB_OK && zcb_result_success(result);
    zcb_result_free(result);
    return right;
}

static void *post_some(void *arg)
{
    struct crowd *crowd = arg;
    zcb_wait wait = patience();
    for (int i = 0; i < 100; i++) {
        uint64_t id;
        if (zcb_bridge_post_receive(crowd->f->bridge, "$x", 2, 0, -1, &id, &wait) ||
            !succeeds(crowd->f, id, &wait))
            atomic_fetch_add(&crowd->wrong, 1);
    }
    return NULL;
}

static void *fetch_some(void *arg)
{
    struct crowd *crowd = arg;
    zcb_wait wait = patience();
    for (int i = 0; i < 100; i++) {
        uint64_t id;
        zcb_message message;
        if (zcb_bridge_post_send(crowd->f->bridge, "5000", 4, 0, 0, -1, &id, &wait) ||
            !receive_bytes(crowd->f->bridge, &message) || !succeeds(crowd->f, id, &wait))
            atomic_fetch_add(&crowd->wrong, 1);
    }
    return NULL;
}

static void many_threads_use_one_bridge(void **state)
{
    struct crowd crowd = {.f = *state};
    void *(*const work[])(void *) = {send_some, send_some,  post_some,
                                     post_some, fetch_some, fetch_some};
    pthread_t threads[6];
    for (int i = 0; i < 6; i++)
        threads[i] = start_thread(work[i], &crowd);
    for (int i = 0; i < 6; i++)
        join_thread(threads[i]);
    assert_int_equal(crowd.wrong, 0);
    assert_bridge_works(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(many_threads_use_one_bridge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
