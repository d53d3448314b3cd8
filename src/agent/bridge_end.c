/* The engine's ends of bridges, from their coming by the link to their end. */
#include "agent.h"

#include <stdlib.h>
#include <string.h>

/* Under the lock: enters what has come by the link. A bridge that the program has closed meanwhile
 * is not kept: where there were no descriptors for it at the time, it was told to be forgotten
 * before it came. */
static zcb_error take_in(zcb_agent *agent)
{
    for (;;) {
        struct link_message message;
        zcb_error error = zcbi_link_receive(agent->link, &message, NULL);
        if (error)
            return error == ZCB_ERR_TIMEOUT ? ZCB_OK : error;
        struct bridge_end *end = calloc(1, sizeof(*end));
        if (!end) {
            zcbi_link_refuse(&message);
            return ZCB_ERR_NO_MEMORY;
        }
        atomic_init(&end->references, 1);
        end->agent = agent;
        end->number = message.record.number;
        memcpy(end->label, message.record.label, sizeof(end->label));
        end->error = zcbi_link_join(&message, agent->program, &end->channel);
        if (end->channel && zcbi_rx_is_ending(end->channel)) {
            zcbi_bridge_end_release(end);
            continue;
        }
        end->next = agent->ends;
        agent->ends = end;
    }
}

void zcbi_bridge_ends_accept(zcb_agent *agent)
{
    zcbi_plat_mutex_lock(&agent->lock);
    (void)take_in(agent);
    zcbi_plat_mutex_unlock(&agent->lock);
}

void zcbi_bridge_end_keep(struct bridge_end *end)
{
    atomic_fetch_add(&end->references, 1); /* partner: zcbi_bridge_end_release */
}

void zcbi_bridge_end_release(struct bridge_end *end)
{
    /* partner: zcbi_bridge_end_keep */
    if (!end || atomic_fetch_sub(&end->references, 1) != 1)
        return;
    zcbi_inbox_destroy(end);
    zcb_channel_free(end->channel);
    free(end);
}

/* Under the lock: a reference, or why there is none. */
static zcb_error use(struct bridge_end *found, zcb_error error, struct bridge_end **end)
{
    if (!found)
        return error ? error : ZCB_ERR_NOT_FOUND;
    if (found->error)
        return found->error;
    zcbi_bridge_end_keep(found);
    *end = found;
    return ZCB_OK;
}

/* Under the lock. */
static struct bridge_end **find(zcb_agent *agent, uint32_t number)
{
    struct bridge_end **link = &agent->ends;
    while (*link && (*link)->number != number)
        link = &(*link)->next;
    return link;
}

zcb_error zcbi_bridge_end_get(zcb_agent *agent, uint32_t number, struct bridge_end **end)
{
    zcb_error error = ZCB_OK;
    zcbi_plat_mutex_lock(&agent->lock);
    if (!*find(agent, number))
        error = take_in(agent);
    error = use(*find(agent, number), error, end);
    zcbi_plat_mutex_unlock(&agent->lock);
    return error;
}

/* The program's closing shows in the channel before the engine hears of it. */
static bool is_open_with(const struct bridge_end *end, const char *label)
{
    return *label && strcmp(end->label, label) == 0 &&
           !(end->channel && zcbi_rx_is_ending(end->channel));
}

zcb_error zcbi_bridge_end_find(zcb_agent *agent, const char *label, struct bridge_end **end)
{
    zcbi_plat_mutex_lock(&agent->lock);
    zcb_error error = take_in(agent);
    struct bridge_end *found = agent->ends;
    while (found && !is_open_with(found, label))
        found = found->next;
    error = use(found, error, end);
    zcbi_plat_mutex_unlock(&agent->lock);
    return error;
}

/* ---------------------------------------------------------------- the end */

/* The channel itself goes when the last thread has left it. */
static void shut(struct bridge_end *end)
{
    zcb_channel_close(end->channel);
    zcbi_inbox_end(end, zcbi_bridge_end_explain(ZCB_ERR_CLOSED));
    zcbi_outbox_end(end, zcbi_bridge_end_explain(ZCB_ERR_CLOSED));
    zcbi_bridge_end_release(end);
}

