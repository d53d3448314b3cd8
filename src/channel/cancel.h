/* A handle that ends the waits it was given to. */
#ifndef ZCB_CANCEL_H
#define ZCB_CANCEL_H

#include <stdatomic.h>

#include "platform/platform.h"

struct zcb_cancel {
    int64_t owner; /* process id: a forked child must not set its parent's */
    plat_handle event;
    _Atomic uint32_t set;
};

static inline bool wait_is_cancelled(const zcb_wait *wait)
{
    /* partner: zcb_cancel_set */
    return wait && wait->cancel && atomic_load(&wait->cancel->set) != 0;
}

#endif
