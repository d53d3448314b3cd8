/* A thread that waits until another thread of this process wakes it. */
#ifndef ZCB_WAITER_H
#define ZCB_WAITER_H

#include "wait.h"

/* Lives on the waiting thread's stack. */
struct waiter {
    struct waiter *next;     /* of the list that the waking threads look in */
    _Atomic uint32_t woken;  /* stays 1 once zcbi_waiter_wake was called */
    _Atomic uint32_t asleep; /* enum sleep */
    plat_handle event;
    struct spin spin;
};

/* ZCB_ERR_NO_MEMORY, _NO_HANDLES, _SYSTEM. */
zcb_error zcbi_waiter_init(struct waiter *waiter);
void zcbi_waiter_destroy(struct waiter *waiter);
/* Any thread, but under the lock that guards the waiter's list: the waiter must not be destroyed
 * before this returns. */
void zcbi_waiter_wake(struct waiter *waiter);
/* Ready once the waiter was woken. */
struct source zcbi_waiter_source(struct waiter *waiter);

#endif
