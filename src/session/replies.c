/*
 * Reading what the engine answers. One thread reads at a time, and it is one of those who wait: it enters
 * every reply into the books and tells whose it is. When its own wait is over it hands the reading to
 * another one.
 *
 * The threads in zcb_session_next stand by: they sleep on a bell of their own, and are armed, so that it is
 * rung, only while commands with ZCB_COMMAND_NOTIFY are pending and nobody reads. So a thread that submits
 * a command and then waits itself wakes nobody: it disarms them and reads.
 */
#include <stdlib.h>
#include <string.h>

#include "session.h"

#define READ_ON_NS                                                                                 \
    20000000 /* how long replies that are there already may be read beyond a deadline */

/* ---------------------------------------------------------------- one reply */

/* The texts behind the fixed part are as long as it says and each ends in NUL. */
static bool reply_makes_sense(const struct reply *reply, uint64_t payload_bytes)
{
    uint64_t left = payload_bytes - sizeof(struct reply_wire);
    const char *text = reply->texts;
    for (int i = 0; i < ZCB_FIELDS; i++) {
        uint64_t bytes = reply->wire.field_bytes[i];
        if (bytes >= left || text[bytes] != 0)
            return false;
        text += bytes + 1;
        left -= bytes + 1;
    }
    return left == 0;
}

static void fill_result(struct reply *reply, uint64_t id, uint32_t op)
{
    const struct reply_wire *wire = &reply->wire;
    reply->result = (zcb_result){
        .id = id,
        .op = op,
        .status = wire->status,
        .success = wire->success != 0,
        .refused = wire->refused != 0,
        .exit_code = wire->exit_code,
        .execution_ns = wire->execution_ns,
    };
    const char *text = reply->texts;
    for (int i = 0; i < ZCB_FIELDS; i++) {
        reply->result.field[i] = (zcb_text){text, (size_t)wire->field_bytes[i]};
        text += wire->field_bytes[i] + 1;
    }
}

static void enter_output(struct pending *pending, struct reply *reply)
{
    if (reply)
        zcbi_pending_collect(pending, reply);
    else
        pending->starved = true;
    free(reply);
}

/* Under the lock. Replies to commands that are done already (timed out here, say) are dropped. reply is NULL
 * when there was no memory for it. */
static void enter_reply(zcb_session *session, const zcb_message *message, struct reply *reply)
{
    struct pending *pending = zcbi_pending_find(session, message->id);
    if (!pending || pending->done) {
        free(reply);
        return;
    }
    if (reply)
        fill_result(reply, message->id, pending->op);
    if (message->flags == REPLY_OUTPUT) {
        enter_output(pending, reply);
        return;
    }
    if (reply && zcbi_pending_join(pending, reply)) {
        zcb_result_free(&reply->result);
        reply = NULL;
    }
    if (!reply)
        reply = zcbi_pending_spare(pending, ZCB_STATUS_DONE);
    int32_t exit_code = reply->result.exit_code;
    bool exited = reply->result.status == ZCB_STATUS_EXITED;
    zcbi_pending_finish(session, pending, reply);
    if (pending->abandoned) {
        (void)zcbi_pending_take(session, pending);
        zcb_result_free(&reply->result);
    }
    if (exited)
        zcbi_session_end(session, "the command `exit` ended it with exit code %d", exit_code);
}

/* Takes the next message; without memory for it, it is dropped and there is no incoming->reply. */
static zcb_error begin_incoming(zcb_session *session)
{
    static const zcb_wait at_once = {0};
    struct incoming *incoming = &session->incoming;
    zcb_error error =
        zcb_receive_begin(session->commands, ZCB_WISH_COPY, &incoming->message, &at_once);
    if (error)
        return error;
    uint64_t bytes = incoming->message.bytes;
    bool sensible = incoming->message.kind == ZCB_KIND_CONTROL &&
                    bytes >= sizeof(struct reply_wire) && bytes < SIZE_MAX / 2;
    if (!sensible) {
        error = zcbi_channel_fail(session->commands);
        zcb_receive_drop(session->commands);
        return error;
    }
    incoming->got = 0;
    incoming->reply = calloc(1, sizeof(struct reply) + (size_t)bytes);
    incoming->active = incoming->reply != NULL;
    if (!incoming->active)
        zcb_receive_drop(session->commands);
    return ZCB_OK;
}

