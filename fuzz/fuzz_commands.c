/* The agent, whose program says what it likes: commands, urgent requests, bridges' messages and nonsense. */
#include <stdio.h>
#include <string.h>

#include "agent/agent.h"
#include "channel/block.h"
#include "runtime.h"
#include "vandal.h"
#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FRAME_BYTES ZCB_MIN_FRAME_BYTES
#define WINDOW_BYTES ZCB_MIN_WINDOW_BYTES
#define BRIDGES 4u

struct world {
    zcb_agent *agent;
    plat_handle link;
    plat_handle gone;                      /* stands for the program's end, so that no wait lasts */
    zcb_channel *commands, *urgent, *data; /* the bridge with the number CHANNEL_BRIDGES */
    struct vandal command_vandal, urgent_vandal, data_vandal;
    struct input input;
};

static const zcb_wait at_once = {0};

static void require_documented(zcb_error error)
{
    require(error >= ZCB_OK && error <= ZCB_ERR_WATCHED);
    require(error != ZCB_ERR_SYSTEM && error != ZCB_ERR_FORKED && error != ZCB_ERR_INTERRUPTED);
}

/* ---------------------------------------------------------------- the agent's side */

/* The system has threads, or not. */
static bool has_threads;
zcb_error __real_zcbi_plat_thread_start(plat_thread *thread, void (*work)(void *), void *arg);
zcb_error __wrap_zcbi_plat_thread_start(plat_thread *thread, void (*work)(void *), void *arg);
zcb_error __wrap_zcbi_plat_thread_start(plat_thread *thread, void (*work)(void *), void *arg)
{
    return has_threads ? __real_zcbi_plat_thread_start(thread, work, arg) : ZCB_ERR_SYSTEM;
}

static void next_work(struct world *world)
{
    zcb_work work;
    zcb_error error = zcb_agent_next(world->agent, &work, &at_once);
    require_documented(error);
    if (error)
        return;
    if (work.type == ZCB_WORK_ARRIVAL) {
        require(work.arrival.kind == ZCB_KIND_BYTES || work.arrival.kind == ZCB_KIND_CLIXML);
        if (work.arrival.memory)
            free(memcpy(malloc(work.arrival.bytes + 1), work.arrival.memory, work.arrival.bytes));
        free_arrival(&work.arrival);
    } else {
        require(work.type == ZCB_WORK_COMMAND);
        require(work.command.op >= ZCB_OP_RUN && work.command.op <= ZCB_OP_SEND);
        for (size_t i = 0; i < work.command.part_count; i++) {
            const zcb_part *part = &work.command.parts[i];
            free(memcpy(malloc(part->bytes + 1), part->data, part->bytes + 1));
        }
    }
}

static void listen_once(struct world *world)
{
    uint64_t id;
    require_documented(zcb_agent_listen(world->agent, &id, &at_once));
}

static void post_receive(struct world *world)
{
    void *target = malloc(1);
    if (zcb_agent_post_receive(world->agent, target))
        free(target);
}

static void post_send(struct world *world)
{
    size_t bytes = (size_t)input_take(&world->input, 3) % (2 * FRAME_BYTES);
    void *value = calloc(1, bytes + 1);
    if (zcb_agent_post_send(world->agent, 1 + input_bit(&world->input), value, bytes, value))
        free(value);
}

static void end_transfer(struct world *world)
{
    const char *reason = input_bit(&world->input) ? "why" : NULL;
    (void)zcb_agent_end_transfer(world->agent, reason, reason ? 3 : 0);
}

static void use_block(struct world *world)
{
    zcb_block *block;
    size_t bytes = (size_t)input_take(&world->input, 3) % (2 * FRAME_BYTES);
    zcb_error error = zcb_agent_allocate(world->agent, "x", bytes, &block, NULL, &at_once);
    require_documented(error);
    if (error)
        return;
    memset(zcb_block_data(block), 1, bytes);
    zcb_block_free(block);
}

static void turn_threads(struct world *world)
{
    has_threads = input_bit(&world->input);
}

