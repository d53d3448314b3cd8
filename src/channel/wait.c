#include "wait.h"

#include <string.h>

#include "doorbell.h"

#define SPIN_START_NS 20000
#define SPIN_MAX_NS 500000
/* After this a spinning thread yields its processor between its looks, perhaps to the awaited
 * one. */
#define SPIN_ALONE_NS 2000
#define SPIN_MIN_NS 1000
#define SPIN_LOOKS 32  /* looks between two readings of the clock */
#define COUNT_EVERY 64 /* waits between two looks at how many processors may be used */

static bool any_ready(const struct source *sources, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (sources[i].ready(sources[i].arg))
            return true;
    return false;
}

static int64_t bounded_budget(const struct spin *spin, int64_t budget_ns)
{
    int64_t max = spin->max_ns ? spin->max_ns : SPIN_MAX_NS;
    return budget_ns < max ? budget_ns : max;
}

/* True when a source got ready within the time that recent waits make likely. */
static bool spin_until_ready(const struct source *sources, unsigned count, struct spin *spin,
                             int64_t begin, int64_t deadline)
{
    if (spin->waits++ % COUNT_EVERY == 0)
        spin->alone = zcbi_plat_cpu_count() < 2;
    if (spin->alone)
        return false;
    if (spin->budget_ns == 0)
        spin->budget_ns = bounded_budget(spin, SPIN_START_NS);
    int64_t end = begin + spin->budget_ns;
    if (end > deadline)
        end = deadline;
    int64_t now;
    do {
        for (int i = 0; i < SPIN_LOOKS; i++) {
            if (any_ready(sources, count)) {
                int64_t wanted = 2 * (zcbi_plat_now_ns() - begin);
                if (wanted > spin->budget_ns)
                    spin->budget_ns = bounded_budget(spin, wanted);
                return true;
            }
            zcbi_plat_cpu_relax();
        }
        now = zcbi_plat_now_ns();
        if (now - begin >= SPIN_ALONE_NS)
            zcbi_plat_yield();
    } while (now < end);
    return false;
}

static void learn_from_sleep(struct spin *spin, int64_t waited_ns)
{
    if (waited_ns < SPIN_MAX_NS)
        spin->budget_ns = bounded_budget(spin, 2 * waited_ns);
    else
        spin->budget_ns /= 2;
    if (spin->budget_ns < SPIN_MIN_NS)
        spin->budget_ns = SPIN_MIN_NS;
}

/* *which is `count` when a signal that does not end the wait woke the thread. If signals matter,
 * they are held back from the call of `interrupted` to the sleep: otherwise one that came in
 * between would be noticed at the next wake-up only. */
static zcb_error sleep_or_signal(const plat_handle *handles, unsigned count, const zcb_wait *wait,
                                 unsigned *which)
{
    zcb_error error;
    *which = count;
    if (!wait || !wait->interrupted) {
        error = zcbi_plat_wait(handles, count, wait_deadline(wait), which);
        return error == ZCB_ERR_INTERRUPTED ? ZCB_OK : error;
    }
    plat_signals held;
    zcbi_plat_signals_hold(&held, wait->interrupt_event);
    bool stop = wait->interrupted(wait->arg) != 0;
    error = stop ? ZCB_ERR_INTERRUPTED
                 : zcbi_plat_wait_held(handles, count, wait_deadline(wait), &held, which);
    zcbi_plat_signals_release(&held);
    if (error == ZCB_ERR_INTERRUPTED && !stop && !wait->interrupted(wait->arg))
        error = ZCB_OK;
    return error;
}

zcb_error zcbi_wait_handles(const plat_handle *handles, unsigned count, const zcb_wait *wait,
                            unsigned *which)
{
    plat_handle all[PLAT_WAIT_MAX];
    if (count >= PLAT_WAIT_MAX)
        return ZCB_ERR_INVALID;
    memcpy(all, handles, count * sizeof(*handles));
    all[count] = wait && wait->cancel ? wait->cancel->event : PLAT_NO_HANDLE;
    zcb_error error;
    do
        error = sleep_or_signal(all, count + 1, wait, which);
    while (!error && *which > count);
    return !error && *which == count ? ZCB_ERR_CANCELLED : error;
}

/* One sleep: ZCB_OK means look again. */
static zcb_error sleep_once(const struct source *sources, unsigned count, plat_handle peer,
                            const zcb_wait *wait)
{
    plat_handle handles[WAIT_SOURCES + 2];
    unsigned which;
    for (unsigned i = 0; i < count; i++) {
        doorbell_sleep(sources[i].asleep, SLEEP_BELL);
        handles[i] = sources[i].bell;
    }
    zcb_error error = ZCB_OK;
    if (!any_ready(sources, count)) {
        handles[count] = wait && wait->cancel ? wait->cancel->event : PLAT_NO_HANDLE;
        handles[count + 1] = peer;
        error = sleep_or_signal(handles, count + 2, wait, &which);
        if (!error && which < count)
            zcbi_plat_event_clear(handles[which]);
        if (!error && which == count)
            error = ZCB_ERR_CANCELLED;
        if (!error && which == count + 1)
            error = ZCB_ERR_PEER_GONE;
    }
    for (unsigned i = 0; i < count; i++)
        doorbell_rise(sources[i].asleep);
    return error;
}

zcb_error zcbi_wait_any(const struct source *sources, unsigned count, plat_handle peer,
                        struct spin *spin, const zcb_wait *wait)
{
    if (any_ready(sources, count))
        return ZCB_OK;
    if (wait_is_cancelled(wait))
        return ZCB_ERR_CANCELLED;
    int64_t deadline = wait_deadline(wait);
    if (deadline <= 0)
        return ZCB_ERR_TIMEOUT;
    int64_t begin = zcbi_plat_now_ns();
    if (begin >= deadline)
        return ZCB_ERR_TIMEOUT;
    if (spin_until_ready(sources, count, spin, begin, deadline))
        return ZCB_OK;
    if (spin->before_sleep)
        spin->before_sleep(spin->arg);
    for (;;) {
        zcb_error error = sleep_once(sources, count, peer, wait);
        if (any_ready(sources, count) && error != ZCB_ERR_INTERRUPTED) {
            learn_from_sleep(spin, zcbi_plat_now_ns() - begin);
            return ZCB_OK;
        }
        if (error)
            return error;
        /* A hostile side may ring without end. */
        if (wait_is_cancelled(wait))
            return ZCB_ERR_CANCELLED;
        if (deadline != ZCB_NEVER && zcbi_plat_now_ns() >= deadline)
            return ZCB_ERR_TIMEOUT;
    }
}
