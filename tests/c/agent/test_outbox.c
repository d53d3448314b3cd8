/* The sending side of a bridge in the engine: values leave in their order, by whoever is free to send them. */
#include "channel/block.h"
#include "transfers.h"

THREADS_CAN_BE_REFUSED

#define STOPPED_TEXT "The transfer was stopped before its value was sent."

/* ---------------------------------------------------------------- the engine */

static void take_send(struct fixture *f, uint64_t id)
{
    assert_true(give_command(f->program, id, (struct command_wire){ZCB_OP_SEND, 0, BRIDGE, 0}));
    take_command(f->program, id);
}

static void *value_of(struct program *program, uint64_t bytes)
{
    unsigned char *value = malloc((size_t)bytes + 1);
    fill(value, (size_t)bytes, bytes);
    atomic_fetch_add(&program->runtime.owned, 1);
    return value;
}

/* For a command that was taken. */
static void post_value(struct fixture *f, uint64_t bytes)
{
    void *value = value_of(f->program, bytes);
    assert_ok(zcb_agent_post_send(f->program->agent, ZCB_KIND_BYTES, value, bytes, value));
}

static void send_value(struct fixture *f, uint64_t id, uint64_t bytes)
{
    take_send(f, id);
    post_value(f, bytes);
}

static void fail_to_send(struct fixture *f, uint64_t id, const char *reason)
{
    take_send(f, id);
    assert_ok(zcb_agent_end_transfer(f->program->agent, reason, strlen(reason)));
}

static bool has_thread(struct fixture *f)
{
    const struct bridge_end *end = end_of(f->program, BRIDGE);
    zcbi_plat_mutex_lock(&f->program->agent->lock);
    bool has = end->outbox.thread != NULL;
    zcbi_plat_mutex_unlock(&f->program->agent->lock);
    return has;
}

/* ---------------------------------------------------------------- the program */

static void assert_read(struct fixture *f, uint64_t id, uint64_t bytes)
{
    zcb_wait wait = patience();
    zcb_message message;
    unsigned char *got = malloc((size_t)bytes + 1);
    assert_ok(zcb_receive_begin(f->data, ZCB_WISH_COPY, &message, &wait));
    assert_int_equal(message.id, id);
    assert_int_equal(message.kind, ZCB_KIND_BYTES);
    assert_int_equal(message.bytes, bytes);
    assert_ok(zcb_receive_read(f->data, got, (size_t)bytes, NULL, &wait));
    assert_ok(zcb_receive_end(f->data));
    assert_true(is_filled(got, (size_t)bytes, bytes));
    free(got);
}

static void assert_read_error(struct fixture *f, uint64_t id, const char *text)
{
    zcb_wait wait = patience();
    zcb_message message;
    char got[8192] = "";
    assert_ok(zcb_receive_begin(f->data, ZCB_WISH_COPY, &message, &wait));
    assert_int_equal(message.id, id);
    assert_int_equal(message.kind, ZCB_KIND_ERROR);
    assert_true(message.bytes < sizeof(got));
    assert_ok(zcb_receive_read(f->data, got, (size_t)message.bytes, NULL, &wait));
    assert_ok(zcb_receive_end(f->data));
    assert_string_equal(got, text);
}

/* Reads half of a message that is longer. */
static void read_half(struct fixture *f, uint64_t id)
{
    static unsigned char got[LONG];
    zcb_wait wait = patience();
    zcb_message message;
    assert_ok(zcb_receive_begin(f->data, ZCB_WISH_COPY, &message, &wait));
    assert_int_equal(message.id, id);
    assert_ok(zcb_receive_read(f->data, got, LONG / 2, NULL, &wait));
}

static void assert_works(struct fixture *f)
{
    send_value(f, 1000, 77);
    assert_read(f, 1000, 77);
    assert_succeeded(f->program, 1000);
    assert_true(hears_nothing(f->program));
}

/* ---------------------------------------------------------------- values */

static void a_value_goes_at_once_while_there_is_room(void **state)
{
    struct fixture *f = *state;
    const uint64_t sizes[] = {0, 1, 1000, 64 * KIB, FRAME};
    for (uint64_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        send_value(f, i + 1, sizes[i]);
        assert_int_equal(f->program->runtime.owned, 0);
        assert_succeeded(f->program, i + 1);
        assert_read(f, i + 1, sizes[i]);
    }
    take_send(f, 99);
    void *text = value_of(f->program, 10);
    assert_ok(zcb_agent_post_send(f->program->agent, ZCB_KIND_CLIXML, text, 10, text));
    zcb_message message;
    assert_ok(zcb_receive_begin(f->data, ZCB_WISH_COPY, &message, NULL));
    assert_int_equal(message.kind, ZCB_KIND_CLIXML);
    zcb_receive_drop(f->data);
    assert_succeeded(f->program, 99);
    assert_false(has_thread(f));
}

