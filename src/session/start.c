/* zcb_session_start: the steps of a start, and undoing one that failed. */
#include "start.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_GRACE_MS 5000
#define EXIT_WAIT_MS 10000

static zcb_error session_allocate(const zcb_session_options *options, const char *engine,
                                  zcb_session **made)
{
    zcb_session *session = calloc(1, sizeof(*session));
    if (!session)
        return ZCB_ERR_NO_MEMORY;
    session->engine = malloc(strlen(engine) + 1);
    zcb_error error = session->engine ? zcbi_waiter_init(&session->reader) : ZCB_ERR_NO_MEMORY;
    if (error) {
        free(session->engine);
        free(session);
        return error;
    }
    memcpy(session->engine, engine, strlen(engine) + 1);
    atomic_init(&session->references, 1);
    session->grace_ms = options->grace_ms ? options->grace_ms : DEFAULT_GRACE_MS;
    session->next_deadline = ZCB_NEVER;
    session->link = session->process = PLAT_NO_HANDLE;
    session->child.process = session->child.group = PLAT_NO_HANDLE;
    session->loop_event.handle = PLAT_NO_HANDLE;
    zcbi_ticket_lock_init(&session->submit_lock);
    zcbi_ticket_lock_init(&session->ping_lock);
    zcbi_plat_mutex_init(&session->lock);
    *made = session;
    return ZCB_OK;
}

static void undo_start(struct starting *start)
{
    zcb_session *session = start->session;
    int code;
    if (session->child.process != PLAT_NO_HANDLE && !session->reaped) {
        unsigned ready;
        zcbi_plat_process_kill(session->child.pid, session->child.process);
        (void)zcbi_plat_wait(&session->child.process, 1, zcb_deadline_ns(EXIT_WAIT_MS), &ready);
        zcbi_plat_process_hang_up_group(&session->child);
        (void)zcbi_plat_process_ended(&session->child, &code);
    }
    if (session->process == PLAT_NO_HANDLE)
        session->process = session->child.process;
    zcbi_session_release(session);
}

static zcb_error start_engine(struct starting *start)
{
    zcb_error error = session_allocate(start->options, start->engine, &start->session);
    if (error)
        return error;
    start->engine_link = start->out = start->err = PLAT_NO_HANDLE;
    error = zcbi_start_prepare(start);
    if (!error)
        error = zcbi_start_launch(start);
    zcbi_plat_close(start->engine_link);
    if (!error)
        error = zcbi_start_await_hello(start);
    zcbi_plat_close(start->out);
    zcbi_plat_close(start->err);
    if (error) {
        undo_start(start);
        return error;
    }
    zcbi_channel_set_peer(start->session->commands, start->session->process);
    zcbi_channel_set_peer(start->session->urgent, start->session->process);
    return ZCB_OK;
}

zcb_error zcb_session_start(const zcb_session_options *options, zcb_session **session,
                            zcb_detail *why, const zcb_wait *wait)
{
    static const zcb_session_options defaults = {0};
    zcb_detail unread;
    if (!session)
        return ZCB_ERR_INVALID;
    struct starting start = {
        .options = options ? options : &defaults, .wait = wait, .why = why ? why : &unread};
    start.why->text[0] = 0;
    zcb_error error =
        zcb_engine_find(start.options->engine, start.engine, sizeof(start.engine), NULL, start.why);
    if (!error)
        error = zcbi_start_find_module(&start);
    if (!error)
        error = start_engine(&start);
    if (error) {
        if (start.why->text[0] == 0)
            zcbi_error_detail(start.why, "%s", zcb_error_text(error));
        return error;
    }
    *session = start.session;
    return ZCB_OK;
}
