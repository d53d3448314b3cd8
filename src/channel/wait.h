/* The one wait: spin a little, say "asleep", look once more, sleep in the kernel. */
#ifndef ZCB_WAIT_H
#define ZCB_WAIT_H

#include <stdatomic.h>

#include "cancel.h"

/* How long it pays to spin at one place, learned from its recent waits. */
struct spin {
    int64_t budget_ns;
    unsigned waits;                  /* since the processors were counted */
    bool alone;                      /* one processor: no use in spinning */
    int64_t max_ns;                  /* never spins longer than this; 0: SPIN_MAX_NS */
    void (*before_sleep)(void *arg); /* what is to be done before a wait here sleeps; may be NULL */
    void *arg;
};

/* Something to wait for. Its maker stores what `ready` looks at and then calls doorbell_ring. */
struct source {
    bool (*ready)(void *arg);
    void *arg;
    _Atomic uint32_t *asleep;
    plat_handle bell;
};

#define WAIT_SOURCES 3

/* Waits until one of the sources is ready. `peer` is signalled when the other process has ended, or
 * PLAT_NO_HANDLE. ZCB_ERR_TIMEOUT, _CANCELLED, _INTERRUPTED, _PEER_GONE (nothing is ready and nothing
 * will be), _SYSTEM. */
zcb_error zcbi_wait_any(const struct source *sources, unsigned count, plat_handle peer,
                        struct spin *spin, const zcb_wait *wait);

/* Sleeps until one of the handles is signalled: for what is no doorbell. Errors as zcbi_wait_any. */
zcb_error zcbi_wait_handles(const plat_handle *handles, unsigned count, const zcb_wait *wait,
                            unsigned *which);

/* The deadline of a wait that may be NULL. */
static inline int64_t wait_deadline(const zcb_wait *wait)
{
    return wait ? wait->deadline_ns : ZCB_NEVER;
}

#endif
