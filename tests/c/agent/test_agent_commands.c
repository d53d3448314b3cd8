/* The engine's side, with a program whose records and messages are made by hand, both in this process. */
#include "support.h"

#include "protocol/protocol.h"

/* The program's side. */
struct program {
    plat_handle link;
    zcb_channel *commands, *urgent;
    zcb_agent *agent;
};

static zcb_error send_record(plat_handle link, struct link_record record,
                             const plat_handle *handles, unsigned count)
{
    record.magic = LINK_MAGIC;
    record.version = PROTOCOL_VERSION;
    return zcbi_plat_link_send(link, &record, sizeof(record), handles, count);
}

static void send_labelled(plat_handle link, uint32_t number, zcb_channel *channel,
                          unsigned handles_sent, const char *label)
{
    struct region *region = channel->region;
    struct link_record record = {.type = LINK_CHANNEL,
                                 .number = number,
                                 .frame_bytes = region->geometry.frame_bytes,
                                 .window_bytes = region->geometry.window_bytes};
    plat_handle handles[1 + BELLS] = {region->memory.handle};
    memcpy(&handles[1], region->bells, sizeof(region->bells));
    memcpy(record.label, label, strlen(label));
    assert_ok(send_record(link, record, handles, handles_sent));
}

static void send_channel(plat_handle link, uint32_t number, zcb_channel *channel,
                         unsigned handles_sent)
{
    send_labelled(link, number, channel, handles_sent, "");
}

static zcb_channel *open_channel(void)
{
    zcb_channel_options options = {.frame_bytes = MIB, .window_bytes = MIB};
    zcb_channel *channel;
    assert_ok(zcbi_channel_open(&options, PLAT_NO_HANDLE, &channel));
    return channel;
}

/* A link whose other end this process inherits, as it were. */
static plat_handle inherit_link(void)
{
    plat_handle ours, theirs;
    assert_ok(zcbi_plat_link_pair(&ours, &theirs));
    leave_link(theirs);
    return ours;
}

static int set_up(void **state)
{
    static struct program program;
    zcb_detail why;
    program.link = inherit_link();
    program.commands = open_channel();
    program.urgent = open_channel();
    assert_ok(send_record(program.link, (struct link_record){.type = LINK_WELCOME, .number = 99},
                          NULL, 0));
    send_channel(program.link, CHANNEL_COMMANDS, program.commands, 1 + BELLS);
    send_channel(program.link, CHANNEL_URGENT, program.urgent, 1 + BELLS);
    if (zcb_agent_open("7.5.0", &program.agent, &why))
        fail_msg("%s", why.text);
    *state = &program;
    return 0;
}

static int tear_down(void **state)
{
    struct program *program = *state;
    zcb_agent_free(program->agent);
    zcb_channel_free(program->commands);
    zcb_channel_free(program->urgent);
    zcbi_plat_close(program->link);
    return 0;
}

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
        assert_int_equal(zcb_agent_open("7.5.0", &agent, &why), ZCB_ERR_NOT_FOUND);
        assert_true(why.text[0] != 0);
        assert_false(zcbi_plat_has_variable(ZCB_LINK_VARIABLE));
    }
    assert_int_equal(zcb_agent_open(NULL, &agent, &why), ZCB_ERR_INVALID);
    zcb_agent_free(NULL);
}

static void assert_not_opened(plat_handle link, zcb_error expected)
{
    zcb_agent *agent;
    assert_int_equal(zcb_agent_open("7.5.0", &agent, NULL), expected);
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
    } payload = {{ZCB_OP_SEND, ZCB_COMMAND_TAKE_QUEUED, 7, 3}, "hello"};
    zcb_message message = {.kind = ZCB_KIND_CONTROL, .id = 42, .bytes = sizeof(payload.wire) + 5};
    zcb_command command;
    send_command(program, message, &payload);
    message.id++;
    message.bytes = sizeof(payload.wire);
    send_command(program, message, &payload);
    assert_ok(zcb_agent_next(program->agent, &command, NULL));
    assert_int_equal(command.id, 42);
    assert_int_equal(command.op, ZCB_OP_SEND);
    assert_int_equal(command.flags, ZCB_COMMAND_TAKE_QUEUED);
    assert_int_equal(command.channel, 7);
    assert_int_equal(command.depth, 3);
    assert_int_equal(command.text_bytes, 5);
    assert_memory_equal(command.text, "hello", 5);
    assert_ok(zcb_agent_next(program->agent, &command, NULL));
    assert_int_equal(command.id, 43);
    assert_int_equal(command.text_bytes, 0);
    zcb_wait at_once = {0};
    assert_int_equal(zcb_agent_next(program->agent, &command, &at_once), ZCB_ERR_TIMEOUT);
}

