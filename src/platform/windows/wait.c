#include "windows.h"

#define NS_PER_MS 1000000

void zcbi_plat_signals_hold(plat_signals *held, void *event)
{
    held->event = event ? (plat_handle)event : PLAT_NO_HANDLE;
}

void zcbi_plat_signals_release(const plat_signals *held)
{
    (void)held;
}

/* The awaited handles of the system, and the caller's index of each. */
struct waiting {
    HANDLE handles[PLAT_WAIT_MAX + 1];
    unsigned index[PLAT_WAIT_MAX + 1];
    DWORD count;
};

static zcb_error add_handle(struct waiting *waiting, plat_handle handle, unsigned index)
{
    if (handle == PLAT_NO_HANDLE)
        return ZCB_OK;
    HANDLE object =
        zcbi_windows_is_link(handle) ? zcbi_windows_link_event(handle) : windows_handle(handle);
    if (!object)
        return ZCB_ERR_SYSTEM;
    waiting->handles[waiting->count] = object;
    waiting->index[waiting->count++] = index;
    return ZCB_OK;
}

/* Milliseconds until the deadline. Rounded up, or the wait would end before it and have to be
 * repeated. */
static DWORD time_left(int64_t deadline_ns)
{
    if (deadline_ns == ZCB_NEVER)
        return INFINITE;
    int64_t now = zcbi_plat_now_ns();
    if (deadline_ns <= now)
        return 0;
    int64_t ms = (deadline_ns - now - 1) / NS_PER_MS + 1;
    return ms < INFINITE ? (DWORD)ms : INFINITE - 1;
}

/* The index of the first handle that is signalled. ZCB_ERR_TIMEOUT without one. */
static zcb_error wait_once(const struct waiting *waiting, int64_t deadline_ns, DWORD *first)
{
    DWORD ms = time_left(deadline_ns);
    DWORD outcome = WAIT_TIMEOUT;
    if (waiting->count == 0)
        Sleep(ms);
    else
        outcome = WaitForMultipleObjects(waiting->count, waiting->handles, FALSE, ms);
    if (outcome < WAIT_OBJECT_0 + waiting->count)
        *first = outcome - WAIT_OBJECT_0;
    else if (outcome >= WAIT_ABANDONED_0 && outcome < WAIT_ABANDONED_0 + waiting->count)
        *first = outcome - WAIT_ABANDONED_0; /* a mutex, which a hostile peer may send */
    else
        return outcome == WAIT_TIMEOUT ? ZCB_ERR_TIMEOUT : ZCB_ERR_SYSTEM;
    return ZCB_OK;
}

zcb_error zcbi_plat_wait(const plat_handle *handles, unsigned count, int64_t deadline_ns,
                         unsigned *ready)
{
    return zcbi_plat_wait_held(handles, count, deadline_ns, NULL, ready);
}

zcb_error zcbi_plat_wait_held(const plat_handle *handles, unsigned count, int64_t deadline_ns,
                              const plat_signals *held, unsigned *ready)
{
    struct waiting waiting = {.count = 0};
    zcb_error error = count <= PLAT_WAIT_MAX ? ZCB_OK : ZCB_ERR_INVALID;
    for (unsigned i = 0; i < count && !error; i++)
        error = add_handle(&waiting, handles[i], i);
    if (!error && held)
        error = add_handle(&waiting, held->event, count);
    while (!error) {
        DWORD first = 0;
        error = wait_once(&waiting, deadline_ns, &first);
        if (error == ZCB_ERR_TIMEOUT && time_left(deadline_ns) > 0) {
            error = ZCB_OK; /* one call cannot wait so long, or the clocks differ */
            continue;
        }
        if (error)
            break;
        unsigned index = waiting.index[first];
        if (index == count)
            return ZCB_ERR_INTERRUPTED;
        if (zcbi_windows_is_link(handles[index]) && !zcbi_windows_link_readable(handles[index]))
            continue;
        *ready = index;
        return ZCB_OK;
    }
    return error;
}
