/* The engine's side: commands, replies, urgent requests, and what goes to the console. */
#include "channel/block.h"
#include "program.h"

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
    assert_ok(zcbi_tx_begin(program->commands, &message, 0, NULL));
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

static void a_close_in_the_middle_of_a_command_ends_the_session_in_good_order(void **state)
{
    struct program *program = *state;
    zcb_message message = {.kind = ZCB_KIND_CONTROL, .id = 1, .bytes = 4 * MIB};
    char *some = calloc(1, MIB);
    size_t written = 0;
    pthread_t thread = start_thread(next_command_here, program);
    assert_ok(zcbi_tx_begin(program->commands, &message, 0, NULL)); /* when it waits there */
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
    const struct CMUnitTest tests[] = {
        TEST(commands_come_in_order_with_their_texts),
        TEST(a_command_that_was_given_up_is_said_to_be_and_passed_over),
        TEST(a_senseless_command_ends_the_session),
        TEST(a_command_of_the_wrong_kind_ends_the_session),
        TEST(what_is_queued_does_not_run_when_the_session_ends),
        TEST(a_close_in_the_middle_of_a_command_ends_the_session_in_good_order),
        TEST(replies_carry_every_field),
        TEST(urgent_requests_come_and_pings_are_answered),
        TEST(what_was_written_to_the_console_is_read_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
