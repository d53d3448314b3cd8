/* Submitting commands. */
#include "session.h"

/* Waits for room in the commands channel. Reads replies meanwhile, unless another thread does:
 * otherwise two full directions would stop each other. */
static zcb_error wait_for_room(zcb_session *session, struct limit *limit, const zcb_wait *wait)
{
    struct source room = zcbi_tx_room_source(session->commands);
    zcbi_plat_mutex_lock(&session->lock);
    zcb_error error = session->reading ? zcbi_session_follow(session, NULL, &room, wait)
                                       : zcbi_session_read(session, &room, limit, wait);
    zcbi_session_hand_over(session);
    zcbi_plat_mutex_unlock(&session->lock);
    return error;
}

static zcb_error write_piece(zcb_session *session, const struct span *piece, struct limit *limit,
                             const zcb_wait *wait)
{
    static const zcb_wait at_once = {0};
    zcb_error error = ZCB_OK;
    size_t written = 0;
    while (!error && written < piece->bytes) {
        error = zcbi_tx_write(session->commands, (const char *)piece->data + written,
                              piece->bytes - written, &written, &at_once);
        if (error == ZCB_ERR_TIMEOUT)
            error = wait_for_room(session, limit, wait);
    }
    return error;
}

static zcb_error send_command(zcb_session *session, const zcb_command *command,
                              const zcb_wait *wait)
{
    static const zcb_wait at_once = {0};
    struct command_wire head = {command->op, command->flags, command->channel, command->depth};
    struct parts_writer writer = {
        .head = {&head, sizeof(head)}, .parts = command->parts, .count = command->part_count};
    zcb_message message = {
        .kind = ZCB_KIND_CONTROL, .id = command->id, .bytes = zcbi_parts_bytes(&writer)};
    struct limit limit;
    zcbi_limit_init(&limit, wait);
    zcb_error error;
    while ((error = zcbi_tx_begin(session->commands, &message, 0, &at_once)) == ZCB_ERR_TIMEOUT)
        if ((error = wait_for_room(session, &limit, wait)) != ZCB_OK)
            break;
    struct span piece;
    while (!error && zcbi_parts_next(&writer, &piece))
        error = write_piece(session, &piece, &limit, wait);
    if (error)
        zcbi_tx_abort(session->commands);
    /* An engine that drops a command has no memory for it. It ends then. */
    return error == ZCB_ERR_REFUSED ? ZCB_ERR_PEER_GONE : error;
}

/* Under the lock. */
static zcb_error add_pending(zcb_session *session, zcb_command *command,
                             struct paired_channel *paired, int64_t timeout_ms)
{
    struct pending *pending = zcbi_pending_add(session, command->id, command->op, command->flags,
                                               paired, zcb_deadline_ns(timeout_ms));
    if (!pending)
        return ZCB_ERR_NO_MEMORY;
    if (paired && !zcbi_pairing_post(&paired->pairing, pending->id, pending->op, &pending->flags)) {
        zcb_result_free(zcbi_pending_take(session, pending));
        return ZCB_ERR_NO_MEMORY;
    }
    command->flags = pending->flags;
    return ZCB_OK;
}

/* Adds the command to the table before it is sent, so that its completion finds it there. */
static zcb_error register_command(zcb_session *session, zcb_command *command,
                                  struct paired_channel *paired, int64_t timeout_ms)
{
    zcbi_plat_mutex_lock(&session->lock);
    command->id = session->last_id + 1;
    zcb_error error = zcbi_session_state(session);
    if (!error)
        error = add_pending(session, command, paired, timeout_ms);
    if (!error) {
        session->last_id++;
        zcbi_session_hand_over(session);
    }
    zcbi_plat_mutex_unlock(&session->lock);
    return error;
}

static void withdraw_command(zcb_session *session, const zcb_command *command,
                             struct paired_channel *paired)
{
    zcbi_plat_mutex_lock(&session->lock);
    struct pending *pending = zcbi_pending_find(session, command->id);
    if (pending) {
        if (paired)
            zcbi_pairing_unpost(&paired->pairing, pending->id, pending->op, pending->flags,
                                pending->done);
        zcbi_pending_unqueue(session, pending);
        zcb_result_free(zcbi_pending_take(session, pending));
    }
    zcbi_plat_mutex_unlock(&session->lock);
}

zcb_error zcbi_session_submit(zcb_session *session, zcb_command *command,
                              struct paired_channel *paired, int64_t timeout_ms,
                              const zcb_wait *wait)
{
    zcb_error error = zcbi_session_owned(session);
    if (!error)
        error = zcbi_ticket_lock_acquire(&session->submit_lock, wait);
    if (error)
        return error;
    error = register_command(session, command, paired, timeout_ms);
    if (!error) {
        error = send_command(session, command, wait);
        if (error)
            withdraw_command(session, command, paired);
    }
    zcbi_ticket_lock_release(&session->submit_lock);
    return error;
}

static bool has_text(const zcb_command *command)
{
    const zcb_part *part = command->parts;
    return command->part_count == 1 && part->kind == ZCB_PART_TEXT && part->flags == 0 &&
           (part->data || part->bytes == 0);
}

zcb_error zcb_session_submit(zcb_session *session, zcb_command *command, int64_t timeout_ms,
                             const zcb_wait *wait)
{
    if (!session || !command || command->op != ZCB_OP_RUN || !has_text(command))
        return ZCB_ERR_INVALID;
    return zcbi_session_submit(session, command, NULL, timeout_ms, wait);
}

/* Stops a command whose result is not wanted any more. */
static void abandon_command(zcb_session *session, uint64_t id)
{
    zcbi_plat_mutex_lock(&session->lock);
    struct pending *pending = zcbi_pending_find(session, id);
    if (pending && pending->awaited) {
        /* Another thread has guessed the id and waits for the result: it frees it. */
        (void)zcbi_urgent_stop(session, id);
    } else if (pending && !pending->done) {
        pending->abandoned = true;
        /* If the stop could not be sent, the command times out now: the reading thread sends it
         * again. */
        if (zcbi_urgent_stop(session, id))
            zcbi_deadline_set(session, pending, zcbi_plat_now_ns());
        zcbi_session_hand_over(session);
    } else if (pending) {
        zcb_result_free(zcbi_pending_take(session, pending));
    }
    zcbi_plat_mutex_unlock(&session->lock);
}

zcb_error zcb_session_run(zcb_session *session, const char *text, size_t text_bytes, uint32_t flags,
                          int64_t timeout_ms, zcb_result **result, const zcb_wait *wait)
{
    zcb_part part = {.kind = ZCB_PART_TEXT, .data = text, .bytes = text_bytes};
    zcb_command command = {.op = ZCB_OP_RUN,
                           .flags = flags & ~(uint32_t)ZCB_COMMAND_NOTIFY,
                           .parts = &part,
                           .part_count = 1};
    zcb_wait for_room = wait ? *wait : (zcb_wait){.deadline_ns = ZCB_NEVER};
    if (zcb_deadline_ns(timeout_ms) < for_room.deadline_ns)
        for_room.deadline_ns = zcb_deadline_ns(timeout_ms);
    zcb_error error = zcb_session_submit(session, &command, timeout_ms, &for_room);
    if (error)
        return error;
    error = zcb_session_wait(session, command.id, result, wait);
    if (error)
        abandon_command(session, command.id);
    return error;
}
