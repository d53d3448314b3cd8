/* The engine's side: commands, replies, urgent requests, and what goes to the console. */
#include "channel/block.h"
#include "program.h"

static void commands_come_in_order_with_their_texts(void **state)
{
    struct program *program = *state;
    const struct command_wire head = {ZCB_OP_RUN, ZCB_COMMAND_LOCAL_SCOPE, 7, 3};
    zcb_work work;
    send_text_command(program, 42, head, "hello");
    send_text_command(program, 43, head, "");
    assert_ok(zcb_agent_next(program->agent, &work, NULL));
    assert_int_equal(work.command.id, 42);
    assert_int_equal(work.type, ZCB_WORK_COMMAND);
    assert_int_equal(work.command.op, ZCB_OP_RUN);
    assert_int_equal(work.command.flags, ZCB_COMMAND_LOCAL_SCOPE);
    assert_int_equal(work.command.channel, 7);
    assert_int_equal(work.command.depth, 3);
    assert_int_equal(work.command.parts->bytes, 5);
    assert_memory_equal(work.command.parts->data, "hello", 6);
    assert_ok(zcb_agent_next(program->agent, &work, NULL));
    assert_int_equal(work.command.id, 43);
    assert_int_equal(work.command.parts->bytes, 0);
    zcb_wait at_once = {0};
    assert_int_equal(zcb_agent_next(program->agent, &work, &at_once), ZCB_ERR_TIMEOUT);
}

static void a_command_that_was_given_up_is_said_to_be_and_passed_over(void **state)
{
    struct program *program = *state;
    zcb_message message = {.kind = ZCB_KIND_CONTROL, .id = 1, .bytes = MIB};
    char *half = calloc(1, MIB);
    size_t written = 0;
    zcb_work work;
    atomic_store(&program->commands->tx.control->wish, ZCB_WISH_COPY); /* it shows as it comes */
    assert_ok(zcbi_tx_begin(program->commands, &message, 0, NULL));
    assert_ok(zcbi_tx_write(program->commands, half, MIB / 2, &written, NULL));
    zcbi_tx_abort(program->commands);
    send_text_command(program, 2, (struct command_wire){.op = ZCB_OP_RUN}, "x");
    zcb_wait wait = patience();
    assert_int_equal(zcb_agent_next(program->agent, &work, &wait), ZCB_ERR_ABORTED);
    assert_ok(zcb_agent_next(program->agent, &work, &wait));
    assert_int_equal(work.command.id, 2);
    free(half);
}

static void assert_refused(const void *payload, size_t bytes)
{
    void *state;
    assert_int_equal(set_up_program(&state), 0);
    struct program *program = state;
    zcb_work work;
    send_command(program, (zcb_message){.kind = ZCB_KIND_CONTROL, .id = 1, .bytes = bytes},
                 payload);
    assert_int_equal(zcb_agent_next(program->agent, &work, NULL), ZCB_ERR_PROTOCOL);
    assert_int_equal(zcb_agent_next(program->agent, &work, NULL), ZCB_ERR_PROTOCOL);
    zcb_completion completion = {.status = ZCB_STATUS_DONE};
    assert_int_equal(zcb_agent_complete(program->agent, 1, &completion, NULL, 0, false),
                     ZCB_ERR_PROTOCOL);
    assert_int_equal(tear_down_program(&state), 0);
}

static void a_senseless_command_ends_the_session(void **state)
{
    (void)state;
    const struct command_wire head = {.op = ZCB_OP_RUN};
    unsigned char payload[128] = {0};
    struct part_wire *part = (struct part_wire *)(void *)(payload + sizeof(head));
    size_t bytes = write_command(payload, head, "text", 4);
    assert_refused(payload, sizeof(head) - 1);
    assert_refused(payload, sizeof(head)); /* no part */
    assert_refused(payload, bytes - 1);
    assert_refused(payload, bytes + write_part(payload + bytes, ZCB_PART_TEXT, "x", 1));
    part->kind = ZCB_PART_OUT;
    assert_refused(payload, bytes);
    part->kind = ZCB_PART_TEXT;
    part->flags = 1;
    assert_refused(payload, bytes);
    part->flags = 0;
    part->bytes = UINT64_MAX;
    assert_refused(payload, bytes);
    part->bytes = 5; /* its zeroes are not there */
    payload[sizeof(head) + sizeof(*part) + 5] = 1;
    assert_refused(payload, bytes);
}

