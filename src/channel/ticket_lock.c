#include "ticket_lock.h"

#include <stddef.h>

void zcbi_ticket_lock_init(struct ticket_lock *lock)
{
    *lock = (struct ticket_lock){0};
    zcbi_plat_mutex_init(&lock->mutex);
}

void zcbi_ticket_lock_destroy(struct ticket_lock *lock)
{
    zcbi_plat_mutex_destroy(&lock->mutex);
}

static void append_waiter(struct ticket_lock *lock, struct waiter *waiter)
{
    struct waiter **link = &lock->first;
    while (*link)
        link = &(*link)->next;
    *link = waiter;
}

/* False when the waiter is not in the queue: the lock was given to it. */
static bool remove_waiter(struct ticket_lock *lock, const struct waiter *waiter)
{
    struct waiter **link = &lock->first;
    while (*link && *link != waiter)
        link = &(*link)->next;
    if (!*link)
        return false;
    *link = waiter->next;
    return true;
}

static zcb_error wait_in_queue(struct ticket_lock *lock, struct waiter *waiter,
                               const struct source *watched, const zcb_wait *wait)
{
    struct source sources[2] = {zcbi_waiter_source(waiter)};
    if (watched)
        sources[1] = *watched;
    zcb_error error = zcbi_wait_any(sources, watched ? 2 : 1, PLAT_NO_HANDLE, &waiter->spin, wait);
    zcbi_plat_mutex_lock(&lock->mutex);
    bool given = !remove_waiter(lock, waiter); /* even after an error: it may have come just then */
    zcbi_plat_mutex_unlock(&lock->mutex);
    if (given && error == ZCB_ERR_INTERRUPTED)
        zcbi_ticket_lock_release(lock);
    else if (given)
        error = ZCB_OK;
    else if (!error)
        error = watched && watched->ready(watched->arg) ? ZCB_ERR_WATCHED : ZCB_ERR_CLOSED;
    return error;
}

zcb_error zcbi_ticket_lock_acquire(struct ticket_lock *lock, const zcb_wait *wait)
{
    return zcbi_ticket_lock_acquire_unless(lock, NULL, wait);
}

zcb_error zcbi_ticket_lock_acquire_unless(struct ticket_lock *lock, const struct source *watched,
                                          const zcb_wait *wait)
{
    zcbi_plat_mutex_lock(&lock->mutex);
    if (!lock->taken) {
        lock->taken = true;
        zcbi_plat_mutex_unlock(&lock->mutex);
        return ZCB_OK;
    }
    struct waiter waiter;
    zcb_error error = lock->closed ? ZCB_ERR_CLOSED : zcbi_waiter_init(&waiter);
    if (!error)
        append_waiter(lock, &waiter);
    zcbi_plat_mutex_unlock(&lock->mutex);
    if (error)
        return error;
    error = wait_in_queue(lock, &waiter, watched, wait);
    zcbi_waiter_destroy(&waiter);
    return error;
}

/* A waiting thread gets the lock from here, still taken: no other thread can come between. */
void zcbi_ticket_lock_release(struct ticket_lock *lock)
{
    zcbi_plat_mutex_lock(&lock->mutex);
    struct waiter *next = lock->first;
    if (next) {
        lock->first = next->next;
        zcbi_waiter_wake(next);
    } else {
        lock->taken = false;
    }
    zcbi_plat_mutex_unlock(&lock->mutex);
}

void zcbi_ticket_lock_close(struct ticket_lock *lock)
{
    zcbi_plat_mutex_lock(&lock->mutex);
    lock->closed = true;
    for (struct waiter *waiter = lock->first; waiter; waiter = waiter->next)
        zcbi_waiter_wake(waiter);
    zcbi_plat_mutex_unlock(&lock->mutex);
}
