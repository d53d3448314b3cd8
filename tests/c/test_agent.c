/* The engine's side, with a program whose records and messages are made by hand, both in this process. */
#include "program.h"

/* Where nothing is opened. */
static const zcb_runtime no_runtime = {NULL, runtime_allocate, runtime_release, runtime_reclaim};

/* ---------------------------------------------------------------- opening */

static void opening_says_hello_and_hides_the_connection(void **state)
{
    struct program *program = *state;
    struct link_record hello;
    size_t bytes;
    unsigned count;
    int64_t sender;
    assert_false(zcbi_plat_has_variable(ZCB_LINK_VARIABLE));
    assert_int_equal(zcb_agent_width(program->agent), 99);
    assert_ok(zcbi_plat_link_receive(program->link, &hello, sizeof(hello), &bytes, NULL, 0, &count,
                                     &sender));
    assert_int_equal(bytes, sizeof(hello));
    assert_int_equal(hello.type, LINK_HELLO);
    assert_int_equal(hello.pid, zcbi_plat_getpid());
    assert_int_equal(sender, zcbi_plat_getpid());
    assert_string_equal(hello.engine_version, "7.5.0");
}

static void a_process_that_no_program_started_finds_nothing(void **state)
{
    (void)state;
    zcb_agent *agent;
    zcb_detail why;
    const char *const values[] = {NULL, "", "x", "-1", "99999999999999999999", "0", "12345"};
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        unsetenv(ZCB_LINK_VARIABLE);
        if (values[i])
            setenv(ZCB_LINK_VARIABLE, values[i], 1);
        assert_int_equal(zcb_agent_open("7.5.0", &no_runtime, &agent, &why), ZCB_ERR_NOT_FOUND);
        assert_true(why.text[0] != 0);
        assert_false(zcbi_plat_has_variable(ZCB_LINK_VARIABLE));
    }
    assert_int_equal(zcb_agent_open(NULL, &no_runtime, &agent, &why), ZCB_ERR_INVALID);
    zcb_agent_free(NULL);
}

static void assert_not_opened(plat_handle link, zcb_error expected)
{
    zcb_agent *agent;
    assert_int_equal(zcb_agent_open("7.5.0", &no_runtime, &agent, NULL), expected);
    zcbi_plat_close(link);
}

static void a_senseless_welcome_is_refused(void **state)
{
    (void)state;
    unsigned before = open_descriptors();
    zcb_channel *channel = open_channel();
    const struct link_record welcome = {.type = LINK_WELCOME};
    struct link_record record = {
        .magic = LINK_MAGIC, .version = PROTOCOL_VERSION + 1, .type = LINK_WELCOME};

    plat_handle link = inherit_link();
    assert_ok(zcbi_plat_link_send(link, &record, sizeof(record), NULL, 0));
    assert_not_opened(link, ZCB_ERR_VERSION);

    link = inherit_link();
    record.magic++;
    assert_ok(zcbi_plat_link_send(link, &record, sizeof(record), channel->region->bells, 1));
    assert_not_opened(link, ZCB_ERR_PROTOCOL);

    link = inherit_link();
    assert_ok(zcbi_plat_link_send(link, "short", 5, NULL, 0));
    assert_not_opened(link, ZCB_ERR_PROTOCOL);

    link = inherit_link();
    char longer[PLAT_LINK_BYTES] = {0};
    assert_ok(zcbi_plat_link_send(link, longer, sizeof(longer), NULL, 0));
    assert_not_opened(link, ZCB_ERR_PROTOCOL);

    link = inherit_link();
    send_channel(link, CHANNEL_COMMANDS, channel, 1 + BELLS); /* not the welcome */
    assert_not_opened(link, ZCB_ERR_PROTOCOL);

    link = inherit_link();
    assert_ok(send_record(link, welcome, NULL, 0));
    send_channel(link, CHANNEL_COMMANDS, channel, BELLS); /* a bell is missing */
    assert_not_opened(link, ZCB_ERR_PROTOCOL);

    link = inherit_link();
    assert_ok(send_record(link, welcome, NULL, 0));
    send_channel(link, CHANNEL_URGENT, channel, 1 + BELLS); /* the wrong one */
    assert_not_opened(link, ZCB_ERR_PROTOCOL);

    link = inherit_link();
    assert_ok(send_record(link, welcome, NULL, 0));
    assert_ok(send_record(link, welcome, NULL, 0));
    assert_not_opened(link, ZCB_ERR_PROTOCOL);

    zcb_channel_free(channel);
    assert_int_equal(open_descriptors(), before);
}

