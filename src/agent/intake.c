/* Taking one message in: whose it is, memory for it, its bytes, and where it goes then. */
#include "inbox.h"

#include <stdlib.h>

void zcbi_contents_free(zcb_agent *agent, struct contents *contents)
{
    zcbi_runtime_release(agent, contents->memory);
    zcb_lease_free(contents->lease);
    *contents = (struct contents){0};
}

/* ---------------------------------------------------------------- judging, under the lock */

static struct receive **find_taker(struct inbox *inbox)
{
    struct receive **link = &inbox->posted;
    while (*link && !((*link)->flags & ZCB_COMMAND_TAKE_QUEUED))
        link = &(*link)->next;
    return link;
}

enum verdict zcbi_inbox_judge(struct inbox *inbox, struct receive ***link)
{
    uint64_t id = inbox->message.id;
    *link = id ? inbox_find(inbox, id) : find_taker(inbox);
    if (**link)
        return VERDICT_DELIVER;
    if (id == 0) /* of a receive still to come; those that are posted must not wait behind it */
        return inbox->posted ? VERDICT_KEEP : VERDICT_WAIT;
    return id <= inbox->last_id ? VERDICT_DISCARD : VERDICT_WAIT;
}

void zcbi_inbox_settle(struct bridge_end *end)
{
    uint64_t sent;
    zcb_channel_counts(end->channel, &sent, &end->inbox.settled);
    zcbi_work_tell(end->agent);
}

/* The message at the head is done with. */
static void pass(struct bridge_end *end)
{
    end->inbox.stage = STAGE_NONE;
    end->inbox.receiving = NULL;
    end->inbox.memory = NULL;
    zcbi_inbox_settle(end);
}

/* ---------------------------------------------------------------- one message, by whoever
 * serves */

static void drop(struct bridge_end *end)
{
    zcb_receive_drop(end->channel);
    zcbi_plat_mutex_lock(&end->agent->lock);
    end->inbox.dropped = true;
    zcbi_plat_mutex_unlock(&end->agent->lock);
}

/* On a bridge there are only values. */
static zcb_error check_kind(struct bridge_end *end, const zcb_message *message)
{
    if (message->kind == ZCB_KIND_BYTES || message->kind == ZCB_KIND_CLIXML)
        return ZCB_OK;
    zcb_receive_drop(end->channel);
    return zcbi_channel_fail(end->channel);
}

static zcb_error begin(struct bridge_end *end, const zcb_wait *wait)
{
    struct inbox *inbox = &end->inbox;
    zcb_message message;
    zcbi_plat_mutex_lock(&end->agent->lock);
    bool lease = inbox->posted && (inbox->posted->flags & ZCB_COMMAND_LEASE);
    zcbi_plat_mutex_unlock(&end->agent->lock);
    zcb_error error =
        zcb_receive_begin(end->channel, lease ? ZCB_WISH_LEASE : ZCB_WISH_COPY, &message, wait);
    if (!error)
        error = check_kind(end, &message);
    if (!error) {
        zcbi_plat_mutex_lock(&end->agent->lock);
        inbox->message = message;
        inbox->stage = STAGE_HEAD;
        inbox->dropped = false;
        zcbi_inbox_settle(end);
        zcbi_plat_mutex_unlock(&end->agent->lock);
    } else if (!zcbi_is_passing(error)) {
        zcbi_inbox_end(end, zcbi_bridge_end_explain(error));
    }
    return error;
}

/* Finds out whose the message is. */
static enum verdict claim(struct bridge_end *end)
{
    struct inbox *inbox = &end->inbox;
    struct receive **link;
    zcbi_plat_mutex_lock(&end->agent->lock);
    enum verdict verdict = zcbi_inbox_judge(inbox, &link);
    if (verdict == VERDICT_DELIVER)
        inbox->receiving = inbox_take(link);
    if (verdict == VERDICT_DELIVER || verdict == VERDICT_KEEP)
        inbox->stage = STAGE_UNDER_WAY;
    inbox->memory = NULL;
    inbox->read = 0;
    zcbi_plat_mutex_unlock(&end->agent->lock);
    return verdict;
}

