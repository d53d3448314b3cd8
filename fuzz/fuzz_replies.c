/* A session whose engine says what it likes: replies, pongs, bridge messages and nonsense, while commands and
 * transfers are under way. No process is started. */
#include <string.h>

#include "channel/block.h"
#include "session/start.c" /* a session without an engine is made of its static parts */
#include "vandal.h"
#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define IDS 16u
#define TEXT_BYTES (FRAME_BYTES + WINDOW_BYTES)
#define BRIEFLY_NS 20000
#define FRAME_BYTES ZCB_MIN_FRAME_BYTES
#define WINDOW_BYTES (2 * ZCB_MIN_WINDOW_BYTES)

struct world {
    zcb_session *session;
    plat_handle engine_link, process;
    struct vandal commands, urgent, bridged;
    zcb_bridge *bridge;
    struct input input;
    bool receiving;
    plat_handle event; /* of zcb_session_event, once it was asked for */
};

static const char text[TEXT_BYTES] = "$name and other text of a command";

/* ---------------------------------------------------------------- our side */

static void require_documented(zcb_error error)
{
    require(error >= ZCB_OK && error <= ZCB_ERR_WATCHED);
    require(error != ZCB_ERR_SYSTEM && error != ZCB_ERR_FORKED && error != ZCB_ERR_INTERRUPTED);
}

static zcb_wait limits(struct input *input)
{
    return (zcb_wait){.deadline_ns = input_pick(input, 16) == 0 ? zcb_now_ns() + BRIEFLY_NS : 0};
}

/* Ids are given from 1 on. */
static uint64_t some_id(struct input *input)
{
    return 1 + input_pick(input, IDS);
}

static int64_t some_timeout(struct input *input)
{
    return (int64_t)input_pick(input, 3) - 1;
}

static void check_result(zcb_result *result)
{
    for (int i = 0; i < ZCB_STREAMS; i++) {
        size_t bytes = 0;
        const char *out = zcb_result_text(result, (zcb_part_kind)(ZCB_PART_OUT + i), &bytes);
        require(strnlen(out, bytes + 1) <= bytes);
    }
    zcb_result_free(result);
}

static void submit(struct world *world)
{
    zcb_wait wait = limits(&world->input);
    zcb_part part = {
        .kind = ZCB_PART_TEXT, .data = text, .bytes = input_take(&world->input, 3) % TEXT_BYTES};
    zcb_command command = {.op = ZCB_OP_RUN,
                           .flags = input_bit(&world->input) ? ZCB_COMMAND_NOTIFY : 0,
                           .parts = &part,
                           .part_count = 1};
    int64_t timeout = some_timeout(&world->input);
    require_documented(zcb_session_submit(world->session, &command, timeout, &wait));
}

static void await_result(struct world *world)
{
    zcb_wait wait = limits(&world->input);
    zcb_result *result = NULL;
    zcb_error error = zcb_session_wait(world->session, some_id(&world->input), &result, &wait);
    require_documented(error);
    if (!error)
        check_result(result);
}

static bool is_set(intptr_t event)
{
    unsigned which;
    return zcbi_plat_wait(&event, 1, 0, &which) == ZCB_OK;
}

/* An event loop is woken for what there is to do, and not woken without end for what there is not. */
static void check_event(struct world *world, zcb_error error)
{
    const zcb_session *session = world->session;
    bool results = session->first_done != NULL;
    bool replies = session->notify_count > 0 && zcbi_session_has_data(session);
    if (world->event == PLAT_NO_HANDLE || session->ended || is_set(world->process))
        return;
    if (results || replies)
        require(is_set(world->event));
    else if (error == ZCB_ERR_TIMEOUT && session->next_deadline == ZCB_NEVER)
        require(!is_set(world->event));
}

static void watch(struct world *world)
{
    require_documented(zcb_session_event(world->session, &world->event));
}

static void next_result(struct world *world)
{
    zcb_wait wait = limits(&world->input);
    zcb_result *result = NULL;
    zcb_error error = zcb_session_next(world->session, &result, &wait);
    require_documented(error);
    check_event(world, error);
    if (!error)
        check_result(result);
}

static void run(struct world *world)
{
    zcb_wait wait = limits(&world->input);
    zcb_result *result = NULL;
    zcb_error error =
        zcb_session_run(world->session, text, 4, 0, some_timeout(&world->input), &result, &wait);
    require_documented(error);
    if (!error)
        check_result(result);
}

static void stop(struct world *world)
{
    require_documented(zcb_session_stop(world->session, some_id(&world->input)));
}

static void ping(struct world *world)
{
    zcb_wait wait = limits(&world->input);
    require_documented(zcb_session_ping(world->session, &wait));
}

static void look(struct world *world)
{
    zcb_detail why;
    (void)zcb_session_alive(world->session, &why);
}

/* ---------------------------------------------------------------- a bridge */

