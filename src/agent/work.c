/*
 * The pipeline's work, in its order: what has arrived, then the command that was taken, then, while
 * nothing comes, the bridge that the pipeline turned to last. Before a command is given every
 * bridge is caught up with, so that what was sent before it was submitted is given before it.
 */
#include "agent.h"

#include <stdlib.h>

/* ---------------------------------------------------------------- what the pipeline's thread
 * has */

bool zcbi_work_leave(zcb_agent *agent)
{
    agent->doing = DOING_NOTHING;
    return agent->current_stopped;
}

/* Under the lock. */
static void give(zcb_agent *agent, enum doing doing, uint64_t id, bool stopped)
{
    agent->doing = doing;
    agent->current_id = id;
    agent->current_stopped = stopped;
    agent->given_ns = zcbi_plat_now_ns();
}

/* Whatever the thread has made of what it was given before. */
static void have_done(zcb_agent *agent)
{
    zcbi_plat_mutex_lock(&agent->lock);
    agent->doing = DOING_NOTHING;
    zcbi_plat_mutex_unlock(&agent->lock);
    zcbi_bridge_end_release(agent->end);
    agent->end = NULL;
}

/* ---------------------------------------------------------------- arrivals */

void zcbi_work_add_arrival(zcb_agent *agent, struct receive *receive, bool wake)
{
    struct receive **link = &agent->arrivals;
    while (*link)
        link = &(*link)->next;
    receive->next = NULL;
    *link = receive;
    if (wake)
        zcb_cancel_set(agent->wake);
}

void zcbi_work_tell(zcb_agent *agent)
{
    if (agent->catching_up)
        zcb_cancel_set(agent->wake);
}

static bool give_arrival(zcb_agent *agent, zcb_work *work)
{
    zcbi_plat_mutex_lock(&agent->lock);
    struct receive *receive = agent->arrivals;
    if (receive) {
        agent->arrivals = receive->next;
        give(agent, DOING_ARRIVAL, receive->id, false);
    }
    zcbi_plat_mutex_unlock(&agent->lock);
    if (!receive)
        return false;
    zcb_agent_flush(agent);
    work->type = ZCB_WORK_ARRIVAL;
    work->arrival = (zcb_arrival){.id = receive->id,
                                  .flags = receive->flags,
                                  .kind = receive->contents.kind,
                                  .bytes = receive->contents.bytes,
                                  .target = receive->target,
                                  .memory = receive->contents.memory,
                                  .lease = receive->contents.lease};
    free(receive);
    return true;
}

/* ---------------------------------------------------------------- the bridge that is served */

/* Turns to another bridge, or to none; what was under way with the one so far goes on without the
 * pipeline. */
static void turn_to(zcb_agent *agent, struct bridge_end *end, bool outbox)
{
    struct bridge_end *before = agent->serves;
    if (before == end && agent->serves_outbox == outbox)
        return;
    if (end)
        zcbi_bridge_end_keep(end);
    agent->serves = end;
    if (before && agent->serves_outbox)
        zcbi_outbox_hand_over(before);
    else if (before)
        zcbi_inbox_hand_over(before);
    agent->serves_outbox = outbox;
    zcbi_bridge_end_release(before);
}

/* True when it got further, so that there may be an arrival. */
static bool serve(zcb_agent *agent, const zcb_wait *until_woken)
{
    struct bridge_end *end = agent->serves;
    if (!end)
        return false;
    zcb_wait until_command = *until_woken;
    until_command.watch = agent->commands;
    zcb_agent_flush(agent);
    enum served served = agent->serves_outbox ? zcbi_outbox_serve(end, &until_command)
                                              : zcbi_inbox_serve(end, &until_command);
    if (served == SERVED_OVER) {
        agent->serves = NULL;
        zcbi_bridge_end_release(end);
    }
    return served != SERVED_NOTHING;
}

