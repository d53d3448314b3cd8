/* What the tests of an agent's transfers share: a program that gives commands, sends and reads by hand, and a pipeline. */
#ifndef ZCB_TEST_TRANSFERS_H
#define ZCB_TEST_TRANSFERS_H

#include "channel/block.h"
#include "program.h"

#define FRAME MIB
#define LONG (5 * MIB + 3) /* beyond frame and window: it streams */
#define BRIDGE CHANNEL_BRIDGES

/* Lets the system refuse threads to the library: the linker sends its calls here. */
extern _Atomic bool threads_refused;
zcb_error __real_zcbi_plat_thread_start(plat_thread *thread, void (*work)(void *), void *arg);
zcb_error __wrap_zcbi_plat_thread_start(plat_thread *thread, void (*work)(void *), void *arg);

#define THREADS_CAN_BE_REFUSED                                                                     \
    _Atomic bool threads_refused;                                                                  \
    zcb_error __wrap_zcbi_plat_thread_start(plat_thread *thread, void (*work)(void *), void *arg)  \
    {                                                                                              \
        return threads_refused ? ZCB_ERR_SYSTEM                                                    \
                               : __real_zcbi_plat_thread_start(thread, work, arg);                 \
    }

/* ---------------------------------------------------------------- the program */

/* How a command ended. */
struct end {
    uint64_t id;
    uint32_t status;
    bool success, refused;
    char err[8192];
};

static inline zcb_channel *open_data(struct program *program, uint32_t number)
{
    zcb_channel_options options = {.frame_bytes = FRAME, .window_bytes = 256 * KIB};
    zcb_channel *channel;
    assert_ok(zcbi_channel_open(&options, PLAT_NO_HANDLE, &channel));
    send_channel(program->link, number, channel, 1 + BELLS);
    return channel;
}

/* Safe on any thread. */
static inline bool give_command(struct program *program, uint64_t id, struct command_wire head)
{
    zcb_wait wait = patience();
    unsigned char payload[64];
    zcb_message message = {
        .kind = ZCB_KIND_CONTROL, .id = id, .bytes = write_command(payload, head, "$x", 2)};
    return zcb_send(program->commands, &message, payload, &wait) == ZCB_OK;
}

static inline void give_run(struct program *program, uint64_t id)
{
    assert_true(give_command(program, id, (struct command_wire){ZCB_OP_RUN, 0, 0, 0}));
}

static inline void urge(struct program *program, uint32_t what, uint64_t id)
{
    zcb_message message = {.kind = ZCB_KIND_CONTROL, .flags = what, .id = id};
    assert_ok(zcb_send(program->urgent, &message, NULL, NULL));
}

/* What a completion says. */
static inline bool read_end(struct end *end, const unsigned char *reply, size_t bytes)
{
    size_t count, at = 0;
    if (zcbi_parts_count(reply, bytes, &count))
        return false;
    for (; count > 0; count--) {
        zcb_part part = zcbi_parts_take(reply, &at);
        struct completion_wire wire;
        if (part.kind == ZCB_PART_ERR)
            snprintf(end->err, sizeof(end->err), "%s", (const char *)part.data);
        if (part.kind != PART_COMPLETION)
            continue;
        memcpy(&wire, part.data, sizeof(wire));
        end->status = wire.status;
        end->success = wire.success != 0;
        end->refused = wire.refused != 0;
    }
    return true;
}

/* Reads the next completion. Safe on any thread. */
static inline bool hear(struct program *program, struct end *end)
{
    zcb_wait wait = patience();
    zcb_message message;
    unsigned char reply[sizeof(end->err) + 128];
    if (zcb_receive_begin(program->commands, ZCB_WISH_COPY, &message, &wait))
        return false;
    size_t bytes = (size_t)message.bytes;
    bool read = bytes <= sizeof(reply) &&
                zcb_receive_read(program->commands, reply, bytes, NULL, &wait) == ZCB_OK;
    zcb_receive_drop(program->commands);
    *end = (struct end){.id = message.id};
    return read && read_end(end, reply, bytes);
}

static inline struct end hear_end_of(struct program *program, uint64_t id)
{
    struct end end;
    assert_true(hear(program, &end));
    assert_int_equal(end.id, id);
    return end;
}

static inline void assert_succeeded(struct program *program, uint64_t id)
{
    struct end end = hear_end_of(program, id);
    assert_string_equal(end.err, "");
    assert_int_equal(end.status, ZCB_STATUS_DONE);
    assert_true(end.success);
}

static inline void assert_failed(struct program *program, uint64_t id, bool refused,
                                 const char *reason)
{
    struct end end = hear_end_of(program, id);
    assert_int_equal(end.status, ZCB_STATUS_DONE);
    assert_false(end.success);
    assert_int_equal(end.refused, refused);
    if (!strstr(end.err, reason))
        fail_msg("'%s' is not '%s'", end.err, reason);
}