static zcb_error finish_incoming(zcb_session *session)
{
    struct incoming *incoming = &session->incoming;
    (void)zcb_receive_end(session->commands);
    incoming->active = false;
    if (reply_makes_sense(incoming->reply, incoming->message.bytes))
        return ZCB_OK;
    free(incoming->reply);
    return zcbi_channel_fail(session->commands);
}

/* The engine gave it up. */
static void drop_incoming(zcb_session *session)
{
    zcb_receive_drop(session->commands);
    free(session->incoming.reply);
    session->incoming.active = false;
}

/* Reads a reply as far as it goes; an interrupted one goes on with the next call. */
static zcb_error read_incoming(zcb_session *session, const zcb_wait *wait, bool *whole)
{
    struct incoming *incoming = &session->incoming;
    zcb_error error = incoming->active ? ZCB_OK : begin_incoming(session);
    if (error)
        return error == ZCB_ERR_TIMEOUT ? ZCB_OK
                                        : error; /* what there was belonged to a dropped one */
    if (incoming->active) {
        error =
            zcbi_rx_read(session->commands, (unsigned char *)&incoming->reply->wire + incoming->got,
                         (size_t)incoming->message.bytes - incoming->got, &incoming->got, wait);
        if (error == ZCB_ERR_ABORTED) {
            drop_incoming(session);
            return ZCB_OK;
        }
        if (!error)
            error = finish_incoming(session);
    }
    *whole = !error;
    return error;
}

/* ---------------------------------------------------------------- reading */

void zcbi_limit_init(struct limit *limit, const zcb_wait *wait)
{
    int64_t soon = zcbi_plat_now_ns() + READ_ON_NS;
    zcbi_pace_init(&limit->pace, wait);
    limit->end_ns = wait_deadline(wait) > soon ? wait_deadline(wait) : soon;
}

zcb_error zcbi_limit_check(struct limit *limit)
{
    if (limit->end_ns != ZCB_NEVER && zcbi_plat_now_ns() >= limit->end_ns)
        return ZCB_ERR_TIMEOUT;
    return zcbi_pace_check(&limit->pace);
}

static bool has_data(zcb_session *session)
{
    struct source data = zcbi_rx_data_source(session->commands);
    return session->incoming.active || data.ready(data.arg);
}

/* Without the lock: waits for data, for `also`, or to be told that a deadline has changed. */
static zcb_error wait_for_reply(zcb_session *session, const struct source *also,
                                const zcb_wait *wait)
{
    struct source others[2] = {zcbi_waiter_source(&session->reader)};
    if (also)
        others[1] = *also;
    return zcbi_rx_wait(session->commands, others, also ? 2 : 1, wait);
}

static zcb_error read_without_lock(zcb_session *session, const struct source *also,
                                   struct limit *limit, const zcb_wait *wait, bool *whole)
{
    zcb_error error = ZCB_OK;
    if (!has_data(session))
        error = wait_for_reply(session, also, wait);
    if (error || !has_data(session))
        return error;
    error = read_incoming(session, wait, whole);
    return error || !limit ? error : zcbi_limit_check(limit);
}

/* Deadlines are acted on when the replies that are there have been read, so that a command whose turn has come
 * is not taken for a queued one; replies without end do not put them off. */
static bool time_to_expire(zcb_session *session)
{
    int64_t late_ns = zcbi_plat_now_ns() - session->next_deadline;
    return late_ns >= READ_ON_NS || (late_ns >= 0 && !has_data(session));
}

static void disarm(zcb_session *session)
{
    if (session->armed)
        zcbi_rx_disarm_standby(session->commands);
    session->armed = false;
}

zcb_error zcbi_session_read(zcb_session *session, const struct source *also, struct limit *limit,
                            const zcb_wait *wait)
{
    if (session->ended)
        return ZCB_OK;
    int64_t own_deadline = wait_deadline(wait);
    zcb_wait limits = wait ? *wait : (zcb_wait){0};
    bool expires = session->next_deadline < own_deadline;
    limits.deadline_ns = expires ? session->next_deadline : own_deadline;
    if (own_deadline <= 0)
        limits.deadline_ns = 0;
    bool whole = false;
    session->reading = true;
    disarm(session);
    atomic_store(&session->reader.told, 0);
    zcbi_plat_mutex_unlock(&session->lock);
    zcb_error error = read_without_lock(session, also, limit, &limits, &whole);
    zcbi_plat_mutex_lock(&session->lock);
    session->reading = false;
    if (whole)
        enter_reply(session, &session->incoming.message, session->incoming.reply);
    if (time_to_expire(session))
        zcbi_pending_expire(session);
    if (error == ZCB_ERR_TIMEOUT && expires)
        error = ZCB_OK;
    if (error == ZCB_ERR_PEER_GONE || error == ZCB_ERR_PEER_CLOSED || error == ZCB_ERR_PROTOCOL ||
        error == ZCB_ERR_CLOSED) {
        zcbi_session_lose(session, error);
        error = ZCB_OK;
    }
    return error;
}

