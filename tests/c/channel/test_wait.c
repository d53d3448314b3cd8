/* The one wait: what ends it, and that nothing is missed. */
#include "sessions.h"

#include "channel/wait.h"

struct place {
    _Atomic uint32_t value;
    _Atomic uint32_t asleep;
    plat_handle bell;
    struct spin spin;
};

static bool has_value(void *arg)
{
    return atomic_load(&((struct place *)arg)->value) != 0;
}

static struct source source_of(struct place *place)
{
    return (struct source){has_value, place, &place->asleep, place->bell};
}

static void put(struct place *place)
{
    atomic_store(&place->value, 1);
    doorbell_ring(&place->asleep, place->bell);
}

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    assert_non_null(place);
    assert_ok(zcbi_plat_event_create(&place->bell));
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    zcbi_plat_close(place->bell);
    free(place);
    return 0;
}

static zcb_error wait_at(struct place *place, plat_handle peer, const zcb_wait *wait)
{
    struct source source = source_of(place);
    return zcbi_wait_any(&source, 1, peer, &place->spin, wait);
}

static bool is_rung(const struct place *place)
{
    unsigned ready;
    return zcbi_plat_wait(&place->bell, 1, 0, &ready) == ZCB_OK;
}

static void what_is_ready_needs_no_wait(void **state)
{
    struct place *place = *state;
    zcb_cancel *cancel;
    assert_ok(zcb_cancel_create(&cancel));
    zcb_cancel_set(cancel);
    zcb_wait past = {.deadline_ns = 0, .cancel = cancel};
    atomic_store(&place->value, 1);
    assert_ok(wait_at(place, PLAT_NO_HANDLE, &past));
    assert_ok(wait_at(place, PLAT_NO_HANDLE, NULL));
    zcb_cancel_free(cancel);
}

static void a_deadline_that_has_passed_does_not_wait(void **state)
{
    struct place *place = *state;
    const int64_t past[] = {0, -1, INT64_MIN, 1, zcb_now_ns()};
    for (size_t i = 0; i < sizeof(past) / sizeof(*past); i++) {
        zcb_wait wait = {.deadline_ns = past[i]};
        assert_int_equal(wait_at(place, PLAT_NO_HANDLE, &wait), ZCB_ERR_TIMEOUT);
    }
}

static void it_never_ends_before_its_deadline(void **state)
{
    struct place *place = *state;
    for (int i = 0; i < 20; i++) {
        zcb_wait wait = {.deadline_ns = zcb_now_ns() + i * 300000};
        assert_int_equal(wait_at(place, PLAT_NO_HANDLE, &wait), ZCB_ERR_TIMEOUT);
        assert_true(zcb_now_ns() >= wait.deadline_ns);
    }
}

static void nobody_is_rung_who_does_not_sleep(void **state)
{
    struct place *place = *state;
    put(place);
    assert_false(is_rung(place));
    atomic_store(&place->asleep, 1);
    put(place);
    put(place);
    assert_true(is_rung(place));
    assert_int_equal(atomic_load(&place->asleep), 0);
}

static void a_ring_without_news_is_slept_over(void **state)
{
    struct place *place = *state;
    zcbi_plat_event_set(place->bell);
    zcb_wait wait = within_ms(5);
    assert_int_equal(wait_at(place, PLAT_NO_HANDLE, &wait), ZCB_ERR_TIMEOUT);
    assert_false(is_rung(place));
    assert_int_equal(atomic_load(&place->asleep), 0);
}

struct waiting {
    struct place *place;
    zcb_wait wait;
    zcb_error error;
    plat_handle peer;
};

static void *wait_there(void *arg)
{
    struct waiting *waiting = arg;
    waiting->error = wait_at(waiting->place, waiting->peer, &waiting->wait);
    return NULL;
}

static void news_wake_whoever_sleeps(void **state)
{
    struct place *place = *state;
    for (int i = 0; i < 200; i++) {
        struct waiting waiting = {place, patience(), ZCB_OK, PLAT_NO_HANDLE};
        pthread_t thread = start_thread(wait_there, &waiting);
        if (i % 2)
            await_asleep(&place->asleep);
        put(place);
        join_thread(thread);
        assert_int_equal(waiting.error, ZCB_OK);
        atomic_store(&place->value, 0);
    }
}

