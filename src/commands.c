/* Giving a session its commands, stopping them, and the ping. */
#include <string.h>

#include "session.h"

/* The urgent channel has room unless the engine has long stopped listening. */
#define URGENT_WAIT_MS 100

/* There is no room in the commands channel. Waits for it and meanwhile takes in what arrives, if nobody
 * else does, so that two full directions cannot stop each other. */
static zcb_error wait_for_room(zcb_session *session, struct limit *limit, const zcb_wait *wait)
{
    struct source room = tx_room_source(session->commands);
    plat_mutex_lock(&session->lock);
    zcb_error error = session->reading ? session_follow(session, NULL, &room, wait)
                                       : session_read(session, &room, limit, wait);
    session_hand_over(session);
    plat_mutex_unlock(&session->lock);
    return error;
}

static zcb_error send_command(zcb_session *session, const zcb_command *command,
                              const zcb_wait *wait)
{
    static const zcb_wait at_once = {0};
    struct command_wire wire = {command->op, command->flags, command->channel, command->depth};
    zcb_message message = {
        .kind = ZCB_KIND_CONTROL, .id = command->id, .bytes = sizeof(wire) + command->text_bytes};
    const zcb_text parts[] = {{(const char *)&wire, sizeof(wire)},
                              {command->text, command->text_bytes}};
    struct limit limit;
    limit_init(&limit, wait);
    zcb_error error;
    while ((error = tx_begin(session->commands, &message, &at_once)) == ZCB_ERR_TIMEOUT)
        if ((error = wait_for_room(session, &limit, wait)) != ZCB_OK)
            return tx_abort(session->commands), error;
    for (int i = 0; i < 2; i++) {
        size_t written = 0;
        while (!error && written < parts[i].bytes) {
            error = tx_write(session->commands, parts[i].text + written, parts[i].bytes - written,
                             &written, &at_once);
            if (error == ZCB_ERR_TIMEOUT)
                error = wait_for_room(session, &limit, wait);
        }
    }
    if (error)
        tx_abort(session->commands);
    /* An engine that drops a command has no memory for it, and ends. */
    return error == ZCB_ERR_REFUSED ? ZCB_ERR_PEER_GONE : error;
}

/* Under the lock. */
static zcb_error enter_pending(zcb_session *session, zcb_command *command, zcb_bridge *bridge,
                               int64_t timeout_ms)
{
    struct pending *pending = pending_add(session, command->id, command->op, command->flags, bridge,
                                          zcb_deadline_ns(timeout_ms));
    if (!pending)
        return ZCB_ERR_NO_MEMORY;
    if (command->op != ZCB_OP_RECEIVE)
        return ZCB_OK;
    if (!bridge_posted(bridge, command->id, &command->flags)) {
        (void)pending_take(session, pending);
        return ZCB_ERR_NO_MEMORY;
    }
    pending->flags = command->flags;
    return ZCB_OK;
}

/* Writes the command into the books before it is sent, so that its completion finds it. */
static zcb_error enter(zcb_session *session, zcb_command *command, zcb_bridge *bridge,
                       int64_t timeout_ms)
{
    zcb_error error = ZCB_OK;
    plat_mutex_lock(&session->lock);
    command->id = session->last_id + 1;
    if (session->ended)
        error = session->closing ? ZCB_ERR_CLOSED : ZCB_ERR_PEER_GONE;
    else
        error = enter_pending(session, command, bridge, timeout_ms);
    if (!error) {
        session->last_id++;
        session_hand_over(session);
    }
    plat_mutex_unlock(&session->lock);
    return error;
}

static void take_out(zcb_session *session, const zcb_command *command, zcb_bridge *bridge)
{
    plat_mutex_lock(&session->lock);
    struct pending *pending = pending_find(session, command->id);
    if (pending) {
        if (command->op == ZCB_OP_RECEIVE)
            bridge_post_failed(bridge, pending);
        session_remove_done(session, pending);
        struct reply *reply = pending_take(session, pending);
        zcb_result_free(reply ? &reply->result : NULL);
    }
    plat_mutex_unlock(&session->lock);
}

zcb_error session_submit(zcb_session *session, zcb_command *command, zcb_bridge *bridge,
                         int64_t timeout_ms, const zcb_wait *wait)
{
    zcb_error error = session_owned(session);
    if (!error)
        error = turn_take(&session->submit_turn, wait);
    if (error)
        return error;
    error = enter(session, command, bridge, timeout_ms);
    if (!error) {
        error = send_command(session, command, wait);
        if (error)
            take_out(session, command, bridge);
    }
    turn_give(&session->submit_turn);
    return error;
}