static bool allocate(struct bridge_end *end, zcb_detail *why)
{
    struct inbox *inbox = &end->inbox;
    const zcb_runtime *runtime = &end->agent->runtime;
    uint64_t bytes = inbox->message.bytes;
    void *data = NULL;
    why->text[0] = 0;
    inbox->memory = bytes <= SIZE_MAX ? runtime->allocate(runtime->arg, bytes, &data, why) : NULL;
    inbox->data = data;
    if (!inbox->memory && !why->text[0])
        zcbi_error_detail(why, "There is no memory for the message's %llu bytes.",
                          (unsigned long long)bytes);
    return inbox->memory != NULL;
}

/* Under the lock. */
static void append_kept(struct inbox *inbox, struct kept *kept)
{
    struct kept **link = &inbox->kept;
    while (*link)
        link = &(*link)->next;
    *link = kept;
}

/* Where not even that can be noted who waits for the message would wait for ever. */
static void give_bridge_up(struct bridge_end *end)
{
    zcb_channel_close(end->channel);
    zcbi_inbox_end(end, zcbi_bridge_end_explain(ZCB_ERR_NO_MEMORY));
}

/* There is no memory for the message: it is dropped, and its receive, perhaps one still to come,
 * fails. */
static void refuse(struct bridge_end *end, const zcb_detail *why, bool lazy)
{
    struct inbox *inbox = &end->inbox;
    drop(end);
    struct kept *kept = inbox->receiving ? NULL : calloc(1, sizeof(*kept));
    zcbi_plat_mutex_lock(&end->agent->lock);
    struct receive *receive = inbox->receiving ? inbox->receiving : inbox_take(find_taker(inbox));
    if (!receive && kept) {
        kept->refusal = *why;
        append_kept(inbox, kept);
    }
    pass(end);
    zcbi_plat_mutex_unlock(&end->agent->lock);
    if (receive) {
        zcbi_transfer_end(
            end->agent,
            (struct ending){.id = receive->id, .reason = zcbi_text(why->text), .lazy = lazy});
        zcbi_receive_free(end->agent, receive);
        free(kept);
    } else if (!kept) {
        give_bridge_up(end);
    }
}

/* Makes room for the message; ZCB_ERR_TIMEOUT: it waits for its receive. *over: it was done with
 * here. */
static zcb_error prepare(struct bridge_end *end, bool lazy, bool *over)
{
    struct inbox *inbox = &end->inbox;
    const struct receive *receive;
    zcb_detail why;
    switch (claim(end)) {
    case VERDICT_WAIT:
        return ZCB_ERR_TIMEOUT;
    case VERDICT_DISCARD:
        drop(end);
        zcbi_plat_mutex_lock(&end->agent->lock);
        pass(end);
        zcbi_plat_mutex_unlock(&end->agent->lock);
        *over = true;
        return ZCB_OK;
    default:
        receive = inbox->receiving;
        break;
    }
    bool in_place = receive && (receive->flags & ZCB_COMMAND_LEASE) &&
                    inbox->message.kind == ZCB_KIND_BYTES && inbox->message.bytes > 0;
    *over = !in_place && !allocate(end, &why);
    if (*over)
        refuse(end, &why, lazy);
    return ZCB_OK;
}

/* Holds the message in place; one that streams, because the frame had no room, is copied. */
static zcb_error take_in_place(struct bridge_end *end, zcb_lease **lease, const zcb_wait *wait)
{
    const zcb_runtime *runtime = &end->agent->runtime;
    zcb_detail why;
    zcb_error error = zcb_receive_lease(end->channel, lease, wait);
    if (error != ZCB_ERR_TOO_LARGE ||
        end->inbox.message.bytes > zcb_channel_frame_bytes(end->channel))
        return error;
    runtime->reclaim(runtime->arg, false); /* the next one shall find some room */
    return allocate(end, &why) ? ZCB_OK : ZCB_ERR_NO_MEMORY;
}

