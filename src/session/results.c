/* zcb_session_wait and zcb_session_next: the waits for results. */
#include "session.h"

static zcb_error await_result(zcb_session *session, struct pending *pending, const zcb_wait *wait)
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

/* A zcb_session_wait has given up. If the command is done, zcb_session_next gives its result. */
static void stop_awaiting(zcb_session *session, struct pending *pending)
{
    pending->awaited = false;
    if (pending->done && (pending->flags & ZCB_COMMAND_NOTIFY))
        zcbi_pending_queue(session, pending);
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
            zcbi_pending_unqueue(session, pending);
        error = await_result(session, pending, wait);
        if (error)
            stop_awaiting(session, pending);
        else
            *result = zcbi_pending_take(session, pending);
        zcbi_session_hand_over(session);
    }
    zcbi_plat_mutex_unlock(&session->lock);
    return error;
}

/* Replies that nobody here asked for are left to those who will, but for a timeout's passing: its
 * command may have ended in time. */
static bool is_to_read(const zcb_session *session)
{
    return !session->reading && zcbi_session_has_data(session) &&
           (session->notify_count > 0 || session->next_deadline <= zcbi_plat_now_ns());
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
        else if (is_to_read(session))
            error = zcbi_session_read(session, NULL, &limit, wait);
        else if ((error = zcbi_session_stand_by(session, wait)) == ZCB_OK)
            error = zcbi_limit_check(&limit); /* the bell may ring without end */
    }
    struct pending *done = session->first_done;
    if (done && error != ZCB_ERR_INTERRUPTED) {
        zcbi_pending_unqueue(session, done);
        *result = zcbi_pending_take(session, done);
        error = ZCB_OK;
    }
    zcbi_session_hand_over(session);
    zcbi_plat_mutex_unlock(&session->lock);
    return error;
}
