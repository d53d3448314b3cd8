/* The receiving side of a bridge in the engine: who takes messages in, and which receive gets which. */
#include "transfers.h"

THREADS_CAN_BE_REFUSED

/* A target that is known by its content. */
static void *target_of(struct program *program, uint64_t id)
{
    uint64_t *target = malloc(sizeof(*target));
    *target = id;
    atomic_fetch_add(&program->runtime.owned, 1);
    return target;
}

static void give_receive(struct program *program, uint64_t id, uint32_t flags, uint32_t bridge)
{
    assert_true(give_command(program, id, (struct command_wire){ZCB_OP_RECEIVE, flags, bridge, 0}));
}

static void post_on(struct program *program, uint32_t bridge, uint64_t id, uint32_t flags)
{
    give_receive(program, id, flags, bridge);
    take_command(program, id);
    assert_ok(zcb_agent_post_receive(program->agent, target_of(program, id)));
}

static void post(struct fixture *f, uint64_t id, uint32_t flags)
{
    post_on(f->program, BRIDGE, id, flags);
}

/* What came for this receive, with content of this length; the runtime has done with it then. */
static bool take_arrival(struct program *program, const zcb_arrival *arrival, uint64_t bytes)
{
    const void *data = arrival->memory ? arrival->memory : zcb_lease_data(arrival->lease);
    bool right = arrival->bytes == bytes && is_filled(data, (size_t)bytes, bytes) &&
                 *(uint64_t *)arrival->target == arrival->id;
    if (arrival->memory)
        runtime_release(&program->runtime, arrival->memory);
    runtime_release(&program->runtime, arrival->target);
    zcb_lease_free(arrival->lease);
    (void)zcb_agent_end_transfer(program->agent, NULL, 0);
    return right;
}

static void assert_taken(struct fixture *f, const zcb_work *work, uint64_t id, uint64_t bytes)
{
    assert_int_equal(work->type, ZCB_WORK_ARRIVAL);
    assert_int_equal(work->arrival.id, id);
    assert_true(take_arrival(f->program, &work->arrival, bytes));
    assert_succeeded(f->program, id);
}

static void assert_arrives(struct fixture *f, uint64_t id, uint64_t bytes)
{
    zcb_work work = next_work(f->program);
    assert_taken(f, &work, id, bytes);
}

static void send_to(struct fixture *f, uint64_t id, uint64_t bytes)
{
    assert_ok(send_message(f->data, ZCB_KIND_BYTES, id, bytes));
}

/* Half of a message has come, and the rest is to come by finish_half. */
static unsigned char half[LONG];

static void send_half(struct fixture *f, uint64_t id)
{
    zcb_wait wait = patience();
    zcb_message message = {.kind = ZCB_KIND_BYTES, .id = id, .bytes = LONG};
    size_t written = 0;
    fill(half, LONG, LONG);
    assert_ok(zcb_send_begin(f->data, &message, &wait));
    assert_ok(zcb_send_write(f->data, half, LONG / 2, &written, &wait));
}

static void finish_half(struct fixture *f)
{
    zcb_wait wait = patience();
    size_t written = 0;
    assert_ok(zcb_send_write(f->data, half + LONG / 2, LONG - LONG / 2, &written, &wait));
    assert_ok(zcb_send_end(f->data));
}

/* The bridge goes on, on the pipeline's thread. */
static void assert_works(struct fixture *f)
{
    post(f, 1000, 0);
    send_to(f, 1000, 1234);
    assert_arrives(f, 1000, 1234);
    assert_no_work(f->program);
}

static enum server server_of(struct fixture *f)
{
    const struct bridge_end *end = end_of(f->program, BRIDGE);
    zcbi_plat_mutex_lock(&f->program->agent->lock);
    enum server server = end->inbox.server;
    zcbi_plat_mutex_unlock(&f->program->agent->lock);
    return server;
}