static void a_command_of_the_wrong_kind_ends_the_session(void **state)
{
    struct program *program = *state;
    zcb_work work;
    send_command(program, (zcb_message){.kind = ZCB_KIND_BYTES, .id = 1, .bytes = 20},
                 "enough bytes for one");
    assert_int_equal(zcb_agent_next(program->agent, &work, NULL), ZCB_ERR_PROTOCOL);
}

static void a_command_without_a_length_ends_the_session(void **state)
{
    struct program *program = *state;
    zcb_work work;
    zcb_message message = {.kind = ZCB_KIND_CONTROL, .id = 1, .bytes = ZCB_OPEN_ENDED};
    size_t done = 0;
    assert_ok(zcb_send_begin(program->commands, &message, NULL));
    assert_ok(zcb_send_write(program->commands, "enough bytes for one", 20, &done, NULL));
    assert_ok(zcb_send_flush(program->commands));
    assert_int_equal(zcb_agent_next(program->agent, &work, NULL), ZCB_ERR_PROTOCOL);
    zcb_send_drop(program->commands);
}

static void what_is_queued_does_not_run_when_the_session_ends(void **state)
{
    struct program *program = *state;
    zcb_work work;
    send_text_command(program, 2, (struct command_wire){.op = ZCB_OP_RUN}, "x");
    zcb_channel_close(program->commands);
    assert_int_equal(zcb_agent_next(program->agent, &work, NULL), ZCB_ERR_CLOSED);
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

static void replies_carry_every_part_and_the_completion(void **state)
{
    struct program *program = *state;
    const zcb_completion completion = {.status = ZCB_STATUS_DONE,
                                       .success = true,
                                       .refused = true,
                                       .exit_code = -3,
                                       .execution_ns = 77};
    const zcb_part parts[] = {{.kind = ZCB_PART_ERR, .data = "err", .bytes = 3},
                              {.kind = ZCB_PART_PROGRESS, .data = NULL, .bytes = 0}};
    const struct completion_wire wire = {
        .status = ZCB_STATUS_DONE, .success = 1, .refused = 1, .exit_code = -3, .execution_ns = 77};
    unsigned char expected[256], got[256];
    size_t bytes = write_part(expected, ZCB_PART_ERR, "err", 3);
    bytes += write_part(expected + bytes, ZCB_PART_PROGRESS, NULL, 0);
    bytes += write_part(expected + bytes, PART_COMPLETION, &wire, sizeof(wire));
    assert_ok(zcb_agent_complete(program->agent, 9, &completion, parts, 2, false));
    zcb_message message;
    assert_ok(zcb_receive_begin(program->commands, ZCB_WISH_COPY, &message, NULL));
    assert_int_equal(message.kind, ZCB_KIND_CONTROL);
    assert_int_equal(message.flags, REPLY_COMPLETES);
    assert_int_equal(message.id, 9);
    assert_int_equal(message.bytes, bytes);
    assert_ok(zcb_receive_read(program->commands, got, bytes, NULL, NULL));
    assert_ok(zcb_receive_end(program->commands));
    assert_memory_equal(got, expected, bytes);
}

static void replies_of_other_parts_than_text_are_refused(void **state)
{
    struct program *program = *state;
    const zcb_completion completion = {.status = ZCB_STATUS_DONE};
    const zcb_part senseless[] = {{.kind = ZCB_PART_TEXT, .data = "x", .bytes = 1},
                                  {.kind = ZCB_PART_PROGRESS + 1, .data = "x", .bytes = 1},
                                  {.kind = ZCB_PART_OUT, .flags = 1, .data = "x", .bytes = 1},
                                  {.kind = ZCB_PART_OUT, .data = NULL, .bytes = 1}};
    zcb_part many[ZCB_STREAMS + 1];
    for (int i = 0; i <= ZCB_STREAMS; i++)
        many[i] = (zcb_part){.kind = ZCB_PART_OUT, .data = "x", .bytes = 1};
    for (size_t i = 0; i < sizeof(senseless) / sizeof(*senseless); i++) {
        assert_int_equal(zcb_agent_output(program->agent, 1, &senseless[i], 1), ZCB_ERR_INVALID);
        assert_int_equal(
            zcb_agent_complete(program->agent, 1, &completion, &senseless[i], 1, false),
            ZCB_ERR_INVALID);
    }
    assert_int_equal(
        zcb_agent_complete(program->agent, 1, &completion, many, ZCB_STREAMS + 1, false),
        ZCB_ERR_INVALID);
    assert_int_equal(zcb_agent_complete(program->agent, 1, NULL, NULL, 0, false), ZCB_ERR_INVALID);
    assert_int_equal(zcb_agent_output(program->agent, 1, NULL, 0), ZCB_ERR_INVALID);
}

static void send_urgent(struct program *program, uint32_t what, uint64_t id)
{
    zcb_message message = {.kind = ZCB_KIND_CONTROL, .flags = what, .id = id};
    assert_ok(zcb_send(program->urgent, &message, NULL, NULL));
}

static void a_stop_of_what_runs_comes_and_pings_are_answered(void **state)
{
    struct program *program = *state;
    const struct command_wire head = {.op = ZCB_OP_RUN};
    zcb_work work;
    uint64_t id;
    send_text_command(program, 11, head, "x");
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
    const struct command_wire head = {.op = ZCB_OP_RUN};
    zcb_message message;
    zcb_wait at_once = {0};
    zcb_work work;
    uint64_t id;
    for (uint64_t i = 20; i > 0; i--) /* far more than there are; in no order */
        send_urgent(program, URGENT_STOP, 2 * i);
    assert_int_equal(zcb_agent_listen(program->agent, &id, &at_once), ZCB_ERR_TIMEOUT);
    for (uint64_t i = 1; i <= 10; i++)
        send_text_command(program, i, head, "x");
    for (uint64_t i = 1; i <= 9; i += 2) {
        assert_ok(zcb_agent_next(program->agent, &work, &at_once));
        assert_int_equal(work.command.id, i);
    }
    assert_int_equal(zcb_agent_next(program->agent, &work, &at_once), ZCB_ERR_TIMEOUT);
    for (int i = 0; i < 5; i++) {
        struct {
            struct part_wire part;
            struct completion_wire completion;
        } reply;
        assert_ok(zcb_receive_begin(program->commands, ZCB_WISH_COPY, &message, NULL));
        assert_int_equal(message.id, 2 * (i + 1));
        assert_ok(zcb_receive_read(program->commands, &reply, sizeof(reply), NULL, NULL));
        assert_int_equal(reply.completion.status, ZCB_STATUS_STOPPED);
        zcb_receive_drop(program->commands);
    }
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
        cmocka_unit_test(a_senseless_command_ends_the_session),
        TEST(a_command_of_the_wrong_kind_ends_the_session),
        TEST(a_command_without_a_length_ends_the_session),
        TEST(what_is_queued_does_not_run_when_the_session_ends),
        TEST(a_close_in_the_middle_of_a_command_ends_the_session_in_good_order),
        TEST(replies_carry_every_part_and_the_completion),
        TEST(replies_of_other_parts_than_text_are_refused),
        TEST(a_stop_of_what_runs_comes_and_pings_are_answered),
        TEST(a_command_that_was_stopped_before_its_turn_is_not_given),
        TEST(what_was_written_to_the_console_is_read_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