/* ---------------------------------------------------------------- waiting for who reads */

static void remove_follower(zcb_session *session, const struct follower *follower)
{
    struct follower **link = &session->followers;
    while (*link != follower)
        link = &(*link)->next;
    *link = follower->next;
}

zcb_error zcbi_session_follow(zcb_session *session, struct pending *pending,
                              const struct source *also, const zcb_wait *wait)
{
    struct follower self = {.next = session->followers};
    zcb_error error = zcbi_waiter_init(&self.waiter);
    if (error)
        return error;
    session->followers = &self;
    if (pending)
        pending->waiter = &self.waiter;
    zcbi_session_hand_over(session);
    struct source sources[2] = {zcbi_waiter_source(&self.waiter)};
    if (also)
        sources[1] = *also;
    zcbi_plat_mutex_unlock(&session->lock);
    error = zcbi_wait_any(sources, also ? 2 : 1, PLAT_NO_HANDLE, &self.waiter.spin, wait);
    zcbi_plat_mutex_lock(&session->lock);
    remove_follower(session, &self);
    if (pending)
        pending->waiter = NULL;
    zcbi_waiter_destroy(&self.waiter);
    return error;
}

/* From now on the bell is rung for those who stand by, unless one of them has to do something at once. */
static void arm(zcb_session *session, struct follower *standby)
{
    if (!session->armed) {
        session->armed = true;
        zcbi_rx_arm_standby(session->commands);
        if (has_data(session))
            zcbi_waiter_tell(&standby->waiter);
    }
    if (session->next_deadline < standby->until_ns)
        zcbi_waiter_tell(&standby->waiter);
}

void zcbi_session_hand_over(zcb_session *session)
{
    if (session->reading || session->ended)
        return;
    struct follower *next = NULL;
    for (struct follower *f = session->followers; f; f = f->next) {
        if (atomic_load(&f->waiter.told))
            return; /* one is on its way */
        if (!next || next->stands_by)
            next = f;
    }
    if (next && !next->stands_by)
        zcbi_waiter_tell(&next->waiter);
    else if (next && session->notify_count > 0)
        arm(session, next);
    else if (next && session->next_deadline < next->until_ns)
        zcbi_waiter_tell(&next->waiter);
}

void zcbi_session_tell_standby(zcb_session *session)
{
    for (struct follower *f = session->followers; f; f = f->next)
        if (f->stands_by)
            zcbi_waiter_tell(&f->waiter);
}

enum { CALLED, RUNG, ENGINE_ENDED };

/* Without the lock: sleeps until it is called, the bell is rung, the engine ends or a deadline passes. */
static zcb_error sleep_standing_by(zcb_session *session, struct follower *self,
                                   const zcb_wait *wait, unsigned *which)
{
    const plat_handle handles[] = {
        [CALLED] = self->waiter.event,
        [RUNG] = zcbi_rx_standby_bell(session->commands),
        [ENGINE_ENDED] = session->process,
    };
    zcb_wait limits = wait ? *wait : (zcb_wait){0};
    limits.deadline_ns = self->until_ns;
    zcb_error error = ZCB_OK;
    atomic_store(&self->waiter.asleep, 1); /* partner: zcbi_waiter_tell */
    if (!atomic_load(&self->waiter.told))
        error = zcbi_wait_handles(handles, 3, &limits, which);
    atomic_store(&self->waiter.asleep, 0);
    if (!error && *which == RUNG)
        zcbi_plat_event_clear(handles[RUNG]);
    return error;
}

/* Under the lock, which is given up meanwhile: waits until there is something to read or nobody else to do
 * it, and acts on deadlines. */
