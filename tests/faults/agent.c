/* The engine's side by itself, in this process, where what it leaves can be counted; the program's side is played. */
#include "channel/block.h"
#include "check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "channel/block.h"
#include "plain_runtime.h"
#include "support.h"
#include "wire.h"

#define TEXT_BYTES (100 * KIB)
#define LABEL "bridge"
#define LONG_BYTES (600 * KIB) /* beyond the frame */

struct both {
    plat_handle link; /* the program's end */
    zcb_channel *commands, *urgent;
    zcb_agent *agent;
};

static const zcb_runtime runtime = {NULL, plain_allocate, plain_release, plain_reclaim};

/* ---------------------------------------------------------------- the program's part */

static bool send_record(plat_handle link, struct link_record record, const plat_handle *handles,
                        unsigned count)
{
    record.magic = LINK_MAGIC;
    record.version = PROTOCOL_VERSION;
    return zcbi_plat_link_send(link, &record, sizeof(record), handles, count) == ZCB_OK;
}

static bool hand_over(plat_handle link, uint32_t number, zcb_channel **channel)
{
    zcb_channel_options options = {.frame_bytes = 256 * KIB, .window_bytes = 64 * KIB};
    if (zcbi_channel_open(&options, PLAT_NO_HANDLE, channel))
        return false;
    const struct region *region = (*channel)->region;
    plat_handle handles[1 + BELLS] = {region->memory.handle};
    memcpy(&handles[1], region->bells, sizeof(region->bells));
    struct link_record record = {.type = LINK_CHANNEL,
                                 .number = number,
                                 .frame_bytes = region->geometry.frame_bytes,
                                 .window_bytes = region->geometry.window_bytes,
                                 .label = LABEL};
    return send_record(link, record, handles, 1 + BELLS);
}

static void drop_all(zcb_channel *channel)
{
    static const zcb_wait at_once = {0};
    zcb_message message;
    while (zcb_receive_begin(channel, ZCB_WISH_COPY, &message, &at_once) == ZCB_OK)
        zcb_receive_drop(channel);
}

static bool ask_urgently(struct both *both, uint32_t what, uint64_t id)
{
    zcb_wait wait = in_time();
    zcb_message message = {.kind = ZCB_KIND_CONTROL, .flags = what, .id = id};
    return !CALL(zcb_send, both->urgent, &message, NULL, &wait);
}

static bool command(struct both *both, uint64_t id, const struct command_wire *head)
{
    zcb_wait wait = in_time();
    unsigned char payload[64];
    zcb_message message = {
        .kind = ZCB_KIND_CONTROL, .id = id, .bytes = write_command(payload, *head, "$x", 2)};
    return !CALL(zcb_send, both->commands, &message, payload, &wait);
}

/* ---------------------------------------------------------------- the steps */

static unsigned char memory[LONG_BYTES];

static void a_command_is_served(struct both *both)
{
    static struct {
        struct command_wire head;
        struct part_wire part;
        char text[TEXT_BYTES];
        char zeroes[PART_ALIGN - TEXT_BYTES % PART_ALIGN];
    } sent = {.head = {.op = ZCB_OP_RUN}, .part = {.kind = ZCB_PART_TEXT, .bytes = TEXT_BYTES}};
    zcb_wait wait = in_time();
    zcb_message message = {.kind = ZCB_KIND_CONTROL, .id = 1, .bytes = sizeof(sent)};
    zcb_work work;
    fill(sent.text, sizeof(sent.text), 1);
    if (CALL(zcb_send, both->commands, &message, &sent, &wait) ||
        CALL(zcb_agent_next, both->agent, &work, &wait))
        return;
    always(work.command.id == 1 && work.command.parts->bytes == TEXT_BYTES &&
               is_filled(work.command.parts->data, TEXT_BYTES, 1),
           "a command's text");
    zcb_part out = {.kind = ZCB_PART_OUT, .data = sent.text, .bytes = sizeof(sent.text)};
    zcb_completion completion = {.status = ZCB_STATUS_DONE, .success = true};
    (void)CALL(zcb_agent_output, both->agent, 1, &out, 1);
    (void)CALL(zcb_agent_complete, both->agent, 1, &completion, NULL, 0, false);
}

