/* The engine's side by itself, in this process, where what it leaves can be counted; the program's side is played. */
#include "channel/block.h"
#include "check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/link.h"
#include "protocol/message.h"
#include "protocol/urgent.h"
#include "support.h"

#define TEXT_BYTES (100 * KIB)
#define LABEL "bridge"

struct both {
    plat_handle link; /* the program's end */
    zcb_channel *commands, *urgent;
    zcb_agent *agent;
};

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

/* ---------------------------------------------------------------- the steps */

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
    zcb_command command;
    fill(sent.text, sizeof(sent.text), 1);
    if (CALL(zcb_send, both->commands, &message, &sent, &wait) ||
        CALL(zcb_agent_next, both->agent, &command, &wait))
        return;
    always(command.id == 1 && command.parts->bytes == TEXT_BYTES &&
               is_filled(command.parts->data, TEXT_BYTES, 1),
           "a command's text");
    zcb_part out = {.kind = ZCB_PART_OUT, .data = sent.text, .bytes = sizeof(sent.text)};
    zcb_completion completion = {.status = ZCB_STATUS_DONE, .success = true};
    (void)CALL(zcb_agent_output, both->agent, 1, &out, 1);
    (void)CALL(zcb_agent_complete, both->agent, 1, &completion, NULL, 0, false);
}

static void the_listener_hears(struct both *both)
{
    zcb_wait wait = in_time();
    zcb_urgent request;
    uint64_t id = 0;
    if (!ask_urgently(both, URGENT_PING, 5) || !ask_urgently(both, ZCB_URGENT_STOP, 7))
        return;
    if (CALL(zcb_agent_listen, both->agent, &request, &id, &wait))
        return;
    always(request == ZCB_URGENT_STOP && id == 7, "an urgent request");
}

static void a_bridge_is_joined(struct both *both)
{
    zcb_channel *ours = NULL;
    zcb_channel *theirs = NULL;
    uint32_t number = 0;
    if (right(hand_over(both->link, CHANNEL_BRIDGES, &ours), "a bridge is handed over")) {
        if (!CALL(zcb_agent_channel, both->agent, CHANNEL_BRIDGES, &theirs) &&
            !CALL(zcb_agent_find_channel, both->agent, LABEL, &number))
            always(number == CHANNEL_BRIDGES, "a bridge is found by its label");
        zcb_agent_forget_channel(both->agent, CHANNEL_BRIDGES);
    }
    zcb_channel_free(theirs);
    zcb_channel_free(ours);
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
    if (CALL(zcb_agent_open, "7.5.0", &both->agent, &why))
        always(why.text[0] != 0, "why no connection was opened");
    else
        always(getenv(ZCB_LINK_VARIABLE) == NULL, "the connection's name is gone");
}

static void serve(struct both *both)
{
    static void (*const steps[])(struct both *) = {a_command_is_served, the_listener_hears,
                                                   a_bridge_is_joined};
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
