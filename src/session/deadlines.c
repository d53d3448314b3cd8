/* The deadlines of commands. The program keeps them, not the engine. */
#include "session.h"

void zcbi_deadline_set(zcb_session *session, struct pending *pending, int64_t deadline_ns)
{
    pending->deadline_ns = deadline_ns;
    if (deadline_ns >= session->next_deadline)
        return;
    session->next_deadline = deadline_ns;
    if (session->reading)
        zcbi_waiter_wake(&session->reader);
}

bool zcbi_deadlines_are_due(const zcb_session *session)
{
    int64_t late_ns = zcbi_plat_now_ns() - session->next_deadline;
    return late_ns >= READ_ON_NS || (late_ns >= 0 && !zcbi_session_has_data(session));
}

/* The engine runs commands in order, so only the oldest one can be running. */
static bool may_be_running(const zcb_session *session, const struct pending *pending)
{
    const struct pending *oldest = session->first;
    while (oldest && (oldest->op != ZCB_OP_RUN || oldest->done))
        oldest = oldest->next;
    return oldest == pending;
}

static void kill_engine(zcb_session *session)
{
    zcbi_session_kill(session);
    zcbi_session_end(
        session, "a command did not stop within %lld ms of its timeout, and the engine was killed",
        (long long)session->grace_ms);
}

/* At its deadline the command is stopped, and gets grace_ms. A queued one ends at once, if the
 * engine could be told, else at the next attempt: it must not run after its result says that it
 * timed out. At the end of the grace time a running command ends with the engine, a transfer
 * here. */
static void expire_one(zcb_session *session, struct pending *pending, int64_t now)
{
    bool queued = pending->op == ZCB_OP_RUN && !may_be_running(session, pending);
    if (!pending->timed_out || queued) {
        pending->timed_out = true;
        pending->deadline_ns = now + session->grace_ms * 1000000;
        bool sent = zcbi_urgent_stop(session, pending->id) == ZCB_OK;
        if (queued && sent)
            zcbi_pending_finish_here(session, pending, ZCB_STATUS_TIMED_OUT,
                                     "the timeout passed before the command's turn came");
    } else if (pending->op == ZCB_OP_RUN) {
        kill_engine(session);
    } else {
        zcbi_pending_finish_here(session, pending, ZCB_STATUS_TIMED_OUT, "the timeout passed");
    }
}

void zcbi_deadlines_act(zcb_session *session)
{
    int64_t now = zcbi_plat_now_ns();
    for (struct pending *p = session->first; p && !session->ended; p = p->next)
        if (!p->done && p->deadline_ns <= now)
            expire_one(session, p, now);
    session->next_deadline = ZCB_NEVER;
    for (struct pending *p = session->first, *next; p; p = next) {
        next = p->next;
        if (!p->done && p->deadline_ns < session->next_deadline)
            session->next_deadline = p->deadline_ns;
        if (p->done && p->abandoned)
            zcb_result_free(zcbi_pending_take(session, p));
    }
    zcbi_session_time_event(session);
}
