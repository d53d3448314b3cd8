/* A thread that waits for another thread of this process. */
#ifndef ZCB_WAITER_H
#define ZCB_WAITER_H

#include "wait.h"

/* It waits to be told that something has happened. */
struct waiter {
    struct waiter *next;
    _Atomic uint32_t told;
    _Atomic uint32_t asleep;
    plat_handle event;
    struct spin spin;
};

zcb_error zcbi_waiter_init(struct waiter *waiter);
void zcbi_waiter_destroy(struct waiter *waiter);
/* The waiter must not be destroyed before this returns: call it under the lock that guards its list. */
void zcbi_waiter_tell(struct waiter *waiter);
struct source zcbi_waiter_source(struct waiter *waiter);

#endif