static void a_program_that_hangs_up_is_gone(void **state)
{
    (void)state;
    plat_handle link = inherit_link();
    zcbi_plat_close(link);
    assert_not_opened(PLAT_NO_HANDLE, ZCB_ERR_PEER_GONE);
}

/* ---------------------------------------------------------------- commands */

static void send_command(struct program *program, zcb_message message, const void *payload)
{
    zcb_wait wait = patience();
    assert_ok(zcb_send(program->commands, &message, payload, &wait));
}

static void commands_come_in_order_with_their_texts(void **state)
{
    struct program *program = *state;
    struct {
        struct command_wire wire;
        char text[5];
    } payload = {{ZCB_OP_RUN, ZCB_COMMAND_LOCAL_SCOPE, 7, 3}, "hello"};
    zcb_message message = {.kind = ZCB_KIND_CONTROL, .id = 42, .bytes = sizeof(payload.wire) + 5};
    zcb_work work;
    send_command(program, message, &payload);
    message.id++;
    message.bytes = sizeof(payload.wire);
    send_command(program, message, &payload);
    assert_ok(zcb_agent_next(program->agent, &work, NULL));
    assert_int_equal(work.command.id, 42);
    assert_int_equal(work.type, ZCB_WORK_COMMAND);
    assert_int_equal(work.command.op, ZCB_OP_RUN);
    assert_int_equal(work.command.flags, ZCB_COMMAND_LOCAL_SCOPE);
    assert_int_equal(work.command.channel, 7);
    assert_int_equal(work.command.depth, 3);
    assert_int_equal(work.command.text_bytes, 5);
    assert_memory_equal(work.command.text, "hello", 5);
    assert_ok(zcb_agent_next(program->agent, &work, NULL));
    assert_int_equal(work.command.id, 43);
    assert_int_equal(work.command.text_bytes, 0);
    zcb_wait at_once = {0};
    assert_int_equal(zcb_agent_next(program->agent, &work, &at_once), ZCB_ERR_TIMEOUT);
}

static void a_command_that_was_given_up_is_said_to_be_and_passed_over(void **state)
{
    struct program *program = *state;
    struct command_wire wire = {ZCB_OP_RUN, 0, 0, 0};
    zcb_message message = {.kind = ZCB_KIND_CONTROL, .id = 1, .bytes = MIB};
    char *half = calloc(1, MIB);
    size_t written = 0;
    zcb_work work;
    atomic_store(&program->commands->tx.control->wish, ZCB_WISH_COPY); /* it shows as it comes */
    assert_ok(zcbi_tx_begin(program->commands, &message, NULL));
    assert_ok(zcbi_tx_write(program->commands, half, MIB / 2, &written, NULL));
    zcbi_tx_abort(program->commands);
    message = (zcb_message){.kind = ZCB_KIND_CONTROL, .id = 2, .bytes = sizeof(wire)};
    send_command(program, message, &wire);
    zcb_wait wait = patience();
    assert_int_equal(zcb_agent_next(program->agent, &work, &wait), ZCB_ERR_ABORTED);
    assert_ok(zcb_agent_next(program->agent, &work, &wait));
    assert_int_equal(work.command.id, 2);
    free(half);
}

static void a_senseless_command_ends_the_session(void **state)
{
    struct program *program = *state;
    zcb_work work;
    send_command(program, (zcb_message){.kind = ZCB_KIND_CONTROL, .id = 1, .bytes = 15},
                 "only 15 bytes..");
    assert_int_equal(zcb_agent_next(program->agent, &work, NULL), ZCB_ERR_PROTOCOL);
    assert_int_equal(zcb_agent_next(program->agent, &work, NULL), ZCB_ERR_PROTOCOL);
    zcb_result result = {.id = 1};
    assert_int_equal(zcb_agent_complete(program->agent, &result, false), ZCB_ERR_PROTOCOL);
}