/* Under the lock: a bridge that the pipeline has not caught up with in this round: a reference. */
static struct bridge_end *find_behind(zcb_agent *agent, uint64_t *sent)
{
    struct bridge_end *end = agent->ends;
    while (end &&
           (end->caught_up == agent->round || !end->channel || !zcbi_inbox_is_behind(end, sent)))
        end = end->next;
    if (end)
        zcbi_bridge_end_keep(end);
    return end;
}

/* Every message that was sent before now for a posted receive is then among the arrivals. */
static zcb_error catch_up(zcb_agent *agent, const zcb_wait *until_woken)
{
    for (;;) {
        uint64_t sent = 0;
        zcbi_plat_mutex_lock(&agent->lock);
        struct bridge_end *end = find_behind(agent, &sent);
        zcbi_plat_mutex_unlock(&agent->lock);
        if (!end)
            return ZCB_OK;
        zcb_error error = zcbi_inbox_catch_up(end, sent, until_woken);
        if (!error)
            end->caught_up = agent->round;
        zcbi_bridge_end_release(end);
        if (error)
            return error;
    }
}

/* ---------------------------------------------------------------- commands */

static zcb_error reserve_text(zcb_agent *agent, size_t bytes)
{
    if (bytes <= agent->text_capacity)
        return ZCB_OK;
    unsigned char *text = realloc(agent->text, bytes);
    if (!text)
        return ZCB_ERR_NO_MEMORY;
    agent->text = text;
    agent->text_capacity = bytes;
    return ZCB_OK;
}

/* A command has one part, so far. */
static bool take_parts(zcb_agent *agent, size_t bytes)
{
    size_t count = 0, at = 0;
    if (zcbi_parts_count(agent->text, bytes, &count) || count != 1)
        return false;
    agent->part = zcbi_parts_take(agent->text, &at);
    return agent->part.kind == ZCB_PART_TEXT;
}

static bool is_known(uint32_t op)
{
    return op == ZCB_OP_RUN || op == ZCB_OP_RECEIVE || op == ZCB_OP_SEND;
}

static zcb_error read_command(zcb_agent *agent, const zcb_message *message)
{
    struct command_wire head;
    if (message->kind != ZCB_KIND_CONTROL || message->bytes < sizeof(head) ||
        message->bytes > SIZE_MAX / 2)
        return zcbi_channel_fail(agent->commands);
    size_t bytes = (size_t)message->bytes - sizeof(head);
    zcb_error error = reserve_text(agent, bytes);
    if (!error)
        error = zcb_receive_read(agent->commands, &head, sizeof(head), NULL, NULL);
    if (!error)
        error = zcb_receive_read(agent->commands, agent->text, bytes, NULL, NULL);
    if (!error && (!is_known(head.op) || !take_parts(agent, bytes)))
        error = zcbi_channel_fail(agent->commands);
    if (error)
        return error;
    agent->command = (zcb_command){.id = message->id,
                                   .op = head.op,
                                   .flags = head.flags,
                                   .channel = head.channel,
                                   .depth = head.depth,
                                   .parts = &agent->part,
                                   .part_count = 1};
    return zcb_receive_end(agent->commands);
}

static zcb_error take_command(zcb_agent *agent, const zcb_wait *until_woken)
{
    if (zcbi_rx_is_ending(agent->commands)) /* what is still queued does not run */
        return ZCB_ERR_CLOSED;
    zcb_message message;
    zcb_error error = zcb_receive_begin(agent->commands, ZCB_WISH_COPY, &message, until_woken);
    if (error)
        return error == ZCB_ERR_PEER_CLOSED ? ZCB_ERR_CLOSED : error;
    zcb_agent_flush(agent);
    error = read_command(agent, &message);
    if (error) {
        zcb_receive_drop(agent->commands);
        return error == ZCB_ERR_PEER_CLOSED ? ZCB_ERR_CLOSED : error;
    }
    agent->holds = true;
    agent->caught_up = false;
    agent->round++;
    return ZCB_OK;
}