static void a_value_that_makes_no_sense_is_not_taken(void **state)
{
    struct fixture *f = *state;
    zcb_agent *agent = f->program->agent;
    assert_int_equal(zcb_agent_post_send(agent, ZCB_KIND_BYTES, "x", 1, NULL), ZCB_ERR_INVALID);
    take_send(f, 1);
    assert_int_equal(zcb_agent_post_send(agent, ZCB_KIND_ERROR, "x", 1, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_agent_post_send(agent, ZCB_KIND_BYTES, NULL, 1, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_agent_post_receive(agent, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_agent_end_transfer(agent, NULL, 0), ZCB_ERR_INVALID);
    post_value(f, 5);
    assert_read(f, 1, 5);
    assert_succeeded(f->program, 1);
    assert_int_equal(zcb_agent_post_send(agent, ZCB_KIND_BYTES, "x", 1, NULL), ZCB_ERR_INVALID);
}

static void a_block_goes_without_a_copy(void **state)
{
    struct fixture *f = *state;
    zcb_channel *second = open_channel(), *first = f->data;
    zcb_block *block;
    send_labelled(f->program->link, BRIDGE + 1, second, 1 + BELLS, "data");
    assert_ok(zcb_agent_allocate(f->program->agent, "data", FRAME, &block, NULL, NULL));
    fill(zcb_block_data(block), FRAME, FRAME);
    for (uint64_t i = 0; i < 2; i++) {
        take_send(f, 1); /* of another bridge: it is copied */
        assert_ok(zcb_agent_post_send(f->program->agent, ZCB_KIND_BYTES, zcb_block_data(block),
                                      FRAME, NULL));
        assert_read(f, 1, FRAME);
        assert_succeeded(f->program, 1);
    }
    assert_true(give_command(f->program, 2, (struct command_wire){ZCB_OP_SEND, 0, BRIDGE + 1, 0}));
    take_command(f->program, 2);
    assert_ok(zcb_agent_post_send(f->program->agent, ZCB_KIND_BYTES, zcb_block_data(block), FRAME,
                                  NULL)); /* the frame has no room for a copy */
    assert_succeeded(f->program, 2);
    f->data = second;
    assert_read(f, 2, FRAME);
    f->data = first;
    zcb_block_free(block);
    zcb_channel_free(second);
}

static void values_leave_in_the_order_of_their_commands(void **state)
{
    struct fixture *f = *state;
    for (uint64_t id = 1; id <= 30; id += 3) {
        send_value(f, id, LONG);
        send_value(f, id + 1, 5);
        fail_to_send(f, id + 2, "no such variable");
        assert_failed(f->program, id + 2, false, "no such variable"); /* before it is read */
        turn_away(f->program, 100 + id);
        assert_read(f, id, LONG);
        assert_read(f, id + 1, 5);
        assert_read_error(f, id + 2, "no such variable");
        assert_succeeded(f->program, id);
        assert_succeeded(f->program, id + 1);
    }
}

static void a_long_reason_comes_whole(void **state)
{
    struct fixture *f = *state;
    static char reason[5001];
    memset(reason, 'r', sizeof(reason) - 1);
    fail_to_send(f, 1, reason);
    assert_read_error(f, 1, reason);
    assert_failed(f->program, 1, false, reason);
    fail_to_send(f, 2, "");
    assert_read_error(f, 2, "");
    (void)hear_end_of(f->program, 2);
    assert_works(f);
}

/* ---------------------------------------------------------------- commands and values */

static void an_unread_value_holds_up_no_command(void **state)
{
    struct fixture *f = *state;
    send_value(f, 1, LONG);
    assert_no_work(f->program);
    for (uint64_t id = 2; id < 20; id++)
        turn_away(f->program, id);
    assert_true(has_thread(f));
    assert_read(f, 1, LONG);
    assert_succeeded(f->program, 1);
    assert_works(f);
}

static void the_pipeline_sends_while_nothing_else_comes(void **state)
{
    struct fixture *f = *state;
    struct pipeline pipeline;
    send_value(f, 1, LONG);
    start_pipeline(&pipeline, f->program);
    assert_read(f, 1, LONG);
    assert_succeeded(f->program, 1);
    assert_false(has_thread(f));
    give_run(f->program, 2);
    assert_int_equal(finish_pipeline(&pipeline).command.id, 2);
}

static void a_value_goes_on_half_way_in_the_own_thread(void **state)
{
    struct fixture *f = *state;
    struct pipeline pipeline;
    send_value(f, 1, LONG);
    start_pipeline(&pipeline, f->program);
    read_half(f, 1);
    give_run(f->program, 2);
    assert_int_equal(finish_pipeline(&pipeline).command.id, 2);
    static unsigned char rest[LONG];
    zcb_wait wait = patience();
    assert_ok(zcb_receive_read(f->data, rest, LONG - LONG / 2, NULL, &wait));
    assert_ok(zcb_receive_end(f->data));
    assert_succeeded(f->program, 1);
    assert_works(f);
}

/* ---------------------------------------------------------------- stopped and given up */

static void a_value_that_waits_in_line_is_stopped_in_its_place(void **state)
{
    struct fixture *f = *state;
    for (uint64_t id = 1; id <= 3; id++)
        send_value(f, id, LONG);
    turn_away(f->program, 4);
    assert_false(stop(f->program, 2));
    assert_stopped(f->program, 2, false);
    assert_false(stop(f->program, 2));
    assert_int_equal(f->program->runtime.owned, 2);
    assert_read(f, 1, LONG);
    assert_read_error(f, 2, STOPPED_TEXT);
    assert_read(f, 3, LONG);
    assert_succeeded(f->program, 1);
    assert_succeeded(f->program, 3);
    assert_works(f);
}

static void a_value_is_stopped_half_way(void **state)
{
    struct fixture *f = *state;
    struct pipeline pipeline;
    for (uint64_t own = 0; own < 2; own++) {
        uint64_t id = own ? 10 : 1;
        send_value(f, id, LONG);
        if (own)
            turn_away(f->program, id + 1);
        start_pipeline(&pipeline, f->program);
        read_half(f, id);
        assert_false(stop(f->program, id));
        assert_stopped(f->program, id, false);
        unsigned char *rest = malloc(LONG);
        zcb_wait wait = patience();
        assert_int_equal(zcb_receive_read(f->data, rest, LONG - LONG / 2, NULL, &wait),
                         ZCB_ERR_ABORTED);
        zcb_receive_drop(f->data);
        free(rest);
        assert_read_error(f, id, STOPPED_TEXT);
        give_run(f->program, id + 2);
        assert_int_equal(finish_pipeline(&pipeline).command.id, id + 2);
    }
    assert_works(f);
}

static void a_value_that_nobody_reads_is_stopped(void **state)
{
    struct fixture *f = *state;
    struct pipeline pipeline;
    for (uint64_t own = 0; own < 2; own++) {
        uint64_t id = own ? 10 : 1;
        send_value(f, id, LONG);
        if (own)
            turn_away(f->program, id + 1);
        start_pipeline(&pipeline, f->program);
        assert_false(stop(f->program, id));
        assert_stopped(f->program, id, false);
        assert_read_error(f, id, STOPPED_TEXT);
        give_run(f->program, id + 2);
        assert_int_equal(finish_pipeline(&pipeline).command.id, id + 2);
    }
    assert_works(f);
}

static void a_send_is_stopped_while_the_runtime_has_it(void **state)
{
    struct fixture *f = *state;
    take_send(f, 1);
    assert_true(stop(f->program, 1));
    post_value(f, 5); /* it was evaluated all the same */
    assert_stopped(f->program, 1, false);
    assert_read_error(f, 1, STOPPED_TEXT);
    take_send(f, 2);
    assert_true(stop(f->program, 2));
    assert_ok(zcb_agent_end_transfer(f->program->agent, "x", 1));
    assert_stopped(f->program, 2, false);
    assert_read_error(f, 2, STOPPED_TEXT);
    assert_false(stop(f->program, 3)); /* before its turn */
    assert_true(give_command(f->program, 3, (struct command_wire){ZCB_OP_SEND, 0, BRIDGE, 0}));
    assert_no_work(f->program);
    assert_stopped(f->program, 3, false);
    assert_read_error(f, 3, STOPPED_TEXT);
    assert_works(f);
}

static void a_stop_of_what_is_done_or_failed_does_nothing(void **state)
{
    struct fixture *f = *state;
    send_value(f, 1, 5);
    assert_succeeded(f->program, 1);
    assert_false(stop(f->program, 1));
    send_value(f, 2, LONG);
    fail_to_send(f, 3, "why");
    assert_failed(f->program, 3, false, "why");
    assert_false(stop(f->program, 3)); /* its message waits */
    assert_true(hears_nothing(f->program));
    turn_away(f->program, 4);
    assert_read(f, 1, 5);
    assert_read(f, 2, LONG);
    assert_read_error(f, 3, "why");
    assert_succeeded(f->program, 2);
    assert_works(f);
}

static void a_reader_that_drops_a_value_fails_it(void **state)
{
    struct fixture *f = *state;
    send_value(f, 1, LONG);
    turn_away(f->program, 2);
    read_half(f, 1);
    zcb_receive_drop(f->data);
    assert_failed(f->program, 1, false, "The program discarded the message.");
    assert_works(f);
}

/* ---------------------------------------------------------------- closed and refused */

static void a_bridge_that_closes_fails_what_has_not_left(void **state)
{
    struct fixture *f = *state;
    send_value(f, 1, LONG);
    send_value(f, 2, 5);
    fail_to_send(f, 3, "why");
    assert_failed(f->program, 3, false, "why");
    take_send(f, 4);
    close_bridge(f->program, BRIDGE);
    struct end first, second;
    assert_true(hear(f->program, &first)); /* one by its thread, one by who closed it */
    assert_true(hear(f->program, &second));
    assert_int_equal(first.id + second.id, 1 + 2);
    assert_string_equal(first.err, "The bridge was closed.");
    assert_string_equal(second.err, "The bridge was closed.");
    post_value(f, 5);
    assert_failed(f->program, 4, false, "The bridge was closed.");
    assert_true(give_command(f->program, 5, (struct command_wire){ZCB_OP_SEND, 0, BRIDGE, 0}));
    assert_no_work(f->program); /* it is not even evaluated */
    assert_failed(f->program, 5, true, "The bridge was closed.");
}

static void a_bridge_closes_while_a_value_goes_out(void **state)
{
    struct fixture *f = *state;
    struct pipeline pipeline;
    send_value(f, 1, LONG);
    start_pipeline(&pipeline, f->program);
    read_half(f, 1);
    close_bridge(f->program, BRIDGE);
    assert_failed(f->program, 1, false, "The bridge was closed.");
    give_run(f->program, 2);
    assert_int_equal(finish_pipeline(&pipeline).command.id, 2);
    zcb_receive_drop(f->data);
}

static void the_program_closes_its_end(void **state)
{
    struct fixture *f = *state;
    send_value(f, 1, LONG);
    turn_away(f->program, 2);
    zcb_channel_close(f->data);
    assert_failed(f->program, 1, false, "The bridge was closed.");
    send_value(f, 3, 5);
    assert_failed(f->program, 3, false, "The bridge was closed.");
    assert_no_work(f->program);
}

static void without_a_thread_the_bridge_ends_with_a_reason(void **state)
{
    struct fixture *f = *state;
    zcb_message message;
    send_value(f, 1, LONG);
    threads_refused = true;
    turn_away(f->program, 2);
    assert_failed(f->program, 1, false, "can't start a thread");
    assert_int_equal(zcb_receive_begin(f->data, ZCB_WISH_COPY, &message, NULL),
                     ZCB_ERR_PEER_CLOSED);
    send_value(f, 3, 5);
    assert_failed(f->program, 3, false, "can't start a thread");
}

static void a_bridge_that_is_not_there_takes_no_value(void **state)
{
    struct fixture *f = *state;
    struct region_header *header;
    zcb_channel *bad = open_channel();
    header = (struct region_header *)(void *)bad->region->memory.base;
    header->magic = 0;
    send_channel(f->program->link, BRIDGE + 1, bad, 1 + BELLS);
    for (uint32_t i = 1; i <= 2; i++) {
        assert_true(
            give_command(f->program, i, (struct command_wire){ZCB_OP_SEND, 0, BRIDGE + i, 0}));
        assert_no_work(f->program);
        assert_failed(f->program, i, true,
                      i == 1 ? "opening the bridge's channel: protocol error"
                             : "The bridge was closed.");
    }
    zcb_channel_free(bad);
    assert_works(f);
}

static void an_agent_goes_with_all_that_waits(void **state)
{
    struct fixture *f = *state;
    send_value(f, 1, LONG);
    send_value(f, 2, LONG);
    turn_away(f->program, 3);
    read_half(f, 1);
    send_value(f, 4, 5);
}

static void an_agent_goes_with_a_value_that_the_pipeline_sends(void **state)
{
    struct fixture *f = *state;
    send_value(f, 1, LONG);
}

/* ---------------------------------------------------------------- thousands */

#define ROUNDS 600

/* Reads values and errors, now and then not to their end, and tells whether all came in order. */
static void *read_all(void *arg)
{
    struct fixture *f = arg;
    uint64_t random = 3;
    unsigned char *got = malloc(LONG);
    bool right = true;
    for (uint64_t id = 1; id <= ROUNDS && right; id++) {
        zcb_wait wait = patience();
        zcb_message message;
        zcb_error error = zcb_receive_begin(f->data, ZCB_WISH_COPY, &message, &wait);
        right = !error && message.id == id;
        size_t bytes = right ? (size_t)message.bytes : 0;
        if (right && next_random(&random) % 8)
            error = zcb_receive_read(f->data, got, bytes, NULL, &wait);
        if (right && !error && message.kind == ZCB_KIND_BYTES && f->data->rx.now.read == bytes)
            right = is_filled(got, bytes, bytes);
        zcb_receive_drop(f->data);
        if (error == ZCB_ERR_ABORTED)
            id--; /* it was stopped: its error comes */
    }
    free(got);
    return right ? f : NULL;
}

static void *hear_all(void *arg)
{
    struct end end;
    for (int i = 0; i < ROUNDS; i++)
        if (!hear(arg, &end))
            return NULL;
    return arg;
}

static void thousands_of_values_leave_in_order(void **state)
{
    struct fixture *f = *state;
    uint64_t random = 9;
    void *read, *heard;
    pthread_t reader = start_thread(read_all, f), hearer = start_thread(hear_all, f->program);
    for (uint64_t id = 1; id <= ROUNDS; id++) {
        uint64_t kind = next_random(&random) % 8;
        if (kind == 0)
            fail_to_send(f, id, "why");
        else
            send_value(f, id, kind == 1 ? LONG / 3 : next_random(&random) % 5000);
        if (kind % 2)
            turn_away(f->program, ROUNDS + id);
        if (kind == 3)
            (void)stop(f->program, id - next_random(&random) % 4);
    }
    zcb_wait wait = patience();
    zcb_work work;
    while (f->program->runtime.owned > 0) { /* the pipeline sends what it was at */
        give_run(f->program, 10 * ROUNDS);
        assert_ok(zcb_agent_next(f->program->agent, &work, &wait));
    }
    pthread_join(reader, &read);
    pthread_join(hearer, &heard);
    assert_non_null(read);
    assert_non_null(heard);
}

int main(void)
{
#undef TEST
#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        TEST(a_value_goes_at_once_while_there_is_room),
        TEST(a_value_that_makes_no_sense_is_not_taken),
        TEST(a_block_goes_without_a_copy),
        TEST(values_leave_in_the_order_of_their_commands),
        TEST(a_long_reason_comes_whole),
        TEST(an_unread_value_holds_up_no_command),
        TEST(the_pipeline_sends_while_nothing_else_comes),
        TEST(a_value_goes_on_half_way_in_the_own_thread),
        TEST(a_value_that_waits_in_line_is_stopped_in_its_place),
        TEST(a_value_is_stopped_half_way),
        TEST(a_value_that_nobody_reads_is_stopped),
        TEST(a_send_is_stopped_while_the_runtime_has_it),
        TEST(a_stop_of_what_is_done_or_failed_does_nothing),
        TEST(a_reader_that_drops_a_value_fails_it),
        TEST(a_bridge_that_closes_fails_what_has_not_left),
        TEST(a_bridge_closes_while_a_value_goes_out),
        TEST(the_program_closes_its_end),
        TEST(without_a_thread_the_bridge_ends_with_a_reason),
        TEST(a_bridge_that_is_not_there_takes_no_value),
        TEST(an_agent_goes_with_all_that_waits),
        TEST(an_agent_goes_with_a_value_that_the_pipeline_sends),
        TEST(thousands_of_values_leave_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
