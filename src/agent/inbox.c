/*
 * The receiving side of a bridge. Posted receives wait here, and one thread at a time takes their
 * messages in: the pipeline's while it has nothing else to do, which saves two thread switches;
 * otherwise a thread of the inbox's own, to which a message that is half received is handed over.
 * The program decides which message is for which receive and writes that into it.
 *
 *   NONE -> PIPELINE     a receive is posted
 *   NONE -> OWN_THREAD   something is posted, or under way, and the pipeline has handed it over
 *   back to NONE         the pipeline hands over or has nothing to do here; the own thread, between
 *                        two messages
 */
#include "inbox.h"

#include <stdlib.h>

static const zcb_wait at_once = {0};

/* ---------------------------------------------------------------- small things */

void zcbi_receive_free(zcb_agent *agent, struct receive *receive)
{
    zcbi_contents_free(agent, &receive->contents);
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

static void wake_thread(const struct inbox *inbox)
{
    if (inbox->thread)
        zcb_cancel_set(inbox->thread->wake);
}

/* A message that is under way is brought to its end also when the channel is closed. */
static bool can_go_on(struct inbox *inbox)
{
    struct receive **link;
    if (inbox->stage == STAGE_UNDER_WAY)
        return true;
    return !inbox_has_ended(inbox) && inbox->posted &&
           (inbox->stage == STAGE_NONE || zcbi_inbox_judge(inbox, &link) != VERDICT_WAIT);
}

static void leave_pipeline(struct inbox *inbox)
{
    inbox->server = SERVER_NONE;
    wake_thread(inbox);
}

/* ---------------------------------------------------------------- the own thread */

static bool wait_for_work(struct transfer_thread *self)
{
    struct bridge_end *end = self->end;
    struct inbox *inbox = &end->inbox;
    for (;;) {
        zcbi_plat_mutex_lock(&end->agent->lock);
        bool mine = inbox->server != SERVER_PIPELINE && can_go_on(inbox);
        bool over = !mine && inbox_has_ended(inbox);
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
        if (zcbi_inbox_take_one(end, false, &until_woken) == ZCB_ERR_CANCELLED)
            zcb_cancel_reset(self->wake);
        zcbi_plat_mutex_lock(&end->agent->lock);
        if (inbox->stage != STAGE_UNDER_WAY) /* otherwise it stays with this thread */
            inbox->server = SERVER_NONE;
        zcbi_inbox_settle(end);
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
    bool refused = ending.stopped || inbox_has_ended(inbox);
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

/* Of a message that is there completely the rest is soon copied, and a command would wait for
 * it. */
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
    zcb_error error = zcbi_inbox_take_one(end, true, until_command);
    if (!error)
        return SERVED_ONE;
    if (end->inbox.stage != STAGE_UNDER_WAY)
        return stay_or_leave(end) ? SERVED_NOTHING : SERVED_OVER;
    if (error == ZCB_ERR_TIMEOUT) /* of who asked for work, and asks again */
        return SERVED_NOTHING;
    if (is_there(end) && zcbi_inbox_take_one(end, true, &at_once) == ZCB_OK)
        return SERVED_ONE;
    zcbi_inbox_hand_over(end);
    return SERVED_OVER;
}

/* Nobody can go on with what is posted: rather the end of the bridge than a program that waits for
 * ever. */
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
    bool ended = inbox_has_ended(inbox);
    bool refused = mine && !ended && (under_way || inbox->posted) && !have_thread(end);
    if (mine && !refused && !(under_way && ended))
        leave_pipeline(inbox);
    zcbi_plat_mutex_unlock(&agent->lock);
    if (!mine || (!refused && !(under_way && ended)))
        return;
    if (refused)
        end_without_thread(end);
    if (under_way)
        (void)zcbi_inbox_take_one(end, true, &at_once); /* to its end: the channel is closed */
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
    bool done = inbox_has_ended(inbox) || !can_go_on(inbox) || inbox->settled >= sent;
    agent->catching_up = !done;
    /* The rest of a dropped message goes by while the next one is waited for, where nobody notes
     * it: end that wait. */
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
    while (is_to_take(end, sent) && zcbi_inbox_take_one(end, true, &at_once) == ZCB_OK)
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
    *receive = inbox_take(inbox_find(inbox, id));
    zcbi_work_tell(end->agent);
    return *receive != NULL;
}

void zcbi_inbox_end(struct bridge_end *end, struct reason reason)
{
    struct inbox *inbox = &end->inbox;
    zcb_agent *agent = end->agent;
    zcbi_plat_mutex_lock(&agent->lock);
    if (!inbox_has_ended(inbox))
        inbox->ended = reason;
    struct receive *failed = inbox->posted;
    inbox->posted = NULL;
    wake_thread(inbox);
    zcbi_work_tell(agent);
    zcbi_plat_mutex_unlock(&agent->lock);
    while (failed)
        fail_posted(agent, inbox_take(&failed), zcbi_text(reason.text));
}

void zcbi_inbox_destroy(struct bridge_end *end)
{
    while (end->inbox.kept) {
        struct kept *kept = end->inbox.kept;
        end->inbox.kept = kept->next;
        zcbi_contents_free(end->agent, &kept->contents);
        free(kept);
    }
}