/* Under the lock: true when it was stopped before its turn. What stands before it never comes. */
static bool was_dropped(zcb_agent *agent, uint64_t id)
{
    size_t kept = 0;
    bool found = false;
    for (size_t i = 0; i < agent->dropped_count; i++) {
        found = found || agent->dropped[i] == id;
        if (agent->dropped[i] > id)
            agent->dropped[kept++] = agent->dropped[i];
    }
    agent->dropped_count = kept;
    return found;
}

static enum doing doing_of(uint32_t op)
{
    return op == ZCB_OP_RUN ? DOING_RUN : op == ZCB_OP_RECEIVE ? DOING_RECEIVE : DOING_SEND;
}

/* Its value cannot be sent: its reader is told why. *stopped: the command was stopped, which its
 * reader is told then. */
static void post_error(zcb_agent *agent, uint64_t id, struct span reason, bool *stopped)
{
    struct send *send = zcbi_send_create(id, ZCB_KIND_ERROR, reason, NULL);
    if (send) {
        if (zcbi_outbox_post(agent->end, send, stopped))
            turn_to(agent, agent->end, true);
        return;
    }
    zcb_channel_close(agent->end->channel); /* rather than a reader that waits for ever */
    zcbi_plat_mutex_lock(&agent->lock);
    *stopped = zcbi_work_leave(agent);
    zcbi_plat_mutex_unlock(&agent->lock);
}

static void skip(zcb_agent *agent, uint64_t id, bool *stopped)
{
    zcbi_plat_mutex_lock(&agent->lock);
    *stopped = zcbi_work_leave(agent);
    if (agent->end)
        zcbi_inbox_skip(agent->end, id);
    zcbi_plat_mutex_unlock(&agent->lock);
}

/* Ends the command that is given, as stopped or for a reason. */
static void end_command(zcb_agent *agent, struct span reason, bool refused)
{
    struct ending ending = {.id = agent->current_id,
                            .reason = reason,
                            .refused = refused,
                            .start_ns = agent->given_ns,
                            .lazy = true};
    if (agent->doing == DOING_SEND && agent->end)
        post_error(agent, ending.id, reason, &ending.stopped);
    else
        skip(agent, ending.id, &ending.stopped);
    zcbi_transfer_end(agent, ending);
}

static zcb_error open_bridge(zcb_agent *agent, const zcb_command *command, zcb_detail *why)
{
    zcb_error error = zcbi_bridge_end_get(agent, command->channel, &agent->end);
    if (error == ZCB_ERR_NOT_FOUND)
        zcbi_error_detail(why, "%s", zcbi_bridge_end_explain(ZCB_ERR_CLOSED).text);
    else if (error)
        zcbi_error_detail(why, "opening the bridge's channel: %s", zcb_error_text(error));
    return error;
}

/* Gives the command that is held, unless it ends here. */
static bool give_command(zcb_agent *agent, zcb_work *work)
{
    const zcb_command *command = &agent->command;
    enum doing doing = doing_of(command->op);
    zcb_detail why;
    agent->holds = false;
    if (doing != DOING_RECEIVE)
        turn_to(agent, NULL, false);
    zcb_error error = doing == DOING_RUN ? ZCB_OK : open_bridge(agent, command, &why);
    zcbi_plat_mutex_lock(&agent->lock);
    bool stopped = was_dropped(agent, command->id);
    agent->last_given = command->id;
    give(agent, doing, command->id, stopped);
    zcbi_plat_mutex_unlock(&agent->lock);
    if (stopped || error) {
        end_command(agent, stopped ? (struct span){0} : zcbi_text(why.text),
                    stopped ? doing == DOING_RECEIVE : true);
        have_done(agent);
        return false;
    }
    zcb_agent_flush(agent);
    work->type = ZCB_WORK_COMMAND;
    work->command = *command;
    return true;
}