static zcb_error read_on(struct bridge_end *end, zcb_lease **lease, const zcb_wait *wait)
{
    struct inbox *inbox = &end->inbox;
    zcb_error error = inbox->memory ? ZCB_OK : take_in_place(end, lease, wait);
    if (error || !inbox->memory)
        return error;
    return zcb_receive_read(end->channel, inbox->data + inbox->read,
                            (size_t)inbox->message.bytes - inbox->read, &inbox->read, wait);
}

static bool is_withdrawn(const struct bridge_end *end)
{
    const struct inbox *inbox = &end->inbox;
    zcbi_plat_mutex_lock(&end->agent->lock);
    bool withdrawn = inbox->receiving && inbox->receiving->withdrawn;
    zcbi_plat_mutex_unlock(&end->agent->lock);
    return withdrawn;
}

/* Under the lock: brings the message to where it belongs. Gives the receive that is to be ended, or
 * NULL; what is left of contents and *kept was not needed. */
static struct receive *deliver(struct bridge_end *end, zcb_error error, struct contents *contents,
                               struct kept **kept)
{
    struct inbox *inbox = &end->inbox;
    bool unclaimed = !inbox->receiving;
    struct receive *receive =
        unclaimed && !error ? inbox_take(find_taker(inbox)) : inbox->receiving;
    if (receive && !receive->withdrawn && !error) {
        receive->contents = *contents;
        *contents = (struct contents){0};
        zcbi_work_add_arrival(end->agent, receive, inbox->server != SERVER_PIPELINE);
        receive = NULL;
    } else if (receive && !receive->withdrawn && error == ZCB_ERR_ABORTED &&
               !inbox_has_ended(inbox)) {
        receive->next = inbox->posted; /* the program gave it up; still the first in the line */
        inbox->posted = receive;
        receive = NULL;
    } else if (!receive && unclaimed && !error && *kept) {
        (*kept)->contents = *contents;
        *contents = (struct contents){0};
        append_kept(inbox, *kept);
        *kept = NULL;
    }
    return receive;
}

static void conclude(struct bridge_end *end, zcb_error error, zcb_lease *lease, bool lazy)
{
    struct inbox *inbox = &end->inbox;
    zcb_agent *agent = end->agent;
    struct contents contents = {inbox->message.kind, inbox->message.bytes, inbox->memory, lease};
    bool unclaimed = !inbox->receiving && !error;
    struct kept *kept = unclaimed ? calloc(1, sizeof(*kept)) : NULL;
    bool lost = unclaimed && !kept;
    zcbi_plat_mutex_lock(&agent->lock);
    struct receive *receive = deliver(end, error, &contents, &kept);
    struct reason reason = inbox_has_ended(inbox) ? inbox->ended : zcbi_bridge_end_explain(error);
    lost = lost && contents.memory;
    pass(end);
    zcbi_plat_mutex_unlock(&agent->lock);
    zcbi_contents_free(agent, &contents);
    free(kept);
    if (receive) {
        zcbi_transfer_end(agent, (struct ending){.id = receive->id,
                                                 .stopped = receive->withdrawn,
                                                 .reason = zcbi_text(reason.text),
                                                 .lazy = lazy});
        zcbi_receive_free(agent, receive);
    }
    if (lost)
        give_bridge_up(end);
}

zcb_error zcbi_inbox_take_one(struct bridge_end *end, bool lazy, const zcb_wait *wait)
{
    struct inbox *inbox = &end->inbox;
    zcb_lease *lease = NULL;
    bool over = false;
    zcb_error error = inbox->stage == STAGE_NONE ? begin(end, wait) : ZCB_OK;
    if (!error && inbox->stage == STAGE_HEAD)
        error = prepare(end, lazy, &over);
    if (error || over)
        return error;
    error = is_withdrawn(end) ? ZCB_ERR_CANCELLED : read_on(end, &lease, wait);
    if (zcbi_is_passing(error) && !is_withdrawn(end))
        return error;
    if (error)
        drop(end);
    else
        (void)zcb_receive_end(end->channel);
    conclude(end, error, lease, lazy);
    return ZCB_OK;
}
