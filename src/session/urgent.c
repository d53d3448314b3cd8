/* Requests that cannot wait in the queue of commands: stops, and the ping. */
#include "session.h"

/* For room in the urgent channel: it is full only if the engine has stopped listening long ago. */
#define URGENT_WAIT_MS 100

zcb_error zcbi_urgent_send(zcb_session *session, uint32_t what, uint64_t id)
{
    zcb_wait briefly = {.deadline_ns = zcb_deadline_ns(URGENT_WAIT_MS)};
    zcb_message message = {.kind = ZCB_KIND_CONTROL, .flags = what, .id = id};
    if (atomic_load(&session->urgent_full)) /* partner: zcbi_urgent_send */
        briefly.deadline_ns = 0;
    zcb_error error = zcb_send(session->urgent, &message, NULL, &briefly);
    atomic_store(&session->urgent_full, error == ZCB_ERR_TIMEOUT); /* partner: zcbi_urgent_send */
    return error;
}

zcb_error zcbi_urgent_stop(zcb_session *session, uint64_t id)
{
    zcb_error error = zcbi_urgent_send(session, URGENT_STOP, id);
    return zcb_error_is_final(error) ? ZCB_OK : error;
}

zcb_error zcb_session_stop(zcb_session *session, uint64_t id)
{
    zcb_error error = zcbi_session_owned(session);
    if (error)
        return error;
    zcbi_plat_mutex_lock(&session->lock);
    const struct pending *pending = zcbi_pending_find(session, id);
    error = pending && !pending->done ? zcbi_urgent_stop(session, id) : ZCB_ERR_NOT_FOUND;
    zcbi_plat_mutex_unlock(&session->lock);
    return error;
}

/* Reads pongs until that of this ping; earlier ones are of pings that gave up. */
static zcb_error read_pong(zcb_session *session, uint64_t ping, const zcb_wait *wait)
{
    struct limit limit;
    zcbi_limit_init(&limit, wait);
    for (;;) {
        zcb_message message;
        zcb_error error = zcb_receive_begin(session->urgent, ZCB_WISH_COPY, &message, wait);
        if (error)
            return error;
        zcb_receive_drop(session->urgent);
        if (message.flags == URGENT_PONG && message.id == ping)
            return ZCB_OK;
        error = zcbi_limit_check(&limit);
        if (error)
            return error;
    }
}

zcb_error zcb_session_ping(zcb_session *session, const zcb_wait *wait)
{
    zcb_error error = zcbi_session_owned(session);
    if (!error)
        error = zcbi_ticket_lock_acquire(&session->ping_lock, wait);
    if (error)
        return error;
    zcb_message message = {
        .kind = ZCB_KIND_CONTROL, .flags = URGENT_PING, .id = ++session->last_ping};
    error = zcb_send(session->urgent, &message, NULL, wait);
    if (!error)
        error = read_pong(session, session->last_ping, wait);
    zcbi_ticket_lock_release(&session->ping_lock);
    return error;
}