zcb_error zcb_agent_next(zcb_agent *agent, zcb_work *work, const zcb_wait *wait)
{
    if (!agent || !work || (wait && (wait->cancel || wait->watch)))
        return ZCB_ERR_INVALID;
    zcb_wait until_woken = {.deadline_ns = ZCB_NEVER};
    if (wait)
        until_woken = *wait;
    until_woken.cancel = agent->wake;
    have_done(agent);
    for (;;) {
        zcb_error error = ZCB_OK;
        if (give_arrival(agent, work))
            return ZCB_OK;
        if (agent->holds && agent->caught_up && give_command(agent, work))
            return ZCB_OK;
        if (agent->holds) {
            error = catch_up(agent, &until_woken);
            agent->caught_up = !error;
        } else if (!serve(agent, &until_woken)) {
            error = take_command(agent, &until_woken);
        }
        if (error == ZCB_ERR_CANCELLED)
            zcb_cancel_reset(agent->wake);
        else if (error)
            return error;
    }
}

/* ---------------------------------------------------------------- what becomes of a transfer */

zcb_error zcb_agent_post_receive(zcb_agent *agent, void *target)
{
    if (!agent || agent->doing != DOING_RECEIVE)
        return ZCB_ERR_INVALID;
    struct receive *receive = malloc(sizeof(*receive));
    if (!receive) {
        zcbi_runtime_release(agent, target);
        end_command(agent, zcbi_text(zcb_error_text(ZCB_ERR_NO_MEMORY)), true);
        return ZCB_OK;
    }
    *receive =
        (struct receive){.id = agent->current_id, .flags = agent->command.flags, .target = target};
    if (zcbi_inbox_post(agent->end, receive))
        turn_to(agent, agent->end, false);
    return ZCB_OK;
}

zcb_error zcb_agent_post_send(zcb_agent *agent, zcb_kind kind, const void *data, uint64_t bytes,
                              void *owner)
{
    bool sensible = (kind == ZCB_KIND_BYTES || kind == ZCB_KIND_CLIXML) && bytes <= SIZE_MAX &&
                    (data || bytes == 0);
    if (!agent || agent->doing != DOING_SEND || !sensible)
        return ZCB_ERR_INVALID;
    uint64_t id = agent->current_id;
    struct send *send = zcbi_send_create(id, kind, (struct span){data, (size_t)bytes}, owner);
    if (!send) {
        zcbi_runtime_release(agent, owner);
        end_command(agent, zcbi_text(zcb_error_text(ZCB_ERR_NO_MEMORY)), false);
        return ZCB_OK;
    }
    bool stopped = false;
    if (zcbi_outbox_post(agent->end, send, &stopped))
        turn_to(agent, agent->end, true);
    if (stopped)
        zcbi_transfer_end(agent, (struct ending){.id = id, .stopped = true, .lazy = true});
    return ZCB_OK;
}

static void end_arrival(zcb_agent *agent, struct span reason)
{
    struct ending ending = {
        .id = agent->current_id, .reason = reason, .start_ns = agent->given_ns, .lazy = true};
    zcbi_plat_mutex_lock(&agent->lock);
    ending.stopped = zcbi_work_leave(agent) && reason.data;
    zcbi_plat_mutex_unlock(&agent->lock);
    zcbi_transfer_end(agent, ending);
}

zcb_error zcb_agent_end_transfer(zcb_agent *agent, const char *reason, size_t bytes)
{
    if (!agent)
        return ZCB_ERR_INVALID;
    struct span text = {reason, bytes};
    if (agent->doing == DOING_ARRIVAL)
        end_arrival(agent, text);
    else if ((agent->doing == DOING_RECEIVE || agent->doing == DOING_SEND) && reason)
        end_command(agent, text, agent->doing == DOING_RECEIVE);
    else
        return ZCB_ERR_INVALID;
    return ZCB_OK;
}

void zcbi_work_destroy(zcb_agent *agent)
{
    turn_to(agent, NULL, false);
    while (agent->arrivals) {
        struct receive *receive = agent->arrivals;
        agent->arrivals = receive->next;
        zcbi_receive_free(agent, receive);
    }
    zcbi_bridge_end_release(agent->end);
    free(agent->dropped);
    free(agent->text);
}