/* The engine takes the record of a new channel off the link: a full one would be waited for, for 10 s. */
static void empty_link(struct world *world)
{
    struct link_record record;
    size_t bytes;
    plat_handle handles[1 + BELLS];
    unsigned count;
    if (zcbi_plat_link_receive(world->engine_link, &record, sizeof(record), &bytes, handles,
                               1 + BELLS, &count, NULL))
        return;
    for (unsigned i = 0; i < count; i++)
        zcbi_plat_close(handles[i]);
}

static void open_or_close(struct world *world)
{
    const zcb_channel_options options = {
        .frame_bytes = FRAME_BYTES, .window_bytes = WINDOW_BYTES, .label = "name"};
    if (world->receiving)
        return;
    if (world->bridge) {
        zcb_bridge_free(world->bridge);
        world->bridge = NULL;
        return;
    }
    zcb_error error = zcb_bridge_open(world->session, &options, &world->bridge, NULL);
    require_documented(error);
    if (!error)
        vandal_init(&world->bridged, zcb_bridge_channel(world->bridge));
    empty_link(world);
}

static void post_receive(struct world *world)
{
    zcb_wait wait = limits(&world->input);
    uint64_t id;
    uint32_t flags = input_pick(&world->input, 16);
    int64_t timeout = some_timeout(&world->input);
    require_documented(zcb_bridge_post_receive(world->bridge, text, 5, flags, timeout, &id, &wait));
}

static void post_send(struct world *world)
{
    zcb_wait wait = limits(&world->input);
    uint64_t id;
    int64_t timeout = some_timeout(&world->input);
    uint32_t flags = input_pick(&world->input, 16);
    require_documented(zcb_bridge_post_send(world->bridge, text, 5, 2, flags, timeout, &id, &wait));
}

static void send_on_bridge(struct world *world)
{
    static const unsigned char payload[FRAME_BYTES + WINDOW_BYTES];
    zcb_wait wait = limits(&world->input);
    uint64_t refused_by = 0, bytes = input_take(&world->input, 3) % sizeof(payload);
    require_documented(
        zcb_bridge_send(world->bridge, ZCB_KIND_BYTES, payload, bytes, &refused_by, &wait));
}

static void receive_on_bridge(struct world *world)
{
    zcb_wait wait = limits(&world->input);
    zcb_message message;
    if (world->receiving)
        return;
    zcb_error error = zcb_bridge_receive_begin(world->bridge, ZCB_WISH_COPY, &message, &wait);
    require_documented(error);
    world->receiving = error == ZCB_OK;
}

static void drop_on_bridge(struct world *world)
{
    if (world->receiving)
        zcb_receive_drop(zcb_bridge_channel(world->bridge));
    world->receiving = false;
}

static void read_on_bridge(struct world *world)
{
    static unsigned char memory[512];
    zcb_wait wait = limits(&world->input);
    if (world->receiving)
        require_documented(zcb_receive_read(zcb_bridge_channel(world->bridge), memory,
                                            input_pick(&world->input, 256), NULL, &wait));
}

static void send_block_on_bridge(struct world *world)
{
    zcb_wait wait = limits(&world->input);
    uint64_t bytes = input_take(&world->input, 2);
    zcb_block *block;
    zcb_error error = zcb_block_allocate(zcb_bridge_channel(world->bridge), bytes, &block, &wait);
    require_documented(error);
    if (error)
        return;
    require_documented(
        zcb_bridge_send(world->bridge, ZCB_KIND_BYTES, zcb_block_data(block), bytes, NULL, &wait));
    zcb_block_free(block);
}

static void see(struct world *world)
{
    zcb_bridge_seen(world->bridge, some_id(&world->input));
}

static void withdraw(struct world *world)
{
    require_documented(zcb_bridge_withdraw(world->bridge, some_id(&world->input)));
}

static void (*const bridge_steps[])(struct world *) = {
    post_receive, post_send, send_on_bridge, receive_on_bridge,    drop_on_bridge,
    see,          withdraw,  read_on_bridge, send_block_on_bridge,
};

static void use_bridge(struct world *world)
{
    uint32_t step = input_pick(&world->input, sizeof(bridge_steps) / sizeof(*bridge_steps));
    if (world->bridge)
        bridge_steps[step](world);
}

/* ---------------------------------------------------------------- the engine's side */

static uint64_t spoilt(struct world *world, uint64_t value)
{
    return input_pick(&world->input, 8) ? value
                                        : vandal_value(&world->commands, &world->input, value);
}

/* A part that is right but for some of its fields. */
static size_t spoilt_part(struct world *world, unsigned char *to, uint32_t kind, const void *data,
                          size_t bytes)
{
    size_t whole = write_part(to, kind, data, bytes);
    struct part_wire *part = (struct part_wire *)(void *)to;
    part->kind = (uint32_t)spoilt(world, part->kind);
    part->flags = (uint32_t)spoilt(world, part->flags);
    part->bytes = spoilt(world, part->bytes);
    to[whole - 1] = (unsigned char)spoilt(world, 0);
    return whole;
}

