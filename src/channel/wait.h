/* The one wait of the library: spin a little, say "asleep", look once more, sleep in the kernel. */
#ifndef ZCB_WAIT_H
#define ZCB_WAIT_H

#include <stdatomic.h>

#include "cancel.h"

/* How long it pays to spin at one place, learned from the recent waits there. One thread at a
 * time. */
struct spin {
    int64_t budget_ns;
    unsigned waits; /* since the processors were counted */
    bool alone;     /* there is one processor: spinning is of no use */
    int64_t max_ns; /* the budget's limit; 0: SPIN_MAX_NS */
    /* Called before a wait here sleeps, on the waiting thread. May be NULL. */
    void (*before_sleep)(void *arg);
    void *arg;
};

/* An event to wait for. The thread that makes it happen stores what `ready` looks at, and then
 * calls doorbell_ring with `asleep` and `bell`. */
struct source {
    bool (*ready)(void *arg); /* must not wait */
    void *arg;
    _Atomic uint32_t *asleep; /* enum sleep */
    plat_handle bell;
};

#define WAIT_SOURCES 3 /* the most that one wait takes */

/* Waits until one of the sources is ready. `peer` is a process handle, or PLAT_NO_HANDLE.
 * ZCB_ERR_TIMEOUT; ZCB_ERR_CANCELLED; ZCB_ERR_INTERRUPTED; ZCB_ERR_PEER_GONE: the other process has
 * ended and nothing is ready; ZCB_ERR_SYSTEM. */
zcb_error zcbi_wait_any(const struct source *sources, unsigned count, plat_handle peer,
                        struct spin *spin, const zcb_wait *wait);

/* Sleeps until one of the handles is signalled, for handles that are no doorbells. *which is its
 * index. ZCB_ERR_INVALID for PLAT_WAIT_MAX handles or more; other errors as zcbi_wait_any. */
zcb_error zcbi_wait_handles(const plat_handle *handles, unsigned count, const zcb_wait *wait,
                            unsigned *which);

/* The deadline of a wait that may be NULL. */
static inline int64_t wait_deadline(const zcb_wait *wait)
{
    return wait ? wait->deadline_ns : ZCB_NEVER;
}

#endif