static void a_command_that_was_given_up_is_said_to_be_and_passed_over(void **state)
{
    struct program *program = *state;
    struct command_wire wire = {ZCB_OP_RUN, 0, 0, 0};
    zcb_message message = {.kind = ZCB_KIND_CONTROL, .id = 1, .bytes = MIB};
    char *half = calloc(1, MIB);
    size_t written = 0;
    zcb_command command;
    atomic_store(&program->commands->tx.control->wish, ZCB_WISH_COPY); /* it shows as it comes */
    assert_ok(zcbi_tx_begin(program->commands, &message, NULL));
    assert_ok(zcbi_tx_write(program->commands, half, MIB / 2, &written, NULL));
    zcbi_tx_abort(program->commands);
    message = (zcb_message){.kind = ZCB_KIND_CONTROL, .id = 2, .bytes = sizeof(wire)};
    send_command(program, message, &wire);
    zcb_wait wait = patience();
    assert_int_equal(zcb_agent_next(program->agent, &command, &wait), ZCB_ERR_ABORTED);
    assert_ok(zcb_agent_next(program->agent, &command, &wait));
    assert_int_equal(command.id, 2);
    free(half);
}

static void a_senseless_command_ends_the_session(void **state)
{
    struct program *program = *state;
    zcb_command command;
    send_command(program, (zcb_message){.kind = ZCB_KIND_CONTROL, .id = 1, .bytes = 15},
                 "only 15 bytes..");
    assert_int_equal(zcb_agent_next(program->agent, &command, NULL), ZCB_ERR_PROTOCOL);
    assert_int_equal(zcb_agent_next(program->agent, &command, NULL), ZCB_ERR_PROTOCOL);
    zcb_result result = {.id = 1};
    assert_int_equal(zcb_agent_complete(program->agent, &result, false), ZCB_ERR_PROTOCOL);
}

static void a_command_of_the_wrong_kind_ends_the_session(void **state)
{
    struct program *program = *state;
    zcb_command command;
    send_command(program, (zcb_message){.kind = ZCB_KIND_BYTES, .id = 1, .bytes = 20},
                 "enough bytes for one");
    assert_int_equal(zcb_agent_next(program->agent, &command, NULL), ZCB_ERR_PROTOCOL);
}

static void what_is_queued_does_not_run_when_the_session_ends(void **state)
{
    struct program *program = *state;
    struct command_wire wire = {ZCB_OP_RUN, 0, 0, 0};
    zcb_command command;
    send_command(program, (zcb_message){.kind = ZCB_KIND_CONTROL, .id = 2, .bytes = sizeof(wire)},
                 &wire);
    zcb_channel_close(program->commands);
    assert_int_equal(zcb_agent_next(program->agent, &command, NULL), ZCB_ERR_CLOSED);
}

