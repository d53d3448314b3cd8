/* A lock that is given in the order of asking. */
#include "support.h"

#include "channel/ticket_lock.h"

struct asker {
    struct ticket_lock *lock;
    pthread_t thread;
    zcb_wait wait;
    zcb_error error;
    unsigned *order; /* counts those who got it; under the lock */
    unsigned place;
};

static void *ask(void *arg)
{
    struct asker *asker = arg;
    asker->error = zcbi_ticket_lock_acquire(asker->lock, &asker->wait);
    if (asker->error == ZCB_OK) {
        asker->place = (*asker->order)++;
        zcbi_ticket_lock_release(asker->lock);
    }
    return NULL;
}

static unsigned line_length(struct ticket_lock *lock)
{
    unsigned count = 0;
    zcbi_plat_mutex_lock(&lock->mutex);
    for (const struct waiter *waiter = lock->first; waiter; waiter = waiter->next)
        count++;
    zcbi_plat_mutex_unlock(&lock->mutex);
    return count;
}

static void join_line(struct asker *asker, unsigned in_line_then)
{
    asker->thread = start_thread(ask, asker);
    while (line_length(asker->lock) < in_line_then)
        sched_yield();
}

static void it_is_given_in_the_order_of_asking(void **state)
{
    (void)state;
    struct ticket_lock lock;
    struct asker askers[8];
    unsigned order = 0;
    zcbi_ticket_lock_init(&lock);
    assert_ok(zcbi_ticket_lock_acquire(&lock, NULL));
    for (unsigned i = 0; i < 8; i++) {
        askers[i] = (struct asker){.lock = &lock, .wait = patience(), .order = &order};
        join_line(&askers[i], i + 1);
    }
    zcbi_ticket_lock_release(&lock);
    for (unsigned i = 0; i < 8; i++) {
        join_thread(askers[i].thread);
        assert_int_equal(askers[i].error, ZCB_OK);
        assert_int_equal(askers[i].place, i);
    }
    zcbi_ticket_lock_destroy(&lock);
}

static void whoever_gives_up_leaves_the_line(void **state)
{
    (void)state;
    struct ticket_lock lock;
    struct asker askers[3];
    unsigned order = 0;
    zcb_cancel *cancel;
    zcbi_ticket_lock_init(&lock);
    assert_ok(zcb_cancel_create(&cancel));
    assert_ok(zcbi_ticket_lock_acquire(&lock, NULL));
    for (unsigned i = 0; i < 3; i++) {
        askers[i] = (struct asker){.lock = &lock, .wait = patience(), .order = &order};
        askers[i].wait.cancel = i == 1 ? cancel : NULL;
        join_line(&askers[i], i + 1);
    }
    zcb_cancel_set(cancel);
    join_thread(askers[1].thread);
    assert_int_equal(askers[1].error, ZCB_ERR_CANCELLED);
    assert_int_equal(line_length(&lock), 2);
    zcb_wait past = {0};
    assert_int_equal(zcbi_ticket_lock_acquire(&lock, &past), ZCB_ERR_TIMEOUT);
    zcbi_ticket_lock_release(&lock);
    join_thread(askers[0].thread);
    join_thread(askers[2].thread);
    assert_int_equal(askers[0].place, 0);
    assert_int_equal(askers[2].place, 1);
    zcb_cancel_free(cancel);
    zcbi_ticket_lock_destroy(&lock);
}

static void its_end_sends_the_line_away_but_not_its_holder(void **state)
{
    (void)state;
    struct ticket_lock lock;
    struct asker asker = {.lock = &lock, .wait = patience()};
    unsigned order = 0;
    asker.order = &order;
    zcbi_ticket_lock_init(&lock);
    assert_ok(zcbi_ticket_lock_acquire(&lock, NULL));
    join_line(&asker, 1);
    zcbi_ticket_lock_close(&lock);
    join_thread(asker.thread);
    assert_int_equal(asker.error, ZCB_ERR_CLOSED);
    assert_int_equal(zcbi_ticket_lock_acquire(&lock, NULL), ZCB_ERR_CLOSED);
    zcbi_ticket_lock_release(&lock);
    assert_ok(zcbi_ticket_lock_acquire(&lock, NULL));
    zcbi_ticket_lock_release(&lock);
    zcbi_ticket_lock_destroy(&lock);
}

struct contest {
    struct ticket_lock lock;
    unsigned counter; /* not atomic: under the lock */
    _Atomic unsigned timeouts;
    bool hurried;
};

static void *contend(void *arg)
{
    struct contest *contest = arg;
    for (int i = 0; i < 2000; i++) {
        /* Deadlines about as long as the wait: being given it and giving up meet. */
        zcb_wait wait = {.deadline_ns = contest->hurried ? zcb_now_ns() + 30000 : ZCB_NEVER};
        if (zcbi_ticket_lock_acquire(&contest->lock, &wait) == ZCB_OK) {
            contest->counter++;
            zcbi_ticket_lock_release(&contest->lock);
        } else {
            atomic_fetch_add(&contest->timeouts, 1);
        }
    }
    return NULL;
}

static void run_contest(bool hurried)
{
    struct contest contest = {.hurried = hurried};
    pthread_t threads[4];
    zcbi_ticket_lock_init(&contest.lock);
    for (int i = 0; i < 4; i++)
        threads[i] = start_thread(contend, &contest);
    for (int i = 0; i < 4; i++)
        join_thread(threads[i]);
    assert_int_equal(contest.counter + atomic_load(&contest.timeouts), 8000);
    zcb_wait past = {0};
    assert_ok(zcbi_ticket_lock_acquire(&contest.lock, &past)); /* nobody left it taken */
    zcbi_ticket_lock_release(&contest.lock);
    zcbi_ticket_lock_destroy(&contest.lock);
}

static void one_thread_has_it_at_a_time(void **state)
{
    (void)state;
    run_contest(false);
}

static void it_is_not_lost_when_giving_up_meets_being_given_it(void **state)
{
    (void)state;
    run_contest(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_given_in_the_order_of_asking),
        cmocka_unit_test(whoever_gives_up_leaves_the_line),
        cmocka_unit_test(its_end_sends_the_line_away_but_not_its_holder),
        cmocka_unit_test(one_thread_has_it_at_a_time),
        cmocka_unit_test(it_is_not_lost_when_giving_up_meets_being_given_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