static zcb_error stand_by(zcb_session *session, const zcb_wait *wait)
{
    int64_t deadline = wait_deadline(wait);
    struct follower self = {.stands_by = true, .next = session->followers};
    self.until_ns = session->next_deadline < deadline ? session->next_deadline : deadline;
    zcb_error error = zcbi_waiter_init(&self.waiter);
    if (error)
        return error;
    session->followers = &self;
    zcbi_session_hand_over(session);
    zcbi_plat_mutex_unlock(&session->lock);
    unsigned which = CALLED;
    error = sleep_standing_by(session, &self, wait, &which);
    zcbi_plat_mutex_lock(&session->lock);
    remove_follower(session, &self);
    zcbi_waiter_destroy(&self.waiter);
    disarm(session);
    if (!session->reading && which == ENGINE_ENDED)
        zcbi_session_lose_ended(session);
    else if (!session->reading && time_to_expire(session))
        zcbi_pending_expire(session);
    return error == ZCB_ERR_TIMEOUT && zcbi_plat_now_ns() < deadline ? ZCB_OK : error;
}

void zcbi_session_tell_all(zcb_session *session)
{
    for (struct follower *f = session->followers; f; f = f->next)
        zcbi_waiter_tell(&f->waiter);
    zcbi_waiter_tell(&session->reader);
}

/* ---------------------------------------------------------------- the public waits */

void zcbi_session_remove_done(zcb_session *session, const struct pending *pending)
{
    struct pending **link = &session->first_done, *before = NULL;
    while (*link && *link != pending) {
        before = *link;
        link = &(*link)->next_done;
    }
    if (!*link)
        return;
    *link = pending->next_done;
    if (session->last_done == pending)
        session->last_done = before;
}

static zcb_error await(zcb_session *session, struct pending *pending, const zcb_wait *wait)
{
    struct limit limit;
    zcbi_limit_init(&limit, wait);
    zcb_error error = ZCB_OK;
    while (!pending->done && !error) {
        if (session->reading)
            error = zcbi_session_follow(session, pending, NULL, wait);
        else
            error = zcbi_session_read(session, NULL, &limit, wait);
    }
    return pending->done && error != ZCB_ERR_INTERRUPTED ? ZCB_OK : error;
}

/* Nobody waits for it any more: its result goes where it would have gone. */
static void stop_awaiting(zcb_session *session, struct pending *pending)
{
    pending->awaited = false;
    if (pending->done && (pending->flags & ZCB_COMMAND_NOTIFY))
        zcbi_pending_put_in_row(session, pending);
}

zcb_error zcb_session_wait(zcb_session *session, uint64_t id, zcb_result **result,
                           const zcb_wait *wait)
{
    if (!session || !result)
        return ZCB_ERR_INVALID;
    zcb_error error = zcbi_session_owned(session);
    if (error)
        return error;
    zcbi_plat_mutex_lock(&session->lock);
    struct pending *pending = zcbi_pending_find(session, id);
    if (!pending || pending->awaited || pending->abandoned) {
        error = ZCB_ERR_NOT_FOUND;
    } else {
        pending->awaited = true;
        if (pending->done)
            zcbi_session_remove_done(session, pending);
        error = await(session, pending, wait);
        if (error)
            stop_awaiting(session, pending);
        else
            *result = &zcbi_pending_take(session, pending)->result;
        zcbi_session_hand_over(session);
    }
    zcbi_plat_mutex_unlock(&session->lock);
    return error;
}

zcb_error zcb_session_next(zcb_session *session, zcb_result **result, const zcb_wait *wait)
{
    if (!session || !result)
        return ZCB_ERR_INVALID;
    zcb_error error = zcbi_session_owned(session);
    if (error)
        return error;
    struct limit limit;
    zcbi_limit_init(&limit, wait);
    zcbi_plat_mutex_lock(&session->lock);
    while (!session->first_done && !error) {
        if (session->ended)
            error = ZCB_ERR_CLOSED;
        else if (!session->reading && session->notify_count > 0 && has_data(session))
            error = zcbi_session_read(session, NULL, &limit, wait);
        else if ((error = stand_by(session, wait)) == ZCB_OK)
            error = zcbi_limit_check(&limit); /* the bell may ring without end */
    }
    struct pending *done = session->first_done;
    if (done && error != ZCB_ERR_INTERRUPTED) {
        zcbi_session_remove_done(session, done);
        *result = &zcbi_pending_take(session, done)->result;
        error = ZCB_OK;
    }
    zcbi_session_hand_over(session);
    zcbi_plat_mutex_unlock(&session->lock);
    return error;
}
