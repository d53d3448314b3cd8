/*
 * The threads that wait while another one reads ("followers" of that one), and the standby thread.
 *
 * A thread in zcb_session_next is a standby thread. It sleeps on a bell of its own, which is armed
 * only while commands with ZCB_COMMAND_NOTIFY are pending and no thread reads. So a thread that
 * submits a command and waits for it wakes no other thread: it disarms the bell and reads.
 * zcb_session_event is that bell for an event loop.
 */
#include "session.h"

void zcbi_session_disarm(zcb_session *session)
{
    if (session->armed)
        zcbi_rx_disarm_standby(session->commands);
    session->armed = false;
}

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

static bool has_loop_event(const zcb_session *session)
{
    return session->loop_event.handle != PLAT_NO_HANDLE;
}

static void set_loop_event(zcb_session *session)
{
    if (has_loop_event(session))
        zcbi_plat_event_set(zcbi_rx_standby_bell(session->commands));
}

/* From now on the bell is rung for new data. False: there is data now. */
static bool arm_standby(zcb_session *session)
{
    if (session->armed)
        return true;
    session->armed = true;
    zcbi_rx_arm_standby(session->commands);
    return !zcbi_session_has_data(session);
}

static void hand_to_standby(zcb_session *session, struct follower *standby)
{
    bool now = session->notify_count > 0 && !arm_standby(session);
    if (now || session->next_deadline < standby->until_ns)
        zcbi_waiter_wake(&standby->waiter);
}

void zcbi_session_time_event(zcb_session *session)
{
    if (has_loop_event(session))
        zcbi_plat_loop_event_set_deadline(&session->loop_event, session->next_deadline);
}

static void hand_to_event_loop(zcb_session *session)
{
    if (session->notify_count > 0 && !arm_standby(session))
        set_loop_event(session);
    zcbi_session_time_event(session);
}

void zcbi_session_hand_over(zcb_session *session)
{
    if (session->reading || session->ended)
        return;
    struct follower *next = NULL;
    for (struct follower *f = session->followers; f; f = f->next) {
        if (atomic_load(&f->waiter.woken)) /* partner: zcbi_waiter_wake */
            return;                        /* this one will read, or hand over */
        if (!next || next->stands_by)
            next = f;
    }
    if (next && !next->stands_by)
        zcbi_waiter_wake(&next->waiter);
    else if (next)
        hand_to_standby(session, next);
    else if (has_loop_event(session))
        hand_to_event_loop(session);
}

void zcbi_session_wake_standby(zcb_session *session)
{
    for (struct follower *f = session->followers; f; f = f->next)
        if (f->stands_by)
            zcbi_waiter_wake(&f->waiter);
    set_loop_event(session);
}

/* The first that is ready counts: the bell is not cleared where the engine has ended. */
enum { WOKEN, ENGINE_ENDED, RUNG };

/* Without the lock: sleeps until it is woken, the bell is rung, the engine ends or a deadline
 * passes. */
static zcb_error sleep_in_standby(zcb_session *session, struct follower *self, const zcb_wait *wait,
                                  unsigned *which)
{
    const plat_handle handles[] = {
        [WOKEN] = self->waiter.event,
        [ENGINE_ENDED] = session->process,
        [RUNG] = zcbi_rx_standby_bell(session->commands),
    };
    zcb_wait limits = wait ? *wait : (zcb_wait){0};
    limits.deadline_ns = self->until_ns;
    zcb_error error = ZCB_OK;
    atomic_store(&self->waiter.asleep, 1); /* partner: zcbi_waiter_wake */
    if (!atomic_load(&self->waiter.woken)) /* partner: zcbi_waiter_wake */
        error = zcbi_wait_handles(handles, 3, &limits, which);
    atomic_store(&self->waiter.asleep, 0); /* partner: zcbi_waiter_wake */
    if (!error && *which == RUNG)
        zcbi_plat_event_clear(handles[RUNG]);
    return error;
}

zcb_error zcbi_session_stand_by(zcb_session *session, const zcb_wait *wait)
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
    unsigned which = WOKEN;
    error = sleep_in_standby(session, &self, wait, &which);
    zcbi_plat_mutex_lock(&session->lock);
    remove_follower(session, &self);
    zcbi_waiter_destroy(&self.waiter);
    zcbi_session_disarm(session);
    if (which == RUNG && (session->first_done || session->ended))
        set_loop_event(session); /* it was cleared, and perhaps for this */
    if (!session->reading && which == ENGINE_ENDED)
        zcbi_session_lose_ended(session);
    else if (!session->reading && zcbi_deadlines_are_due(session))
        zcbi_deadlines_act(session);
    return error == ZCB_ERR_TIMEOUT && zcbi_plat_now_ns() < deadline ? ZCB_OK : error;
}

void zcbi_session_wake_all(zcb_session *session)
{
    for (struct follower *f = session->followers; f; f = f->next)
        zcbi_waiter_wake(&f->waiter);
    zcbi_waiter_wake(&session->reader);
    set_loop_event(session);
}

zcb_error zcb_session_event(zcb_session *session, intptr_t *event)
{
    if (!event)
        return ZCB_ERR_INVALID;
    zcb_error error = zcbi_session_owned(session);
    if (error)
        return error;
    zcbi_plat_mutex_lock(&session->lock);
    if (!has_loop_event(session)) {
        error = zcbi_plat_loop_event_create(zcbi_rx_standby_bell(session->commands),
                                            session->process, &session->loop_event);
        if (!error)
            set_loop_event(session); /* a result may be there already */
    }
    if (!error)
        *event = session->loop_event.handle;
    zcbi_plat_mutex_unlock(&session->lock);
    return error;
}