zcb_error zcb_session_submit(zcb_session *session, zcb_command *command, int64_t timeout_ms,
                             const zcb_wait *wait)
{
    if (!session || !command || command->op != ZCB_OP_RUN ||
        (command->text_bytes > 0 && !command->text))
        return ZCB_ERR_INVALID;
    return session_submit(session, command, NULL, timeout_ms, wait);
}

/* Nobody will take its result. */
static void abandon(zcb_session *session, uint64_t id)
{
    plat_mutex_lock(&session->lock);
    struct pending *pending = pending_find(session, id);
    if (pending && pending->awaited) {
        (void)session_stop(session, id); /* another thread has guessed its id: it has the result */
    } else if (pending && !pending->done) {
        pending->abandoned = true;
        (void)session_stop(session, id);
    } else if (pending) {
        struct reply *reply = pending_take(session, pending);
        zcb_result_free(reply ? &reply->result : NULL);
    }
    plat_mutex_unlock(&session->lock);
}

zcb_error zcb_session_run(zcb_session *session, const char *text, size_t text_bytes, uint32_t flags,
                          int64_t timeout_ms, zcb_result **result, const zcb_wait *wait)
{
    zcb_command command = {.op = ZCB_OP_RUN,
                           .flags = flags & ~(uint32_t)ZCB_COMMAND_NOTIFY,
                           .text = text,
                           .text_bytes = text_bytes};
    zcb_wait for_room = wait ? *wait : (zcb_wait){.deadline_ns = ZCB_NEVER};
    if (zcb_deadline_ns(timeout_ms) < for_room.deadline_ns)
        for_room.deadline_ns = zcb_deadline_ns(timeout_ms);
    zcb_error error = zcb_session_submit(session, &command, timeout_ms, &for_room);
    if (error)
        return error;
    error = zcb_session_wait(session, command.id, result, wait);
    if (error)
        abandon(session, command.id);
    return error;
}

zcb_error session_urgent(zcb_session *session, uint32_t what, uint64_t id)
{
    zcb_wait briefly = {.deadline_ns = zcb_deadline_ns(URGENT_WAIT_MS)};
    zcb_message message = {.kind = ZCB_KIND_CONTROL, .flags = what, .id = id};
    if (atomic_load(&session->deaf))
        briefly.deadline_ns = 0;
    zcb_error error = zcb_send(session->urgent, &message, NULL, &briefly);
    atomic_store(&session->deaf, error == ZCB_ERR_TIMEOUT);
    return error;
}

zcb_error session_stop(zcb_session *session, uint64_t id)
{
    zcb_error error = session_urgent(session, ZCB_URGENT_STOP, id);
    bool ending = error == ZCB_ERR_CLOSED || error == ZCB_ERR_PEER_CLOSED ||
                  error == ZCB_ERR_PEER_GONE || error == ZCB_ERR_PROTOCOL;
    return ending ? ZCB_OK : error;
}

zcb_error zcb_session_stop(zcb_session *session, uint64_t id)
{
    zcb_error error = session_owned(session);
    if (error)
        return error;
    plat_mutex_lock(&session->lock);
    const struct pending *pending = pending_find(session, id);
    error = pending && !pending->done ? session_stop(session, id) : ZCB_ERR_NOT_FOUND;
    plat_mutex_unlock(&session->lock);
    return error;
}

/* Reads pongs until its own: earlier ones are of pings that gave up. */
static zcb_error read_pong(zcb_session *session, uint64_t ping, const zcb_wait *wait)
{
    struct limit limit;
    limit_init(&limit, wait);
    for (;;) {
        zcb_message message;
        zcb_error error = zcb_receive_begin(session->urgent, ZCB_WISH_COPY, &message, wait);
        if (error)
            return error;
        zcb_receive_drop(session->urgent);
        if (message.flags == URGENT_PONG && message.id == ping)
            return ZCB_OK;
        error = limit_check(&limit);
        if (error)
            return error;
    }
}

zcb_error zcb_session_ping(zcb_session *session, const zcb_wait *wait)
{
    zcb_error error = session_owned(session);
    if (!error)
        error = turn_take(&session->ping_turn, wait);
    if (error)
        return error;
    zcb_message message = {
        .kind = ZCB_KIND_CONTROL, .flags = URGENT_PING, .id = ++session->last_ping};
    error = zcb_send(session->urgent, &message, NULL, wait);
    if (!error)
        error = read_pong(session, session->last_ping, wait);
    turn_give(&session->ping_turn);
    return error;
}
