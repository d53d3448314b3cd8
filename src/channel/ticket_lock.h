/*
 * A ticket lock: threads get it in the order in which they asked. Unlike a plat_mutex it may be
 * held while waiting for the other process, because its own wait can time out, be cancelled and be
 * interrupted. Not recursive.
 */
#ifndef ZCB_TICKET_LOCK_H
#define ZCB_TICKET_LOCK_H

#include "waiter.h"

struct ticket_lock {
    plat_mutex mutex; /* guards the fields below; held for moments only */
    bool taken;
    bool closed;
    struct waiter *first; /* queue of the threads that wait */
};

void zcbi_ticket_lock_init(struct ticket_lock *lock);
void zcbi_ticket_lock_destroy(struct ticket_lock *lock);
/* ZCB_ERR_CLOSED when the lock is taken and was closed; ZCB_ERR_NO_MEMORY, _NO_HANDLES, _SYSTEM (no
 * event to wait with); and the errors of zcbi_wait_any. */
zcb_error zcbi_ticket_lock_acquire(struct ticket_lock *lock, const zcb_wait *wait);
/* The same, and ZCB_ERR_WATCHED when `watched` (may be NULL) is ready first. */
zcb_error zcbi_ticket_lock_acquire_unless(struct ticket_lock *lock, const struct source *watched,
                                          const zcb_wait *wait);
void zcbi_ticket_lock_release(struct ticket_lock *lock);
/* Ends all waits for the lock with ZCB_ERR_CLOSED, now and later. The holder keeps it. */
void zcbi_ticket_lock_close(struct ticket_lock *lock);

#endif