static void cancel_ends_every_wait_until_it_is_reset(void **state)
{
    struct place *place = *state;
    zcb_cancel *cancel;
    assert_ok(zcb_cancel_create(&cancel));
    struct waiting waiting = {place, patience(), ZCB_OK, PLAT_NO_HANDLE};
    waiting.wait.cancel = cancel;
    pthread_t thread = start_thread(wait_there, &waiting);
    await_asleep(&place->asleep);
    zcb_cancel_set(cancel);
    join_thread(thread);
    assert_int_equal(waiting.error, ZCB_ERR_CANCELLED);
    assert_int_equal(wait_at(place, PLAT_NO_HANDLE, &waiting.wait), ZCB_ERR_CANCELLED);
    zcb_cancel_reset(cancel);
    waiting.wait.deadline_ns = 0;
    assert_int_equal(wait_at(place, PLAT_NO_HANDLE, &waiting.wait), ZCB_ERR_TIMEOUT);
    zcb_cancel_free(cancel);
}

#if !defined(_WIN32)

static void a_forked_child_cannot_cancel_its_parent(void **state)
{
    struct place *place = *state;
    zcb_cancel *cancel;
    assert_ok(zcb_cancel_create(&cancel));
    pid_t pid = fork();
    if (pid == 0) {
        zcb_cancel_set(cancel);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    zcb_wait wait = within_ms(5);
    wait.cancel = cancel;
    assert_int_equal(wait_at(place, PLAT_NO_HANDLE, &wait), ZCB_ERR_TIMEOUT);
    zcb_cancel_free(cancel);
}

#endif

static void the_peers_end_ends_it_but_not_before_what_is_there(void **state)
{
    struct place *place = *state;
    plat_child child = start_idle_process();
    plat_handle peer = child.process;
    struct waiting waiting = {place, patience(), ZCB_OK, peer};
    pthread_t thread = start_thread(wait_there, &waiting);
    await_asleep(&place->asleep);
    zcbi_plat_process_kill(child.pid, child.process);
    join_thread(thread);
    assert_int_equal(waiting.error, ZCB_ERR_PEER_GONE);
    assert_int_equal(wait_at(place, peer, &waiting.wait), ZCB_ERR_PEER_GONE);
    put(place);
    assert_ok(wait_at(place, peer, &waiting.wait));
    (void)finish_child(&child);
}

struct asked {
    _Atomic int times;
    int answer_at; /* the call that says yes */
};

static int ask(void *arg)
{
    struct asked *asked = arg;
    return atomic_fetch_add(&asked->times, 1) + 1 == asked->answer_at;
}

#if !defined(_WIN32)

static void on_signal(int number)
{
    (void)number;
}

static void handle_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, NULL);
}

static void a_signal_ends_it_when_the_caller_says_so(void **state)
{
    struct place *place = *state;
    struct asked asked = {.answer_at = 2};
    handle_signals();
    struct waiting waiting = {place, patience(), ZCB_OK, PLAT_NO_HANDLE};
    waiting.wait.interrupted = ask;
    waiting.wait.arg = &asked;
    pthread_t thread = start_thread(wait_there, &waiting);
    while (atomic_load(&asked.times) < 2)
        pthread_kill(thread, SIGUSR1);
    join_thread(thread);
    assert_int_equal(waiting.error, ZCB_ERR_INTERRUPTED);
}

static _Atomic int signalled;

static void note_signal(int number)
{
    (void)number;
    atomic_store(&signalled, 1);
}

static int is_signalled(void *arg)
{
    (void)arg;
    return atomic_load(&signalled);
}

