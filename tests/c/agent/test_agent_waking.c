/* The engine's side: who in the program is woken by a reply, and when. */
#include "channel/block.h"
#include "program.h"

static _Atomic uint32_t *asleep(struct program *program)
{
    return &program->commands->rx.control->consumer_asleep;
}

static bool is_rung(plat_handle bell)
{
    unsigned which;
    if (zcbi_plat_wait(&bell, 1, 0, &which))
        return false;
    zcbi_plat_event_clear(bell);
    return true;
}

static void complete(struct program *program, bool lazy)
{
    const zcb_completion completion = {.status = ZCB_STATUS_DONE};
    assert_ok(zcb_agent_complete(program->agent, 1, &completion, NULL, 0, lazy));
}

static void who_waits_is_woken_at_once_and_who_stands_by_at_the_flush(void **state)
{
    struct program *program = *state;
    const struct consumer *rx = &program->commands->rx;
    atomic_store(asleep(program), SLEEP_BELL);
    complete(program, true);
    assert_true(is_rung(rx->data_bell));
    assert_false(is_rung(rx->standby_bell));
    assert_int_equal(atomic_load(asleep(program)), SLEEP_NONE);

    atomic_store(asleep(program), SLEEP_STANDBY);
    complete(program, true);
    complete(program, true);
    assert_false(is_rung(rx->standby_bell));
    assert_int_equal(atomic_load(asleep(program)), SLEEP_STANDBY);
    zcb_agent_flush(program->agent);
    assert_true(is_rung(rx->standby_bell));
    assert_false(is_rung(rx->data_bell));
    assert_int_equal(atomic_load(asleep(program)), SLEEP_NONE);

    atomic_store(asleep(program), SLEEP_STANDBY);
    zcb_agent_flush(program->agent); /* there is nothing new */
    assert_false(is_rung(rx->standby_bell));
    complete(program, false);
    assert_true(is_rung(rx->standby_bell));
    atomic_store(asleep(program), SLEEP_STANDBY);
    const zcb_part nothing = {.kind = ZCB_PART_OUT};
    assert_ok(zcb_agent_output(program->agent, 1, &nothing, 1));
    assert_true(is_rung(rx->standby_bell));
}

static void nobody_is_woken_for_what_was_read_meanwhile(void **state)
{
    struct program *program = *state;
    zcb_message message;
    atomic_store(asleep(program), SLEEP_STANDBY);
    complete(program, true);
    assert_ok(zcb_receive_begin(program->commands, ZCB_WISH_COPY, &message, NULL));
    zcb_receive_drop(program->commands);
    zcb_agent_flush(program->agent);
    assert_false(is_rung(program->commands->rx.standby_bell));
    assert_int_equal(atomic_load(asleep(program)), SLEEP_STANDBY);
}

static void who_stands_by_hears_of_it_before_the_engine_sleeps_or_has_a_command(void **state)
{
    struct program *program = *state;
    plat_handle bell = program->commands->rx.standby_bell;
    const struct command_wire head = {.op = ZCB_OP_RUN};
    zcb_work work;
    unsigned which;
    void *error;

    atomic_store(asleep(program), SLEEP_STANDBY);
    complete(program, true);
    pthread_t engine = start_thread(next_command_here, program);
    assert_ok(
        zcbi_plat_wait(&bell, 1, zcb_deadline_ns(PATIENCE_MS), &which)); /* it is about to sleep */
    zcbi_plat_event_clear(bell);
    send_text_command(program, 1, head, "x");
    pthread_join(engine, &error);
    assert_int_equal(*(zcb_error *)error, ZCB_OK);

    atomic_store(asleep(program), SLEEP_STANDBY);
    complete(program, true);
    send_text_command(program, 1, head, "x");
    assert_ok(zcb_agent_next(program->agent, &work, NULL)); /* at once, without a sleep */
    assert_true(is_rung(bell));
}

static void *complete_elsewhere(void *arg)
{
    struct program *program = arg;
    const zcb_completion completion = {.status = ZCB_STATUS_DONE};
    for (int i = 0; i < 1500; i++)
        if (zcb_agent_complete(program->agent, 2, &completion, NULL, 0, false))
            return arg;
    return NULL;
}

static void other_threads_replies_take_no_flush_away(void **state)
{
    struct program *program = *state;
    void *failed;
    pthread_t other = start_thread(complete_elsewhere, program);
    for (int i = 0; i < 1500; i++) {
        complete(program, true);
        zcb_agent_flush(program->agent);
    }
    pthread_join(other, &failed);
    assert_null(failed);
    atomic_store(asleep(program), SLEEP_STANDBY);
    complete(program, true);
    zcb_agent_flush(program->agent);
    assert_true(is_rung(program->commands->rx.standby_bell));
}

static void *complete_thousands(void *arg)
{
    struct program *program = arg;
    const zcb_completion completion = {.status = ZCB_STATUS_DONE};
    static zcb_error error;
    error = ZCB_OK;
    for (int i = 0; i < 5000 && !error; i++)
        error = zcb_agent_complete(program->agent, 1, &completion, NULL, 0, true);
    return &error;
}

static void who_stands_by_is_woken_when_there_is_no_room_for_more(void **state)
{
    struct program *program = *state;
    plat_handle bell = program->commands->rx.standby_bell;
    unsigned which;
    void *error;
    atomic_store(asleep(program), SLEEP_STANDBY);
    pthread_t engine = start_thread(complete_thousands, program);
    await_asleep(&program->agent->commands->tx.control->producer_asleep);
    zcb_error rung = zcbi_plat_wait(&bell, 1, zcb_deadline_ns(PATIENCE_MS), &which);
    zcb_channel_close(program->commands);
    pthread_join(engine, &error);
    assert_int_equal(*(zcb_error *)error, ZCB_ERR_PEER_CLOSED);
    assert_ok(rung);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_waits_is_woken_at_once_and_who_stands_by_at_the_flush),
        TEST(nobody_is_woken_for_what_was_read_meanwhile),
        TEST(who_stands_by_hears_of_it_before_the_engine_sleeps_or_has_a_command),
        TEST(other_threads_replies_take_no_flush_away),
        TEST(who_stands_by_is_woken_when_there_is_no_room_for_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