static bool has_thread(struct fixture *f)
{
    const struct bridge_end *end = end_of(f->program, BRIDGE);
    zcbi_plat_mutex_lock(&f->program->agent->lock);
    bool has = end->inbox.thread != NULL;
    zcbi_plat_mutex_unlock(&f->program->agent->lock);
    return has;
}

/* Until the message of a receive is taken in. */
static void await_under_way(struct fixture *f)
{
    const struct bridge_end *end = end_of(f->program, BRIDGE);
    bool under_way = false;
    while (!under_way) {
        zcbi_plat_mutex_lock(&f->program->agent->lock);
        under_way = end->inbox.stage == STAGE_UNDER_WAY;
        zcbi_plat_mutex_unlock(&f->program->agent->lock);
        sched_yield();
    }
}

/* ---------------------------------------------------------------- which receive gets which */

static void a_message_arrives_whole(void **state)
{
    struct fixture *f = *state;
    const uint64_t sizes[] = {0, 1, 1000, 64 * KIB, FRAME};
    uint64_t id = 1;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++, id++) {
        post(f, id, 0);
        send_to(f, id, sizes[i]);
        assert_arrives(f, id, sizes[i]);
        assert_int_equal(server_of(f), SERVER_PIPELINE); /* until it looks again */
    }
    post(f, id, ZCB_COMMAND_LEASE);
    assert_ok(send_message(f->data, ZCB_KIND_CLIXML, id, 77));
    zcb_work work = next_work(f->program);
    assert_int_equal(work.arrival.kind, ZCB_KIND_CLIXML);
    assert_int_equal(work.arrival.flags, ZCB_COMMAND_LEASE);
    assert_non_null(work.arrival.memory); /* text is never held in place */
    assert_taken(f, &work, id, 77);
    assert_false(has_thread(f));
}

static void a_message_beyond_the_frame_streams_in(void **state)
{
    struct fixture *f = *state;
    struct pipeline pipeline;
    post(f, 1, 0);
    start_pipeline(&pipeline, f->program);
    send_to(f, 1, LONG);
    zcb_work work = finish_pipeline(&pipeline);
    assert_taken(f, &work, 1, LONG);
    assert_false(has_thread(f));
}

static void a_receive_takes_what_was_sent_before_it(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 1; i <= 3; i++)
        send_to(f, 0, i);
    for (uint64_t i = 1; i <= 3; i++) {
        post(f, i, ZCB_COMMAND_TAKE_QUEUED);
        assert_arrives(f, i, i);
    }
    assert_works(f);
}

static void a_message_of_a_receive_still_to_come_holds_up_no_other(void **state)
{
    struct fixture *f = *state;
    post(f, 1, 0);
    send_to(f, 0, 111); /* kept for who takes it */
    send_to(f, 0, 222);
    send_to(f, 1, 5);
    assert_arrives(f, 1, 5);
    post(f, 2, ZCB_COMMAND_TAKE_QUEUED);
    assert_arrives(f, 2, 111);
    post(f, 3, ZCB_COMMAND_TAKE_QUEUED | ZCB_COMMAND_LEASE);
    zcb_work work = next_work(f->program);
    assert_int_equal(work.arrival.flags & ZCB_COMMAND_LEASE, ZCB_COMMAND_LEASE);
    assert_taken(f, &work, 3, 222);
    post(f, 4, 0);
    send_to(f, 0, 333); /* stays kept: freed with the bridge */
    send_to(f, 4, 6);
    assert_arrives(f, 4, 6);
    assert_works(f);
}

static void a_message_waits_for_the_receive_that_it_names(void **state)
{
    struct fixture *f = *state;
    send_to(f, 2, 5);
    post(f, 1, 0); /* it will fail elsewhere: nothing comes for it */
    assert_no_work(f->program);
    post(f, 2, 0);
    assert_arrives(f, 2, 5);
    assert_false(stop(f->program, 1));
    assert_stopped(f->program, 1, true);
}