static void a_signal_at_any_moment_is_not_missed(void **state)
{
    struct place *place = *state;
    struct sigaction action = {.sa_handler = note_signal};
    sigaction(SIGUSR1, &action, NULL);
    for (int i = 0; i < 300; i++) {
        struct waiting waiting = {place, patience(), ZCB_OK, PLAT_NO_HANDLE};
        waiting.wait.interrupted = is_signalled;
        atomic_store(&signalled, 0);
        pthread_t thread = start_thread(wait_there, &waiting);
        if (i % 3 == 0)
            await_asleep(&place->asleep);
        pthread_kill(thread, SIGUSR1);
        join_thread(thread);
        assert_int_equal(waiting.error, ZCB_ERR_INTERRUPTED);
    }
}

static void a_signal_is_ignored_when_nobody_asks(void **state)
{
    struct place *place = *state;
    handle_signals();
    struct waiting waiting = {place, patience(), ZCB_OK, PLAT_NO_HANDLE};
    pthread_t thread = start_thread(wait_there, &waiting);
    for (int i = 0; i < 50; i++) {
        await_asleep(&place->asleep);
        pthread_kill(thread, SIGUSR1);
    }
    put(place);
    join_thread(thread);
    assert_int_equal(waiting.error, ZCB_OK);
}

#endif

/* Rings whoever looks, and has no news. */
static bool rings_without_end(void *arg)
{
    zcbi_plat_event_set(((struct place *)arg)->bell);
    return false;
}

static zcb_error wait_at_restless(struct place *place, const zcb_wait *wait)
{
    struct source source = {rings_without_end, place, &place->asleep, place->bell};
    return zcbi_wait_any(&source, 1, PLAT_NO_HANDLE, &place->spin, wait);
}

static void *wait_there_restless(void *arg)
{
    struct waiting *waiting = arg;
    waiting->error = wait_at_restless(waiting->place, &waiting->wait);
    return NULL;
}

static void a_bell_that_never_rests_hides_neither_deadline_nor_cancel(void **state)
{
    struct place *place = *state;
    struct waiting waiting = {.place = place, .wait = within_ms(5)};
    assert_int_equal(wait_at_restless(place, &waiting.wait), ZCB_ERR_TIMEOUT);
    waiting.wait = (zcb_wait){.deadline_ns = ZCB_NEVER};
    assert_ok(zcb_cancel_create(&waiting.wait.cancel));
    pthread_t thread = start_thread(wait_there_restless, &waiting);
    await_asleep(&place->asleep);
    zcb_cancel_set(waiting.wait.cancel);
    join_thread(thread);
    assert_int_equal(waiting.error, ZCB_ERR_CANCELLED);
    zcb_cancel_free(waiting.wait.cancel);
}

struct ball {
    struct place *mine, *yours;
};

static void *play(void *arg)
{
    const struct ball *ball = arg;
    zcb_wait wait = patience();
    for (int i = 0; i < 20000; i++) {
        if (wait_at(ball->mine, PLAT_NO_HANDLE, &wait) != ZCB_OK)
            return (void *)1;
        atomic_store(&ball->mine->value, 0);
        put(ball->yours);
    }
    return NULL;
}

static void nothing_is_missed_in_many_round_trips(void **state)
{
    struct place *here = *state;
    struct place there = {0};
    assert_ok(zcbi_plat_event_create(&there.bell));
    struct ball a = {here, &there}, b = {&there, here};
    pthread_t first = start_thread(play, &a), second = start_thread(play, &b);
    put(here);
    void *failed;
    pthread_join(first, &failed);
    assert_null(failed);
    pthread_join(second, &failed);
    assert_null(failed);
    zcbi_plat_close(there.bell);
}

static void copying_asks_for_interruption_now_and_then(void **state)
{
    (void)state;
    struct asked asked = {.answer_at = 1};
    zcb_wait wait = {.deadline_ns = ZCB_NEVER, .interrupted = ask, .arg = &asked};
    struct pace pace;
    zcbi_pace_init(&pace, &wait);
    int64_t begin = zcb_now_ns();
    zcb_error error;
    while ((error = zcbi_pace_check(&pace)) == ZCB_OK)
        assert_int_equal(atomic_load(&asked.times), 0);
    assert_int_equal(error, ZCB_ERR_INTERRUPTED);
    assert_true(zcb_now_ns() - begin >= 10 * MS);
    zcbi_pace_init(&pace, NULL);
    assert_ok(zcbi_pace_check(&pace));
}

