/* What cannot wait for the pipeline: stops, closed bridges, pings. */
#include "agent.h"

#include <stdlib.h>

/* ---------------------------------------------------------------- stopping, under the lock */

/* Its turn has not come, and it is not to. Where that cannot be noted it runs, until the program
 * loses patience. */
static void drop_command(zcb_agent *agent, uint64_t id)
{
    if (agent->dropped_count == agent->dropped_capacity) {
        size_t capacity = agent->dropped_capacity ? 2 * agent->dropped_capacity : 8;
        uint64_t *dropped = realloc(agent->dropped, capacity * sizeof(*dropped));
        if (!dropped)
            return;
        agent->dropped = dropped;
        agent->dropped_capacity = capacity;
    }
    agent->dropped[agent->dropped_count++] = id;
}

static bool withdraw_arrival(zcb_agent *agent, uint64_t id, struct receive **receive)
{
    struct receive **link = &agent->arrivals;
    while (*link && (*link)->id != id)
        link = &(*link)->next;
    *receive = *link;
    if (*link)
        *link = (*link)->next;
    return *receive != NULL;
}

/* What was taken out of its place by a stop. */
struct withdrawn {
    struct receive *receive; /* or NULL */
    bool took_none;          /* and no message had come for it */
    bool send;               /* a value that waited */
    void *owner;
};

static void withdraw(zcb_agent *agent, uint64_t id, struct withdrawn *withdrawn)
{
    if (withdraw_arrival(agent, id, &withdrawn->receive))
        return;
    for (struct bridge_end *end = agent->ends; end; end = end->next) {
        withdrawn->took_none = zcbi_inbox_withdraw(end, id, &withdrawn->receive);
        if (withdrawn->took_none ||
            zcbi_outbox_withdraw(end, id, &withdrawn->send, &withdrawn->owner))
            return;
    }
}

/* ---------------------------------------------------------------- stopping */

/* True when the thread of zcb_agent_next has the command, so that the caller is to stop it. */
static bool stop(zcb_agent *agent, uint64_t id)
{
    struct withdrawn withdrawn = {0};
    zcbi_plat_mutex_lock(&agent->lock);
    bool current = agent->doing != DOING_NOTHING && agent->current_id == id;
    if (current)
        agent->current_stopped = true;
    else if (id > agent->last_given)
        drop_command(agent, id);
    else
        withdraw(agent, id, &withdrawn);
    zcbi_plat_mutex_unlock(&agent->lock);
    if (withdrawn.receive || withdrawn.send)
        zcbi_transfer_end(
            agent, (struct ending){.id = id, .stopped = true, .refused = withdrawn.took_none});
    if (withdrawn.receive)
        zcbi_receive_free(agent, withdrawn.receive);
    zcbi_runtime_release(agent, withdrawn.owner);
    return current;
}

/* ---------------------------------------------------------------- listening */

static zcb_error answer_ping(zcb_agent *agent, uint64_t id, const zcb_wait *wait)
{
    zcb_message pong = {.kind = ZCB_KIND_CONTROL, .flags = URGENT_PONG, .id = id};
    return zcb_send(agent->urgent, &pong, NULL, wait);
}

/* Whoever closes a bridge is done with its threads. */
static void close_bridge(zcb_agent *agent, uint64_t number)
{
    zcbi_transfer_threads_join(agent, false);
    if (number <= UINT32_MAX)
        zcbi_bridge_end_close(agent, (uint32_t)number);
}

zcb_error zcb_agent_listen(zcb_agent *agent, uint64_t *id, const zcb_wait *wait)
{
    if (!agent || !id)
        return ZCB_ERR_INVALID;
    for (;;) {
        zcb_message message;
        zcb_error error = zcb_receive_begin(agent->urgent, ZCB_WISH_COPY, &message, wait);
        if (error)
            return error == ZCB_ERR_PEER_CLOSED ? ZCB_ERR_CLOSED : error;
        zcb_receive_drop(agent->urgent);
        switch (message.flags) {
        case URGENT_PING:
            error = answer_ping(agent, message.id, wait);
            break;
        case URGENT_ACCEPT:
            zcbi_bridge_ends_accept(agent);
            break;
        case URGENT_CLOSE_CHANNEL:
            close_bridge(agent, message.id);
            break;
        case URGENT_STOP:
            if (stop(agent, message.id)) {
                *id = message.id;
                return ZCB_OK;
            }
            break;
        default:
            break;
        }
        if (error)
            return error;
    }
}