static zcb_part some_text(struct input *input)
{
    static const char text[FRAME_BYTES + WINDOW_BYTES];
    return (zcb_part){.kind = ZCB_PART_OUT + input_pick(input, ZCB_STREAMS),
                      .data = text,
                      .bytes = (size_t)input_take(input, 3) % sizeof(text)};
}

static void complete(struct world *world)
{
    const zcb_completion completion = {.status = ZCB_STATUS_DONE};
    const zcb_part part = some_text(&world->input);
    require_documented(
        zcb_agent_complete(world->agent, 1, &completion, &part, 1, input_bit(&world->input)));
}

static void put_out(struct world *world)
{
    const zcb_part part = some_text(&world->input);
    require_documented(zcb_agent_output(world->agent, 1, &part, 1));
}

static void flush(struct world *world)
{
    zcb_agent_flush(world->agent);
}

/* ---------------------------------------------------------------- the program's side */

static uint64_t spoilt(struct world *world, uint64_t value)
{
    return input_pick(&world->input, 8)
               ? value
               : vandal_value(&world->command_vandal, &world->input, value);
}

/* A command that is right but for some of its fields. */
static void command(struct world *world)
{
    static const char text[32];
    const struct command_wire head = {
        .op = (uint32_t)spoilt(world, 1 + input_pick(&world->input, 3)),
        .flags = (uint32_t)spoilt(world, input_pick(&world->input, 16)),
        .channel = (uint32_t)spoilt(world, CHANNEL_BRIDGES),
        .depth = (uint32_t)spoilt(world, 2)};
    alignas(PART_ALIGN) unsigned char payload[sizeof(head) + 2 * sizeof(struct part_wire) + 64];
    size_t whole =
        write_command(payload, head, text, input_pick(&world->input, (unsigned)sizeof(text)));
    struct part_wire *part = (struct part_wire *)(void *)(payload + sizeof(head));
    part->kind = (uint32_t)spoilt(world, part->kind);
    part->flags = (uint32_t)spoilt(world, part->flags);
    part->bytes = spoilt(world, part->bytes);
    uint64_t bytes = spoilt(world, whole);
    zcb_message message = {.kind = (uint32_t)spoilt(world, ZCB_KIND_CONTROL),
                           .id = spoilt(world, 1 + input_pick(&world->input, 16)),
                           .bytes = bytes < whole ? bytes : whole};
    vandal_send(&world->command_vandal, &message, payload, 1 + input_pick(&world->input, 3));
}

static void urgent(struct world *world)
{
    const uint32_t requests[] = {URGENT_STOP, URGENT_CLOSE_CHANNEL, URGENT_PING, URGENT_PONG,
                                 URGENT_ACCEPT};
    zcb_message message = {.kind = ZCB_KIND_CONTROL,
                           .flags = (uint32_t)spoilt(world, requests[input_pick(&world->input, 5)]),
                           .id = spoilt(world, 1 + input_pick(&world->input, 16))};
    vandal_send(&world->urgent_vandal, &message, NULL, 1);
}

/* To the bridge: for a receive that was posted, will be or never was. */
static void data_message(struct world *world)
{
    static const unsigned char payload[1024];
    zcb_message message = {.kind = (uint32_t)spoilt(world, 1 + input_bit(&world->input)),
                           .id = spoilt(world, input_pick(&world->input, 16)),
                           .bytes = input_take(&world->input, 2) % sizeof(payload)};
    vandal_send(&world->data_vandal, &message, payload, 1 + input_pick(&world->input, 3));
}

static zcb_error hand_over(struct world *world, const zcb_channel *channel, uint32_t number)
{
    const struct region *region = channel->region;
    struct link_record record = {.magic = LINK_MAGIC,
                                 .version = PROTOCOL_VERSION,
                                 .type = LINK_CHANNEL,
                                 .number = number,
                                 .frame_bytes = region->geometry.frame_bytes,
                                 .window_bytes = region->geometry.window_bytes,
                                 .label = "x"};
    plat_handle handles[1 + BELLS] = {region->memory.handle};
    memcpy(&handles[1], region->bells, sizeof(region->bells));
    return zcbi_plat_link_send(world->link, &record, sizeof(record), handles, 1 + BELLS);
}