static void the_listener_hears(struct both *both)
{
    zcb_wait wait = in_time();
    uint64_t id = 0;
    struct command_wire wire = {.op = ZCB_OP_RUN};
    zcb_work work;
    if (!command(both, 7, &wire) || CALL(zcb_agent_next, both->agent, &work, &wait))
        return;
    if (!ask_urgently(both, URGENT_PING, 5) || !ask_urgently(both, URGENT_STOP, 7))
        return;
    if (CALL(zcb_agent_listen, both->agent, &id, &wait))
        return;
    always(id == 7, "a stop");
}

static void a_bridge_is_joined(struct both *both)
{
    zcb_channel *data = NULL;
    zcb_block *block = NULL;
    zcb_wait wait = in_time();
    if (right(hand_over(both->link, CHANNEL_BRIDGES, &data), "a bridge is handed over") &&
        !CALL(zcb_agent_allocate, both->agent, LABEL, 5000, &block, NULL, &wait))
        memset(zcb_block_data(block), 1, 5000);
    zcb_block_free(block);
    zcb_channel_free(data);
}

static bool tells_success(const unsigned char *reply, size_t bytes)
{
    size_t count = 0, at = 0;
    struct completion_wire end = {0};
    if (zcbi_parts_count(reply, bytes, &count))
        return false;
    for (; count > 0; count--) {
        zcb_part part = zcbi_parts_take(reply, &at);
        if (part.kind == PART_COMPLETION)
            memcpy(&end, part.data, sizeof(end));
    }
    return end.success != 0;
}

/* How a transfer ended: true when that was told, by the end of the session at the latest. */
static bool hear_end(struct both *both, uint64_t id, bool *success)
{
    zcb_wait wait = in_time();
    unsigned char reply[1024];
    zcb_message message = {0};
    zcb_error error = ZCB_OK;
    bool ended = false;
    suspend_faults();
    while (!ended && !error) {
        error = zcb_receive_begin(both->commands, ZCB_WISH_COPY, &message, &wait);
        if (error)
            break;
        ended =
            message.id == id && message.flags == REPLY_COMPLETES &&
            message.bytes <= sizeof(reply) &&
            zcb_receive_read(both->commands, reply, (size_t)message.bytes, NULL, &wait) == ZCB_OK;
        zcb_receive_drop(both->commands);
    }
    resume_faults();
    *success = ended && tells_success(reply, (size_t)message.bytes);
    return ended || error == ZCB_ERR_PEER_CLOSED;
}

/* What a call was refused the next one is not. */
static bool next_work(struct both *both, zcb_work *work)
{
    zcb_wait wait = in_time();
    return !CALL(zcb_agent_next, both->agent, work, &wait) ||
           !CALL(zcb_agent_next, both->agent, work, &wait);
}

/* Gives a transfer and a command behind it, so that there is work in any case, and takes the transfer. */
static bool take_transfer(struct both *both, uint64_t id, uint32_t op, uint32_t bridge)
{
    struct command_wire transfer = {.op = op, .channel = bridge};
    struct command_wire run = {.op = ZCB_OP_RUN};
    zcb_work work;
    return command(both, id, &transfer) && command(both, id + 1, &run) && next_work(both, &work) &&
           work.command.id == id;
}

/* Then the pipeline has turned to the command, and what it left goes on without it. */
static bool take_command(struct both *both, uint64_t id)
{
    zcb_work work;
    return next_work(both, &work) && work.command.id == id;
}

static bool take_arrival(struct both *both)
{
    zcb_work work = {0};
    if (!next_work(both, &work) || work.type != ZCB_WORK_ARRIVAL)
        return false;
    free(work.arrival.target);
    free(work.arrival.memory);
    return zcb_agent_end_transfer(both->agent, NULL, 0) == ZCB_OK;
}