static void a_command_of_the_wrong_kind_ends_the_session(void **state)
{
    struct program *program = *state;
    zcb_work work;
    send_command(program, (zcb_message){.kind = ZCB_KIND_BYTES, .id = 1, .bytes = 20},
                 "enough bytes for one");
    assert_int_equal(zcb_agent_next(program->agent, &work, NULL), ZCB_ERR_PROTOCOL);
}

static void what_is_queued_does_not_run_when_the_session_ends(void **state)
{
    struct program *program = *state;
    struct command_wire wire = {ZCB_OP_RUN, 0, 0, 0};
    zcb_work work;
    send_command(program, (zcb_message){.kind = ZCB_KIND_CONTROL, .id = 2, .bytes = sizeof(wire)},
                 &wire);
    zcb_channel_close(program->commands);
    assert_int_equal(zcb_agent_next(program->agent, &work, NULL), ZCB_ERR_CLOSED);
}

static void *next_here(void *arg)
{
    struct program *program = arg;
    static zcb_error error;
    zcb_work work;
    zcb_wait wait = patience();
    error = zcb_agent_next(program->agent, &work, &wait);
    return &error;
}

static void a_close_in_the_middle_of_a_command_ends_the_session_in_good_order(void **state)
{
    struct program *program = *state;
    zcb_message message = {.kind = ZCB_KIND_CONTROL, .id = 1, .bytes = 4 * MIB};
    char *some = calloc(1, MIB);
    size_t written = 0;
    pthread_t thread = start_thread(next_here, program);
    assert_ok(zcbi_tx_begin(program->commands, &message, NULL)); /* when it waits there */
    assert_ok(zcbi_tx_write(program->commands, some, MIB, &written, NULL));
    zcb_channel_close(program->commands);
    void *error;
    pthread_join(thread, &error);
    assert_int_equal(*(zcb_error *)error, ZCB_ERR_CLOSED);
    free(some);
}

static void replies_carry_every_field(void **state)
{
    struct program *program = *state;
    zcb_result result = {.id = 9,
                         .status = ZCB_STATUS_DONE,
                         .success = true,
                         .refused = true,
                         .exit_code = -3,
                         .execution_ns = 77};
    result.field[ZCB_FIELD_ERR] = (zcb_text){"err", 3};
    result.field[ZCB_FIELD_PROGRESS] = (zcb_text){NULL, 5}; /* no text, whatever its length says */
    assert_ok(zcb_agent_complete(program->agent, &result, false));
    zcb_message message;
    assert_ok(zcb_receive_begin(program->commands, ZCB_WISH_COPY, &message, NULL));
    assert_int_equal(message.kind, ZCB_KIND_CONTROL);
    assert_int_equal(message.flags, REPLY_COMPLETION);
    assert_int_equal(message.id, 9);
    struct {
        struct reply_wire wire;
        char texts[3 + ZCB_FIELDS];
    } reply;
    assert_int_equal(message.bytes, sizeof(reply.wire) + sizeof(reply.texts));
    assert_ok(zcb_receive_read(program->commands, &reply, (size_t)message.bytes, NULL, NULL));
    assert_ok(zcb_receive_end(program->commands));
    assert_int_equal(reply.wire.status, ZCB_STATUS_DONE);
    assert_true(reply.wire.success && reply.wire.refused);
    assert_int_equal(reply.wire.exit_code, -3);
    assert_int_equal(reply.wire.execution_ns, 77);
    assert_memory_equal(reply.texts, "\0err\0\0\0\0\0\0", sizeof(reply.texts));
    assert_int_equal(zcb_agent_complete(program->agent, NULL, false), ZCB_ERR_INVALID);
    assert_int_equal(zcb_agent_output(program->agent, 1, NULL), ZCB_ERR_INVALID);
}

/* ---------------------------------------------------------------- who is woken, and when */

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

