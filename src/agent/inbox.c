/*
 * The receiving side of a bridge. Posted receives wait here, and one thread at a time takes their messages in: the
 * pipeline's while it has nothing else to do, which saves two thread switches; otherwise a thread of the inbox's own, to
 * which a message that is half received is handed over. The program decides which message is for which receive and
 * writes that into it.
 *
 *   NONE -> PIPELINE     a receive is posted
 *   NONE -> OWN_THREAD   something is posted, or under way, and the pipeline has handed it over
 *   back to NONE         the pipeline hands over or has nothing to do here; the own thread, between two messages
 */
#include "agent.h"

#include <stdlib.h>

static const zcb_wait at_once = {0};

/* ---------------------------------------------------------------- small things */

static void free_contents(zcb_agent *agent, struct contents *contents)
{
    zcbi_runtime_release(agent, contents->memory);
    zcb_lease_free(contents->lease);
    *contents = (struct contents){0};
}

void zcbi_receive_free(zcb_agent *agent, struct receive *receive)
{
    free_contents(agent, &receive->contents);
    zcbi_runtime_release(agent, receive->target);
    free(receive);
}

/* A receive that took no message. */
static void fail_posted(zcb_agent *agent, struct receive *receive, struct span reason)
{
    zcbi_transfer_end(agent, (struct ending){.id = receive->id, .refused = true, .reason = reason});
    zcbi_receive_free(agent, receive);
}

/* All that follow are under the lock. */

static bool has_ended(const struct inbox *inbox)
{
    return inbox->ended.text[0] != 0;
}

static struct receive **find_id(struct inbox *inbox, uint64_t id)
{
    struct receive **link = &inbox->posted;
    while (*link && (*link)->id != id)
        link = &(*link)->next;
    return link;
}

static struct receive **find_taker(struct inbox *inbox)
{
    struct receive **link = &inbox->posted;
    while (*link && !((*link)->flags & ZCB_COMMAND_TAKE_QUEUED))
        link = &(*link)->next;
    return link;
}

static struct receive *take(struct receive **link)
{
    struct receive *receive = *link;
    if (receive)
        *link = receive->next;
    return receive;
}

static void wake_thread(const struct inbox *inbox)
{
    if (inbox->thread)
        zcb_cancel_set(inbox->thread->wake);
}

/* What is to be done with the message at the head of the stream. */
enum verdict { VERDICT_WAIT, VERDICT_DELIVER, VERDICT_KEEP, VERDICT_DISCARD };

static enum verdict judge(struct inbox *inbox, struct receive ***link)
{
    uint64_t id = inbox->message.id;
    *link = id ? find_id(inbox, id) : find_taker(inbox);
    if (**link)
        return VERDICT_DELIVER;
    if (id == 0) /* of a receive still to come; those that are posted must not wait behind it */
        return inbox->posted ? VERDICT_KEEP : VERDICT_WAIT;
    return id <= inbox->last_id ? VERDICT_DISCARD : VERDICT_WAIT;
}

/* A message that is under way is brought to its end also when the channel is closed. */
static bool can_go_on(struct inbox *inbox)
{
    struct receive **link;
    if (inbox->stage == STAGE_UNDER_WAY)
        return true;
    return !has_ended(inbox) && inbox->posted &&
           (inbox->stage == STAGE_NONE || judge(inbox, &link) != VERDICT_WAIT);
}

static void settle(struct bridge_end *end)
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
    settle(end);
}

static void leave_pipeline(struct inbox *inbox)
{
    inbox->server = SERVER_NONE;
    wake_thread(inbox);
}

/* ---------------------------------------------------------------- one message, by whoever serves */

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
        settle(end);
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
    enum verdict verdict = judge(inbox, &link);
    if (verdict == VERDICT_DELIVER)
        inbox->receiving = take(link);
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