static void receive_on(struct both *both, zcb_channel *data, uint32_t bridge)
{
    zcb_wait wait = in_time();
    bool success = false;
    void *target = malloc(1);
    if (!take_transfer(both, 20, ZCB_OP_RECEIVE, bridge) ||
        zcb_agent_post_receive(both->agent, target)) {
        free(target);
        return;
    }
    zcb_message message = {.kind = ZCB_KIND_BYTES, .id = 20, .bytes = 1000};
    if (take_command(both, 21) && !CALL(zcb_send, data, &message, memory, &wait)) {
        struct command_wire run = {.op = ZCB_OP_RUN};
        if (command(both, 22, &run))
            right(take_arrival(both) && take_command(both, 22), "a message arrives");
        always(hear_end(both, 20, &success), "the end of a receive is told");
        right(success, "a receive succeeds");
    }
}

/* The value is read only after the next command has come. */
static void send_on(struct both *both, zcb_channel *data, uint32_t bridge)
{
    zcb_wait wait = in_time();
    zcb_message message;
    bool success = false;
    if (!take_transfer(both, 30, ZCB_OP_SEND, bridge))
        return;
    unsigned char *value = calloc(1, LONG_BYTES);
    if (zcb_agent_post_send(both->agent, ZCB_KIND_BYTES, value, LONG_BYTES, value)) {
        free(value);
        return;
    }
    if (take_command(both, 31) && !CALL(zcb_receive_begin, data, ZCB_WISH_COPY, &message, &wait)) {
        right(message.kind == ZCB_KIND_BYTES, "a value comes");
        if (message.kind == ZCB_KIND_BYTES)
            (void)CALL(zcb_receive_read, data, memory, LONG_BYTES, NULL, &wait);
        zcb_receive_drop(data);
        always(hear_end(both, 30, &success), "the end of a send is told");
        right(success, "a send succeeds");
    }
}

/* Each on a bridge of its own, which may end by what fails. */
static void on_a_bridge(struct both *both, uint32_t bridge,
                        void (*transfer)(struct both *both, zcb_channel *data, uint32_t bridge))
{
    zcb_channel *data = NULL;
    if (right(hand_over(both->link, bridge, &data), "a bridge is handed over"))
        transfer(both, data, bridge);
    zcb_channel_free(data);
}

static void a_message_is_taken_by_the_bridges_thread(struct both *both)
{
    on_a_bridge(both, CHANNEL_BRIDGES + 1, receive_on);
}

static void a_value_is_sent_by_the_bridges_thread(struct both *both)
{
    on_a_bridge(both, CHANNEL_BRIDGES + 2, send_on);
}

/* ---------------------------------------------------------------- the scenario */

static bool greet(struct both *both)
{
    return send_record(both->link, (struct link_record){.type = LINK_WELCOME, .number = 80}, NULL,
                       0) &&
           hand_over(both->link, CHANNEL_COMMANDS, &both->commands) &&
           hand_over(both->link, CHANNEL_URGENT, &both->urgent);
}

static void open_agent(struct both *both, plat_handle inherited)
{
    char number[16];
    zcb_detail why = {""};
    snprintf(number, sizeof(number), "%d", (int)inherited);
    setenv(ZCB_LINK_VARIABLE, number, 1);
    if (CALL(zcb_agent_open, "7.5.0", &runtime, &both->agent, &why))
        always(why.text[0] != 0, "why no connection was opened");
    else
        always(getenv(ZCB_LINK_VARIABLE) == NULL, "the connection's name is gone");
}

static void serve(struct both *both)
{
    static void (*const steps[])(struct both *) = {
        a_command_is_served, the_listener_hears, a_bridge_is_joined,
        a_message_is_taken_by_the_bridges_thread, a_value_is_sent_by_the_bridges_thread};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        next_step();
        steps[i](both);
        suspend_faults();
        drop_all(both->commands);
        drop_all(both->urgent);
        resume_faults();
    }
}

void run_agent(void)
{
    struct both both = {0};
    plat_handle inherited;
    if (!right(zcbi_plat_link_pair(&both.link, &inherited) == ZCB_OK, "a pair of links"))
        return;
    if (right(greet(&both), "the program's greeting"))
        open_agent(&both, inherited);
    if (both.agent)
        serve(&both);
    zcb_agent_free(both.agent);
    zcb_channel_free(both.commands);
    zcb_channel_free(both.urgent);
    suspend_faults();
    zcbi_plat_close(both.link);
    if (fcntl((int)inherited, F_GETFD) != -1) /* it was not even looked at, or was no link */
        zcbi_plat_close(inherited);
    conclude(false);
}
