/*
 * The sending side of a bridge: messages leave in the order of their commands. The pipeline's
 * thread sends while it has nothing else to do; what is not gone when the next command comes goes
 * on in a thread of the outbox's own, so that no command waits for a reader.
 */
#include "agent.h"

#include <stdlib.h>
#include <string.h>

static const char stopped_text[] = "The transfer was stopped before its value was sent.";

/* ---------------------------------------------------------------- messages */

/* It takes a value's place in the line and is read there. Gives the value's owner, to be
 * released. */
static void *turn_into_error(struct send *send, const char *text)
{
    void *owner = send->owner;
    snprintf(send->text, sizeof(send->text), "%s", text);
    send->kind = ZCB_KIND_ERROR;
    send->data = send->text;
    send->bytes = strlen(send->text);
    send->owner = NULL;
    send->withdrawn = send->begun = false;
    send->written = 0;
    return owner;
}

struct send *zcbi_send_create(uint64_t id, zcb_kind kind, struct span data, void *owner)
{
    bool copied = kind == ZCB_KIND_ERROR;
    size_t more = copied && data.bytes > REASON_BYTES ? data.bytes - REASON_BYTES : 0;
    struct send *send = malloc(sizeof(*send) + more);
    if (!send)
        return NULL;
    *send = (struct send){.id = id,
                          .kind = kind,
                          .data = data.data,
                          .bytes = data.bytes,
                          .owner = owner,
                          .start_ns = zcbi_plat_now_ns()};
    if (copied) {
        char *text = (char *)send + offsetof(struct send, text);
        if (data.bytes > 0)
            memcpy(text, data.data, data.bytes);
        send->data = text;
    }
    return send;
}

static bool completes(const struct send *send)
{
    return send->kind != ZCB_KIND_ERROR;
}

/* Sends what has not left yet. After a passing error it can go on, on any thread. */
static zcb_error advance(zcb_channel *channel, struct send *send, const zcb_wait *wait)
{
    zcb_message message = {.kind = send->kind, .id = send->id, .bytes = send->bytes};
    size_t left = (size_t)send->bytes - send->written;
    /* Nobody else sends on this end, so that whether it was sent does not change while this
     * looks. */
    if (!send->begun && zcbi_tx_has_block(channel, send->data, (size_t)send->bytes))
        return zcb_send(channel, &message, send->data, wait);
    zcb_error error = send->begun ? ZCB_OK : zcb_send_begin(channel, &message, wait);
    if (error)
        return error;
    send->begun = true;
    if (left > 0)
        error = zcb_send_write(channel, (const char *)send->data + send->written, left,
                               &send->written, wait);
    if (!error) {
        (void)zcb_send_end(channel);
        send->begun = false;
    }
    return error;
}

/* Gives the sending turn back; the reader discards what has left. */
static void give_up(zcb_channel *channel, struct send *send)
{
    if (send->begun)
        zcb_send_drop(channel);
    send->begun = false;
}

/* ---------------------------------------------------------------- small things, under the lock */

static bool has_ended(const struct outbox *outbox)
{
    return outbox->ended.text[0] != 0;
}

static void wake_thread(const struct outbox *outbox)
{
    if (outbox->thread)
        zcb_cancel_set(outbox->thread->wake);
}

static struct send *take_first(struct outbox *outbox)
{
    struct send *first = outbox->waiting;
    if (first)
        outbox->waiting = first->next;
    return first;
}

static void put_first(struct outbox *outbox, struct send *send)
{
    send->next = outbox->waiting;
    outbox->waiting = send;
}

static void put_last(struct outbox *outbox, struct send *send)
{
    struct send **link = &outbox->waiting;
    while (*link)
        link = &(*link)->next;
    send->next = NULL;
    *link = send;
}

/* Somebody is at it from now on; NULL: nobody is at any. */
static void start(struct outbox *outbox, struct send *send)
{
    outbox->sending = send;
    outbox->busy = send != NULL;
}

/* ---------------------------------------------------------------- one message, by whoever sends */