/* There is no memory for the message: it is dropped, and its receive, perhaps one still to come, fails. */
static void refuse(struct bridge_end *end, const zcb_detail *why, bool lazy)
{
    struct inbox *inbox = &end->inbox;
    drop(end);
    struct kept *kept = inbox->receiving ? NULL : calloc(1, sizeof(*kept));
    zcbi_plat_mutex_lock(&end->agent->lock);
    struct receive *receive = inbox->receiving ? inbox->receiving : take(find_taker(inbox));
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

/* Makes room for the message; ZCB_ERR_TIMEOUT: it waits for its receive. *over: it was done with here. */
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

/* Under the lock: brings the message to where it belongs. Gives the receive that is to be ended, or NULL; what is
 * left of contents and *kept was not needed. */
static struct receive *deliver(struct bridge_end *end, zcb_error error, struct contents *contents,
                               struct kept **kept)
{
    struct inbox *inbox = &end->inbox;
    bool unclaimed = !inbox->receiving;
    struct receive *receive = unclaimed && !error ? take(find_taker(inbox)) : inbox->receiving;
    if (receive && !receive->withdrawn && !error) {
        receive->contents = *contents;
        *contents = (struct contents){0};
        zcbi_work_add_arrival(end->agent, receive, inbox->server != SERVER_PIPELINE);
        receive = NULL;
    } else if (receive && !receive->withdrawn && error == ZCB_ERR_ABORTED && !has_ended(inbox)) {
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
    struct reason reason = has_ended(inbox) ? inbox->ended : zcbi_bridge_end_explain(error);
    lost = lost && contents.memory;
    pass(end);
    zcbi_plat_mutex_unlock(&agent->lock);
    free_contents(agent, &contents);
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

/* Deals with the message at the head of the stream, if there is one that can be dealt with. After a passing error go on,
 * on any thread; after others the inbox has ended. */
static zcb_error take_one(struct bridge_end *end, bool lazy, const zcb_wait *wait)
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

/* ---------------------------------------------------------------- the own thread */

static bool wait_for_work(struct transfer_thread *self)
{
    struct bridge_end *end = self->end;
    struct inbox *inbox = &end->inbox;
    for (;;) {
        zcbi_plat_mutex_lock(&end->agent->lock);
        bool mine = inbox->server != SERVER_PIPELINE && can_go_on(inbox);
        bool over = !mine && has_ended(inbox);
        if (mine)
            inbox->server = SERVER_OWN_THREAD;
        if (over)
            inbox->thread = NULL;
        zcbi_plat_mutex_unlock(&end->agent->lock);
        if (mine || over)
            return mine;
        zcbi_transfer_thread_sleep(self);
    }
}

static void take_all(struct transfer_thread *self)
{
    struct bridge_end *end = self->end;
    struct inbox *inbox = &end->inbox;
    zcb_wait until_woken = {.deadline_ns = ZCB_NEVER, .cancel = self->wake};
    while (wait_for_work(self)) {
        if (take_one(end, false, &until_woken) == ZCB_ERR_CANCELLED)
            zcb_cancel_reset(self->wake);
        zcbi_plat_mutex_lock(&end->agent->lock);
        if (inbox->stage != STAGE_UNDER_WAY) /* otherwise it stays with this thread */
            inbox->server = SERVER_NONE;
        settle(end);
        zcbi_plat_mutex_unlock(&end->agent->lock);
    }
}

/* Under the lock. */
static bool have_thread(struct bridge_end *end)
{
    if (!end->inbox.thread)
        end->inbox.thread = zcbi_transfer_thread_start(end, take_all);
    return end->inbox.thread != NULL;
}

/* ---------------------------------------------------------------- posting */

void zcbi_inbox_skip(struct bridge_end *end, uint64_t id)
{
    end->inbox.last_id = id;
    wake_thread(&end->inbox);
}

/* Under the lock: true when the pipeline is to serve the inbox. */
static bool enter(struct inbox *inbox, struct receive *receive)
{
    struct receive **link = &inbox->posted;
    while (*link)
        link = &(*link)->next;
    *link = receive;
    if (inbox->server == SERVER_NONE)
        inbox->server = SERVER_PIPELINE;
    return inbox->server == SERVER_PIPELINE;
}

bool zcbi_inbox_post(struct bridge_end *end, struct receive *receive)
{
    struct inbox *inbox = &end->inbox;
    zcb_agent *agent = end->agent;
    struct ending ending = {.id = receive->id, .refused = true, .lazy = true};
    struct kept *kept = NULL;
    bool serve = false;
    zcbi_plat_mutex_lock(&agent->lock);
    ending.stopped = zcbi_work_leave(agent);
    struct reason ended = inbox->ended;
    bool refused = ending.stopped || has_ended(inbox);
    zcbi_inbox_skip(end, receive->id);
    if (!refused && (receive->flags & ZCB_COMMAND_TAKE_QUEUED) && inbox->kept) {
        kept = inbox->kept;
        inbox->kept = kept->next;
        receive->contents = kept->contents;
    }
    if (!refused && !kept)
        serve = enter(inbox, receive);
    else if (kept && !kept->refusal.text[0])
        zcbi_work_add_arrival(agent, receive, false);
    zcbi_plat_mutex_unlock(&agent->lock);
    if (kept) {
        refused = kept->refusal.text[0] != 0;
        ending.refused = false; /* its message has come, and is gone */
        ending.reason = zcbi_text(kept->refusal.text);
    } else {
        ending.reason = zcbi_text(ended.text);
    }
    if (refused) {
        zcbi_transfer_end(agent, ending);
        zcbi_receive_free(agent, receive);
    }
    free(kept);
    return serve;
}

/* ---------------------------------------------------------------- the pipeline's thread */

/* True when the pipeline is still to serve it. */
static bool stay_or_leave(struct bridge_end *end)
{
    struct inbox *inbox = &end->inbox;
    zcbi_plat_mutex_lock(&end->agent->lock);
    bool mine = inbox->server == SERVER_PIPELINE;
    bool stays = mine && can_go_on(inbox);
    if (mine && !stays)
        leave_pipeline(inbox);
    zcbi_plat_mutex_unlock(&end->agent->lock);
    return stays;
}

/* The rest of a message that is there completely is copied soon, and a command would wait for it. */
static bool is_there(const struct bridge_end *end)
{
    uint64_t sent, received;
    zcb_channel_counts(end->channel, &sent, &received);
    return sent > received;
}

enum served zcbi_inbox_serve(struct bridge_end *end, const zcb_wait *until_command)
{
    if (!stay_or_leave(end))
        return SERVED_OVER;
    zcb_error error = take_one(end, true, until_command);
    if (!error)
        return SERVED_ONE;
    if (end->inbox.stage != STAGE_UNDER_WAY)
        return stay_or_leave(end) ? SERVED_NOTHING : SERVED_OVER;
    if (error == ZCB_ERR_TIMEOUT) /* of who asked for work, and asks again */
        return SERVED_NOTHING;
    if (is_there(end) && take_one(end, true, &at_once) == ZCB_OK)
        return SERVED_ONE;
    zcbi_inbox_hand_over(end);
    return SERVED_OVER;
}

/* Nobody can go on with what is posted: rather the end of the bridge than a program that waits for ever. */
static void end_without_thread(struct bridge_end *end)
{
    zcb_channel_close(end->channel);
    zcbi_inbox_end(end, zcbi_bridge_end_refused());
}

void zcbi_inbox_hand_over(struct bridge_end *end)
{
    struct inbox *inbox = &end->inbox;
    zcb_agent *agent = end->agent;
    zcbi_plat_mutex_lock(&agent->lock);
    bool mine = inbox->server == SERVER_PIPELINE;
    bool under_way = inbox->stage == STAGE_UNDER_WAY;
    bool ended = has_ended(inbox);
    bool refused = mine && !ended && (under_way || inbox->posted) && !have_thread(end);
    if (mine && !refused && !(under_way && ended))
        leave_pipeline(inbox);
    zcbi_plat_mutex_unlock(&agent->lock);
    if (!mine || (!refused && !(under_way && ended)))
        return;
    if (refused)
        end_without_thread(end);
    if (under_way)
        (void)take_one(end, true, &at_once); /* to its end: the channel is closed */
    zcbi_plat_mutex_lock(&agent->lock);
    leave_pipeline(inbox);
    zcbi_plat_mutex_unlock(&agent->lock);
}

/* ---------------------------------------------------------------- catching up */

bool zcbi_inbox_is_behind(struct bridge_end *end, uint64_t *sent)
{
    const struct inbox *inbox = &end->inbox;
    uint64_t received;
    if (!inbox->posted && inbox->stage != STAGE_UNDER_WAY)
        return false;
    zcb_channel_counts(end->channel, sent, &received);
    return inbox->settled < *sent;
}

/* The own thread: true when it is no longer behind. */
static bool ask_thread(struct bridge_end *end, uint64_t sent)
{
    struct inbox *inbox = &end->inbox;
    zcb_agent *agent = end->agent;
    zcbi_plat_mutex_lock(&agent->lock);
    bool done = has_ended(inbox) || !can_go_on(inbox) || inbox->settled >= sent;
    agent->catching_up = !done;
    /* The rest of a dropped message goes by while the next one is waited for, where nobody notes it: end that wait. */
    if (!done && inbox->dropped)
        wake_thread(inbox);
    zcbi_plat_mutex_unlock(&agent->lock);
    return done;
}

static zcb_error await_thread(struct bridge_end *end, uint64_t sent, const zcb_wait *wait)
{
    static const plat_handle none = PLAT_NO_HANDLE;
    unsigned which;
    while (!ask_thread(end, sent)) {
        zcb_error error = zcbi_wait_handles(&none, 1, wait, &which);
        if (error == ZCB_ERR_CANCELLED)
            zcb_cancel_reset(wait->cancel);
        else if (error)
            return error;
    }
    return ZCB_OK;
}

/* On the pipeline's thread: true when there is more to be taken in. */
static bool is_to_take(struct bridge_end *end, uint64_t sent)
{
    zcbi_plat_mutex_lock(&end->agent->lock);
    bool more = end->inbox.settled < sent && can_go_on(&end->inbox);
    zcbi_plat_mutex_unlock(&end->agent->lock);
    return more;
}

zcb_error zcbi_inbox_catch_up(struct bridge_end *end, uint64_t sent, const zcb_wait *wait)
{
    zcbi_plat_mutex_lock(&end->agent->lock);
    bool mine = end->inbox.server == SERVER_PIPELINE;
    zcbi_plat_mutex_unlock(&end->agent->lock);
    if (!mine)
        return await_thread(end, sent, wait);
    while (is_to_take(end, sent) && take_one(end, true, &at_once) == ZCB_OK)
        continue;
    return ZCB_OK;
}

/* ---------------------------------------------------------------- stopping, the end */

bool zcbi_inbox_withdraw(struct bridge_end *end, uint64_t id, struct receive **receive)
{
    struct inbox *inbox = &end->inbox;
    if (inbox->receiving && inbox->receiving->id == id) {
        inbox->receiving->withdrawn = true;
        if (inbox->server == SERVER_PIPELINE)
            zcb_cancel_set(end->agent->wake);
        else
            wake_thread(inbox);
        return true;
    }
    *receive = take(find_id(inbox, id));
    zcbi_work_tell(end->agent);
    return *receive != NULL;
}

void zcbi_inbox_end(struct bridge_end *end, struct reason reason)
{
    struct inbox *inbox = &end->inbox;
    zcb_agent *agent = end->agent;
    zcbi_plat_mutex_lock(&agent->lock);
    if (!has_ended(inbox))
        inbox->ended = reason;
    struct receive *failed = inbox->posted;
    inbox->posted = NULL;
    wake_thread(inbox);
    zcbi_work_tell(agent);
    zcbi_plat_mutex_unlock(&agent->lock);
    while (failed)
        fail_posted(agent, take(&failed), zcbi_text(reason.text));
}

void zcbi_inbox_destroy(struct bridge_end *end)
{
    while (end->inbox.kept) {
        struct kept *kept = end->inbox.kept;
        end->inbox.kept = kept->next;
        free_contents(end->agent, &kept->contents);
        free(kept);
    }
}