/* The commands' memory once more, as a bridge's channel. */
static void bridge(struct world *world)
{
    uint32_t number = input_pick(&world->input, BRIDGES);
    (void)hand_over(world, input_bit(&world->input) ? world->commands : world->urgent, number);
}

static struct vandal *some_vandal(struct world *world)
{
    struct vandal *const vandals[] = {&world->command_vandal, &world->urgent_vandal,
                                      &world->data_vandal, &world->data_vandal};
    return vandals[input_pick(&world->input, 4)];
}

static void scribble(struct world *world)
{
    vandal_scribble(some_vandal(world), &world->input);
}

static void publish(struct world *world)
{
    vandal_publish(some_vandal(world), &world->input);
}

static void consume(struct world *world)
{
    vandal_consume(some_vandal(world), input_pick(&world->input, 4) != 0);
}

static void expect(struct world *world)
{
    vandal_expect(some_vandal(world), input_pick(&world->input, 3));
}

static void (*const steps[])(struct world *) = {
    next_work,    next_work,    next_work, listen_once, complete,     put_out,      flush,
    post_receive, post_receive, post_send, post_send,   end_transfer, use_block,    turn_threads,
    command,      command,      command,   urgent,      urgent,       data_message, data_message,
    bridge,       scribble,     publish,   consume,     expect,
};

/* ---------------------------------------------------------------- an agent in this process */

static zcb_error open_channel(zcb_channel **channel)
{
    const zcb_channel_options options = {.frame_bytes = FRAME_BYTES, .window_bytes = WINDOW_BYTES};
    return zcbi_channel_open(&options, PLAT_NO_HANDLE, channel);
}

static zcb_error open_agent(struct world *world)
{
    plat_handle inherited;
    char number[16];
    struct link_record welcome = {
        .magic = LINK_MAGIC, .version = PROTOCOL_VERSION, .type = LINK_WELCOME, .number = 120};
    zcb_error error = zcbi_plat_link_pair(&world->link, &inherited);
    if (error)
        return error;
    snprintf(number, sizeof(number), "%d", (int)inherited);
    setenv(ZCB_LINK_VARIABLE, number, 1);
    error = zcbi_plat_link_send(world->link, &welcome, sizeof(welcome), NULL, 0);
    if (!error)
        error = open_channel(&world->commands);
    if (!error)
        error = open_channel(&world->urgent);
    if (!error)
        error = hand_over(world, world->commands, CHANNEL_COMMANDS);
    if (!error)
        error = hand_over(world, world->urgent, CHANNEL_URGENT);
    if (!error)
        error = zcb_agent_open("7.5.0", &runtime, &world->agent, NULL);
    if (!error)
        error = open_channel(&world->data);
    return error ? error : hand_over(world, world->data, CHANNEL_BRIDGES);
}

static void begin(struct world *world)
{
    *world = (struct world){.input = world->input};
    if (open_agent(world) || zcbi_plat_event_create(&world->gone))
        abort();
    zcbi_plat_event_set(world->gone);
    world->agent->commands->peer = world->gone;
    vandal_init(&world->command_vandal, world->agent->commands);
    vandal_init(&world->urgent_vandal, world->urgent);
    vandal_init(&world->data_vandal, world->data);
    world->urgent_vandal.sends = world->data_vandal.sends = 0; /* the opener's stream */
}

static void let_go(struct world *world)
{
    zcb_agent_free(world->agent);
    zcb_channel_free(world->commands);
    zcb_channel_free(world->urgent);
    zcb_channel_free(world->data);
    zcbi_plat_close(world->gone);
    zcbi_plat_close(world->link);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world = {.input = {data, size}};
    begin(&world);
    while (world.input.left > 0) {
        steps[input_pick(&world.input, sizeof(steps) / sizeof(*steps))](&world);
        if (zcbi_channel_state(world.agent->commands) && input_bit(&world.input)) {
            let_go(&world); /* nothing goes on there any more */
            begin(&world);
        }
    }
    let_go(&world);
    return 0;
}
