/*
 * Reading the engine's replies. No thread of the library does it: of the threads that wait for
 * results one reads, adds each reply to its command's result, and wakes the thread that waits for
 * it. When its own wait is over it hands the reading over to another one (standby.c).
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- one reply */

static bool completes_command(const struct incoming *incoming)
{
    return (incoming->message.flags & REPLY_COMPLETES) != 0;
}

/* Under the lock. A reply to a command that is done (timed out here, say) is dropped. */
static void add_reply(zcb_session *session, const struct incoming *incoming)
{
    struct pending *pending = zcbi_pending_find(session, incoming->message.id);
    if (!pending || pending->done) {
        free(incoming->bytes);
        return;
    }
    zcb_result *result = pending->result;
    if (!zcbi_result_add_reply(result, incoming->bytes, incoming->got, completes_command(incoming)))
        return;
    int32_t exit_code = result->completion.exit_code;
    bool exited = result->completion.status == ZCB_STATUS_EXITED;
    zcbi_pending_finish(session, pending);
    if (pending->abandoned)
        zcb_result_free(zcbi_pending_take(session, pending));
    if (exited)
        zcbi_session_end(session, "the command `exit` ended it with exit code %d", exit_code);
}

/* Begins the next reply. Without memory for it, it is dropped, and incoming->bytes is NULL. */
static zcb_error begin_incoming(zcb_session *session)
{
    static const zcb_wait at_once = {0};
    struct incoming *incoming = &session->incoming;
    zcb_error error =
        zcb_receive_begin(session->commands, ZCB_WISH_COPY, &incoming->message, &at_once);
    if (error)
        return error;
    uint64_t bytes = incoming->message.bytes;
    if (incoming->message.kind != ZCB_KIND_CONTROL || bytes == 0 || bytes >= SIZE_MAX / 2) {
        error = zcbi_channel_fail(session->commands);
        zcb_receive_drop(session->commands);
        return error;
    }
    incoming->got = 0;
    incoming->bytes = malloc((size_t)bytes);
    incoming->active = incoming->bytes != NULL;
    if (!incoming->active)
        zcb_receive_drop(session->commands);
    return ZCB_OK;
}

static zcb_error finish_incoming(zcb_session *session)
{
    struct incoming *incoming = &session->incoming;
    (void)zcb_receive_end(session->commands);
    incoming->active = false;
    if (zcbi_reply_makes_sense(incoming->bytes, incoming->got, completes_command(incoming)))
        return ZCB_OK;
    free(incoming->bytes);
    return zcbi_channel_fail(session->commands);
}

/* The engine has given the reply up. */
static void drop_incoming(zcb_session *session)
{
    zcb_receive_drop(session->commands);
    free(session->incoming.bytes);
    session->incoming.active = false;
}

/* Reads a reply until it is whole, or until an error. The next call goes on with it. */
static zcb_error read_incoming(zcb_session *session, const zcb_wait *wait, bool *whole)
{
    struct incoming *incoming = &session->incoming;
    zcb_error error = incoming->active ? ZCB_OK : begin_incoming(session);
    if (error)
        return error == ZCB_ERR_TIMEOUT ? ZCB_OK : error; /* the data was of a dropped reply */
    if (incoming->active) {
        error = zcbi_rx_read(session->commands, incoming->bytes + incoming->got,
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

bool zcbi_session_has_data(const zcb_session *session)
{
    struct source data = zcbi_rx_data_source(session->commands);
    return (session->incoming.active && zcbi_rx_has_part(session->commands)) ||
           data.ready(data.arg);
}

/* Without the lock: waits for data, for `also`, or for a change of next_deadline. */
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
    if (!zcbi_session_has_data(session))
        error = wait_for_reply(session, also, wait);
    if (error || !zcbi_session_has_data(session))
        return error;
    error = read_incoming(session, wait, whole);
    return error || !limit ? error : zcbi_limit_check(limit);
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
    zcbi_session_disarm(session);
    atomic_store(&session->reader.woken, 0); /* partner: zcbi_waiter_wake */
    zcbi_plat_mutex_unlock(&session->lock);
    zcb_error error = read_without_lock(session, also, limit, &limits, &whole);
    zcbi_plat_mutex_lock(&session->lock);
    session->reading = false;
    if (whole)
        add_reply(session, &session->incoming);
    if (zcbi_deadlines_are_due(session))
        zcbi_deadlines_act(session);
    if (error == ZCB_ERR_TIMEOUT && expires)
        error = ZCB_OK;
    if (zcb_error_is_final(error)) {
        zcbi_session_lose(session, error);
        error = ZCB_OK;
    }
    return error;
}
