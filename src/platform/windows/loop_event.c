#include "windows.h"

#include <stdlib.h>

/* The handle is the event itself. The process's end and the deadline set it, by the system's thread
 * pool. */
struct setters {
    HANDLE event;
    HANDLE process_wait;
    HANDLE timer, timer_wait;
};

static VOID CALLBACK set_event(PVOID event, BOOLEAN timed_out)
{
    (void)timed_out;
    SetEvent((HANDLE)event);
}

static void release_setters(struct setters *setters)
{
    /* INVALID_HANDLE_VALUE: waits until no callback runs. */
    if (setters->process_wait)
        UnregisterWaitEx(setters->process_wait, INVALID_HANDLE_VALUE);
    if (setters->timer_wait)
        UnregisterWaitEx(setters->timer_wait, INVALID_HANDLE_VALUE);
    if (setters->timer)
        CloseHandle(setters->timer);
    free(setters);
}

zcb_error zcbi_plat_loop_event_create(plat_handle event, plat_handle process,
                                      plat_loop_event *loop_event)
{
    struct setters *setters = calloc(1, sizeof(*setters));
    if (!setters)
        return ZCB_ERR_NO_MEMORY;
    setters->event = windows_handle(event);
    setters->timer = CreateWaitableTimerW(NULL, FALSE, NULL);
    bool made = setters->timer &&
                RegisterWaitForSingleObject(&setters->process_wait, windows_handle(process),
                                            set_event, setters->event, INFINITE,
                                            WT_EXECUTEINWAITTHREAD | WT_EXECUTEONLYONCE) &&
                RegisterWaitForSingleObject(&setters->timer_wait, setters->timer, set_event,
                                            setters->event, INFINITE, WT_EXECUTEINWAITTHREAD);
    if (!made) {
        zcb_error error = windows_last_error();
        release_setters(setters);
        return error;
    }
    *loop_event = (plat_loop_event){.handle = event, .deadline_ns = ZCB_NEVER, .state = setters};
    return ZCB_OK;
}

void zcbi_plat_loop_event_set_deadline(plat_loop_event *loop_event, int64_t deadline_ns)
{
    const struct setters *setters = loop_event->state;
    bool had = loop_event->deadline_ns != ZCB_NEVER;
    loop_event->deadline_ns = deadline_ns;
    if (deadline_ns == ZCB_NEVER) {
        if (had)
            CancelWaitableTimer(setters->timer);
        return;
    }
    /* The same one, too: it goes by another clock, may have come too early, and sets the event
     * once. */
    int64_t left_ns = deadline_ns - zcbi_plat_now_ns();
    LARGE_INTEGER due = {.QuadPart = left_ns > 100 ? -(left_ns / 100) : -1}; /* relative, 100 ns */
    SetWaitableTimer(setters->timer, &due, 0, NULL, NULL, FALSE);
}

void zcbi_plat_loop_event_destroy(plat_loop_event *loop_event)
{
    if (loop_event->handle == PLAT_NO_HANDLE)
        return;
    release_setters(loop_event->state);
    loop_event->handle = PLAT_NO_HANDLE;
}