/* A reply that is right but for some of its fields. */
static void reply(struct world *world)
{
    static const char text[] = "xxxxxxxx";
    const struct completion_wire end = {
        .status = (uint32_t)spoilt(world, 1 + input_pick(&world->input, 5)),
        .success = input_bit(&world->input),
        .refused = input_bit(&world->input)};
    alignas(PART_ALIGN) unsigned char payload[512];
    size_t bytes = 0;
    bool completes = input_bit(&world->input);
    for (unsigned parts = input_pick(&world->input, 4); parts > 0; parts--)
        bytes += spoilt_part(world, payload + bytes,
                             ZCB_PART_OUT + input_pick(&world->input, ZCB_STREAMS), text,
                             input_pick(&world->input, 8));
    if (completes)
        bytes += spoilt_part(world, payload + bytes, PART_COMPLETION, &end, sizeof(end));
    uint64_t sent = spoilt(world, bytes);
    zcb_message message = {.kind = (uint32_t)spoilt(world, ZCB_KIND_CONTROL),
                           .flags = (uint32_t)spoilt(world, completes),
                           .id = spoilt(world, some_id(&world->input)),
                           .bytes = sent < bytes ? sent : bytes};
    vandal_send(&world->commands, &message, payload, 1 + input_pick(&world->input, 3));
}

static void pong(struct world *world)
{
    uint64_t id = world->session->last_ping + input_pick(&world->input, 3) - 1;
    zcb_message message = {.kind = ZCB_KIND_CONTROL,
                           .flags = (uint32_t)spoilt(world, URGENT_PONG),
                           .id = spoilt(world, id)};
    vandal_send(&world->urgent, &message, NULL, 1);
}

static void send_to_bridge(struct world *world)
{
    static const char payload[256];
    zcb_message message = {.kind = 1 + input_pick(&world->input, 4),
                           .id = spoilt(world, some_id(&world->input)),
                           .bytes = input_pick(&world->input, 255)};
    if (world->bridge)
        vandal_send(&world->bridged, &message, payload, 1 + input_pick(&world->input, 3));
}

static struct vandal *some_vandal(struct world *world)
{
    struct vandal *vandals[] = {&world->commands, &world->urgent, &world->bridged};
    return vandals[input_pick(&world->input, world->bridge ? 3 : 2)];
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

static void ring(struct world *world)
{
    zcbi_plat_event_set(world->session->commands->region->bells[input_pick(&world->input, BELLS)]);
}

static void end_engine(struct world *world)
{
    if (input_pick(&world->input, 8) == 0)
        zcbi_plat_event_set(world->process);
}

static void (*const steps[])(struct world *) = {
    submit,     await_result, next_result, run,        stop,   ping,  look,           open_or_close,
    use_bridge, use_bridge,   reply,       reply,      reply,  pong,  send_to_bridge, scribble,
    publish,    consume,      ring,        end_engine, expect, watch,
};

/* ---------------------------------------------------------------- a session without an engine */

static zcb_error open_channel(zcb_channel **channel)
{
    const zcb_channel_options options = {.frame_bytes = FRAME_BYTES, .window_bytes = WINDOW_BYTES};
    return zcbi_channel_open(&options, PLAT_NO_HANDLE, channel);
}

static zcb_error make_session(struct world *world)
{
    zcb_session_options options = {.grace_ms = 1};
    zcb_error error = session_allocate(&options, "nowhere", &world->session);
    if (error)
        return error;
    zcb_session *session = world->session;
    error = zcbi_plat_link_pair(&session->link, &world->engine_link);
    if (!error)
        error = open_channel(&session->commands);
    if (!error)
        error = open_channel(&session->urgent);
    if (!error)
        error = zcbi_plat_event_create(&world->process);
    session->process = session->child.process = world->process;
    return error;
}

static void begin(struct world *world)
{
    *world = (struct world){.input = world->input,
                            .engine_link = PLAT_NO_HANDLE,
                            .process = PLAT_NO_HANDLE,
                            .event = PLAT_NO_HANDLE};
    if (make_session(world))
        abort();
    world->session->commands->peer = world->session->urgent->peer = world->process;
    vandal_init(&world->commands, world->session->commands);
    vandal_init(&world->urgent, world->session->urgent);
}

static void let_go(struct world *world)
{
    drop_on_bridge(world);
    zcb_bridge_free(world->bridge);
    zcbi_plat_event_set(world->process); /* or its end would be waited for */
    zcb_session_free(world->session);
    zcbi_plat_close(world->engine_link);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world = {.input = {data, size}};
    begin(&world);
    while (world.input.left > 0) {
        steps[input_pick(&world.input, sizeof(steps) / sizeof(*steps))](&world);
        if (world.session->ended && input_pick(&world.input, 4) == 0) {
            let_go(&world);
            begin(&world);
        }
    }
    let_go(&world);
    return 0;
}