static void *next_here(void *arg)
{
    struct program *program = arg;
    static zcb_error error;
    zcb_command command;
    zcb_wait wait = patience();
    error = zcb_agent_next(program->agent, &command, &wait);
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
    zcb_command command;
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
    assert_ok(zcb_agent_next(program->agent, &command, NULL)); /* at once, without a sleep */
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
    await_asleep(&zcb_agent_commands(program->agent)->tx.control->producer_asleep);
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

static void urgent_requests_come_and_pings_are_answered(void **state)
{
    struct program *program = *state;
    zcb_urgent request;
    uint64_t id;
    send_urgent(program, URGENT_PING, 5);
    send_urgent(program, 0, 1); /* makes no sense, and is passed over */
    send_urgent(program, UINT32_MAX, 1);
    send_urgent(program, ZCB_URGENT_STOP, 11);
    send_urgent(program, ZCB_URGENT_CLOSE_CHANNEL, 12);
    assert_ok(zcb_agent_listen(program->agent, &request, &id, NULL));
    assert_int_equal(request, ZCB_URGENT_STOP);
    assert_int_equal(id, 11);
    assert_ok(zcb_agent_listen(program->agent, &request, &id, NULL));
    assert_int_equal(request, ZCB_URGENT_CLOSE_CHANNEL);
    assert_int_equal(id, 12);
    zcb_message pong;
    assert_ok(zcb_receive_begin(program->urgent, ZCB_WISH_COPY, &pong, NULL));
    assert_int_equal(pong.flags, URGENT_PONG);
    assert_int_equal(pong.id, 5);
    assert_ok(zcb_receive_end(program->urgent));
    zcb_wait at_once = {0};
    assert_int_equal(zcb_agent_listen(program->agent, &request, &id, &at_once), ZCB_ERR_TIMEOUT);
    zcb_channel_close(program->urgent);
    assert_int_equal(zcb_agent_listen(program->agent, &request, &id, NULL), ZCB_ERR_CLOSED);
}

/* ---------------------------------------------------------------- bridges' channels */

static void a_bridges_channel_is_there_when_it_is_asked_for(void **state)
{
    struct program *program = *state;
    zcb_channel *ours = open_channel(), *first, *second;
    assert_int_equal(zcb_agent_channel(program->agent, 2, &first), ZCB_ERR_NOT_FOUND);
    send_channel(program->link, 2, ours, 1 + BELLS);
    assert_ok(zcb_agent_channel(program->agent, 2, &first));
    assert_ok(zcb_agent_channel(program->agent, 2, &second));
    assert_ptr_equal(first, second);
    zcb_message message = {.kind = ZCB_KIND_BYTES, .bytes = 3};
    assert_ok(zcb_send(first, &message, "abc", NULL));
    char got[3];
    assert_ok(zcb_receive_begin(ours, ZCB_WISH_COPY, &message, NULL));
    assert_ok(zcb_receive_read(ours, got, 3, NULL, NULL));
    assert_ok(zcb_receive_end(ours));
    assert_memory_equal(got, "abc", 3);
    zcb_agent_forget_channel(program->agent, 2);
    zcb_agent_forget_channel(program->agent, 2);
    assert_int_equal(zcb_agent_channel(program->agent, 2, &second), ZCB_ERR_NOT_FOUND);
    zcb_channel_free(first);
    assert_ok(zcb_send(second, &message, "abc", NULL)); /* one user is left */
    zcb_channel_free(second);
    message.bytes = 0;
    assert_int_equal(zcb_send(ours, &message, NULL, NULL), ZCB_ERR_PEER_CLOSED);
    zcb_channel_free(ours);
}

static void a_channel_that_was_forgotten_before_it_was_used_is_gone(void **state)
{
    struct program *program = *state;
    zcb_channel *ours = open_channel(), *theirs;
    unsigned before = open_descriptors();
    send_channel(program->link, 2, ours, 1 + BELLS);
    zcb_agent_forget_channel(program->agent, 2);
    assert_int_equal(zcb_agent_channel(program->agent, 2, &theirs), ZCB_ERR_NOT_FOUND);
    assert_int_equal(open_descriptors(), before);
    zcb_channel_free(ours);
}

static void a_senseless_channel_fails_alone(void **state)
{
    struct program *program = *state;
    zcb_channel *good = open_channel(), *bad = open_channel(), *got;
    struct region_header *header = (struct region_header *)(void *)bad->region->memory.base;
    unsigned before = open_descriptors();
    header->magic = 0;
    send_channel(program->link, 2, bad, 1 + BELLS);
    send_channel(program->link, 3, bad, 2);
    send_channel(program->link, 4, good, 1 + BELLS);
    assert_int_equal(zcb_agent_channel(program->agent, 2, &got), ZCB_ERR_PROTOCOL);
    assert_int_equal(zcb_agent_channel(program->agent, 3, &got), ZCB_ERR_PROTOCOL);
    assert_ok(zcb_agent_channel(program->agent, 4, &got));
    zcb_channel_free(got);
    for (uint32_t number = 2; number <= 4; number++)
        zcb_agent_forget_channel(program->agent, number);
    assert_int_equal(open_descriptors(), before);
    zcb_channel_free(good);
    zcb_channel_free(bad);
}

static zcb_error find(struct program *program, const char *label, uint32_t *number)
{
    return zcb_agent_find_channel(program->agent, label, number);
}

static void a_channel_is_found_by_its_label(void **state)
{
    struct program *program = *state;
    zcb_channel *ours = open_channel();
    uint32_t number = 0;
    assert_int_equal(find(program, "data", &number), ZCB_ERR_NOT_FOUND);
    send_channel(program->link, 2, ours, 1 + BELLS);
    send_labelled(program->link, 3, ours, 1 + BELLS, "data");
    send_labelled(program->link, 4, ours, 1 + BELLS, "data and more");
    assert_ok(find(program, "data", &number)); /* nobody has asked for the channel itself yet */
    assert_int_equal(number, 3);
    assert_ok(find(program, "data and more", &number));
    assert_int_equal(number, 4);
    const char *const none[] = {"", "dat", "Data", "data "};
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
        assert_int_equal(find(program, none[i], &number), ZCB_ERR_NOT_FOUND);
    assert_int_equal(number, 4);
    assert_int_equal(find(program, NULL, &number), ZCB_ERR_INVALID);
    assert_int_equal(find(program, "data", NULL), ZCB_ERR_INVALID);
    zcb_channel_free(ours);
}

static void the_newest_of_two_labels_is_found_until_it_is_forgotten(void **state)
{
    struct program *program = *state;
    zcb_channel *ours = open_channel();
    uint32_t number = 0;
    send_labelled(program->link, 2, ours, 1 + BELLS, "same");
    assert_ok(find(program, "same", &number));
    assert_int_equal(number, 2);
    send_labelled(program->link, 3, ours, 1 + BELLS, "same");
    assert_ok(find(program, "same", &number));
    assert_int_equal(number, 3);
    zcb_agent_forget_channel(program->agent, 3);
    assert_ok(find(program, "same", &number));
    assert_int_equal(number, 2);
    zcb_agent_forget_channel(program->agent, 2);
    assert_int_equal(find(program, "same", &number), ZCB_ERR_NOT_FOUND);
    send_labelled(program->link, 4, ours, 1 + BELLS, "same");
    zcb_agent_forget_channel(program->agent, 4); /* before anybody looked */
    assert_int_equal(find(program, "same", &number), ZCB_ERR_NOT_FOUND);
    zcb_channel_free(ours);
}

static void the_longest_label_is_kept_whole_and_ends(void **state)
{
    struct program *program = *state;
    zcb_channel *ours = open_channel();
    uint32_t number = 0;
    char label[ZCB_MAX_LABEL_BYTES + 2] = {0};
    memset(label, 'x', ZCB_MAX_LABEL_BYTES);
    send_labelled(program->link, 2, ours, 1 + BELLS, label);
    assert_ok(find(program, label, &number));
    label[ZCB_MAX_LABEL_BYTES] = 'x'; /* a record without the NUL is cut */
    send_labelled(program->link, 3, ours, 1 + BELLS, label);
    assert_int_equal(find(program, label, &number), ZCB_ERR_NOT_FOUND);
    label[ZCB_MAX_LABEL_BYTES] = 0;
    assert_ok(find(program, label, &number));
    assert_int_equal(number, 3);
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
        TEST(urgent_requests_come_and_pings_are_answered),
        TEST(a_bridges_channel_is_there_when_it_is_asked_for),
        TEST(a_channel_that_was_forgotten_before_it_was_used_is_gone),
        TEST(a_senseless_channel_fails_alone),
        TEST(a_channel_is_found_by_its_label),
        TEST(the_newest_of_two_labels_is_found_until_it_is_forgotten),
        TEST(the_longest_label_is_kept_whole_and_ends),
        TEST(what_was_written_to_the_console_is_read_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