void zcbi_bridge_end_close(zcb_agent *agent, uint32_t number)
{
    zcbi_plat_mutex_lock(&agent->lock);
    (void)take_in(agent);
    struct bridge_end **link = find(agent, number);
    struct bridge_end *end = *link;
    if (end)
        *link = end->next;
    zcbi_plat_mutex_unlock(&agent->lock);
    if (end)
        shut(end);
}

void zcbi_bridge_ends_close(zcb_agent *agent)
{
    for (;;) {
        zcbi_plat_mutex_lock(&agent->lock);
        struct bridge_end *end = agent->ends;
        if (end)
            agent->ends = end->next;
        zcbi_plat_mutex_unlock(&agent->lock);
        if (!end)
            return;
        shut(end);
    }
}

struct reason zcbi_bridge_end_explain(zcb_error error)
{
    struct reason reason;
    switch (error) {
    case ZCB_ERR_CLOSED:
    case ZCB_ERR_PEER_CLOSED:
    case ZCB_ERR_CANCELLED:
        snprintf(reason.text, sizeof(reason.text), "The bridge was closed.");
        break;
    case ZCB_ERR_REFUSED:
        snprintf(reason.text, sizeof(reason.text), "The program discarded the message.");
        break;
    case ZCB_ERR_TOO_LARGE:
        snprintf(reason.text, sizeof(reason.text),
                 "Data exceeds frame size: the message cannot be held in place. Open the bridge "
                 "with a larger frame.");
        break;
    default:
        snprintf(reason.text, sizeof(reason.text), "The bridge failed: %s.", zcb_error_text(error));
        break;
    }
    return reason;
}

struct reason zcbi_bridge_end_refused(void)
{
    return (struct reason){"PowerShell can't start a thread for the transfer: there are too many "
                           "processes (ulimit -u, "
                           "or the container's limit) or descriptors (ulimit -n)."};
}

bool zcbi_is_passing(zcb_error error)
{
    return error == ZCB_ERR_TIMEOUT || error == ZCB_ERR_CANCELLED || error == ZCB_ERR_INTERRUPTED ||
           error == ZCB_ERR_WATCHED;
}

/* ---------------------------------------------------------------- memory of a frame */

/* Blocks that nobody uses any more keep their room until the runtime gives them back. */
static zcb_error allocate(struct bridge_end *end, uint64_t bytes, zcb_block **block,
                          const zcb_wait *wait)
{
    static const zcb_wait at_once = {0};
    const zcb_runtime *runtime = &end->agent->runtime;
    zcb_error error = zcb_block_allocate(end->channel, bytes, block, &at_once);
    if (error != ZCB_ERR_TIMEOUT)
        return error;
    runtime->reclaim(runtime->arg, true);
    return zcb_block_allocate(end->channel, bytes, block, wait);
}

static void explain_allocation(zcb_detail *why, zcb_error error, uint64_t bytes,
                               const struct bridge_end *end)
{
    if (error == ZCB_ERR_TOO_LARGE)
        zcbi_error_detail(why,
                          "Data exceeds frame size: %llu bytes can't be allocated in a frame of "
                          "%llu. Open the bridge with a larger frame.",
                          (unsigned long long)bytes,
                          (unsigned long long)zcb_channel_frame_bytes(end->channel));
    else if (error == ZCB_ERR_CLOSED || error == ZCB_ERR_PEER_CLOSED)
        zcbi_error_detail(why, "%s", zcbi_bridge_end_explain(error).text);
    else
        zcbi_error_detail(why, "allocating %llu bytes: %s", (unsigned long long)bytes,
                          zcb_error_text(error));
}

zcb_error zcb_agent_allocate(zcb_agent *agent, const char *label, uint64_t bytes, zcb_block **block,
                             zcb_detail *why, const zcb_wait *wait)
{
    if (!agent || !label || !block || bytes == 0)
        return ZCB_ERR_INVALID;
    struct bridge_end *end;
    zcb_error error = zcbi_bridge_end_find(agent, label, &end);
    if (error) {
        zcbi_error_detail(why, "no open bridge is called '%s': %s", label, zcb_error_text(error));
        return error;
    }
    error = allocate(end, bytes, block, wait);
    if (error)
        explain_allocation(why, error, bytes, end);
    zcbi_bridge_end_release(end);
    return error;
}