/* It did not go, for this reason. */
static void fail(struct bridge_end *end, struct send *send, struct reason reason, bool lazy)
{
    if (completes(send))
        zcbi_transfer_end(end->agent, (struct ending){.id = send->id,
                                                      .reason = zcbi_text(reason.text),
                                                      .start_ns = send->start_ns,
                                                      .lazy = lazy});
    zcbi_runtime_release(end->agent, send->owner);
    send->owner = NULL;
}

/* The message's turn is over. Gives what its reader is to be told in its place, or NULL. */
static struct send *conclude(struct bridge_end *end, struct send *send, zcb_error error,
                             const struct reason *ended, bool lazy)
{
    zcb_agent *agent = end->agent;
    bool told = false;
    give_up(end->channel, send);
    if (!error && completes(send)) {
        zcbi_transfer_end(
            agent, (struct ending){.id = send->id, .start_ns = send->start_ns, .lazy = lazy});
    } else if (error && send->withdrawn && !ended->text[0]) {
        zcbi_runtime_release(agent, turn_into_error(send, stopped_text));
        zcbi_transfer_end(agent, (struct ending){.id = send->id, .stopped = true, .lazy = lazy});
        told = true;
    } else if (error) {
        struct reason reason = ended->text[0] ? *ended : zcbi_bridge_end_explain(error);
        bool value = completes(send), shortage = zcbi_error_is_shortage(error);
        fail(end, send, reason, lazy);
        told = shortage && value && !ended->text[0];
        if (told)
            (void)turn_into_error(send, reason.text);
        else if (shortage && !value)
            zcb_channel_close(
                end->channel); /* not even why can be told: its reader must not wait */
    }
    if (told)
        return send;
    zcbi_runtime_release(agent, send->owner);
    free(send);
    return NULL;
}

/* True when it goes on later; otherwise it can't be stopped any more. */
static bool goes_on(struct bridge_end *end, const struct send *send, zcb_error error,
                    struct reason *ended)
{
    struct outbox *outbox = &end->outbox;
    zcbi_plat_mutex_lock(&end->agent->lock);
    *ended = outbox->ended;
    bool later = zcbi_is_passing(error) && !send->withdrawn && !has_ended(outbox);
    if (!later)
        outbox->sending = NULL;
    zcbi_plat_mutex_unlock(&end->agent->lock);
    return later;
}

static bool is_withdrawn(const struct bridge_end *end)
{
    zcbi_plat_mutex_lock(&end->agent->lock);
    bool withdrawn = end->outbox.sending->withdrawn;
    zcbi_plat_mutex_unlock(&end->agent->lock);
    return withdrawn;
}

/* Sends what is being sent, and what becomes of it. After a passing error go on. */
static zcb_error send_on(struct bridge_end *end, bool lazy, const zcb_wait *wait)
{
    struct outbox *outbox = &end->outbox;
    struct reason ended;
    struct send *send = outbox->sending;
    while (send) {
        zcb_error error = is_withdrawn(end) ? ZCB_ERR_CANCELLED : advance(end->channel, send, wait);
        if (goes_on(end, send, error, &ended))
            return error;
        send = conclude(end, send, error, &ended, lazy);
        zcbi_plat_mutex_lock(&end->agent->lock);
        start(outbox, send);
        zcbi_plat_mutex_unlock(&end->agent->lock);
    }
    return ZCB_OK;
}

/* ---------------------------------------------------------------- the own thread */

static bool wait_for_message(struct transfer_thread *self)
{
    struct bridge_end *end = self->end;
    struct outbox *outbox = &end->outbox;
    for (;;) {
        zcbi_plat_mutex_lock(&end->agent->lock);
        bool over = has_ended(outbox);
        bool mine = !over && outbox->waiting && !outbox->busy;
        if (over)
            outbox->thread = NULL;
        if (mine)
            start(outbox, take_first(outbox));
        zcbi_plat_mutex_unlock(&end->agent->lock);
        if (mine || over)
            return mine;
        zcbi_transfer_thread_sleep(self);
    }
}

static void send_all(struct transfer_thread *self)
{
    zcb_wait until_woken = {.deadline_ns = ZCB_NEVER, .cancel = self->wake};
    while (wait_for_message(self))
        while (send_on(self->end, false, &until_woken) != ZCB_OK)
            zcb_cancel_reset(self->wake);
}