static void complete(struct program *program, bool soon)
{
    zcb_result result = {.id = 1, .status = ZCB_STATUS_DONE};
    assert_ok(zcb_agent_complete(program->agent, &result, soon));
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
    struct zcb_text none[ZCB_FIELDS] = {{0}};
    assert_ok(zcb_agent_output(program->agent, 1, none));
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
    struct command_wire wire = {ZCB_OP_RUN, 0, 0, 0};
    zcb_message message = {.kind = ZCB_KIND_CONTROL, .id = 1, .bytes = sizeof(wire)};
    zcb_work work;
    unsigned which;
    void *error;

    atomic_store(asleep(program), SLEEP_STANDBY);
    complete(program, true);
    pthread_t engine = start_thread(next_here, program);
    assert_ok(
        zcbi_plat_wait(&bell, 1, zcb_deadline_ns(PATIENCE_MS), &which)); /* it is about to sleep */
    zcbi_plat_event_clear(bell);
    send_command(program, message, &wire);
    pthread_join(engine, &error);
    assert_int_equal(*(zcb_error *)error, ZCB_OK);

    atomic_store(asleep(program), SLEEP_STANDBY);
    complete(program, true);
    send_command(program, message, &wire);
    assert_ok(zcb_agent_next(program->agent, &work, NULL)); /* at once, without a sleep */
    assert_true(is_rung(bell));
}