static void the_message_of_a_receive_that_failed_is_discarded(void **state)
{
    struct fixture *f = *state;
    give_receive(f->program, 1, 0, BRIDGE);
    take_command(f->program, 1);
    assert_ok(zcb_agent_end_transfer(f->program->agent, "no such place", 13));
    assert_failed(f->program, 1, true, "no such place");
    send_to(f, 1, 5);
    assert_works(f);
}

static void a_receive_is_no_receive_of_another_sort(void **state)
{
    struct fixture *f = *state;
    zcb_agent *agent = f->program->agent;
    assert_int_equal(zcb_agent_post_receive(agent, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_agent_end_transfer(agent, "x", 1), ZCB_ERR_INVALID);
    give_receive(f->program, 1, 0, BRIDGE);
    take_command(f->program, 1);
    assert_int_equal(zcb_agent_post_send(agent, ZCB_KIND_BYTES, "x", 1, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_agent_end_transfer(agent, NULL, 0), ZCB_ERR_INVALID);
    assert_ok(zcb_agent_post_receive(agent, target_of(f->program, 1)));
    assert_int_equal(zcb_agent_post_receive(agent, NULL), ZCB_ERR_INVALID);
    send_to(f, 1, 9);
    assert_arrives(f, 1, 9);
    turn_away(f->program, 2);
    assert_int_equal(zcb_agent_post_receive(agent, NULL), ZCB_ERR_INVALID);
    assert_int_equal(zcb_agent_end_transfer(agent, NULL, 0), ZCB_ERR_INVALID);
}

static void an_arrival_that_cannot_be_assigned_fails(void **state)
{
    struct fixture *f = *state;
    post(f, 1, 0);
    send_to(f, 1, 9);
    zcb_work work = next_work(f->program);
    runtime_release(&f->program->runtime, work.arrival.memory);
    runtime_release(&f->program->runtime, work.arrival.target);
    assert_ok(zcb_agent_end_transfer(f->program->agent, "it is read-only", 15));
    assert_failed(f->program, 1, false, "it is read-only");
    assert_works(f);
}

/* ---------------------------------------------------------------- in place */

static void a_message_is_held_in_place(void **state)
{
    struct fixture *f = *state;
    post(f, 1, ZCB_COMMAND_LEASE);
    send_to(f, 1, FRAME);
    zcb_work work = next_work(f->program);
    assert_non_null(work.arrival.lease);
    assert_null(work.arrival.memory);
    zcb_wait at_once = {0};
    zcb_message message = {.kind = ZCB_KIND_BYTES, .bytes = 1};
    assert_int_equal(zcb_send(f->data, &message, "x", &at_once), ZCB_ERR_TIMEOUT);
    assert_taken(f, &work, 1, FRAME);
    post(f, 2, ZCB_COMMAND_LEASE);
    send_to(f, 2, 0); /* there is nothing to be held */
    work = next_work(f->program);
    assert_non_null(work.arrival.memory);
    assert_taken(f, &work, 2, 0);
}

static void where_the_frame_has_no_room_it_is_copied_and_room_is_made(void **state)
{
    struct fixture *f = *state;
    struct pipeline pipeline;
    zcb_block *block;
    assert_ok(zcb_block_allocate(f->data, FRAME, &block, NULL));
    post(f, 1, ZCB_COMMAND_LEASE);
    start_pipeline(&pipeline, f->program);
    send_to(f, 1, 5000);
    zcb_work work = finish_pipeline(&pipeline);
    assert_non_null(work.arrival.memory);
    assert_int_equal(f->program->runtime.reclaimed, 1);
    assert_taken(f, &work, 1, 5000);
    post(f, 2, ZCB_COMMAND_LEASE);
    start_pipeline(&pipeline, f->program);
    assert_int_equal(send_message(f->data, ZCB_KIND_BYTES, 2, LONG), ZCB_ERR_REFUSED);
    assert_failed(f->program, 2, false, "larger frame"); /* it could never be held */
    give_run(f->program, 3);
    (void)finish_pipeline(&pipeline);
    zcb_block_free(block);
    assert_works(f);
}

/* ---------------------------------------------------------------- the order of commands and messages */

static void what_was_sent_before_a_command_is_given_before_it(void **state)
{
    struct fixture *f = *state;
    for (uint64_t id = 1; id < 400; id += 3) {
        post(f, id, 0);
        if (id % 2)
            turn_away(f->program, id + 1); /* from now on the own thread waits for it */
        send_to(f, id, 64 * KIB + id);
        give_run(f->program, id + 2);
        assert_arrives(f, id, 64 * KIB + id);
        take_command(f->program, id + 2);
    }
}

static void a_command_waits_for_no_sender(void **state)
{
    struct fixture *f = *state;
    struct pipeline pipeline;
    post(f, 1, 0);
    start_pipeline(&pipeline, f->program);
    send_half(f, 1);
    await_under_way(f);
    give_run(f->program, 2);
    zcb_work work = finish_pipeline(&pipeline);
    assert_int_equal(work.command.id, 2);
    for (uint64_t id = 3; id < 20; id++)
        turn_away(f->program, id);
    finish_half(f);
    assert_arrives(f, 1, LONG);
    post(f, 20, 0); /* brings the pipeline back */
    assert_int_equal(server_of(f), SERVER_PIPELINE);
    send_to(f, 20, 3);
    assert_arrives(f, 20, 3);
}

static void the_rest_of_a_discarded_message_holds_up_no_command(void **state)
{
    struct fixture *f = *state;
    post(f, 1, 0);
    turn_away(f->program, 2);
    send_half(f, 1);
    await_under_way(f);
    assert_false(stop(f->program, 1)); /* while it comes in */
    assert_stopped(f->program, 1, false);
    post(f, 3, 0);
    turn_away(f->program, 4);
    zcb_send_drop(f->data);
    for (uint64_t id = 5; id < 30; id += 2) {
        send_to(f, id == 5 ? 3 : id - 1, id);
        give_run(f->program, id);
        assert_arrives(f, id == 5 ? 3 : id - 1, id);
        take_command(f->program, id);
        post(f, id + 1, 0);
    }
}

static void receives_of_many_bridges_wait_and_hold_up_nothing(void **state)
{
    struct fixture *f = *state;
    enum { BRIDGE_COUNT = 5 };
    zcb_channel *data[BRIDGE_COUNT];
    uint64_t id = 1;
    for (uint32_t i = 0; i < BRIDGE_COUNT; i++)
        data[i] = open_data(f->program, BRIDGE + 1 + i);
    for (int round = 0; round < 20; round++) {
        uint64_t first = id;
        for (uint32_t i = 0; i < BRIDGE_COUNT; i++)
            post_on(f->program, BRIDGE + 1 + i, id++, 0);
        turn_away(f->program, id++);
        for (uint32_t i = 0; i < BRIDGE_COUNT; i++)
            assert_ok(send_message(data[i], ZCB_KIND_BYTES, first + i, 100 + i));
        give_run(f->program, id);
        for (uint32_t i = 0; i < BRIDGE_COUNT; i++) {
            zcb_work work = next_work(f->program);
            assert_int_equal(work.type, ZCB_WORK_ARRIVAL);
            assert_true(take_arrival(f->program, &work.arrival, 100 + work.arrival.id - first));
            assert_succeeded(f->program, work.arrival.id);
        }
        take_command(f->program, id++);
    }
    for (uint32_t i = 0; i < BRIDGE_COUNT; i++)
        zcb_channel_free(data[i]);
}

/* ---------------------------------------------------------------- given up and stopped */

static void a_message_that_is_given_up_leaves_its_receive_waiting(void **state)
{
    struct fixture *f = *state;
    struct pipeline pipeline;
    for (int own = 0; own < 2; own++) {
        uint64_t id = own ? 10 : 1;
        post(f, id, 0);
        if (own)
            turn_away(f->program, id + 1);
        start_pipeline(&pipeline, f->program);
        send_half(f, id);
        zcb_send_drop(f->data);
        send_to(f, id, 55);
        zcb_work work = finish_pipeline(&pipeline);
        assert_taken(f, &work, id, 55);
    }
}

static void a_receive_that_waits_is_stopped(void **state)
{
    struct fixture *f = *state;
    post(f, 1, 0);
    post(f, 2, 0);
    assert_false(stop(f->program, 1));
    assert_stopped(f->program, 1, true);
    turn_away(f->program, 3);
    assert_false(stop(f->program, 2)); /* its own thread waits */
    assert_stopped(f->program, 2, true);
    assert_false(stop(f->program, 2));
    send_to(f, 1, 5); /* were under way when they were stopped */
    send_to(f, 2, 5);
    assert_works(f);
    assert_true(hears_nothing(f->program));
}

static void a_receive_is_stopped_while_its_message_comes_in(void **state)
{
    struct fixture *f = *state;
    struct pipeline pipeline;
    for (int own = 0; own < 2; own++) {
        uint64_t id = own ? 10 : 1;
        post(f, id, 0);
        if (own)
            turn_away(f->program, id + 1);
        start_pipeline(&pipeline, f->program);
        send_half(f, id);
        await_under_way(f);
        assert_false(stop(f->program, id));
        assert_stopped(f->program, id, false);
        size_t written = 0;
        zcb_wait wait = patience();
        zcb_error error = zcb_send_write(f->data, half, LONG - LONG / 2, &written, &wait);
        assert_int_equal(error, ZCB_ERR_REFUSED);
        zcb_send_drop(f->data);
        give_run(f->program, id + 2);
        assert_int_equal(finish_pipeline(&pipeline).command.id, id + 2);
    }
    assert_works(f);
}

/* Until something has arrived that was not given yet. */
static void await_arrival(struct fixture *f)
{
    bool arrived = false;
    while (!arrived) {
        zcbi_plat_mutex_lock(&f->program->agent->lock);
        arrived = f->program->agent->arrivals != NULL;
        zcbi_plat_mutex_unlock(&f->program->agent->lock);
        sched_yield();
    }
}

static void what_has_arrived_is_stopped_before_it_is_assigned(void **state)
{
    struct fixture *f = *state;
    post(f, 1, 0);
    turn_away(f->program, 2);
    send_to(f, 1, 5);
    await_arrival(f);
    assert_false(stop(f->program, 1));
    assert_stopped(f->program, 1, false);
    assert_no_work(f->program);
    assert_works(f);
}

static void a_receive_is_stopped_while_the_runtime_has_it(void **state)
{
    struct fixture *f = *state;
    give_receive(f->program, 1, 0, BRIDGE);
    take_command(f->program, 1);
    assert_true(stop(f->program, 1));
    assert_ok(zcb_agent_post_receive(f->program->agent, target_of(f->program, 1)));
    assert_stopped(f->program, 1, true);
    give_receive(f->program, 2, 0, BRIDGE);
    take_command(f->program, 2);
    assert_true(stop(f->program, 2));
    assert_ok(zcb_agent_end_transfer(f->program->agent, "no such place", 13));
    assert_stopped(f->program, 2, true);
    assert_false(stop(f->program, 3)); /* before its turn */
    give_receive(f->program, 3, 0, BRIDGE);
    assert_no_work(f->program);
    assert_stopped(f->program, 3, true);
    for (uint64_t id = 1; id <= 3; id++)
        send_to(f, id, 5); /* are for nobody */
    assert_works(f);
}

static void an_arrival_is_stopped_while_it_is_assigned(void **state)
{
    struct fixture *f = *state;
    for (uint64_t id = 1; id <= 2; id++) {
        post(f, id, 0);
        send_to(f, id, 9);
        zcb_work work = next_work(f->program);
        assert_true(stop(f->program, id));
        runtime_release(&f->program->runtime, work.arrival.memory);
        runtime_release(&f->program->runtime, work.arrival.target);
        if (id == 1) { /* it was done all the same */
            assert_ok(zcb_agent_end_transfer(f->program->agent, NULL, 0));
            assert_succeeded(f->program, id);
        } else {
            assert_ok(zcb_agent_end_transfer(f->program->agent, "stopped", 7));
            assert_stopped(f->program, id, false);
        }
    }
    assert_works(f);
}

/* ---------------------------------------------------------------- closed and refused */

static void a_bridge_that_closes_fails_what_is_posted(void **state)
{
    struct fixture *f = *state;
    post(f, 1, 0);
    post(f, 2, 0);
    turn_away(f->program, 3);
    close_bridge(f->program, BRIDGE);
    assert_failed(f->program, 1, true, "The bridge was closed.");
    assert_failed(f->program, 2, true, "The bridge was closed.");
    give_receive(f->program, 4, 0, BRIDGE);
    assert_no_work(f->program);
    assert_failed(f->program, 4, true, "The bridge was closed.");
}

static void a_bridge_closes_while_the_runtime_has_its_command(void **state)
{
    struct fixture *f = *state;
    give_receive(f->program, 1, 0, BRIDGE);
    take_command(f->program, 1);
    close_bridge(f->program, BRIDGE);
    assert_ok(zcb_agent_post_receive(f->program->agent, target_of(f->program, 1)));
    assert_failed(f->program, 1, true, "The bridge was closed.");
}

static void a_bridge_closes_while_a_message_comes_in(void **state)
{
    struct fixture *f = *state;
    struct pipeline pipeline;
    for (uint32_t own = 0; own < 2; own++) {
        uint64_t id = own ? 10 : 1;
        uint32_t bridge = BRIDGE + 1 + own;
        struct fixture other = {f->program, open_data(f->program, bridge), 0};
        post_on(f->program, bridge, id, 0);
        if (own)
            turn_away(f->program, id + 1);
        start_pipeline(&pipeline, f->program);
        const struct bridge_end *end = end_of(f->program, bridge);
        zcbi_bridge_end_keep(end_of(f->program, bridge));
        send_half(&other, id);
        for (bool under_way = false; !under_way;) {
            zcbi_plat_mutex_lock(&f->program->agent->lock);
            under_way = end->inbox.stage == STAGE_UNDER_WAY;
            zcbi_plat_mutex_unlock(&f->program->agent->lock);
        }
        close_bridge(f->program, bridge);
        assert_failed(f->program, id, false, "The bridge was closed.");
        zcbi_bridge_end_release((struct bridge_end *)end);
        give_run(f->program, id + 2);
        assert_int_equal(finish_pipeline(&pipeline).command.id, id + 2);
        zcb_send_drop(other.data);
        zcb_channel_free(other.data);
    }
    assert_works(f);
}

static void the_program_closes_its_end(void **state)
{
    struct fixture *f = *state;
    post(f, 1, 0);
    zcb_channel_close(f->data);
    assert_no_work(f->program);
    assert_failed(f->program, 1, true, "The bridge was closed.");
}

static void without_memory_a_message_is_dropped_and_the_bridge_goes_on(void **state)
{
    struct fixture *f = *state;
    post(f, 1, 0);
    f->program->runtime.refuses = true;
    send_to(f, 1, 500);
    assert_no_work(f->program);
    assert_failed(f->program, 1, false, "no memory for 500");
    post(f, 2, 0);
    send_to(f, 0, 600); /* of a receive still to come, which learns it then */
    assert_no_work(f->program);
    f->program->runtime.refuses = false;
    post(f, 3, ZCB_COMMAND_TAKE_QUEUED);
    assert_failed(f->program, 3, false, "no memory for 600");
    send_to(f, 2, 700);
    assert_arrives(f, 2, 700);
    assert_works(f);
}

static void without_a_thread_the_bridge_ends_with_a_reason(void **state)
{
    struct fixture *f = *state;
    post(f, 1, 0);
    post(f, 2, 0);
    threads_refused = true;
    turn_away(f->program, 3);
    assert_failed(f->program, 1, true, "can't start a thread");
    assert_failed(f->program, 2, true, "can't start a thread");
    give_receive(f->program, 4, 0, BRIDGE);
    take_command(f->program, 4);
    assert_ok(zcb_agent_post_receive(f->program->agent, target_of(f->program, 4)));
    assert_failed(f->program, 4, true, "can't start a thread");
    zcb_message message = {.kind = ZCB_KIND_BYTES, .bytes = 1};
    assert_int_equal(zcb_send(f->data, &message, "x", NULL), ZCB_ERR_PEER_CLOSED);
}

static void without_a_thread_a_half_received_message_fails(void **state)
{
    struct fixture *f = *state;
    struct pipeline pipeline;
    post(f, 1, 0);
    threads_refused = true;
    start_pipeline(&pipeline, f->program);
    send_half(f, 1);
    await_under_way(f);
    give_run(f->program, 2);
    assert_int_equal(finish_pipeline(&pipeline).command.id, 2);
    assert_failed(f->program, 1, false, "can't start a thread");
    zcb_send_drop(f->data);
}

static void what_is_no_value_ends_the_bridge(void **state)
{
    struct fixture *f = *state;
    const zcb_kind kinds[] = {ZCB_KIND_ERROR, ZCB_KIND_CONTROL, 77};
    for (uint32_t i = 0; i < 3; i++) {
        zcb_channel *data = open_data(f->program, BRIDGE + 1 + i);
        post_on(f->program, BRIDGE + 1 + i, 1 + i, 0);
        assert_ok(send_message(data, kinds[i], 1 + i, 5));
        assert_no_work(f->program);
        assert_failed(f->program, 1 + i, true, "protocol error");
        zcb_channel_free(data);
    }
    assert_works(f);
}

/* ---------------------------------------------------------------- the agent goes, whatever is under way */

static void an_agent_goes_with_all_that_waits(void **state)
{
    struct fixture *f = *state;
    zcb_channel *second = open_data(f->program, BRIDGE + 1);
    post(f, 1, 0);
    send_to(f, 0, 5); /* is kept */
    assert_no_work(f->program);
    post_on(f->program, BRIDGE + 1, 2, 0);
    turn_away(f->program, 3); /* both threads wait */
    assert_ok(send_message(second, ZCB_KIND_BYTES, 2, 9));
    await_arrival(f);
    zcb_channel_free(second);
}

static void an_agent_goes_while_a_message_comes_in(void **state)
{
    struct fixture *f = *state;
    post(f, 1, 0);
    turn_away(f->program, 2);
    send_half(f, 1);
    await_under_way(f);
}

/* ---------------------------------------------------------------- thousands */

#define CROWD 3
#define ROUNDS 400

/* One bridge of the crowd: sends a message for each receive that was posted on it. */
struct sender {
    zcb_channel *data;
    pthread_t thread;
    uint32_t seed;
    _Atomic uint64_t posted; /* the last id; 0: none yet; UINT64_MAX: no more */
    uint64_t ids[ROUNDS];
};

static void *send_for_each(void *arg)
{
    struct sender *sender = arg;
    uint64_t random = sender->seed;
    for (uint64_t sent = 0; sent < ROUNDS; sent++) {
        while (atomic_load(&sender->posted) <= sent)
            sched_yield();
        uint64_t bytes = next_random(&random) % 8 ? next_random(&random) % 5000 : LONG / 4;
        if (send_message(sender->data, ZCB_KIND_BYTES, sender->ids[sent], bytes))
            return NULL;
    }
    return NULL;
}

static void *hear_all(void *arg)
{
    struct program *program = arg;
    struct end end;
    static uint64_t succeeded;
    succeeded = 0;
    for (int i = 0; i < CROWD * ROUNDS; i++) {
        if (!hear(program, &end))
            return NULL;
        succeeded += end.success;
    }
    return &succeeded;
}

/* Gives another receive, and a command in between now and then. */
static void give_some(struct program *program, uint64_t *id, uint64_t *random)
{
    give_receive(program, *id, 0, BRIDGE + 1 + (uint32_t)(*id % CROWD));
    ++*id;
    if (next_random(random) % 3 == 0)
        give_run(program, *id);
}

static void thousands_of_messages_arrive_each_once_and_in_order(void **state)
{
    struct fixture *f = *state;
    struct program *program = f->program;
    static struct sender senders[CROWD];
    uint64_t id = CROWD, random = 7, next[CROWD];
    pthread_t hearer = start_thread(hear_all, program);
    for (uint32_t i = 0; i < CROWD; i++) {
        senders[i] = (struct sender){.data = open_data(program, BRIDGE + 1 + i), .seed = i};
        senders[i].thread = start_thread(send_for_each, &senders[i]);
        next[i] = CROWD + i;
    }
    for (int arrived = 0; arrived < CROWD * ROUNDS;) {
        if (id < CROWD + CROWD * ROUNDS)
            give_some(program, &id, &random);
        zcb_work work = next_work(program);
        if (work.type == ZCB_WORK_ARRIVAL) {
            uint64_t *expected = &next[work.arrival.id % CROWD];
            assert_int_equal(work.arrival.id, *expected);
            *expected += CROWD;
            assert_true(take_arrival(program, &work.arrival, work.arrival.bytes));
            arrived++;
        } else if (work.command.op == ZCB_OP_RECEIVE) {
            assert_int_equal(work.command.channel, BRIDGE + 1 + work.command.id % CROWD);
            struct sender *sender = &senders[work.command.id % CROWD];
            assert_ok(zcb_agent_post_receive(program->agent, target_of(program, work.command.id)));
            uint64_t count = atomic_load(&sender->posted);
            sender->ids[count] = work.command.id;
            atomic_store(&sender->posted, count + 1);
        }
    }
    void *succeeded;
    pthread_join(hearer, &succeeded);
    assert_int_equal(*(uint64_t *)succeeded, CROWD * ROUNDS);
    for (uint32_t i = 0; i < CROWD; i++) {
        join_thread(senders[i].thread);
        zcb_channel_free(senders[i].data);
    }
}

int main(void)
{
#undef TEST
#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        TEST(a_message_arrives_whole),
        TEST(a_message_beyond_the_frame_streams_in),
        TEST(a_receive_takes_what_was_sent_before_it),
        TEST(a_message_of_a_receive_still_to_come_holds_up_no_other),
        TEST(a_message_waits_for_the_receive_that_it_names),
        TEST(the_message_of_a_receive_that_failed_is_discarded),
        TEST(a_receive_is_no_receive_of_another_sort),
        TEST(an_arrival_that_cannot_be_assigned_fails),
        TEST(a_message_is_held_in_place),
        TEST(where_the_frame_has_no_room_it_is_copied_and_room_is_made),
        TEST(what_was_sent_before_a_command_is_given_before_it),
        TEST(a_command_waits_for_no_sender),
        TEST(the_rest_of_a_discarded_message_holds_up_no_command),
        TEST(receives_of_many_bridges_wait_and_hold_up_nothing),
        TEST(a_message_that_is_given_up_leaves_its_receive_waiting),
        TEST(a_receive_that_waits_is_stopped),
        TEST(a_receive_is_stopped_while_its_message_comes_in),
        TEST(what_has_arrived_is_stopped_before_it_is_assigned),
        TEST(a_receive_is_stopped_while_the_runtime_has_it),
        TEST(an_arrival_is_stopped_while_it_is_assigned),
        TEST(a_bridge_that_closes_fails_what_is_posted),
        TEST(a_bridge_closes_while_the_runtime_has_its_command),
        TEST(a_bridge_closes_while_a_message_comes_in),
        TEST(the_program_closes_its_end),
        TEST(without_memory_a_message_is_dropped_and_the_bridge_goes_on),
        TEST(without_a_thread_the_bridge_ends_with_a_reason),
        TEST(without_a_thread_a_half_received_message_fails),
        TEST(what_is_no_value_ends_the_bridge),
        TEST(an_agent_goes_with_all_that_waits),
        TEST(an_agent_goes_while_a_message_comes_in),
        TEST(thousands_of_messages_arrive_each_once_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