static inline void assert_stopped(struct program *program, uint64_t id, bool refused)
{
    struct end end = hear_end_of(program, id);
    assert_int_equal(end.status, ZCB_STATUS_STOPPED);
    assert_int_equal(end.refused, refused);
    assert_string_equal(end.err, "");
}

static inline bool hears_nothing(struct program *program)
{
    zcb_wait at_once = {0};
    zcb_message message;
    return zcb_receive_begin(program->commands, ZCB_WISH_COPY, &message, &at_once) ==
           ZCB_ERR_TIMEOUT;
}

/* Content and length are one, so that it can be recognized. Safe on any thread. */
static inline zcb_error send_message(zcb_channel *channel, zcb_kind kind, uint64_t id,
                                     uint64_t bytes)
{
    zcb_wait wait = patience();
    unsigned char *payload = malloc((size_t)bytes + 1);
    fill(payload, (size_t)bytes, bytes);
    zcb_message message = {.kind = kind, .id = id, .bytes = bytes};
    zcb_error error = zcb_send(channel, &message, payload, &wait);
    free(payload);
    return error;
}

/* ---------------------------------------------------------------- the pipeline */

static inline zcb_work next_work(struct program *program)
{
    zcb_wait wait = patience();
    zcb_work work = {0};
    assert_ok(zcb_agent_next(program->agent, &work, &wait));
    return work;
}

static inline void assert_no_work(struct program *program)
{
    zcb_wait at_once = {0};
    zcb_work work;
    assert_int_equal(zcb_agent_next(program->agent, &work, &at_once), ZCB_ERR_TIMEOUT);
}

static inline void take_command(struct program *program, uint64_t id)
{
    zcb_work work = next_work(program);
    assert_int_equal(work.type, ZCB_WORK_COMMAND);
    assert_int_equal(work.command.id, id);
}

/* Gives a RUN command and takes it: the pipeline has turned to something else. */
static inline void turn_away(struct program *program, uint64_t id)
{
    give_run(program, id);
    take_command(program, id);
}

/* The listener's part: true when the pipeline is to stop the command itself. */
static inline bool stop(struct program *program, uint64_t id)
{
    zcb_wait at_once = {0};
    uint64_t heard = 0;
    urge(program, URGENT_STOP, id);
    zcb_error error = zcb_agent_listen(program->agent, &heard, &at_once);
    if (error == ZCB_ERR_TIMEOUT)
        return false;
    assert_ok(error);
    assert_int_equal(heard, id);
    return true;
}

static inline void close_bridge(struct program *program, uint32_t number)
{
    zcb_wait at_once = {0};
    uint64_t heard;
    urge(program, URGENT_CLOSE_CHANNEL, number);
    assert_int_equal(zcb_agent_listen(program->agent, &heard, &at_once), ZCB_ERR_TIMEOUT);
}

/* The agent's end of the bridge; for looking into. */
static inline struct bridge_end *end_of(struct program *program, uint32_t number)
{
    struct bridge_end *end;
    assert_ok(zcbi_bridge_end_get(program->agent, number, &end));
    zcbi_bridge_end_release(end); /* the agent has another one */
    return end;
}

/* What zcb_agent_next gives, on a thread of its own. */
struct pipeline {
    struct program *program;
    pthread_t thread;
    zcb_work work;
    zcb_error error;
};

static inline void *work_elsewhere(void *arg)
{
    struct pipeline *pipeline = arg;
    zcb_wait wait = patience();
    pipeline->error = zcb_agent_next(pipeline->program->agent, &pipeline->work, &wait);
    return NULL;
}

static inline void start_pipeline(struct pipeline *pipeline, struct program *program)
{
    *pipeline = (struct pipeline){.program = program};
    pipeline->thread = start_thread(work_elsewhere, pipeline);
}

static inline zcb_work finish_pipeline(struct pipeline *pipeline)
{
    join_thread(pipeline->thread);
    assert_ok(pipeline->error);
    return pipeline->work;
}

/* ---------------------------------------------------------------- fixture */

/* A program that has one bridge open. */
struct fixture {
    struct program *program;
    zcb_channel *data; /* the program's end of the bridge */
    unsigned descriptors;
};

static inline int open_fixture(void **state)
{
    static struct fixture fixture;
    unsigned before = open_descriptors();
    void *program = NULL;
    threads_refused = false;
    set_up_program(&program);
    fixture.program = program;
    fixture.data = open_data(program, BRIDGE);
    fixture.descriptors = before;
    *state = &fixture;
    return 0;
}

static inline int close_fixture(void **state)
{
    struct fixture *f = *state;
    void *program = f->program;
    tear_down_program(&program); /* whatever is under way: nothing is owned any more */
    zcb_channel_free(f->data);
    assert_int_equal(open_descriptors(), f->descriptors);
    return 0;
}

#endif