static void *complete_elsewhere(void *arg)
{
    struct program *program = arg;
    zcb_result result = {.id = 2, .status = ZCB_STATUS_DONE};
    for (int i = 0; i < 1500; i++)
        if (zcb_agent_complete(program->agent, &result, false))
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
    zcb_result result = {.id = 1, .status = ZCB_STATUS_DONE};
    static zcb_error error;
    error = ZCB_OK;
    for (int i = 0; i < 5000 && !error; i++)
        error = zcb_agent_complete(program->agent, &result, true);
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

/* ---------------------------------------------------------------- urgent requests */

static void send_urgent(struct program *program, uint32_t what, uint64_t id)
{
    zcb_message message = {.kind = ZCB_KIND_CONTROL, .flags = what, .id = id};
    assert_ok(zcb_send(program->urgent, &message, NULL, NULL));
}

static void a_stop_of_what_runs_comes_and_pings_are_answered(void **state)
{
    struct program *program = *state;
    struct command_wire wire = {ZCB_OP_RUN, 0, 0, 0};
    zcb_message message = {.kind = ZCB_KIND_CONTROL, .id = 11, .bytes = sizeof(wire)};
    zcb_work work;
    uint64_t id;
    send_command(program, message, &wire);
    assert_ok(zcb_agent_next(program->agent, &work, NULL));
    send_urgent(program, URGENT_PING, 5);
    send_urgent(program, 0, 1); /* makes no sense, and is passed over */
    send_urgent(program, UINT32_MAX, 1);
    send_urgent(program, URGENT_CLOSE_CHANNEL, 12);
    send_urgent(program, URGENT_CLOSE_CHANNEL, UINT64_MAX);
    send_urgent(program, URGENT_STOP, 10);
    send_urgent(program, URGENT_STOP, 11);
    assert_ok(zcb_agent_listen(program->agent, &id, NULL));
    assert_int_equal(id, 11);
    zcb_message pong;
    assert_ok(zcb_receive_begin(program->urgent, ZCB_WISH_COPY, &pong, NULL));
    assert_int_equal(pong.flags, URGENT_PONG);
    assert_int_equal(pong.id, 5);
    assert_ok(zcb_receive_end(program->urgent));
    zcb_wait at_once = {0};
    assert_int_equal(zcb_agent_listen(program->agent, &id, &at_once), ZCB_ERR_TIMEOUT);
    assert_int_equal(zcb_agent_next(program->agent, &work, &at_once), ZCB_ERR_TIMEOUT);
    send_urgent(program, URGENT_STOP, 11); /* it is done */
    assert_int_equal(zcb_agent_listen(program->agent, &id, &at_once), ZCB_ERR_TIMEOUT);
    zcb_channel_close(program->urgent);
    assert_int_equal(zcb_agent_listen(program->agent, &id, NULL), ZCB_ERR_CLOSED);
}

static void a_command_that_was_stopped_before_its_turn_is_not_given(void **state)
{
    struct program *program = *state;
    struct command_wire wire = {ZCB_OP_RUN, 0, 0, 0};
    zcb_message message = {.kind = ZCB_KIND_CONTROL, .bytes = sizeof(wire)};
    zcb_wait at_once = {0};
    zcb_work work;
    uint64_t id;
    for (uint64_t i = 20; i > 0; i--) /* far more than there are; in no order */
        send_urgent(program, URGENT_STOP, 2 * i);
    assert_int_equal(zcb_agent_listen(program->agent, &id, &at_once), ZCB_ERR_TIMEOUT);
    for (message.id = 1; message.id <= 10; message.id++)
        send_command(program, message, &wire);
    for (uint64_t i = 1; i <= 9; i += 2) {
        assert_ok(zcb_agent_next(program->agent, &work, &at_once));
        assert_int_equal(work.command.id, i);
    }
    assert_int_equal(zcb_agent_next(program->agent, &work, &at_once), ZCB_ERR_TIMEOUT);
    for (int i = 0; i < 5; i++) {
        struct reply_wire reply;
        assert_ok(zcb_receive_begin(program->commands, ZCB_WISH_COPY, &message, NULL));
        assert_int_equal(message.id, 2 * (i + 1));
        assert_ok(zcb_receive_read(program->commands, &reply, sizeof(reply), NULL, NULL));
        assert_int_equal(reply.status, ZCB_STATUS_STOPPED);
        zcb_receive_drop(program->commands);
    }
}

/* ---------------------------------------------------------------- bridges' channels */

static zcb_error get(struct program *program, uint32_t number, struct bridge_end **end)
{
    return zcbi_bridge_end_get(program->agent, number, end);
}

static void a_bridges_channel_is_there_when_it_is_asked_for(void **state)
{
    struct program *program = *state;
    zcb_channel *ours = open_channel();
    struct bridge_end *first, *second;
    assert_int_equal(get(program, 2, &first), ZCB_ERR_NOT_FOUND);
    send_channel(program->link, 2, ours, 1 + BELLS);
    assert_ok(get(program, 2, &first));
    assert_ok(get(program, 2, &second));
    assert_ptr_equal(first, second);
    zcb_message message = {.kind = ZCB_KIND_BYTES, .bytes = 3};
    assert_ok(zcb_send(first->channel, &message, "abc", NULL));
    char got[3];
    assert_ok(zcb_receive_begin(ours, ZCB_WISH_COPY, &message, NULL));
    assert_ok(zcb_receive_read(ours, got, 3, NULL, NULL));
    assert_ok(zcb_receive_end(ours));
    assert_memory_equal(got, "abc", 3);
    zcbi_bridge_end_close(program->agent, 2);
    zcbi_bridge_end_close(program->agent, 2);
    struct bridge_end *third;
    assert_int_equal(get(program, 2, &third), ZCB_ERR_NOT_FOUND);
    message.bytes = 0;
    assert_int_equal(zcb_send(ours, &message, NULL, NULL), ZCB_ERR_PEER_CLOSED);
    zcbi_bridge_end_release(first);
    zcbi_bridge_end_release(second);
    zcb_channel_free(ours);
}

static void a_channel_that_was_closed_before_it_was_used_is_gone(void **state)
{
    struct program *program = *state;
    zcb_channel *ours = open_channel();
    struct bridge_end *theirs;
    unsigned before = open_descriptors();
    send_channel(program->link, 2, ours, 1 + BELLS);
    zcbi_bridge_end_close(program->agent, 2);
    assert_int_equal(get(program, 2, &theirs), ZCB_ERR_NOT_FOUND);
    assert_int_equal(open_descriptors(), before);
    zcb_channel_free(ours);
}

static void a_senseless_channel_fails_alone(void **state)
{
    struct program *program = *state;
    zcb_channel *good = open_channel(), *bad = open_channel();
    struct bridge_end *got;
    struct region_header *header = (struct region_header *)(void *)bad->region->memory.base;
    unsigned before = open_descriptors();
    header->magic = 0;
    send_channel(program->link, 2, bad, 1 + BELLS);
    send_channel(program->link, 3, bad, 2);
    send_channel(program->link, 4, good, 1 + BELLS);
    assert_int_equal(get(program, 2, &got), ZCB_ERR_PROTOCOL);
    assert_int_equal(get(program, 3, &got), ZCB_ERR_PROTOCOL);
    assert_ok(get(program, 4, &got));
    zcbi_bridge_end_release(got);
    for (uint32_t number = 2; number <= 4; number++)
        zcbi_bridge_end_close(program->agent, number);
    assert_int_equal(open_descriptors(), before);
    zcb_channel_free(good);
    zcb_channel_free(bad);
}

/* The number of the bridge with this label; 0: there is none. */
static uint32_t find(struct program *program, const char *label)
{
    struct bridge_end *end;
    zcb_error error = zcbi_bridge_end_find(program->agent, label, &end);
    if (error) {
        assert_int_equal(error, ZCB_ERR_NOT_FOUND);
        return 0;
    }
    uint32_t number = end->number;
    zcbi_bridge_end_release(end);
    return number;
}

static void a_channel_is_found_by_its_label(void **state)
{
    struct program *program = *state;
    zcb_channel *ours = open_channel();
    assert_int_equal(find(program, "data"), 0);
    send_channel(program->link, 2, ours, 1 + BELLS);
    send_labelled(program->link, 3, ours, 1 + BELLS, "data");
    send_labelled(program->link, 4, ours, 1 + BELLS, "data and more");
    assert_int_equal(find(program, "data"), 3); /* no transfer has asked for it yet */
    assert_int_equal(find(program, "data and more"), 4);
    const char *const none[] = {"", "dat", "Data", "data "};
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
        assert_int_equal(find(program, none[i]), 0);
    zcb_channel_free(ours);
}

static void the_newest_of_two_labels_is_found_until_it_is_closed(void **state)
{
    struct program *program = *state;
    zcb_channel *ours = open_channel(), *newer = open_channel();
    send_labelled(program->link, 2, ours, 1 + BELLS, "same");
    assert_int_equal(find(program, "same"), 2);
    send_labelled(program->link, 3, newer, 1 + BELLS, "same");
    assert_int_equal(find(program, "same"), 3);
    zcb_channel_close(newer); /* before the engine was told */
    assert_int_equal(find(program, "same"), 2);
    zcbi_bridge_end_close(program->agent, 3);
    assert_int_equal(find(program, "same"), 2);
    zcbi_bridge_end_close(program->agent, 2);
    assert_int_equal(find(program, "same"), 0);
    send_labelled(program->link, 4, ours, 1 + BELLS, "same");
    zcbi_bridge_end_close(program->agent, 4); /* before anybody looked */
    assert_int_equal(find(program, "same"), 0);
    zcb_channel_free(ours);
    zcb_channel_free(newer);
}

static void the_longest_label_is_kept_whole_and_ends(void **state)
{
    struct program *program = *state;
    zcb_channel *ours = open_channel();
    char label[ZCB_MAX_LABEL_BYTES + 2] = {0};
    memset(label, 'x', ZCB_MAX_LABEL_BYTES);
    send_labelled(program->link, 2, ours, 1 + BELLS, label);
    assert_int_equal(find(program, label), 2);
    label[ZCB_MAX_LABEL_BYTES] = 'x'; /* a record without the NUL is cut */
    send_labelled(program->link, 3, ours, 1 + BELLS, label);
    assert_int_equal(find(program, label), 0);
    label[ZCB_MAX_LABEL_BYTES] = 0;
    assert_int_equal(find(program, label), 3);
    zcb_channel_free(ours);
}

static void memory_is_allocated_by_the_label(void **state)
{
    struct program *program = *state;
    zcb_channel *ours = open_channel();
    zcb_block *block, *other;
    zcb_detail why;
    zcb_wait at_once = {0};
    zcb_agent *agent = program->agent;
    send_labelled(program->link, 2, ours, 1 + BELLS, "data");
    assert_int_equal(zcb_agent_allocate(agent, "dat", 5, &block, &why, NULL), ZCB_ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "'dat'"));
    assert_int_equal(zcb_agent_allocate(agent, "data", 0, &block, &why, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_agent_allocate(agent, "data", MIB + 1, &block, &why, NULL),
                     ZCB_ERR_TOO_LARGE);
    assert_non_null(strstr(why.text, "1048577 bytes can't be allocated in a frame of 1048576"));
    assert_ok(zcb_agent_allocate(agent, "data", MIB, &block, &why, NULL));
    assert_int_equal(zcb_block_bytes(block), MIB);
    assert_int_equal(program->runtime.reclaimed, 0);
    assert_int_equal(zcb_agent_allocate(agent, "data", 1, &other, &why, &at_once), ZCB_ERR_TIMEOUT);
    assert_int_equal(program->runtime.reclaimed, 1);
    zcb_channel_close(ours);
    assert_int_equal(zcb_agent_allocate(agent, "data", 1, &other, &why, NULL), ZCB_ERR_NOT_FOUND);
    zcb_block_free(block);
    zcb_channel_free(ours);
}

/* ---------------------------------------------------------------- the console */

static void what_was_written_to_the_console_is_read_once(void **state)
{
    struct program *program = *state;
    plat_handle file;
    char text[8];
    size_t bytes = 99;
    assert_ok(zcbi_plat_file_create(&file));
    plat_handle kept = put_as_errors(file);
    size_t written = write_file(zcbi_plat_standard(2), "0123456789", 10);
    zcb_error first = zcb_agent_console(program->agent, 2, text, 8, &bytes);
    size_t first_bytes = bytes;
    bool right = memcmp(text, "01234567", 8) == 0;
    zcb_error second = zcb_agent_console(program->agent, 2, text, 8, &bytes);
    size_t second_bytes = bytes;
    zcb_error third = zcb_agent_console(program->agent, 2, text, 8, &bytes);
    put_errors_back(kept);
    zcbi_plat_close(file);
    assert_int_equal(written, 10);
    assert_ok(first);
    assert_int_equal(first_bytes, 8);
    assert_true(right);
    assert_ok(second);
    assert_int_equal(second_bytes, 2);
    assert_ok(third);
    assert_int_equal(bytes, 0);
    assert_int_equal(zcb_agent_console(program->agent, 0, text, 8, &bytes), ZCB_ERR_INVALID);
    assert_int_equal(zcb_agent_console(program->agent, 3, text, 8, &bytes), ZCB_ERR_INVALID);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(opening_says_hello_and_hides_the_connection),
        cmocka_unit_test(a_process_that_no_program_started_finds_nothing),
        cmocka_unit_test(a_senseless_welcome_is_refused),
        cmocka_unit_test(a_program_that_hangs_up_is_gone),
        TEST(commands_come_in_order_with_their_texts),
        TEST(a_command_that_was_given_up_is_said_to_be_and_passed_over),
        TEST(a_senseless_command_ends_the_session),
        TEST(a_command_of_the_wrong_kind_ends_the_session),
        TEST(what_is_queued_does_not_run_when_the_session_ends),
        TEST(a_close_in_the_middle_of_a_command_ends_the_session_in_good_order),
        TEST(replies_carry_every_field),
        TEST(who_waits_is_woken_at_once_and_who_stands_by_at_the_flush),
        TEST(nobody_is_woken_for_what_was_read_meanwhile),
        TEST(who_stands_by_hears_of_it_before_the_engine_sleeps_or_has_a_command),
        TEST(other_threads_replies_take_no_flush_away),
        TEST(who_stands_by_is_woken_when_there_is_no_room_for_more),
        TEST(a_stop_of_what_runs_comes_and_pings_are_answered),
        TEST(a_command_that_was_stopped_before_its_turn_is_not_given),
        TEST(a_bridges_channel_is_there_when_it_is_asked_for),
        TEST(a_channel_that_was_closed_before_it_was_used_is_gone),
        TEST(a_senseless_channel_fails_alone),
        TEST(a_channel_is_found_by_its_label),
        TEST(the_newest_of_two_labels_is_found_until_it_is_closed),
        TEST(the_longest_label_is_kept_whole_and_ends),
        TEST(memory_is_allocated_by_the_label),
        TEST(what_was_written_to_the_console_is_read_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
