/* The end of a session: noticing it, its reason, closing. */
#include "session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/error.h"

#define KILL_WAIT_MS                                                                               \
    10000 /* the kernel frees a process's memory before it says that it has ended */

zcb_error zcbi_session_owned(const zcb_session *session)
{
    if (!session)
        return ZCB_ERR_INVALID;
    return zcbi_channel_owned(session->commands) ? ZCB_OK : ZCB_ERR_FORKED;
}

zcb_error zcbi_session_state(const zcb_session *session)
{
    if (!session->ended)
        return ZCB_OK;
    return session->closing ? ZCB_ERR_CLOSED : ZCB_ERR_PEER_GONE;
}

void zcbi_session_reference(zcb_session *session)
{
    atomic_fetch_add(&session->references, 1); /* partner: zcbi_session_release */
}

/* ---------------------------------------------------------------- the end */

static void finish_all_pending(zcb_session *session)
{
    char err[sizeof(session->reason.text) + 32];
    snprintf(err, sizeof(err), "the session ended: %s", session->reason.text);
    for (struct pending *p = session->first; p; p = p->next)
        if (!p->done)
            zcbi_pending_finish_here(session, p, ZCB_STATUS_LOST, err);
    session->next_deadline = ZCB_NEVER;
}

void zcbi_session_end(zcb_session *session, const char *format, ...)
{
    if (session->ended)
        return;
    session->ended = true;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(session->reason.text, sizeof(session->reason.text), format, arguments);
    va_end(arguments);
    finish_all_pending(session);
    zcb_channel_close(session->commands);
    zcb_channel_close(session->urgent);
    zcbi_session_wake_all(session);
}

void zcbi_session_kill(zcb_session *session)
{
    zcbi_plat_process_kill(session->pid, session->process);
    zcbi_plat_process_hang_up_group(&session->child);
}

/* Takes the exit code of the started process, once, if it has ended. If the engine was killed, the
 * processes that it started are hung up on as well. */
static bool reap_once(zcb_session *session, int *code)
{
    if (session->reaped || !zcbi_plat_process_ended(&session->child, code))
        return false;
    session->reaped = true;
    if (*code < 0)
        zcbi_plat_process_hang_up_group(&session->child);
    return true;
}

/* The engine's exit code, if the engine is the started process. */
static bool exit_status(zcb_session *session, int *code)
{
    return session->child.pid == session->pid && reap_once(session, code);
}

void zcbi_session_lose(zcb_session *session, zcb_error error)
{
    int code;
    if (session->ended)
        return;
    if (error == ZCB_ERR_PROTOCOL) {
        zcbi_session_kill(session);
        zcbi_session_end(session, "%s", zcb_error_text(error));
    } else if (!exit_status(session, &code)) {
        zcbi_session_end(session, "the engine (process %lld) has ended", (long long)session->pid);
    } else {
        char end[64];
        zcbi_plat_end_text(code, end, sizeof(end));
        zcbi_session_end(session, "the engine (process %lld) %s", (long long)session->pid, end);
    }
}

static bool process_ended(plat_handle process)
{
    unsigned ready;
    return process == PLAT_NO_HANDLE || zcbi_plat_wait(&process, 1, 0, &ready) == ZCB_OK;
}

void zcbi_session_lose_ended(zcb_session *session)
{
    static const zcb_wait at_once = {0};
    if (session->reading)
        return;
    /* At most as many replies as the ring holds: another process may have the memory, and write
     * on. */
    for (unsigned i = 0; i <= RING_ENTRIES && !session->ended; i++)
        if (zcbi_session_read(session, NULL, NULL, &at_once))
            break;
    zcbi_session_lose(session, ZCB_ERR_PEER_GONE);
}

bool zcb_session_alive(zcb_session *session, zcb_detail *why)
{
    if (zcbi_session_owned(session)) {
        if (why)
            snprintf(why->text, sizeof(why->text), "%s", zcb_error_text(ZCB_ERR_FORKED));
        return false;
    }
    zcbi_plat_mutex_lock(&session->lock);
    bool gone = !session->ended && process_ended(session->process);
    if (gone)
        zcbi_session_lose_ended(session);
    bool alive = !session->ended && !gone;
    if (why && session->ended)
        *why = session->reason;
    else if (why)
        zcbi_error_detail(why, "%s", gone ? zcb_error_text(ZCB_ERR_PEER_GONE) : "");
    zcbi_plat_mutex_unlock(&session->lock);
    return alive;
}

/* ---------------------------------------------------------------- closing */

static bool await_process_end(plat_handle process, int64_t timeout_ms)
{
    int64_t deadline = zcb_deadline_ns(timeout_ms);
    unsigned ready;
    zcb_error error;
    do
        error = zcbi_plat_wait(&process, 1, deadline, &ready);
    while (error == ZCB_ERR_INTERRUPTED);
    return error == ZCB_OK;
}

static void end_processes(zcb_session *session, int64_t grace_ms)
{
    if (!await_process_end(session->process, grace_ms)) {
        zcbi_session_kill(session);
        (void)await_process_end(session->process, KILL_WAIT_MS);
    }
    if (session->child.pid != session->pid &&
        !await_process_end(session->child.process, grace_ms)) {
        zcbi_plat_process_kill(session->child.pid, session->child.process);
        (void)await_process_end(session->child.process, KILL_WAIT_MS);
    }
    int code;
    (void)reap_once(session, &code);
}

void zcb_session_close(zcb_session *session, int64_t grace_ms)
{
    if (zcbi_session_owned(session))
        return;
    zcbi_plat_mutex_lock(&session->lock);
    bool first = !session->closing;
    session->closing = true;
    for (struct paired_channel *b = session->bridges; b; b = b->next)
        zcbi_paired_close(b); /* first, or a wait might see the engine's end instead */
    zcbi_session_end(session, "it was closed");
    zcbi_plat_mutex_unlock(&session->lock);
    if (first)
        end_processes(session, grace_ms < 0 ? 0 : grace_ms);
}

static void free_tables(zcb_session *session)
{
    while (session->first)
        zcb_result_free(zcbi_pending_take(session, session->first));
    while (session->close_notices) {
        struct close_notice *notice = session->close_notices;
        session->close_notices = notice->next;
        free(notice);
    }
    free(session->buckets);
    if (session->incoming.active)
        free(session->incoming.bytes);
}

void zcbi_session_release(zcb_session *session)
{
    if (atomic_fetch_sub(&session->references, 1) != 1) /* partner: zcbi_session_release */
        return;
    free_tables(session);
    zcbi_plat_loop_event_destroy(&session->loop_event); /* before the handles that it watches */
    zcb_channel_free(session->commands);
    zcb_channel_free(session->urgent);
    if (session->process != session->child.process)
        zcbi_plat_close(session->process);
    zcbi_plat_close(session->child.process);
    zcbi_plat_close(session->child.group);
    zcbi_plat_close(session->link);
    zcbi_waiter_destroy(&session->reader);
    zcbi_ticket_lock_destroy(&session->submit_lock);
    zcbi_ticket_lock_destroy(&session->ping_lock);
    zcbi_plat_mutex_destroy(&session->lock);
    free(session->engine);
    free(session);
}

void zcb_session_free(zcb_session *session)
{
    if (!session)
        return;
    zcb_session_close(session, 0);
    zcbi_session_release(session);
}

int64_t zcb_session_pid(const zcb_session *session)
{
    return session->pid;
}

const char *zcb_session_version(const zcb_session *session)
{
    return session->version;
}

const char *zcb_session_engine(const zcb_session *session)
{
    return session->engine;
}