/* Under the lock: false where nobody can send what waits. */
static bool have_thread(struct bridge_end *end)
{
    struct outbox *outbox = &end->outbox;
    if (!outbox->thread)
        outbox->thread = zcbi_transfer_thread_start(end, send_all);
    wake_thread(outbox);
    return outbox->thread != NULL;
}

/* Rather the end of the bridge than a program that waits for ever. */
static void end_without_thread(struct bridge_end *end)
{
    zcb_channel_close(end->channel);
    zcbi_outbox_end(end, zcbi_bridge_end_refused());
}

/* ---------------------------------------------------------------- the pipeline's thread */

bool zcbi_outbox_post(struct bridge_end *end, struct send *send, bool *stopped)
{
    struct outbox *outbox = &end->outbox;
    zcb_agent *agent = end->agent;
    zcb_wait while_nothing_comes = {.watch = agent->commands};
    void *owner = NULL;
    zcbi_plat_mutex_lock(&agent->lock);
    *stopped = zcbi_work_leave(agent);
    if (*stopped)
        owner = turn_into_error(send, stopped_text);
    struct reason ended = outbox->ended;
    bool queued = !ended.text[0] && (outbox->busy || outbox->waiting);
    if (queued)
        put_last(outbox, send);
    else if (!ended.text[0])
        start(outbox, send);
    bool refused = queued && !have_thread(end);
    zcbi_plat_mutex_unlock(&agent->lock);
    zcbi_runtime_release(agent, owner);
    if (ended.text[0]) {
        fail(end, send, ended, true);
        free(send);
    } else if (refused) {
        end_without_thread(end);
    }
    return !ended.text[0] && !queued && send_on(end, true, &while_nothing_comes) != ZCB_OK;
}

enum served zcbi_outbox_serve(struct bridge_end *end, const zcb_wait *until_command)
{
    zcb_error error = send_on(end, true, until_command);
    if (error == ZCB_ERR_TIMEOUT) /* of who asked for work, and asks again */
        return SERVED_NOTHING;
    if (error)
        zcbi_outbox_hand_over(end);
    return SERVED_OVER;
}

void zcbi_outbox_hand_over(struct bridge_end *end)
{
    struct outbox *outbox = &end->outbox;
    zcb_agent *agent = end->agent;
    zcbi_plat_mutex_lock(&agent->lock);
    bool ended = has_ended(outbox);
    bool refused = false;
    if (!ended) {
        put_first(outbox, outbox->sending);
        start(outbox, NULL);
        refused = !have_thread(end);
    }
    zcbi_plat_mutex_unlock(&agent->lock);
    if (ended)
        (void)send_on(end, true, &(zcb_wait){0}); /* to its end: the channel is closed */
    else if (refused)
        end_without_thread(end);
}

/* ---------------------------------------------------------------- stopping, the end */

bool zcbi_outbox_withdraw(struct bridge_end *end, uint64_t id, bool *waited, void **owner)
{
    struct outbox *outbox = &end->outbox;
    struct send *send = outbox->sending;
    if (send && send->id == id && completes(send)) {
        send->withdrawn = true;
        zcb_cancel_set(end->agent->wake);
        wake_thread(outbox);
        return true;
    }
    send = outbox->waiting;
    while (send && !(send->id == id && completes(send)))
        send = send->next;
    if (!send)
        return false;
    *waited = !send->begun;
    if (send->begun)
        send->withdrawn = true; /* the thread is about to go on with it */
    else
        *owner = turn_into_error(send, stopped_text);
    return true;
}

void zcbi_outbox_end(struct bridge_end *end, struct reason reason)
{
    struct outbox *outbox = &end->outbox;
    zcb_agent *agent = end->agent;
    zcbi_plat_mutex_lock(&agent->lock);
    if (!has_ended(outbox))
        outbox->ended = reason;
    struct outbox failed = {.waiting = outbox->waiting};
    outbox->waiting = NULL;
    wake_thread(outbox);
    zcbi_plat_mutex_unlock(&agent->lock);
    struct send *send;
    while ((send = take_first(&failed)) != NULL) {
        give_up(end->channel, send);
        fail(end, send, reason, false);
        free(send);
    }
}