static void deadlines_do_not_overflow(void **state)
{
    (void)state;
    assert_int_equal(zcb_deadline_ns(ZCB_FOREVER), ZCB_NEVER);
    assert_int_equal(zcb_deadline_ns(INT64_MIN), ZCB_NEVER);
    assert_int_equal(zcb_deadline_ns(INT64_MAX), ZCB_NEVER);
    assert_int_equal(zcb_deadline_ns(INT64_MAX / 1000000), ZCB_NEVER);
    int64_t before = zcb_now_ns();
    int64_t deadline = zcb_deadline_ns(1000);
    assert_true(deadline >= before + 1000 * MS && deadline <= zcb_now_ns() + 1000 * MS);
}

struct prepared {
    struct place *place;
    unsigned times;
    uint32_t asleep; /* as it was then */
};

static void prepare(void *arg)
{
    struct prepared *prepared = arg;
    prepared->times++;
    prepared->asleep = atomic_load(&prepared->place->asleep);
}

static void what_is_to_be_done_before_a_sleep_is_done_once_and_only_then(void **state)
{
    struct place *place = *state;
    struct prepared prepared = {.place = place};
    place->spin.before_sleep = prepare;
    place->spin.arg = &prepared;
    zcb_wait past = {0}, wait = within_ms(5);
    assert_int_equal(wait_at(place, PLAT_NO_HANDLE, &past), ZCB_ERR_TIMEOUT);
    atomic_store(&place->value, 1);
    assert_ok(wait_at(place, PLAT_NO_HANDLE, NULL));
    assert_int_equal(prepared.times, 0); /* neither sleeps */
    atomic_store(&place->value, 0);
    assert_int_equal(wait_at(place, PLAT_NO_HANDLE, &wait), ZCB_ERR_TIMEOUT);
    assert_int_equal(prepared.times, 1);
    assert_int_equal(prepared.asleep, 0);
    wait = patience();
    wait.deadline_ns = zcb_now_ns() + 20 * MS;
    zcbi_plat_event_set(place->bell); /* it wakes for nothing, and sleeps again */
    assert_int_equal(wait_at(place, PLAT_NO_HANDLE, &wait), ZCB_ERR_TIMEOUT);
    assert_int_equal(prepared.times, 2);
}

static void put_before_sleep(void *place)
{
    put(place);
}

static void what_is_done_before_a_sleep_may_be_the_news_itself(void **state)
{
    struct place *place = *state;
    place->spin.before_sleep = put_before_sleep;
    place->spin.arg = place;
    zcb_wait wait = patience();
    for (int i = 0; i < 100; i++) {
        atomic_store(&place->value, 0);
        assert_ok(wait_at(place, PLAT_NO_HANDLE, &wait));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_ready_needs_no_wait),
        TEST(a_deadline_that_has_passed_does_not_wait),
        TEST(it_never_ends_before_its_deadline),
        TEST(nobody_is_rung_who_does_not_sleep),
        TEST(a_ring_without_news_is_slept_over),
        TEST(news_wake_whoever_sleeps),
        TEST(cancel_ends_every_wait_until_it_is_reset),
        TEST_ON_POSIX(a_forked_child_cannot_cancel_its_parent, NO_FORK),
        TEST(the_peers_end_ends_it_but_not_before_what_is_there),
        TEST_ON_POSIX(a_signal_ends_it_when_the_caller_says_so, NO_SIGNALS),
        TEST_ON_POSIX(a_signal_at_any_moment_is_not_missed, NO_SIGNALS),
        TEST_ON_POSIX(a_signal_is_ignored_when_nobody_asks, NO_SIGNALS),
        TEST(a_bell_that_never_rests_hides_neither_deadline_nor_cancel),
        TEST(nothing_is_missed_in_many_round_trips),
        TEST(copying_asks_for_interruption_now_and_then),
        TEST(what_is_to_be_done_before_a_sleep_is_done_once_and_only_then),
        TEST(what_is_done_before_a_sleep_may_be_the_news_itself),
        TEST(deadlines_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
